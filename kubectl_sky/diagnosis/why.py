"""Reading all that tells why a task is not running: its objects, their events, the nodes, a container's last words."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects
from kubectl_sky.capacity import inventory
from kubectl_sky.capacity.survey import Placing
from kubectl_sky.diagnosis import containers, copying, kueue, mounting, state, unplaced
from kubectl_sky.diagnosis.state import State
from kubectl_sky.errors import ApiError, Failure
from kubectl_sky.parts.buckets import CONTAINER

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
LAST_LINES = 4


@dataclass(frozen=True)
class Found:
    """A task's Job (None: gone), its pods, and the events of its namespace (none without the right to read them)."""

    job: Object | None
    pods: tuple[Object, ...]
    events: tuple[Object, ...]

    @property
    def state(self) -> State:
        return state.task_state(self.job, self.pods, self.events)

    def related(self) -> list[Object]:
        """The events about it, the pod that is worst off and its claims, oldest first."""
        pod = state.worst(self.pods, self.events)
        mine = {self.job["metadata"]["name"]} if self.job else set()
        if pod:
            mine |= {pod["metadata"]["name"], *mounting.claims(pod)}
        found = [event for event in self.events if (event.get("involvedObject") or {}).get("name") in mine]
        return sorted(found, key=state.when)


@dataclass(frozen=True)
class Why:
    """A task's state with all that could be found out; `placing` node by node when it has no place.

    `unread` says why nothing is known of the nodes; `lines` are the last ones of the container that failed.
    """

    found: Found
    state: State
    placing: Placing | None = None
    unread: str = ""
    lines: tuple[str, ...] = ()


def read(cluster: Cluster, name: str) -> Found:
    """What there is of a task. Nothing is raised when there is nothing: see Found."""
    with ThreadPoolExecutor(3) as pool:
        job = pool.submit(cluster_objects.get_job, cluster, name)
        pods = pool.submit(cluster_objects.pods, cluster, name)
        said = pool.submit(events, cluster)
    return Found(job.result(), tuple(pods.result()), tuple(said.result()))


def events(cluster: Cluster) -> list[Object]:
    """Of the namespace."""
    try:
        found: list[Object] = cluster.get(f"/api/v1/namespaces/{cluster.namespace}/events")["items"]
        return found
    except ApiError:
        return []  # without the right to read them we only know less


def explain(cluster: Cluster, found: Found) -> Why:
    """Looks further where the state alone does not tell all."""
    now = found.state
    if now.reason == state.UNSCHEDULABLE:
        there = nodes(cluster)
        waiting = unplaced.first_told(found.pods)
        told = unplaced.look(waiting[0], there) if waiting else None
        better = unplaced.refined(now, found.pods, found.events, there)
        return Why(found, better, told[2] if told else None, there.why_not)
    if now.reason == state.QUEUED and found.job:
        return Why(found, kueue.refined(kueue.Queues(cluster), now, found.job))
    told_by, lines = last_words(cluster, now, found.pods)
    return Why(found, told_by, lines=lines)


def nodes(cluster: Cluster) -> inventory.Inventory:
    """The nodes and what is free of them; an empty answer when they cannot be read."""
    try:
        return inventory.read(cluster)
    except Failure as error:
        return inventory.Inventory(None, None, error.message)


def last_words(cluster: Cluster, now: State, pods: Sequence[Object]) -> tuple[State, tuple[str, ...]]:
    """A state of a container that ended with an error, with what it printed at the end, if that can be read."""
    if now.reason != "Error":
        return now, ()
    pod = state.worst(pods)
    container = failed_container(pod) if pod else None
    if not pod or not container:
        return now, ()
    lines = _log(cluster, pod["metadata"]["name"], container)
    known = containers.fault("\n".join(lines))
    if known:
        where = f"container `{container}` of pod {pod['metadata']['name']}"
        return replace(now, reason=known[0], message=f"{where} could not start: {known[1]}", hint=known[2]), lines
    return now, lines


def copied(cluster: Cluster, pods: Sequence[Object]) -> str:
    """How far the copy of its buckets is in the first of the pods that copies."""
    copies = [pod["metadata"]["name"] for pod in pods if copying.runs(pod.get("status") or {})]
    return copying.progress(_log(cluster, copies[0], CONTAINER)) if copies else ""


def failed_container(pod: Object) -> str | None:
    """The first of its containers that ended with an error."""
    status = pod.get("status") or {}
    for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if ((one.get("state") or {}).get("terminated") or {}).get("exitCode"):
            return str(one["name"])
    return None


def _log(cluster: Cluster, pod: str, container: str) -> tuple[str, ...]:
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log"
    try:
        text = b"".join(cluster.stream(path, 10.0, container=container, tailLines=LAST_LINES, limitBytes=4096))
    except Failure:
        return ()
    return tuple(line.rstrip() for line in text.decode("utf-8", "replace").splitlines() if line.strip())
