"""What a cluster has cost, from its Job and pods."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from kubectl_sky import costs

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=timezone.utc)


def job(ended: str | None = None, **annotations: str) -> dict[str, Any]:
    conditions = [{"type": "Complete", "status": "True", "lastTransitionTime": ended}] if ended else []
    notes = {f"kubectl-sky/{key.replace('_', '-')}": value for key, value in annotations.items()}
    metadata = {"name": "a", "namespace": "n", "creationTimestamp": "2026-01-01T10:00:00Z", "annotations": notes}
    return {"metadata": metadata, "status": {"conditions": conditions}}


def pod(scheduled: str, status: str = "True") -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": status, "lastTransitionTime": scheduled}
    return {"status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("job", "pods", "seconds", "total"),
    [
        (job(price="2"), [pod("2026-01-01T11:30:00Z"), pod("2026-01-01T11:00:00Z")], 3600, 2.0),
        (job("2026-01-01T11:30:00Z", price="2"), [pod("2026-01-01T11:00:00Z")], 1800, 1.0),
        (job(price="2", ran_before="1800"), [pod("2026-01-01T11:00:00Z")], 5400, 3.0),
        (job(price="2", ran_before="1800"), [], 1800, 1.0),  # stopped
        (job(price="2"), [pod("2026-01-01T11:00:00Z", "False")], 0, 0.0),  # it waits
        (job(), [pod("2026-01-01T11:00:00Z")], 3600, None),
        (job(price="much"), [pod("2026-01-01T11:00:00Z")], 3600, None),
    ],
)
def test_cost(job: dict[str, Any], pods: list[dict[str, Any]], seconds: float, total: float | None) -> None:
    found = costs.of(job, pods, NOW)
    assert (found.seconds, found.total) == (seconds, total)


def placed(scheduled: str, ended: str | None = None) -> dict[str, Any]:
    made = pod(scheduled)
    if ended:
        made["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": ended}}}]
    made["status"]["phase"] = "Failed" if ended else "Running"
    return made


@pytest.mark.parametrize(
    ("completions", "fan", "pods", "total"),
    [
        # it was lost, and waited for a place for half an hour
        (1, 1, [placed("2026-01-01T10:00:00Z", "2026-01-01T10:30:00Z"), placed("2026-01-01T11:00:00Z")], 3.0),
        (2, 1, [placed("2026-01-01T11:00:00Z"), placed("2026-01-01T11:30:00Z")], 1.5),  # two nodes for that price
        (3, 3, [placed("2026-01-01T11:00:00Z"), placed("2026-01-01T11:30:00Z")], 3.0),  # a node each
    ],
)
def test_managed_jobs_cost_what_their_pods_held(completions: int, fan: int, pods: list[Any], total: float) -> None:
    made = job(price="2", **({"jobs": '{"count": 3, "serial": false, "names": []}'} if fan > 1 else {}))
    made["metadata"]["labels"] = {"kubectl-sky/managed": "true"}
    made["spec"] = {"completions": completions}
    assert costs.of(made, pods, NOW).total == total
