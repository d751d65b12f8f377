"""What clusters have cost: the price noted at their launch, and the time that their pods had. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubectl_sky import managed, names

Object = Mapping[str, Any]

PRICE = "kubectl-sky/price"  # annotation of the Job: $ an hour of all its nodes together
BEFORE = "kubectl-sky/ran-before"  # annotation: seconds that it had before it was stopped


@dataclass(frozen=True)
class Cost:
    """`price` is $ an hour, None when nothing was noted; `seconds` that the pods were there for; `billed` of them."""

    name: str
    namespace: str
    launched: str
    seconds: float
    billed: float
    price: float | None

    @property
    def total(self) -> float | None:
        return None if self.price is None else self.price * self.billed / 3600


def of(job: Object, pods: Sequence[Object], now: datetime) -> Cost:
    """Of a Job: from when its first pod was given a node until it ended."""
    metadata = job["metadata"]
    annotations = metadata.get("annotations") or {}
    seconds = before(job) + ran(job, pods, now)
    billed = held(job, pods, now) if names.MANAGED in (metadata.get("labels") or {}) else seconds
    price = _number(annotations.get(PRICE))
    return Cost(metadata["name"], metadata["namespace"], metadata["creationTimestamp"], seconds, billed, price)


def held(job: Object, pods: Sequence[Object], now: datetime) -> float:
    """Seconds for which a managed job held all of its nodes: its pods come one after the other, or many side by side.

    Those that were deleted are not there to be counted.
    """
    nodes = 1 if managed.fan(dict(job))[0] > 1 else job["spec"].get("completions") or 1
    spans = [((_end(pod) or now) - began).total_seconds() for pod in pods if (began := _scheduled(pod))]
    return sum(max(0.0, span) for span in spans) / nodes


def _end(pod: Object) -> datetime | None:
    """When the last of its containers ended; None: not all have."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    ends = [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in statuses]
    over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    return max((_time(end) for end in ends if end), default=None) if over else None


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
