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
