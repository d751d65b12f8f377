"""Ending managed jobs: by their agents, which keep the log; where none answers, by the Job's own deadline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from kubectl_sky import cluster_objects, conversation, managed
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.jobs.listing import Row

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def check(rows: Sequence[Row], every: Sequence[Row]) -> None:
    """Raises UsageError for a part of what one Job makes, which cannot be ended without the others."""
    for row in rows:
        others = [one for one in every if one.place.name == row.place.name and not one.now.over]
        if any(one not in rows for one in others):
            text = f"{row.name} is one of {row.place.of} jobs of {row.place.name}: they are cancelled together"
            raise UsageError(text, f"kubectl sky jobs cancel {row.place.name}")


def cancel(cluster: Cluster, rows: Sequence[Row]) -> None:
    """All that have not ended of one Job's. Raises Failure. What does not answer is over when its pods are."""
    told = [_by_agent(cluster, row.pod) for row in rows if row.pod]
    ranks = rows[0].place.of > 1 and not managed.fan(rows[0].job)[1]
    if told and all(told) and not ranks:
        return  # its end is the Job's
    # no pods from now on, and a deadline that is over: the Job fails, whatever it waits for
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    spec = {"activeDeadlineSeconds": 1, "parallelism": 0}
    changes = {"metadata": {"annotations": {managed.CANCELLED: now}}, "spec": spec}
    cluster.patch(f"{cluster_objects.collection(cluster, 'Job')}/{rows[0].place.name}", changes)


def _by_agent(cluster: Cluster, pod: str) -> bool:
    try:
        return bool(conversation.ask(cluster, pod, {"op": "cancel", "jobs": [1]})["jobs"])
    except Failure:
        return False
