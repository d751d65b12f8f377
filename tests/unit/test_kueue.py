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


def cluster(answers: dict[str, list]) -> Any:
    def get(path: str, **_: Any) -> dict:
        for end, items in answers.items():
            if path.endswith(end):
                return {"items": items}
        raise ApiError(404, "NotFound", "no such thing")

    return SimpleNamespace(namespace="ml", get=get)


def test_why_and_at_which_place() -> None:
    waiting = {"metadata": {"name": "job-x-1"}, "positionInLocalQueue": 2}
    answers = {
        "v1beta1/namespaces/ml/workloads": [WORKLOAD],
        "v1beta1/namespaces/ml/localqueues/gpus/pendingworkloads": [waiting],
    }
    told = kueue.refined(cluster(answers), QUEUED, JOB)
    assert told.message == f"it waits in the Kueue queue 'gpus', 2 before it: {NO_QUOTA}"
    assert told.hint and told.hint.splitlines()[0] == "kubectl describe workload job-x-1"


@pytest.mark.parametrize("answers", [{}, {"v1beta2/namespaces/ml/workloads": []}])
def test_without_the_right_or_kueue(answers: dict[str, list]) -> None:
    assert kueue.refined(cluster(answers), QUEUED, JOB) == QUEUED


def test_without_the_place() -> None:
    told = kueue.refined(cluster({"v1beta2/namespaces/ml/workloads": [WORKLOAD]}), QUEUED, JOB)
    assert told.message == f"it waits in the Kueue queue 'gpus': {NO_QUOTA}"


def test_an_eviction_goes_before_the_quota() -> None:
    evicted = {"type": "Evicted", "status": "True", "message": "Preempted to accommodate a higher priority workload"}
    conditions = [*WORKLOAD["status"]["conditions"], evicted]  # type: ignore[index]
    assert kueue.reason({"status": {"conditions": conditions}}).startswith("Preempted to accommodate")
