"""What clusters have cost: the price noted at their launch, and the time that their pods had. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]

PRICE = "kubectl-sky/price"  # annotation of the Job: $ an hour of all its nodes together
BEFORE = "kubectl-sky/ran-before"  # annotation: seconds that it had before it was stopped


@dataclass(frozen=True)
class Cost:
    """`price` is $ an hour, None when nothing was noted; `seconds` that the pods were there for."""

    name: str
    namespace: str
    launched: str
    seconds: float
    price: float | None

    @property
    def total(self) -> float | None:
        return None if self.price is None else self.price * self.seconds / 3600


def of(job: Object, pods: Sequence[Object], now: datetime) -> Cost:
    """Of a Job: from when its first pod was given a node until it ended."""
    metadata = job["metadata"]
    annotations = metadata.get("annotations") or {}
    return Cost(
        metadata["name"],
        metadata["namespace"],
        metadata["creationTimestamp"],
        before(job) + ran(job, pods, now),
        _number(annotations.get(PRICE)),
    )


def before(job: Object) -> float:
    """Seconds, of its pods that were ended by a stop."""
    return _number((job["metadata"].get("annotations") or {}).get(BEFORE)) or 0.0


def ran(job: Object, pods: Sequence[Object], now: datetime) -> float:
    """Seconds since its first pod was given a node, until it ended; 0 when it has none."""
    starts = [began for pod in pods if (began := _scheduled(pod))]
    if not starts:
        return 0.0
    conditions = job.get("status", {}).get("conditions") or []
    over = [
        c["lastTransitionTime"] for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True"
    ]
    end = _time(over[0]) if over else now
    return max(0.0, (end - min(starts)).total_seconds())


def _scheduled(pod: Object) -> datetime | None:
    for condition in pod.get("status", {}).get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "True":
            return _time(condition["lastTransitionTime"])
    return None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None  # another hand wrote it
