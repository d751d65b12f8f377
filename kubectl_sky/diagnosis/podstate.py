"""How one pod of a task is, and why: from its status and the events about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sky import gang
from kubectl_sky.capacity import placing_words
from kubectl_sky.capacity.placing import Demand
from kubectl_sky.diagnosis import containers, copying, kai, mounting, pulling, scaling, scheduler, volcano
from kubectl_sky.names import KAI_QUEUE
from kubectl_sky.parts.buckets import CONTAINER

Object = dict[str, Any]
About = Mapping[str, Sequence[Object]]  # events by the name of what they are about, oldest first

PENDING, STARTING, UP, FAILED = "Pending", "Starting", "Up", "Failed"
COMPLETED, STOPPED, TERMINATING = "Completed", "Stopped", "Terminating"
NO_SCHEDULER = "NoScheduler"  # the reason of a pod that its scheduler has not looked at
COPYING = "Copying"  # the reason of a pod that copies its buckets before it starts
LET_GO = "LetGo"  # the reason of a pod that ended because not all nodes of its task had a place
DELETED = "Deleted"  # the reason of a pod that somebody, or its Job after another one failed, took away


@dataclass(frozen=True)
class State:
    """`phase` is one of the constants above, `reason` one word (OOMKilled), `message` a sentence, `hint` what to do."""

    phase: str
    reason: str = ""
    message: str = ""
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.phase} ({self.reason})" if self.reason else self.phase


def pod_state(pod: Object, about: About) -> State:
    """The state of one node of a task."""
    status = pod.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    events = about.get(pod["metadata"]["name"], ())
    if gang.let_go(pod):
        return State(PENDING, LET_GO, _MADE_ROOM)
    if gang.taken(pod):
        return lost(events) or _disrupted(pod, status, conditions) or evicted(_name(pod), events) or _taken(pod)
    state = _disrupted(pod, status, conditions) or _ended(pod, status)
    if pod["metadata"].get("deletionTimestamp") and (state is None or "SIG" in state.message):
        return lost(events) or evicted(_name(pod), events) or _deleted(pod, state)
    if state:
        return state
    if is_ready(pod):
        return State(UP)
    if conditions.get("PodScheduled", {}).get("status") == "False":
        return _unscheduled(pod, conditions["PodScheduled"], about)
    stuck = _stuck_container(pod, status, events)
    if stuck:
        return stuck
    if status.get("phase") == "Running":
        return lost(events) or State(STARTING, "", "its containers start")
    if copying.runs(status):
        return _copying(pod)
    found = _stuck_by_event(pod, events) or _untouched(pod) or _being_bound(pod, about)
    return found or State(STARTING, "", _creating(status))


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c.get("status") == "True" for c in conditions)


_MADE_ROOM = "not all of its nodes had a place: those that had made room for others, and try again in a while"


# -- ended by the cluster -------------------------------------------------------------------------------------------

_AGAIN = "launch it again: kubectl sky launch"
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
    "NodeAffinity": ("NodeAffinity", "the node {node} has not the labels that it requires"),
    "NodePorts": ("NodePorts", "the ports that it wants are in use on the node {node}"),
    "SysctlForbidden": ("SysctlForbidden", "the node {node} does not allow its sysctls"),
    "AppArmor": ("AppArmor", "the node {node} has not its AppArmor profile"),
}
_NEXT = {
    "DeadlineExceeded": "raise activeDeadlineSeconds in config.kubernetes.pod_config, or drop it",
    "Preempted": "launch it again; with a priorityClassName in config.kubernetes.pod_config it is not the first to go",
    "UnexpectedAdmissionError": "devices of the node changed or are broken (device plugin): kubectl describe node "
    "{node}; then launch it again",
    "NodeAffinity": "kubectl get node {node} --show-labels; launch it again without nodeName",
    "NodePorts": "drop hostPort from config.kubernetes.pod_config, or launch it again",
    "SysctlForbidden": "drop the sysctl from config.kubernetes.pod_config; its administrators can allow it",
    "OutOf": "its room was taken or its devices changed: kubectl describe node {node}; then launch it again",
}


def _disrupted(pod: Object, status: Object, conditions: Mapping[str, Object]) -> State | None:
    """Ended by the cluster, not by itself."""
    reason, said = status.get("reason", ""), str(status.get("message") or "").strip()
    known = _POD_REASONS.get(reason)
    if reason.startswith("OutOf"):
        known = (reason, "the node {node} had no room for it any more")
    target = conditions.get("DisruptionTarget", {})
    if target.get("status") == "True":
        known = known or _DISRUPTIONS.get(target.get("reason", ""))
        said = said or target.get("message") or ""
    if not known:
        return None
    node = (pod.get("spec") or {}).get("nodeName") or "of its pod"
    text = f"pod {_name(pod)}: {known[1].format(node=node)}"
    hint = _NEXT.get(known[0]) or (_NEXT["OutOf"] if known[0].startswith("OutOf") else _again(said))
    said = re.sub(r"^Pod was rejected: (Predicate \w+ failed: )?", "", said).rstrip(" .")
    return State(FAILED, known[0], f"{text}: {said}" if said else text, hint.format(node=node))


def evicted(pod: str, events: Sequence[Object]) -> State | None:
    """Taken away by the KAI scheduler, which deletes pods."""
    why = kai.eviction(events)
    text = f"pod {pod}: the KAI scheduler took it away: {why}"
    hint = "launch it again; with a priorityClassName of 100 or more in config.kubernetes.pod_config it stays"
    return State(FAILED, "Preempted", text, hint) if why else None


def _again(said: str) -> str:
    """The next step after an eviction, by what ran out."""
    if "EmptyDir" in said:
        return f"{_AGAIN}, writing less there, or with a higher sizeLimit of that volume (config.kubernetes.pod_config)"
    if "ephemeral" in said:
        return f"{_AGAIN} with more disk: --disk-size GB (or write to a volume)"
    if "resource: memory" in said:
        return f"{_AGAIN} with the memory that it needs: --memory GIB"
    return _AGAIN


def _deleted(pod: Object, end: State | None) -> State:
    """On its way out; `end` when a signal has ended its containers already."""
    hint = "somebody deleted it, or drains its node; launch it again"
    if end:
        return State(FAILED, DELETED, f"pod {_name(pod)} was deleted", hint)
    return State(TERMINATING, "", f"pod {_name(pod)} is being deleted", hint)


def _taken(pod: Object) -> State:
    return State(FAILED, DELETED, f"pod {_name(pod)} was taken away: deleted, or its node is drained", _AGAIN)


_LOST = ("TaintManagerEviction", "NodeNotReady", "DeletingNode", "RemovingNode")


def lost(events: Sequence[Object]) -> State | None:
    """By its events, whether a pod's node went away."""
    for event in reversed(events):
        if event.get("reason") in _LOST:
            return State(FAILED, "NodeLost", f"its node went away: {event.get('message', '')}", _AGAIN)
    return None


