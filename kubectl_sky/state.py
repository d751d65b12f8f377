"""How a task is, and why: from its Job, its pods and their events. Pure; dicts as the API server sends them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

PENDING, STARTING, UP, FAILED = "Pending", "Starting", "Up", "Failed"
COMPLETED, STOPPED, TERMINATING = "Completed", "Stopped", "Terminating"
INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True)
class State:
    """`phase` is one of the constants above, `reason` one word (OOMKilled), `message` a sentence, `hint` what to do."""

    phase: str
    reason: str = ""
    message: str = ""
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.phase} ({self.reason})" if self.reason else self.phase


def task_state(job: Object | None, pods: Sequence[Object], events: Iterable[Object] = ()) -> State:
    """The state of a task. `events` explain what the objects do not tell."""
    about = _by_object(events)
    if job is None:
        return State(FAILED, "NoJob", "its Job is gone; other objects of it are left", "kubectl sky down removes them")
    if job["metadata"].get("deletionTimestamp"):
        return State(TERMINATING)
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions") or [] if c.get("status") == "True"}
    if "Complete" in conditions:
        return State(COMPLETED)
    states = [pod_state(pod, about.get(pod["metadata"]["name"], ())) for pod in newest(pods)]
    failed = conditions.get("Failed") or conditions.get("FailureTarget")
    if failed:
        return _failed_job(failed, states, pods, about)
    if job.get("spec", {}).get("suspend"):
        return _suspended(job)
    if not states:
        return _no_pods(job, about)
    worst = min(states, key=_severity)
    complete = len(states) >= (job["spec"].get("parallelism") or 1)
    return State(STARTING, "", "waiting for more pods") if worst.phase == UP and not complete else worst


def ready(pods: Sequence[Object]) -> int:
    """Pods that are ready and not on their way out."""
    return sum(_ready(pod) for pod in newest(pods) if not pod["metadata"].get("deletionTimestamp"))


def newest(pods: Iterable[Object]) -> list[Object]:
    """The last pod of each index: a replaced pod no longer matters."""
    last: dict[str, Object] = {}
    for pod in sorted(pods, key=lambda p: p["metadata"].get("creationTimestamp") or ""):
        metadata = pod["metadata"]
        index = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}.get(INDEX)
        last[index or metadata["name"]] = pod
    return list(last.values())


# -- the Job --------------------------------------------------------------------------------------------------------


def _failed_job(
    condition: Object, states: list[State], pods: Sequence[Object], about: dict[str, list[Object]]
) -> State:
    """The pods know better than the Job's condition why it failed."""
    if condition.get("reason") == "DeadlineExceeded":
        return State(FAILED, "DeadlineExceeded", "it ran longer than its activeDeadlineSeconds")
    causes = [state for state in states if state.phase == FAILED]
    if causes:
        return min(causes, key=_severity)
    for events in about.values():
        lost = _lost(events)
        if lost:
            return lost
    if not pods:
        text = "its pods are gone: somebody deleted them, or their node went away"
        return State(FAILED, "PodsGone", text, "kubectl get nodes; then launch it again")
    return State(FAILED, condition.get("reason", ""), condition.get("message", ""))


def _suspended(job: Object) -> State:
    queue = (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name")
    if queue:
        return State(
            PENDING, "Queued", f"it waits in the Kueue queue {queue!r}", f"kubectl describe localqueue {queue}"
        )
    return State(STOPPED)


def _no_pods(job: Object, about: dict[str, list[Object]]) -> State:
    """No pod yet: the Job's events tell if the API server refuses them (quota, Pod Security, limits, webhooks)."""
    events = [e for e in about.get(job["metadata"]["name"], []) if e.get("reason") == "FailedCreate"]
    if events:
        text = re.sub(r'^Error creating: (pods "[^"]*" is forbidden: )?', "", events[-1].get("message", ""))
        return State(FAILED, "FailedCreate", f"its pods are refused: {text}", f"kubectl describe job {_name(job)}")
    return State(PENDING, "", "waiting for the Job's pods")


# -- one pod --------------------------------------------------------------------------------------------------------


def pod_state(pod: Object, events: Sequence[Object] = ()) -> State:
    """The state of one node of a task."""
    status = pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    for explain in (_disrupted, _ended):
        state = explain(pod, status, conditions)
        if state:
            return state
    if pod["metadata"].get("deletionTimestamp"):
        return _lost(events) or State(TERMINATING, "", f"pod {_name(pod)} is being deleted")
    if _ready(pod):
        return State(UP)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _unscheduled(pod, scheduled)
    stuck = _stuck_container(pod, status)
    if stuck:
        return stuck
    if status.get("phase") == "Running":
        return _lost(events) or State(STARTING, "", "its containers start")
    return _stuck_by_event(pod, events) or State(STARTING, "", _creating(status))


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c.get("status") == "True" for c in conditions)


