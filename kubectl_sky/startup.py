"""Waiting for a task's pods: watched, never polled, and explained while it lasts."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, gang, names, system
from kubectl_sky.api import watching
from kubectl_sky.diagnosis import kueue, limits, mounting, scaling, unplaced, why
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.diagnosis.podstate import COPYING, LET_GO, NO_SCHEDULER
from kubectl_sky.diagnosis.state import (
    COMPLETED,
    FAILED,
    QUEUED,
    STOPPED,
    TERMINATING,
    UNSCHEDULABLE,
    State,
    task_state,
)
from kubectl_sky.errors import EXIT_INTERRUPT, EXIT_TIMEOUT, ClusterFailure, Failure
from kubectl_sky.gathering import Gathering
from kubectl_sky.overview import job_of

if TYPE_CHECKING:
    from kubectl_sky.capacity.inventory import Inventory
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress

LOOK_AGAIN = 30.0  # s after which the nodes are read again while there is no place
LOOK_COPY = 5.0  # s after which it is read again how far a copy is
LOOK_QUEUE = 5.0  # s after which a queue is asked again for the place
LOOK_SCHEDULER = 5.0  # s that a scheduler other than Kubernetes' own has to look at a pod, before that is said
LOOK_FIRST = 2.0  # s for which the reason waits for what the nodes tell
UNBOUND = ("ClaimUnbound", "Provisioning", "NoStorageClass", "ProvisioningFailed")
FATAL = (FAILED, COMPLETED, STOPPED, TERMINATING)


class Startup:
    """Follows a Job, its pods and their events from the resourceVersion of the Job on; `containers` must run.

    `new`: nothing has run on its pods yet, so that they may be taken away where others have no place.
    """

    def __init__(
        self, cluster: Cluster, job: dict[str, Any], containers: Iterable[str] = ("task", "ssh"), new: bool = False
    ):
        self.cluster, self.job, self.containers = cluster, job, set(containers)
        self.name: str = job["metadata"]["name"]
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.inventory: Inventory | None = None
        self._since = time.monotonic()
        self._looks_next = 0.0  # when the nodes may be read again
        self._scaling = False
        self._lack: State | None = None  # what was missing last
        self._num_nodes: int = job["spec"].get("parallelism", 1)
        self._new = new
        self._gathering = Gathering(cluster, self.name, self._num_nodes)
        self._copied = ""  # how far the copy of the buckets is
        self._queued: State | None = None  # as its queue says
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()

    def wait(self, progress: Progress, seconds: float) -> str:
        """Until the nodes can be spoken to; returns the name of node 0's pod. math.inf waits for ever.

        While an autoscaler adds nodes it waits longer by itself.
        Raises ClusterFailure with the reason when it cannot come up, or has not after `seconds`.
        """
        try:
            return self._wait(progress, seconds)
        except KeyboardInterrupt:
            command = self.cluster.connection.command
            raise Failure(
                f"interrupted while {self.name} was starting",
                f"the same command again goes on; `{command('down', self.name)}` ends it",
                EXIT_INTERRUPT,
            ) from None

    def _wait(self, progress: Progress, seconds: float) -> str:
        progress.phase("places found")
        for pod in cluster_objects.pods(self.cluster, self.name):
            self._add_pod(pod)
        watching.start(self.cluster, self._watches(), self._queue)
        began = time.monotonic()
        while True:
            head = self._head()
            if head:
                return head
            if self._placed():
                progress.phase("pods started")
            self._explain(progress)
            if not self._scaling and scaling.seen(self.events):
                self._scaling = True
                seconds += limits.SCALE_UP
                progress.line(f"An autoscaler adds nodes: waiting {limits.shown(seconds)} in all")
            if self._new and not self._scaling:
                self._gathering.look(list(self.pods.values()), progress)
            left = min(max(began + seconds - time.monotonic(), 0), self._gathering.left())
            try:
                kind, thing = system.wait_for(self._queue, min(left, LOOK_AGAIN if self.inventory else LOOK_FIRST))
            except queue.Empty:
                if began + seconds > time.monotonic():
                    continue
                if self._state().reason == COPYING:
                    seconds += LOOK_AGAIN  # a copy takes as long as it takes
                    continue
                raise self._too_late(seconds) from None
            self._take(kind, thing)

    def _watches(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What to watch, each from where the Job was made: nothing older matters, nothing is missed."""
        version = self.job["metadata"]["resourceVersion"]
        mine = {"labelSelector": names.selector(self.name)}
        pods, jobs = (cluster_objects.collection(self.cluster, kind) for kind in ("Pod", "Job"))
        events = f"/api/v1/namespaces/{self.cluster.namespace}/events"
        return [
            ("pod", pods, {**mine, "resourceVersion": version}),
            ("job", jobs, {**mine, "resourceVersion": version}),
            ("event", events, {"resourceVersion": version}),
        ]

    def _take(self, kind: str, thing: Any) -> None:
        if kind == "failure":
            raise thing
        if kind == "nodes":
            self.inventory = thing
            return
        if kind == "copied":
            self._copied = thing
            return
        if kind == "queued":
            self._queued = thing
            return
        if kind == "events":
            self.events += thing
            return
        item = thing["object"]
        if kind == "pod":
            if thing["type"] == "DELETED":
                self.pods.pop(item["metadata"]["name"], None)
            else:
                self._add_pod(item)
        elif kind == "job":
            self.job = item
            if thing["type"] == "DELETED":
                raise ClusterFailure(f"{self.name} was taken down meanwhile")
        elif self._is_mine(item):
            self.events.append(item)

    def _add_pod(self, pod: dict[str, Any]) -> None:
        if job_of(pod) != self.job["metadata"]["uid"]:
            return  # of an earlier Job of that name, on its way out
        self.pods[pod["metadata"]["name"]] = pod

    def _is_mine(self, event: dict[str, Any]) -> bool:
        about = event.get("involvedObject", {})
        name = str(about.get("name", ""))  # an event may come before the pod that it is about
        if about.get("kind") == "PersistentVolumeClaim":
            return any(name in mounting.claims(pod) for pod in self.pods.values())
        return name.startswith(self.name + "-") if about.get("kind") == "Pod" else name == self.name

    def _head(self) -> str | None:
        """Node 0's pod, once all nodes can be spoken to."""
        started = {gang.rank(pod): name for name, pod in self.pods.items() if self._started(name, pod)}
        everyone = len(started) >= self._num_nodes
        return started.get(0) if everyone else None

    def _placed(self) -> bool:
        """Whether each of the nodes has a place."""
        return sum("nodeName" in pod["spec"] for pod in self.pods.values()) >= self._num_nodes

    def _started(self, name: str, pod: dict[str, Any]) -> bool:
        """Whether its containers run: kubelet's events tell it at once, the status up to a second later.

        `ssh` alone is not enough: kubelet starts it also when it could not start `task`.
        """
        if pod["metadata"].get("deletionTimestamp"):
            return False
        statuses = pod.get("status", {}).get("containerStatuses") or []
        if any(status.get("state", {}).get("terminated") for status in statuses):
            return False  # it began, and has made room for others
        running = {status["name"] for status in statuses if status.get("state", {}).get("running")}
        for event in self.events:
            if event["reason"] == "Started" and event["involvedObject"]["name"] == name:
                running.add(event["involvedObject"].get("fieldPath", "").partition("{")[2].rstrip("}"))
        return self.containers <= running

    def _explain(self, progress: Progress) -> None:
        state = self._state()
        if state.phase in FATAL:
            state, lines = why.last_words(self.cluster, state, list(self.pods.values()))
            said = "".join(f"\n  {line}" for line in lines)
            raise ClusterFailure(f"{self.name} cannot start: {state.message or state.reason}{said}", self._hint(state))
        if state.reason == NO_SCHEDULER and time.monotonic() - self._since < LOOK_SCHEDULER:
            return
        if state.reason == UNSCHEDULABLE or state.reason in UNBOUND:
            self._lack = state
            self._look(state.reason)
            looks = time.monotonic() - (self._looks_next - LOOK_AGAIN)
            if state.reason == UNSCHEDULABLE and self.inventory is None and looks < LOOK_FIRST:
                return  # said once, with what the nodes tell
        text = state.message or state.reason
        if state.reason == QUEUED:
            self._look(QUEUED, LOOK_QUEUE)
        if state.reason == COPYING:
            self._look(COPYING, LOOK_COPY)
            text = ": ".join(filter(None, (text, self._copied)))
        progress.update(f"Starting {self.name}" + (f": {text}" if state.reason else ""))

    def _state(self) -> State:
        pods = list(self.pods.values())
        state = task_state(self.job, pods, self.events)
        if state.reason == QUEUED:
            return self._queued or state
        return unplaced.refined(state, pods, self.events, self.inventory) if self.inventory else state

    def _look(self, reason: str, pause: float = LOOK_AGAIN) -> None:
        """Reads beside the watches what tells more: the nodes, or what was said of a claim before our Job was made."""
        now = time.monotonic()
        if now < self._looks_next:
            return
        self._looks_next = now + pause
        threading.Thread(target=self._read, args=(reason,), daemon=True).start()

    def _read(self, reason: str) -> None:
        if reason == UNSCHEDULABLE:
            self._queue.put(("nodes", why.nodes(self.cluster)))
        elif reason == QUEUED:
            self._queue.put(("queued", kueue.refined(kueue.Queues(self.cluster), task_state(self.job, []), self.job)))
        elif reason == COPYING:
            self._queue.put(("copied", why.copied(self.cluster, list(self.pods.values()))))
        else:
            found = [event for event in why.events(self.cluster) if self._is_mine(event)]
            self._queue.put(("events", [one for one in found if one["involvedObject"]["kind"] not in ("Pod", "Job")]))

    def _hint(self, state: State) -> str | None:
        return located(self.cluster.connection, state.hint) if state.hint else None

    def _too_late(self, seconds: float) -> Failure:
        state = self._state()
        if state.reason == LET_GO and self._lack:
            state = self._lack  # why they did
        reason = state.message or state.reason or "no reason given"
        command = self.cluster.connection.command
        steps = [self._hint(state)] if state.hint else []
        text = f"{self.name} has not started within {limits.shown(seconds)}: {reason}"
        if (
            self._new
            and self._num_nodes > 1
            and any((pod.get("spec") or {}).get("nodeName") for pod in self.pods.values())
        ):
            cluster_objects.remove(self.cluster, self.name)
            steps += [f"it is taken down, so that its other nodes hold no place; {limits.FLAG} TIME waits longer"]
            return Failure(text, "\n".join(filter(None, steps)), EXIT_TIMEOUT)
        steps += [
            f"it goes on waiting: `{command('explain', self.name)}` tells more, `{command('logs', self.name)}` follows "
            f"it, `{command('down', self.name)}` ends it; {limits.FLAG} TIME waits longer"
        ]
        return Failure(text, "\n".join(filter(None, steps)), EXIT_TIMEOUT)
