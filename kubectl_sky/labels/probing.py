"""Probes: Jobs that look for the GPUs of a node, started and watched, and the labels that follow.

Any of it can be killed and begun again: a probe's Job has the name of what it does, so that the next client finds it,
running or done; its result stays in its pod for a day.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kubectl_sky import accelerators, labeler, system
from kubectl_sky.api import watching
from kubectl_sky.cluster_objects import collection, finished
from kubectl_sky.diagnosis.state import FAILED, task_state
from kubectl_sky.errors import ApiError, Unreachable
from kubectl_sky.labeler import FAIL, LABEL, PROBE, ProbeOptions, Step
from kubectl_sky.labels import gpu_probe, labeling
from kubectl_sky.labels.labeling import SIDE_BY_SIDE, Object, Tell, node_of

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress


@dataclass
class Probe:
    """A node's probe: its Job as the server has it, and what is known of its pods."""

    step: Step
    job: Object
    options: ProbeOptions
    is_new: bool = True
    pods: dict[str, Object] = field(default_factory=dict)
    events: list[Object] = field(default_factory=list)
    ended: bool = False

    @property
    def name(self) -> str:
        return str(self.job["metadata"]["name"])


class Probes:
    """The probes of some nodes: started, or found from an earlier run; then watched."""

    def __init__(self, cluster: Cluster, options: ProbeOptions):
        self.cluster, self.options = cluster, options
        self.by_job: dict[str, Probe] = {}
        self.fell_back = options.privileged is False  # privileged pods were refused
        self._queue: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._versions: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(SIDE_BY_SIDE)

    # -- starting ---------------------------------------------------------------------------------------------------

    def start(self, steps: Sequence[Step], all_nodes: Iterable[str]) -> list[Probe]:
        """A Job for each node, unless it is there; Jobs of ours that nothing needs any more go."""
        listed = labeling.jobs(self.cluster)
        self._versions = dict.fromkeys(("job", "event"), listed["metadata"]["resourceVersion"])
        there = {job["metadata"]["name"]: job for job in listed["items"]}
        wanted = {step.node: labeler.job(step.node, self.options)["metadata"]["name"] for step in steps}
        gone = {node_of(job) for job in listed["items"]} - set(all_nodes)
        stale = [
            name
            for name, job in there.items()
            if node_of(job) and (node_of(job) in gone or wanted.get(node_of(job), name) != name)
        ]
        labeling.delete(self.cluster, stale)
        probes = list(self._pool.map(lambda step: self._start(step, there.get(wanted[step.node])), steps))
        self.by_job = {probe.name: probe for probe in probes}
        return probes

    def _start(self, step: Step, there: Object | None) -> Probe:
        usable = there and not there["metadata"].get("deletionTimestamp") and finished(there) != "Failed"
        if there and usable:
            return Probe(step, there, self.options, is_new=False)
        if there:
            labeling.delete_one(self.cluster, there["metadata"]["name"])
        try:
            return Probe(step, self._create(step.node, self.options), self.options)
        except ApiError as error:
            if not (self.options.privileged and _is_refusal(error.message)):
                raise
        self.fell_back = True
        options = replace(self.options, privileged=False)
        return Probe(step, self._create(step.node, options), options)

    def _create(self, node: str, options: ProbeOptions) -> Object:
        manifest = labeler.job(node, options)
        path = collection(self.cluster, "Job")
        give_up = time.monotonic() + 15
        while True:
            try:
                return self.cluster.create(path, manifest)
            except ApiError as error:
                if error.reason != "AlreadyExists" or time.monotonic() > give_up:
                    raise
            there = self._get(f"{path}/{manifest['metadata']['name']}")
            if there and not there["metadata"].get("deletionTimestamp") and finished(there) != "Failed":
                return there  # somebody else's client was faster
            time.sleep(0.2)

    def _get(self, path: str) -> Object | None:
        try:
            return self.cluster.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    # -- waiting ----------------------------------------------------------------------------------------------------

    def wait(self, seconds: float, progress: Progress, tell: Tell) -> list[Step]:
        """Until each has ended, or `seconds` are over; writes the labels. `tell` hears of each node as it is done."""
        pods = self.cluster.get(collection(self.cluster, "Pod"), labelSelector=labeler.SELECTOR)
        self._versions["pod"] = pods["metadata"]["resourceVersion"]
        for pod in pods["items"]:
            self._add_pod({"type": "ADDED", "object": pod})
        watching.start(self.cluster, self._watches(), self._queue)
        for probe in list(self.by_job.values()):
            self._look(probe)
        deadline = time.monotonic() + seconds
        done: list[Step] = []
        while len(done) < len(self.by_job):
            self._show(progress, len(done))
            left = deadline - time.monotonic()
            if left <= 0:
                self._end_late(seconds)  # then only what is being written is waited for
            try:
                kind, thing = system.wait_for(self._queue, left if left > 0 else None)
            except queue.Empty:
                continue
            if kind == "failure":
                raise thing
            if kind == "done":
                done.append(thing)
                tell(thing)
            else:
                self._take(kind, thing)
        self._pool.shutdown(wait=True)
        return done

    def _watches(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        events = f"/api/v1/namespaces/{self.cluster.namespace}/events"
        mine = {"labelSelector": labeler.SELECTOR}
        yield "pod", collection(self.cluster, "Pod"), {**mine, "resourceVersion": self._versions["pod"]}
        yield "job", collection(self.cluster, "Job"), {**mine, "resourceVersion": self._versions["job"]}
        yield "event", events, {"resourceVersion": self._versions["event"]}

    def _take(self, kind: str, event: Object) -> None:
        thing = event["object"]
        if kind == "pod":
            probe = self._add_pod(event)
        elif kind == "job":
            probe = self.by_job.get(thing["metadata"]["name"])
            if probe and thing["metadata"]["uid"] != probe.job["metadata"]["uid"]:
                return  # an earlier one of that name
            if probe and event["type"] == "DELETED":
                self._finish(probe, partial(self._deleted, probe))
                return
            if probe:
                probe.job = thing
        else:
            name = str((thing.get("involvedObject") or {}).get("name", ""))
            probe = self.by_job.get(name) or self.by_job.get(name.rpartition("-")[0])
            if probe:
                probe.events.append(thing)
        if probe:
            self._look(probe)

    def _add_pod(self, event: Object) -> Probe | None:
        pod = event["object"]
        owners = {owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()}
        probe = self.by_job.get((pod["metadata"].get("labels") or {}).get("job-name", ""))
        if probe is None or probe.job["metadata"]["uid"] not in owners:
            return None
        if event["type"] == "DELETED":
            probe.pods.pop(pod["metadata"]["name"], None)
        else:
            probe.pods[pod["metadata"]["name"]] = pod
        return probe

    def _look(self, probe: Probe) -> None:
        """Ends the probe if what is known of it is enough."""
        if probe.ended:
            return
        over = next(filter(_terminated, probe.pods.values()), None)
        if over:
            self._finish(probe, partial(self._conclude, probe, over))
            return
        state = task_state(probe.job, list(probe.pods.values()), probe.events)
        if state.reason == "FailedCreate" and probe.options.privileged and _is_refusal(state.message):
            self._fall_back(probe)
        elif finished(probe.job) == "Complete":
            self._finish(probe, partial(self._conclude_late, probe))
        elif state.phase == FAILED:
            note = state.message or state.reason
            self._finish(probe, partial(replace, probe.step, action=FAIL, note=note, hint=_hint(state.reason)))

    def _finish(self, probe: Probe, conclude: Callable[[], Step]) -> None:
        """In the background: what follows from it, the label, and the Job's end."""
        if probe.ended:
            return
        probe.ended = True

        def work() -> None:
            try:
                step = conclude()
                if step.action == LABEL:
                    step = labeling.label_one(self.cluster, step)
                if step.action != PROBE:
                    labeling.delete_one(self.cluster, probe.name)
                self._queue.put(("done", step))
            except Exception as error:
                self._queue.put(("failure", error))

        self._pool.submit(work)

    def _conclude(self, probe: Probe, pod: Object) -> Step:
        found = gpu_probe.parse((_terminated(pod) or {}).get("message") or "")
        if not found.complete:
            found = gpu_probe.parse(self._log(pod))
        if found.complete:
            return labeler.concluded(probe.step, found, probe.options.privileged)
        state = task_state(probe.job, [pod], probe.events)
        note = state.message or "its probe printed nothing that can be understood"
        return replace(probe.step, action=FAIL, note=note, hint=_hint(state.reason))

    def _conclude_late(self, probe: Probe) -> Step:
        """Its Job is complete, but what we saw does not show how: the pod may be gone."""
        selector = f"{labeler.SELECTOR},job-name={probe.name}"
        for pod in self.cluster.get(collection(self.cluster, "Pod"), labelSelector=selector)["items"]:
            if _terminated(pod):
                return self._conclude(probe, pod)
        return replace(probe.step, action=FAIL, note="its probe ended, but its pod is gone", hint=_AGAIN)

    def _log(self, pod: Object) -> str:
        path = f"{collection(self.cluster, 'Pod')}/{pod['metadata']['name']}/log"
        try:
            return b"".join(self.cluster.stream(path, container=labeler.CONTAINER)).decode("utf-8", "replace")
        except (ApiError, Unreachable):
            return ""

    def _deleted(self, probe: Probe) -> Step:
        """Its Job is gone: another client was faster, or somebody stopped it."""
        node = self._get(f"/api/v1/nodes/{probe.step.node}") or {"metadata": {}}
        value = (node["metadata"].get("labels") or {}).get(accelerators.SKY_LABELS[0], "")
        if value:
            gpu = accelerators.canonical(value)
            return replace(probe.step, action=labeler.KEEP, gpu=gpu, source="another client")
        return replace(probe.step, action=FAIL, note="its job was deleted meanwhile", hint=_AGAIN)

    def _fall_back(self, probe: Probe) -> None:
        """Privileged pods are refused: again, with a probe that needs no rights and sees less."""
        old, options = probe.name, replace(probe.options, privileged=False)
        labeling.delete_one(self.cluster, old)
        job = self._create(probe.step.node, options)
        self.by_job.pop(old)
        fresh = Probe(probe.step, job, options)
        self.by_job[fresh.name] = fresh
        self.fell_back = True

    # -- telling ----------------------------------------------------------------------------------------------------

    def _show(self, progress: Progress, done: int) -> None:
        waiting = [probe for probe in self.by_job.values() if not probe.ended]
        if not waiting:
            return
        state = task_state(waiting[0].job, list(waiting[0].pods.values()), waiting[0].events)
        why = f": {waiting[0].step.node}: {state.message}" if state.message else ""
        progress.update(f"Waiting for {len(self.by_job) - done} of {len(self.by_job)} nodes{why}")

    def _end_late(self, seconds: float) -> None:
        for probe in self.by_job.values():
            self._finish(probe, partial(self._too_late, probe, seconds))

    def _too_late(self, probe: Probe, seconds: float) -> Step:
        state = task_state(probe.job, list(probe.pods.values()), probe.events)
        why = state.message or state.reason or "no reason given"
        hint = "its job goes on: run label-gpus again, or with a longer --timeout"
        return replace(probe.step, action=PROBE, note=f"not done within {seconds:g} s: {why}", hint=hint)


_AGAIN = "run label-gpus again"


def _hint(reason: str) -> str:
    if reason in ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ErrImagePull"):
        return "name an image that the nodes can pull and that has `sh`: --image"
    return _AGAIN


def _terminated(pod: Object) -> Object | None:
    for status in pod["status"].get("containerStatuses") or ():
        ended: Object | None = (status.get("state") or {}).get("terminated")
        return ended
    return None


def _is_refusal(message: str) -> bool:
    """Whether an admission step refused it for what it may do."""
    return any(word in message for word in ("violates PodSecurity", "privileged", "hostPath"))
