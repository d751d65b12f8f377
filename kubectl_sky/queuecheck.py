"""Whether there is the Kueue queue that a launch names, and takes it; asked before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubectl_sky.diagnosis import kueue
from kubectl_sky.errors import ApiError, UsageError
from kubectl_sky.names import QUEUE, QUEUE_PRIORITY
from kubectl_sky.output import near

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]


def check(cluster: Cluster, job: Object) -> list[str]:
    """What is to be known of the queue of a Job that is not made yet. Raises UsageError when there is no such queue."""
    labels = job["metadata"].get("labels") or {}
    queue, priority = labels.get(QUEUE), labels.get(QUEUE_PRIORITY)
    if not queue:
        return []
    answer = kueue.ask(cluster, kueue.GROUP, "localqueues")
    if answer.items is None:
        return [f"The cluster has no Kueue: nobody will start what waits in {queue!r}"] if answer.status == 404 else []
    there = {one["metadata"]["name"]: one for one in answer.items}
    if queue not in there:
        text = f"namespace {cluster.namespace} has no Kueue queue {queue!r}"
        raise UsageError(text, near(queue, sorted(there)) if there else "an administrator makes one: a LocalQueue")
    if priority:
        _check_priority(cluster, priority)
    return _stopped(queue, there[queue])


def _stopped(queue: str, local: Object) -> list[str]:
    for one in (local.get("status") or {}).get("conditions") or ():
        if one.get("type") == "Active" and one.get("status") == "False":
            return [f"The Kueue queue {queue!r} admits nothing now: {one.get('message') or one.get('reason')}"]
    return []


def _check_priority(cluster: Cluster, name: str) -> None:
    """Raises UsageError when there is no such class; where they may not be read, Kueue says it later."""
    for version in kueue.VERSIONS:
        try:
            items = cluster.get(f"/apis/{kueue.GROUP}/{version}/workloadpriorityclasses")["items"]
        except ApiError as error:
            if error.status == 404:
                continue
            return
        there = sorted(one["metadata"]["name"] for one in items)
        if name not in there:
            raise UsageError(f"there is no WorkloadPriorityClass {name!r}", near(name, there))
        return
