"""A Job that waits in a queue of Kueue: what its Workload and the queue tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kubectl_sky.diagnosis import kueue
from kubectl_sky.diagnosis.state import State
from kubectl_sky.errors import ApiError

JOB = {"metadata": {"name": "x", "uid": "u1", "labels": {"kueue.x-k8s.io/queue-name": "gpus"}}}
QUEUED = State("Pending", "Queued", "it waits in the Kueue queue 'gpus'", "kubectl describe localqueue gpus")
NO_QUOTA = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor h100, 4 more needed"
WORKLOAD = {
    "metadata": {"name": "job-x-1", "ownerReferences": [{"kind": "Job", "uid": "u1"}]},
    "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": NO_QUOTA}]},
}


def cluster(answers: dict[str, list], status: int = 404) -> Any:
    def get(path: str, **_: Any) -> dict:
        for end, items in answers.items():
            if path.endswith(end):
                return {"items": items}
        raise ApiError(status, "NotFound", "no such thing")

    return SimpleNamespace(namespace="ml", get=get)


def told(answers: dict[str, list], status: int = 404) -> State:
    return kueue.refined(kueue.Queues(cluster(answers, status)), QUEUED, JOB)


def workload(name: str, local: int, anywhere: int) -> dict[str, Any]:
    """As the queue says it: at these places of its own queue and of all that share its quota."""
    references = [{"kind": "Job", "name": name, "uid": name}]
    about = {"name": f"job-{name}-1", "ownerReferences": references}
    return {"metadata": about, "positionInLocalQueue": local, "positionInClusterQueue": anywhere}


def test_why_and_at_which_place() -> None:
    waiting = [workload("x", 2, 2), workload("b", 1, 1), workload("a", 0, 0)]
    answers = {
        "v1beta1/namespaces/ml/workloads": [WORKLOAD],
        "v1beta1/namespaces/ml/localqueues/gpus/pendingworkloads": waiting,
    }
    state = told(answers)
    quota = "the queue's quota is in use: 4 cpu more needed"
    assert state.message == f"it waits in the Kueue queue 'gpus', 2 before it (a and b): {quota}"
    assert state.hint and state.hint.splitlines()[0] == "kubectl describe workload job-x-1"


@pytest.mark.parametrize(
    ("mine", "others", "words"),
    [
        ((0, 0), [], ", first in line"),
        ((0, 3), [], ", 3 of other queues before it"),
        ((1, 1), ["a"], ", 1 before it (a)"),
        ((2, 5), ["a", "b"], ", 2 before it (a and b), and 3 of other queues"),
        ((5, 5), list("abcde"), ", 5 before it (a, b, c and 2 more)"),
    ],
)
def test_the_place(mine: tuple[int, int], others: list[str], words: str) -> None:
    waiting = [workload("x", *mine), *(workload(name, at, at) for at, name in enumerate(others))]
    assert kueue.place(waiting, "job-x-1") == words
    assert kueue.place(waiting, "job-y-1") == ""


def test_without_the_right_or_before_its_workload() -> None:
    assert told({}, status=403) == QUEUED
    assert told({"v1beta2/namespaces/ml/workloads": []}) == QUEUED


def test_without_kueue() -> None:
    assert told({}).message.endswith("the cluster has no Kueue: nobody starts it")


def test_without_the_place() -> None:
    state = told({"v1beta2/namespaces/ml/workloads": [WORKLOAD]}, status=403)
    assert state.message == "it waits in the Kueue queue 'gpus': the queue's quota is in use: 4 cpu more needed"


PREEMPTED = "Preempted to accommodate a workload (UID: 1, JobUID: u2) due to {}; preemptor path: /a; preemptee path: /b"


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("prioritization in the ClusterQueue", "preempted: urgent, of a higher priority, took its place"),
        ("reclamation within the cohort", "preempted: urgent of another team took back its team's quota"),
        ("reclamation within the cohort while borrowing", "preempted: urgent of another team took its place"),
        ("UNKNOWN", "preempted: urgent took its place"),
    ],
)
def test_a_preemption_goes_before_the_quota(cause: str, words: str) -> None:
    evicted = {"type": "Evicted", "status": "True", "message": PREEMPTED.format(cause)}
    conditions = [*WORKLOAD["status"]["conditions"], evicted]  # type: ignore[index]
    said = kueue.reason({"status": {"conditions": conditions}}, {"u2": "urgent"})
    assert said.startswith(words) and said.endswith("the queue's quota is in use: 4 cpu more needed"), said
    once = {"type": "QuotaReserved", "status": "False", "message": evicted["message"]}
    assert "quota is in use" not in kueue.reason({"status": {"conditions": [evicted, once]}})
    assert "a task" in kueue.reason({"status": {"conditions": [evicted]}})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, previously "
            "considered podsets requests (0) + current podset request (5) > maximum capacity (2)",
            "never: it asks for 5 cpu, and the queue can have 2 at most",
        ),
        ("LocalQueue teem doesn't exist", "the LocalQueue teem does not exist"),
        ("ClusterQueue gpus is inactive", "the ClusterQueue gpus admits nothing now"),
        ("something new", "something new"),
    ],
)
def test_what_stands_against_it(said: str, words: str) -> None:
    condition = {"type": "QuotaReserved", "status": "False", "message": said}
    assert kueue.reason({"status": {"conditions": [condition]}}) == words