# -- ended by itself ------------------------------------------------------------------------------------------------


def _ended(pod: Object, status: Object) -> State | None:
    """A container that ended with an error, or a pod that is over."""
    for container in _containers(status):
        end = (container.get("state") or {}).get("terminated")
        # A container that is restarted tells in lastState why.
        end = end or ((container.get("lastState") or {}).get("terminated") if not container.get("ready") else None)
        if end and (end.get("exitCode") or end.get("reason") == "OOMKilled"):
            return State(FAILED, *containers.ended(pod, container, end))
    if status.get("phase") == "Failed":
        return State(FAILED, status.get("reason", ""), status.get("message") or f"pod {_name(pod)} failed")
    return State(COMPLETED) if status.get("phase") == "Succeeded" else None


# -- not placed -----------------------------------------------------------------------------------------------------


# the claims' own events tell more
_CLAIMS_WAIT = ("unbound immediate PersistentVolumeClaims", 'plugin "VolumeBinding"', "ephemeral volume controller")


def _unscheduled(pod: Object, condition: Object, about: About) -> State:
    said = condition.get("message") or ""
    spec = pod.get("spec") or {}
    if condition.get("reason") == "SchedulingGated":
        gates = ", ".join(gate.get("name", "") for gate in spec.get("schedulingGates") or ())
        text = f"pod {_name(pod)} is held by a scheduling gate" + (f" ({gates})" if gates else "")
        return State(PENDING, "SchedulingGated", text, "whoever set the gate removes it: a queue, or pod_config")
    if found := re.search(r'persistentvolumeclaim "([^"]+)" not found', said):
        return State(PENDING, *mounting.missing_claim(found[1]))
    if any(text in said for text in _CLAIMS_WAIT):
        return _unbound(pod, about)
    if volcano.has_place(said):
        return State(STARTING, "", "it has a place as soon as the others of its task have one")
    verdict = scheduler.taken_apart(said, placing_words.required(Demand.of({"containers": [], **spec})))
    scaled, next_step = scaling.told(about.get(_name(pod), ()))
    text = "; ".join(filter(None, (verdict.sentence(), scaled)))
    hints = [next_step] if scaled else verdict.hints()[:2]
    return State(PENDING, condition.get("reason") or "Unschedulable", text, "\n".join(hints) or None)


def _unbound(pod: Object, about: About) -> State:
    names = mounting.claims(pod)
    return State(PENDING, *mounting.unbound(names, [event for name in names for event in about.get(name, ())]))


def _being_bound(pod: Object, about: About) -> State | None:
    """A pod that has a node to go to, once its claims have their volumes; where something was said of them."""
    state = None if (pod.get("spec") or {}).get("nodeName") or not mounting.claims(pod) else _unbound(pod, about)
    return state if state and state.reason != "ClaimUnbound" else None


