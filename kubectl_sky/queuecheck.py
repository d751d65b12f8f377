"""Whether there is the queue that a launch names and takes it; asked before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubectl_sky.diagnosis import kueue
from kubectl_sky.errors import ApiError, UsageError
from kubectl_sky.names import KAI_QUEUE, QUEUE, QUEUE_PRIORITY, VOLCANO_QUEUE
from kubectl_sky.output import near
from kubectl_sky.parts.gangs import GROUPS, KAI, VERSIONS, VOLCANO

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]


def check(cluster: Cluster, job: Object) -> list[str]:
    """What is to be known of the queues of a Job that is not made yet. Raises UsageError when there are none such."""
    labels = job["metadata"].get("labels") or {}
    queue, kai = labels.get(QUEUE), labels.get(KAI_QUEUE)
    volcano = (job["metadata"].get("annotations") or {}).get(VOLCANO_QUEUE)
    return [
        *(_kueue(cluster, queue, labels.get(QUEUE_PRIORITY)) if queue else []),
        *(_kai(cluster, kai) if kai else []),
        *(_volcano(cluster, volcano) if volcano else []),
    ]


def _kueue(cluster: Cluster, queue: str, priority: str | None) -> list[str]:
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


def _kai(cluster: Cluster, queue: str) -> list[str]:
    answer = _queues(cluster, KAI)
    if answer.items is None:
        gone = f"The cluster has no KAI scheduler: nobody will start what waits in {queue!r}"
        return [gone] if answer.status == 404 else []
    parents = {one["metadata"]["name"]: (one.get("spec") or {}).get("parentQueue") for one in answer.items}
    leaves = sorted(name for name in parents if name not in parents.values())
    if queue not in parents:
        hint = near(queue, leaves) if leaves else "an administrator makes one: queues.scheduling.run.ai"
        raise UsageError(f"there is no KAI queue {queue!r}", hint)
    if inside := [name for name in leaves if parents[name] == queue]:
        raise UsageError(
            f"the KAI queue {queue!r} takes no tasks itself", f"name one of its queues: {', '.join(inside)}"
        )
    return []


def _volcano(cluster: Cluster, queue: str) -> list[str]:
    answer = _queues(cluster, VOLCANO)
    if answer.items is None:
        gone = f"The cluster has no Volcano: nobody will start what waits in {queue!r}"
        return [gone] if answer.status == 404 else []
    states = {one["metadata"]["name"]: (one.get("status") or {}).get("state") for one in answer.items}
    if queue not in states:
        hint = near(queue, sorted(states)) if states else "an administrator makes one: queues.scheduling.volcano.sh"
        raise UsageError(f"there is no Volcano queue {queue!r}", hint)
    if states[queue] not in (None, "Open"):
        raise UsageError(f"the Volcano queue {queue!r} takes no tasks: it is {states[queue]}", "name another")
    return []


def _queues(cluster: Cluster, kind: str) -> kueue.Answer:
    """Those of a gang scheduler, which no namespace has."""
    try:
        return kueue.Answer(cluster.get(f"/apis/{GROUPS[kind]}/{VERSIONS[kind]}/queues").get("items") or [])
    except ApiError as error:
        return kueue.Answer(None, error.status)


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