_DISRUPTIONS = {
    "DeletionByTaintManager": ("NodeLost", "the node {node} went away or was tainted"),
    "DeletionByPodGC": ("NodeLost", "the node {node} was deleted"),
    "EvictionByEvictionAPI": ("Evicted", "it was evicted from the node {node} (drained?)"),
    "PreemptionByScheduler": ("Preempted", "pods of a higher priority took its place"),
    "PreemptionByKubeScheduler": ("Preempted", "pods of a higher priority took its place"),
    "TerminationByKubelet": ("Evicted", "the node {node} ended it (out of resources, or it shuts down)"),
}
_POD_REASONS = {
    "NodeLost": ("NodeLost", "the node {node} does not answer any more"),
    "Shutdown": ("NodeLost", "the node {node} shuts down"),
    "NodeShutdown": ("NodeLost", "the node {node} shuts down"),
    "Terminated": ("NodeLost", "the node {node} shuts down"),
    "Evicted": ("Evicted", "the node {node} evicted it"),
    "Preempting": ("Preempted", "a pod of a higher priority took its place on the node {node}"),
    "DeadlineExceeded": ("DeadlineExceeded", "it ran longer than its activeDeadlineSeconds"),
    "UnexpectedAdmissionError": ("UnexpectedAdmissionError", "the node {node} refused it"),
    "NodeAffinity": ("NodeAffinity", "the node {node} does not match it any more"),
}
_AGAIN = "launch it again: kubectl sky launch"


def _disrupted(pod: Object, status: Object, conditions: dict[str, Object]) -> State | None:
    """Ended by the cluster, not by itself."""
    known = _POD_REASONS.get(status.get("reason", ""))
    target = conditions.get("DisruptionTarget", {})
    said = status.get("message") or ""
    if target.get("status") == "True":
        known = known or _DISRUPTIONS.get(target.get("reason", ""))
        said = said or target.get("message") or ""
    if not known:
        return None
    node = (pod.get("spec") or {}).get("nodeName") or "of its pod"
    text = f"pod {_name(pod)}: {known[1].format(node=node)}"
    return State(FAILED, known[0], f"{text}: {said}" if said else text, _AGAIN)


def _ended(pod: Object, status: Object, conditions: dict[str, Object]) -> State | None:  # noqa: ARG001
    """A container that ended with an error, or a pod that is over."""
    for container in _containers(status):
        ended = (container.get("state") or {}).get("terminated")
        # A container that is restarted tells in lastState why.
        ended = ended or ((container.get("lastState") or {}).get("terminated") if not container.get("ready") else None)
        if ended and (ended.get("exitCode") or ended.get("reason") == "OOMKilled"):
            return _exit(pod, container, ended)
    if status.get("phase") == "Failed":
        return State(FAILED, status.get("reason", ""), status.get("message") or f"pod {_name(pod)} failed")
    return State(COMPLETED) if status.get("phase") == "Succeeded" else None


def _exit(pod: Object, container: Object, ended: Object) -> State:
    name, code = container["name"], ended.get("exitCode", 0)
    where = f"container `{name}` of pod {_name(pod)}"
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(pod, name)
        text = f"used more memory than its limit of {limit}" if limit else "was killed: its node ran out of memory"
        return State(FAILED, "OOMKilled", f"{where} {text}", "ask for more, e.g. `memory: 16` below `resources:`")
    message = str(ended.get("message") or "").strip()
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        return State(FAILED, ended["reason"], f"{where} could not start: {message}", "check the image")
    text = f"{where} ended with exit code {code}{_SIGNALS.get(code, '')}"
    logs = f"kubectl logs {_name(pod)} -c {name}"
    return State(FAILED, "Error", f"{text}: {message}" if message else text, logs)


_SIGNALS = {
    126: " (not executable)",
    127: " (command not found)",
    134: " (SIGABRT)",
    137: " (SIGKILL: somebody or the node killed it)",
    139: " (SIGSEGV: it crashed)",
    143: " (SIGTERM: it was told to end)",
}