def _untouched(pod: Object) -> State | None:
    """A pod that nobody looks at: its scheduler, or the kubelet of its node, does not run."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if status.get("conditions") or status.get("containerStatuses") or not spec:
        return None
    if spec.get("nodeName"):
        return None
    who = spec.get("schedulerName") or "default-scheduler"
    if who == "default-scheduler":
        return None
    text = f"pod {_name(pod)} waits for the scheduler {who!r}, which has not looked at it"
    hint = "does it run? else correct schedulerName in config.kubernetes.pod_config"
    if queue := (pod["metadata"].get("labels") or {}).get(KAI_QUEUE):
        hint = f"does it run, and is there its queue {queue!r}? kubectl get queues.scheduling.run.ai"
    return State(PENDING, NO_SCHEDULER, text, hint)


# -- placed, and not started ----------------------------------------------------------------------------------------

_PULLS = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed")
_WAITING: dict[str, tuple[str, str, str | None]] = {
    "ErrImageNeverPull": (
        FAILED, "the image {image} is not on the node, and may not be pulled", "imagePullPolicy: IfNotPresent pulls it"
    ),
    "InvalidImageName": (FAILED, "{image} is no name of an image", "check `image_id`: HOST/NAME:TAG, in small letters"),
    "ImageInspectError": (FAILED, "the image {image} is broken on the node", "use it by another tag, or another node"),
    "CreateContainerConfigError": (FAILED, "the node cannot create the container `{container}`", None),
    "CreateContainerError": (FAILED, "the node cannot create the container `{container}`", None),
    "RunContainerError": (FAILED, "the container `{container}` does not start", None),
    "CrashLoopBackOff": (
        FAILED, "the container `{container}` ends again and again", "kubectl logs {pod} -c {container}"
    ),
}  # fmt: skip


def _stuck_container(pod: Object, status: Object, events: Sequence[Object]) -> State | None:
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, said = waiting.get("reason", ""), str(waiting.get("message") or "").strip()
        if reason in _PULLS:
            return _not_pulled(pod, container, reason, _pull_failure(said, events))
        if reason in _WAITING:
            phase, text, hint = _WAITING[reason]
            values = {"image": container.get("image"), "container": container["name"], "pod": _name(pod)}
            text = f"pod {_name(pod)}: {text.format(**values)}"
            known = containers.fault(said) if "Container" in reason else None
            if known:
                return State(phase, reason, f"{text}: {known[1]}", known[2])
            return State(phase, reason, text + (f": {said}" if said else ""), hint and hint.format(**values))
    return None


def _pull_failure(said: str, events: Sequence[Object]) -> str:
    """Before Kubernetes 1.32 the status says no more than `Back-off pulling image "x"`: the event before it tells."""
    if said and not re.fullmatch(r'Back-off pulling image "[^"]*"', said):
        return said
    failures = [str(e.get("message")) for e in events if str(e.get("message")).startswith("Failed to pull image")]
    return failures[-1] if failures else said


def _not_pulled(pod: Object, container: Object, reason: str, said: str) -> State:
    """At the first failure kubelet tries again at once; only when it backs off it is sure."""
    image = str(container.get("image"))
    spec = pod.get("spec") or {}
    secrets = [str(one.get("name")) for one in spec.get("imagePullSecrets") or ()]
    why, hint, transient = pulling.explained(image, said, spec.get("nodeName") or "", secrets)
    sure = reason == "ImagePullBackOff" and not transient
    text = f"pod {_name(pod)}: the image {image} {'cannot' if sure else 'could not'} be pulled: {why}"
    return State(FAILED if sure else STARTING, reason, text, hint)


def _stuck_by_event(pod: Object, events: Sequence[Object]) -> State | None:
    """What only events tell while a pod is created; the last one that matters decides."""
    for event in reversed(events):
        reason, said = event.get("reason", ""), str(event.get("message", ""))
        if reason in ("Pulled", "SuccessfulAttachVolume"):
            return None
        if reason == "Pulling":
            return State(STARTING, "Pulling", f"pod {_name(pod)}: {said[:1].lower()}{said[1:]}")
        if reason in ("FailedMount", "FailedAttachVolume"):
            _, text, hint = mounting.mount(said)
            return State(STARTING, reason, f"pod {_name(pod)}: {text}", hint)
        if reason in ("FailedCreatePodSandBox", "FailedCreatePodContainer"):
            text = f"pod {_name(pod)}: the node cannot make its sandbox: {pulling.last_words(said)}"
            hint = "its network or runtime is in trouble: kubectl describe node; it goes on trying"
            return State(STARTING, reason, text, hint)
    return None


def _copying(pod: Object) -> State:
    hint = f"kubectl logs -f {_name(pod)} -c {CONTAINER}"
    return State(STARTING, COPYING, f"pod {_name(pod)} copies what is in its buckets", hint)


def _creating(status: Object) -> str:
    waiting = [c["name"] for c in _containers(status) if (c.get("state") or {}).get("waiting")]
    return f"waiting for container {waiting[0]}" if waiting else "the node creates its containers"


def _containers(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])
