"""Waiting for a task's pods: watched, never polled, and explained while it lasts."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, names
from kubectl_sky.errors import EXIT_INTERRUPT, EXIT_TIMEOUT, ClusterFailure, Expired, Failure
from kubectl_sky.overview import CONTROLLER_UID
from kubectl_sky.state import COMPLETED, FAILED, TERMINATING, task_state

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress

FATAL = (FAILED, COMPLETED, TERMINATING)


class Startup:
    """Follows a task's Job, pods and their events from the resourceVersion of the Job on."""

    def __init__(self, cluster: Cluster, job: dict[str, Any]):
        self.cluster, self.job = cluster, job
        self.name: str = job["metadata"]["name"]
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()

    def wait(self, progress: Progress, seconds: float) -> str:
        """Until the nodes can be spoken to; returns the name of node 0's pod.

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
        for pod in cluster_objects.pods(self.cluster, self.name):
            self._add_pod(pod)
        for kind, path, params in self._watches():
            threading.Thread(target=self._watch, args=(kind, path, params), daemon=True).start()
        deadline = time.monotonic() + seconds
        while True:
            head = self._head()
            if head:
                return head
            self._explain(progress)
            left = deadline - time.monotonic()
            try:
                kind, thing = self._queue.get(timeout=max(left, 0))
            except queue.Empty:
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

    def _watch(self, kind: str, path: str, params: dict[str, Any]) -> None:
        while True:
            try:
                for event in self.cluster.watch(path, **params):
                    self._queue.put((kind, event))
            except Expired:
                params.pop("resourceVersion", None)  # from what there is now
            except Failure as error:
                if kind != "event":  # events only explain; without the right to read them we know less
                    self._queue.put(("failure", error))
                return

    def _take(self, kind: str, thing: Any) -> None:
        if kind == "failure":
            raise thing
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
        if (pod["metadata"].get("labels") or {}).get(CONTROLLER_UID) != self.job["metadata"]["uid"]:
            return  # of an earlier Job of that name, on its way out
        self.pods[pod["metadata"]["name"]] = pod

    def _is_mine(self, event: dict[str, Any]) -> bool:
        about = event.get("involvedObject", {})
        name = str(about.get("name", ""))  # an event may come before the pod that it is about
        return name.startswith(self.name + "-") if about.get("kind") == "Pod" else name == self.name

    def _head(self) -> str | None:
        """Node 0's pod, once all nodes can be spoken to."""
        started = {cluster_objects.rank(pod): name for name, pod in self.pods.items() if self._started(name, pod)}
        everyone = len(started) >= self.job["spec"].get("parallelism", 1)
        return started.get(0) if everyone else None

    def _started(self, name: str, pod: dict[str, Any]) -> bool:
        """Whether both of its containers run: kubelet's events tell it at once, the status up to a second later.

        `ssh` alone is not enough: kubelet starts it also when it could not start `task`.
        """
        if pod["metadata"].get("deletionTimestamp"):
            return False
        statuses = pod.get("status", {}).get("containerStatuses") or []
        running = {status["name"] for status in statuses if status.get("state", {}).get("running")}
        for event in self.events:
            if event["reason"] == "Started" and event["involvedObject"]["name"] == name:
                running.add(event["involvedObject"].get("fieldPath", "").partition("{")[2].rstrip("}"))
        return {"task", "ssh"} <= running

    def _explain(self, progress: Progress) -> None:
        state = task_state(self.job, list(self.pods.values()), self.events)
        if state.phase in FATAL:
            raise ClusterFailure(f"{self.name} cannot start: {state.message or state.reason}", state.hint)
        progress.update(f"Starting {self.name}" + (f": {state.message or state.reason}" if state.reason else ""))

    def _too_late(self, seconds: float) -> Failure:
        state = task_state(self.job, list(self.pods.values()), self.events)
        why = state.message or state.reason or "no reason given"
        command = self.cluster.connection.command
        return Failure(
            f"{self.name} has not started within {seconds:g} s: {why}",
            f"it goes on waiting: `{command('logs', self.name)}` follows it, `{command('down', self.name)}` ends it"
            + (f"\n{state.hint}" if state.hint else ""),
            EXIT_TIMEOUT,
        )
