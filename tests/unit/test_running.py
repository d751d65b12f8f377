"""What the end of a job means to the person who followed it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kubectl_sky import running
from kubectl_sky.diagnosis.state import FAILED, UP, State
from kubectl_sky.errors import Failure

ENDED = {"id": 1, "status": "FAILED", "exit": 255, "reason": "lost", "rank": 0, "submitted": 0.0, "started": None}


def ended(monkeypatch: pytest.MonkeyPatch, state: State, **changes: Any) -> Failure:
    found = SimpleNamespace(state=state, pods=[], job=None)
    monkeypatch.setattr(running.why, "read", lambda cluster, name: found)
    cluster: Any = SimpleNamespace(connection=SimpleNamespace(command=lambda verb, words="": f"{verb} {words}"))
    with pytest.raises(Failure) as caught:
        running.conclude(cluster, "x", {**ENDED, **changes}, nodes=2)
    return caught.value


def test_a_container_that_the_kernel_ended_for_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    why = State(FAILED, "OOMKilled", "it used more memory than its limit of 1Gi", "ask for more")
    failure = ended(monkeypatch, why)
    assert failure.exit_code == 137 and "limit of 1Gi" in failure.message and failure.hint == "ask for more"


def test_a_lost_node(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = ended(monkeypatch, State(FAILED, "NodeLost", "the node n was deleted", "launch it again"))
    assert failure.exit_code == 255
    assert failure.message == "job 1 failed on node 0: the node n was deleted"
    assert failure.hint == "launch it again"


def test_a_job_that_ran_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = ended(monkeypatch, State(FAILED), exit=137, reason=f"oom:{1 << 30}")
    assert failure.exit_code == 137 and "memory limit of 1Gi" in failure.message and "--memory" in (failure.hint or "")


def test_trouble_is_told_once() -> None:
    lines: list[str] = []
    talk = running.Talk(SimpleNamespace(line=lines.append), 1)  # type: ignore[arg-type]
    for text in ("a", "a", "b", "a"):
        talk.trouble(text)
    assert lines == ["reconnecting: a", "reconnecting: b", "reconnecting: a"]


def test_a_job_whose_pod_was_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signal came from the cluster; a job that ends itself by a signal is told as that."""
    why = State(FAILED, "Evicted", "pod x-0: it was evicted from the node n", "launch it again")
    failure = ended(monkeypatch, why, exit=143, reason=None)
    assert failure.exit_code == 143 and "it was evicted from the node n" in failure.message
    for state in (State("Up"), State(FAILED, "Error", "container `task` ended with exit code 143")):
        text = "job 1 failed on node 0 with exit code 143 (SIGTERM: it was told to end)"
        assert ended(monkeypatch, state, exit=143, reason=None).message == text


@pytest.mark.parametrize(
    ("up", "reason", "seconds", "ends"),
    [
        (True, "waiting for node 1", -1, True),
        (True, "waiting for node 1", 60, False),
        (False, "waiting for node 1", -1, False),
        (True, "waiting for places", -1, False),
    ],
)
def test_a_wait_for_a_node_that_is_up_ends(
    monkeypatch: pytest.MonkeyPatch, up: bool, reason: str, seconds: int, ends: bool
) -> None:
    containers = [{"name": name, "state": {"running": {"a": 1}} if up else {"waiting": {}}} for name in ("task", "ssh")]
    found = SimpleNamespace(
        state=State(UP), pods=[{"metadata": {}, "status": {"containerStatuses": containers}}], job={}
    )
    monkeypatch.setattr(running.why, "read", lambda cluster, name: found)
    monkeypatch.setattr(running, "UNREACHED_SECONDS", seconds)
    cluster: Any = SimpleNamespace(connection=SimpleNamespace(command=lambda verb, words="": f"{verb} {words}"))
    waiting, state = running.Waiting(cluster, "x"), {"id": 1, "status": "PENDING", "reason": reason}
    if ends:
        with pytest.raises(Failure, match="waiting for node 1, which is up, but node 0 of x does not reach it"):
            waiting(state)
    else:
        waiting(state)


@pytest.mark.parametrize(
    ("states", "spec", "expected"),
    [
        ([], {"nodeName": "n"}, True),
        ([{"running": {}}, {"waiting": {"reason": "ContainerCreating"}}], {"nodeName": "n"}, True),
        ([{"waiting": {"reason": "ImagePullBackOff"}}], {"nodeName": "n"}, False),
        ([{"terminated": {"exitCode": 1}}], {"nodeName": "n"}, False),
        ([], {}, False),
    ],
)
def test_containers_that_are_about_to_run(states: list[Any], spec: dict[str, Any], expected: bool) -> None:
    pod = {"metadata": {}, "spec": spec, "status": {"containerStatuses": [{"state": one} for one in states]}}
    assert running.begins(pod) is expected
    pod["metadata"] = {"deletionTimestamp": "now"}
    assert not running.begins(pod)