def _memory_limit(pod: Object, name: str) -> str | None:
    spec = pod.get("spec") or {}
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        if container["name"] == name:
            return ((container.get("resources") or {}).get("limits") or {}).get("memory")
    return None


def _unscheduled(pod: Object, condition: Object) -> State:
    if condition.get("reason") == "SchedulingGated":
        return State(PENDING, "SchedulingGated", f"pod {_name(pod)} is held by a scheduling gate")
    text = re.sub(r" preemption: .*", "", condition.get("message") or "").strip()
    return State(PENDING, condition.get("reason") or "Unschedulable", text or "no node has room for it")


_PULL = "check the name of the image and the right to pull it (image_id; imagePullSecrets)"
_WAITING: dict[str, tuple[str, str, str | None]] = {
    "ErrImagePull": (STARTING, "the image {image} could not be pulled", _PULL),
    "ImagePullBackOff": (FAILED, "the image {image} cannot be pulled", _PULL),
    "ErrImageNeverPull": (FAILED, "the image {image} is not on the node, and may not be pulled", "see imagePullPolicy"),
    "InvalidImageName": (FAILED, "{image} is no name of an image", "check `image_id`"),
    "ImageInspectError": (FAILED, "the image {image} is broken on the node", None),
    "RegistryUnavailable": (STARTING, "the registry of {image} does not answer", None),
    "CreateContainerConfigError": (FAILED, "the node cannot create the container `{container}`", None),
    "CreateContainerError": (FAILED, "the node cannot create the container `{container}`", None),
    "RunContainerError": (FAILED, "the container `{container}` does not start", None),
    "CrashLoopBackOff": (FAILED, "the container `{container}` ends again and again", None),
}


def _stuck_container(pod: Object, status: Object) -> State | None:
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason not in _WAITING:
            continue
        phase, text, hint = _WAITING[reason]
        text = text.format(image=container.get("image"), container=container["name"])
        said = str(waiting.get("message") or "").strip()
        if "runAsNonRoot" in said or "non-numeric user" in said:
            hint = "the namespace demands a user other than root: set runAsUser in config.kubernetes.pod_config"
        return State(phase, reason, f"pod {_name(pod)}: {text}" + (f": {said}" if said else ""), hint)
    return None


def _stuck_by_event(pod: Object, events: Sequence[Object]) -> State | None:
    """What only events tell while a pod is created; the last one that matters decides."""
    reasons = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedCreatePodContainer")
    for event in reversed(events):
        if event.get("reason") == "Pulled":
            return None
        if event.get("reason") == "Pulling":
            return State(STARTING, "Pulling", f"pod {_name(pod)}: {event.get('message', '')}")
        if event.get("reason") in reasons:
            return State(STARTING, event["reason"], f"pod {_name(pod)}: {event.get('message', '')}")
    return None


_LOST = ("TaintManagerEviction", "NodeNotReady", "DeletingNode", "RemovingNode")


def _lost(events: Sequence[Object]) -> State | None:
    for event in reversed(events):
        if event.get("reason") in _LOST:
            return State(FAILED, "NodeLost", f"its node went away: {event.get('message', '')}", _AGAIN)
    return None


def _creating(status: Object) -> str:
    waiting = [c["name"] for c in _containers(status) if (c.get("state") or {}).get("waiting")]
    return f"waiting for container {waiting[0]}" if waiting else "the node creates its containers"


def _containers(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


_ORDER = ("NodeLost", "OOMKilled", "Evicted", "Preempted")
_PHASES = (FAILED, PENDING, STARTING, TERMINATING, UP, COMPLETED)


def _severity(state: State) -> tuple[int, int]:
    """Sorts the worst first. When a node of a task fails, the others are ended: the cause goes before its effects."""
    reason = _ORDER.index(state.reason) if state.reason in _ORDER else len(_ORDER)
    return _PHASES.index(state.phase), reason + ("SIGTERM" in state.message or "SIGKILL" in state.message)


def _by_object(events: Iterable[Object]) -> dict[str, list[Object]]:
    """Events by the name of what they are about, oldest first."""
    about: dict[str, list[Object]] = {}
    for event in sorted(events, key=_when):
        about.setdefault((event.get("involvedObject") or {}).get("name", ""), []).append(event)
    return about


def _when(event: Object) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])
