"""All nodes of a task or none: which pods hold places in vain, and what the Job is told."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kubectl_sky import gang
from kubectl_sky.diagnosis import state
from kubectl_sky.remote import gang as in_pod


def pod(rank: int, node: str = "", runs: bool = True, exit_code: int | None = None) -> dict[str, Any]:
    """One of `t`; without a node the scheduler has none for it."""
    state = {"running": {}} if exit_code is None else {"terminated": {"exitCode": exit_code}}
    statuses = [{"name": "task", "state": state if runs else {"waiting": {}}}]
    without = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    return {
        "metadata": {"name": f"t-{rank}-x", "annotations": {gang.INDEX: str(rank)}, "creationTimestamp": f"{rank}"},
        "spec": {"nodeName": node} if node else {},
        "status": {"containerStatuses": statuses} if node else {"conditions": [without]},
    }


def test_those_with_a_place_hold_it_in_vain_when_there_is_none_for_another() -> None:
    assert gang.holders([pod(0, "a"), pod(1, "b"), pod(2)], 3) == ["t-0-x", "t-1-x"]


@pytest.mark.parametrize(
    "pods",
    (
        [pod(0, "a"), pod(1, "b"), pod(2, "c")],  # all have one
        [pod(0, "a"), pod(1)],  # the third is not made yet
        [pod(0, "a", runs=False), pod(1, "b"), pod(2)],  # one would not end as it should
        [pod(0), pod(1), pod(2)],
        [pod(0, "a", exit_code=gang.LET_GO), pod(1), pod(2)],  # has let go already
    ),
)
def test_else_nobody_is_taken_away(pods: list[dict[str, Any]]) -> None:
    assert gang.holders(pods, 3) == []


def test_only_a_job_of_several_nodes_makes_pods_again() -> None:
    assert gang.job_fields(1, True) == {} == gang.job_fields(2, False) and gang.env(1, 600) == []
    rules = gang.job_fields(2, True)["podFailurePolicy"]["rules"]
    assert [rule["action"] for rule in rules] == ["Ignore", "Count", "Count", "FailJob"]
    assert rules[0]["onExitCodes"]["values"] == [gang.LET_GO] and rules[1]["onExitCodes"]["values"] == [gang.TAKEN]
    assert gang.env(2, math.inf)[0]["value"] == "600" and gang.env(2, 90.0)[0]["value"] == "90"


def test_all_nodes_of_a_task_let_go_at_the_same_times_and_two_tasks_at_others() -> None:
    times: dict[str, list[float]] = {"a": [], "b": []}
    for task, found in times.items():
        now = 1_000_000.0
        while len(found) < 50:
            now = in_pod.next_time(task, 60.0, now)
            found.append(now)
    assert in_pod.next_time("a", 60.0, times["a"][3] + 1) == times["a"][4]
    gaps = [later - earlier for earlier, later in zip(times["a"], times["a"][1:], strict=False)]
    assert min(gaps) >= 30 and max(gaps) <= 90
    apart = [min(abs(one - other) for other in times["b"]) for one in times["a"]]
    assert sum(gap < 3 for gap in apart) < 20


def test_which_nodes_are_missing_is_said() -> None:
    job = {"metadata": {"name": "t"}, "spec": {"parallelism": 4}}
    now = state.task_state(job, [pod(0, "a"), pod(1, "b"), pod(2), pod(3)])
    assert now.message.startswith("2 of its 4 pods (ranks 2 and 3) have no place: ")
    gone = state.task_state(job, [pod(0, "a", exit_code=gang.LET_GO), pod(1, "b", exit_code=gang.LET_GO)])
    assert (gone.phase, gone.reason) == (state.PENDING, "LetGo")


def test_many_ranks_are_not_all_listed() -> None:
    assert [gang.ranks(range(n)) for n in (1, 2, 4, 5)] == [
        "rank 0", "ranks 0 and 1", "ranks 0, 1, 2 and 3", "ranks 0, 1, 2 and 2 more"
    ]  # fmt: skip


def test_a_pod_that_was_taken_away_is_made_again() -> None:
    """Only of a Job that says so; a job that failed has failed."""
    job = {"metadata": {"name": "t"}, "spec": {"parallelism": 2, **gang.job_fields(2, True)}}
    up = pod(0, "a")
    up["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    pods = [up, pod(1, "b", exit_code=gang.TAKEN)]
    now = state.task_state(job, pods)
    assert (now.phase, now.reason) == (state.STARTING, "Deleted") and "another pod takes its place" in now.message
    away = {
        "reason": "NodeNotReady",
        "message": "Node is not ready",
        "metadata": {},
        "involvedObject": {"name": "t-1-x"},
    }
    silent = [up, pod(1, "b")]
    silent[1]["status"]["phase"] = "Running"
    now = state.task_state(job, silent, [away])
    assert (now.phase, now.reason) == (state.STARTING, "NodeLost") and "kubectl delete node" in str(now.hint)
    single = {"metadata": {"name": "t"}, "spec": {"parallelism": 2}}
    assert state.task_state(single, silent, [away]).phase == state.FAILED
    over = {"conditions": [{"type": "Failed", "status": "True", "reason": "x"}]}
    assert state.task_state({**job, "status": over}, pods).phase == state.FAILED


@pytest.mark.parametrize(("known_at_look", "lets_go"), [(1, False), (4, False), (99, True)])
def test_a_pod_that_only_starts_is_not_in_the_clusters_dns_yet(
    monkeypatch: pytest.MonkeyPatch, known_at_look: int, lets_go: bool
) -> None:
    monkeypatch.setenv(in_pod.ENV, "60")
    monkeypatch.setattr(in_pod, "SOON_SECONDS", 2.0)
    found, ended = in_pod.Gang(), list[int]()
    looks = iter(range(1, 200))
    times = iter([0.0, math.inf])

    def there(_: str) -> bool:
        return next(looks) >= known_at_look

    def following(*_: Any) -> float:
        at = next(times)
        if at == math.inf:  # it has not let go at the first
            found.form()
        return min(at, 1.0)

    monkeypatch.setattr(found, "_all_there", there)
    monkeypatch.setattr(in_pod, "next_time", following)
    monkeypatch.setattr(in_pod.os, "kill", lambda pid, _: ended.append(pid))
    found.watch()
    assert bool(ended) == lets_go
