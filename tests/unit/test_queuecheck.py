"""Whether a launch's Kueue queue is there, asked before anything is made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kubectl_sky import queuecheck
from kubectl_sky.errors import ApiError, UsageError
from kubectl_sky.names import KAI_QUEUE, QUEUE, QUEUE_PRIORITY, VOLCANO_QUEUE


def named(name: str, **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def cluster(queues: list[dict[str, Any]] | int, priorities: list[str] | int = 404) -> Any:
    """A number is the status of the refusal."""
    classes = priorities if isinstance(priorities, int) else [named(one) for one in priorities]

    def get(path: str) -> dict[str, Any]:
        answer = queues if path.endswith("/localqueues") else classes
        if isinstance(answer, int):
            raise ApiError(answer, "", "refused")
        return {"items": answer}

    return SimpleNamespace(namespace="ml", get=get)


def job(queue: str | None, priority: str | None = None) -> dict[str, Any]:
    return {
        "metadata": {"labels": {key: value for key, value in ((QUEUE, queue), (QUEUE_PRIORITY, priority)) if value}}
    }


def test_the_queue_is_there() -> None:
    assert queuecheck.check(cluster([named("team-a")]), job("team-a")) == []
    assert queuecheck.check(cluster(500), job(None)) == []


def test_there_is_no_such_queue() -> None:
    with pytest.raises(UsageError, match="namespace ml has no Kueue queue 'teem-a'") as caught:
        queuecheck.check(cluster([named("team-a")]), job("teem-a"))
    assert caught.value.hint == "did you mean `team-a`?"
    with pytest.raises(UsageError) as caught:
        queuecheck.check(cluster([]), job("team-a"))
    assert "administrator" in str(caught.value.hint)


def test_there_is_no_kueue_or_no_right_to_look() -> None:
    assert "no Kueue" in queuecheck.check(cluster(404), job("team-a"))[0]
    assert queuecheck.check(cluster(403), job("team-a")) == []


def test_the_queue_admits_nothing() -> None:
    stopped = named("team-a", conditions=[{"type": "Active", "status": "False", "message": "LocalQueue is stopped"}])
    [note] = queuecheck.check(cluster([stopped]), job("team-a"))
    assert note == "The Kueue queue 'team-a' admits nothing now: LocalQueue is stopped"


def test_the_priority() -> None:
    queues = [named("team-a")]
    assert queuecheck.check(cluster(queues, ["high"]), job("team-a", "high")) == []
    assert queuecheck.check(cluster(queues, 403), job("team-a", "high")) == []
    with pytest.raises(UsageError, match="no WorkloadPriorityClass 'hihg'"):
        queuecheck.check(cluster(queues, ["high"]), job("team-a", "hihg"))


def kai(queues: list[dict[str, Any]] | int, api: str = "scheduling.run.ai/v2") -> Any:
    def get(path: str) -> dict[str, Any]:
        assert path == f"/apis/{api}/queues"
        if isinstance(queues, int):
            raise ApiError(queues, "", "refused")
        return {"items": queues}

    return SimpleNamespace(namespace="ml", get=get)


def test_a_queue_of_kai() -> None:
    def wanted(name: str) -> dict[str, Any]:
        return {"metadata": {"labels": {KAI_QUEUE: name}}}

    there = [{"metadata": {"name": "all"}}, {"metadata": {"name": "team-a"}, "spec": {"parentQueue": "all"}}]
    assert queuecheck.check(kai(there), wanted("team-a")) == queuecheck.check(kai(403), wanted("team-a")) == []
    assert "no KAI scheduler" in queuecheck.check(kai(404), wanted("team-a"))[0]
    for name, text, hint in (
        ("teem-a", "there is no KAI queue 'teem-a'", "did you mean `team-a`?"),
        ("all", "the KAI queue 'all' takes no tasks itself", "name one of its queues: team-a"),
    ):
        with pytest.raises(UsageError, match=text) as caught:
            queuecheck.check(kai(there), wanted(name))
        assert caught.value.hint == hint


def test_a_queue_of_volcano() -> None:
    def check(queues: list[dict[str, Any]] | int, name: str) -> list[str]:
        job = {"metadata": {"annotations": {VOLCANO_QUEUE: name}}}
        return queuecheck.check(kai(queues, "scheduling.volcano.sh/v1beta1"), job)

    there = [
        {"metadata": {"name": name}, "status": {"state": state}} for name, state in (("a", "Open"), ("shut", "Closed"))
    ]
    assert check(there, "a") == check(403, "a") == []
    assert "no Volcano" in check(404, "a")[0]
    with pytest.raises(UsageError, match="there is no Volcano queue 'shot'") as caught:
        check(there, "shot")
    assert caught.value.hint == "did you mean `shut`?"
    with pytest.raises(UsageError, match="the Volcano queue 'shut' takes no tasks: it is Closed"):
        check(there, "shut")
