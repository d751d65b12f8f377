"""How a task is, and why: from its Job, its pods and their events. Pure; dicts as the API server sends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from kubectl_sky import autostop, gang
from kubectl_sky.diagnosis import kai, podstate, refusals
from kubectl_sky.diagnosis.podstate import COMPLETED, FAILED, PENDING, STARTING, STOPPED, TERMINATING, UP, State
from kubectl_sky.names import QUEUE

__all__ = [
    "COMPLETED", "FAILED", "INDEX", "PENDING", "STARTING", "STOPPED", "TERMINATING", "UP", "State", "by_object",
    "newest", "ready", "task_state", "worst",
]  # fmt: skip
Object = dict[str, Any]

INDEX = gang.INDEX
UNSCHEDULABLE = "Unschedulable"
QUEUED = "Queued"  # the reason of a task that waits in a queue of Kueue


def task_state(job: Object | None, pods: Sequence[Object], events: Iterable[Object] = ()) -> State:
    """The state of a task. `events` explain what the objects do not tell."""
    about = by_object(events)
    if job is None:
        return State(FAILED, "NoJob", "its Job is gone; other objects of it are left", "kubectl sky down removes them")
    if job["metadata"].get("deletionTimestamp"):
        return State(TERMINATING)
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions") or [] if c.get("status") == "True"}
    if autostop.stopped(job):
        return _stopped(job, pods)
    if "Complete" in conditions:
        return State(COMPLETED)
    states = [podstate.pod_state(pod, about) for pod in newest(pods)]
    failed = conditions.get("Failed") or conditions.get("FailureTarget")
    if failed:
        mine = {name: said for name, said in about.items() if name.startswith(f"{_name(job)}-")}
        return _failed_job(failed, states, pods, mine)
    if job.get("spec", {}).get("suspend"):
        return _suspended(job, about)
    if not states:
        return _no_pods(job, about)
    if gang.replaces(job):
        states = [_replaced(state) for state in states]
    state = of_many(min(states, key=_severity), unplaced(pods), len(states))
    complete = len(states) >= (job["spec"].get("parallelism") or 1)
    return State(STARTING, "", "waiting for more pods") if state.phase == UP and not complete else state


# why pods go away that their Job makes again
REPLACED = ("NodeLost", "Evicted", "Preempted", podstate.DELETED)


def _replaced(state: State) -> State:
    """Of a pod that went away: that another comes."""
    leaving = state.phase == TERMINATING and state.message
    if not leaving and not (state.phase == FAILED and state.reason in REPLACED):
        return state
    hint = None if leaving or state.reason == podstate.DELETED else state.hint
    if state.reason == "NodeLost":
        hint = "it goes on when the node answers again; if the node is gone for good, kubectl delete node NODE lets "
        hint += "another pod take its place"
    return State(STARTING, state.reason or podstate.DELETED, f"{state.message}; another pod takes its place", hint)


def of_many(state: State, without: Sequence[Object], pods: int) -> State:
    """Of several pods, which have no place."""
    if state.reason != UNSCHEDULABLE or pods == 1:
        return state
    count = len(without)
    which = "" if count == pods else f" ({gang.ranks([gang.rank(pod) for pod in without])})"
    verb = "has" if count == 1 else "have"
    return replace(state, message=f"{count} of its {pods} pods{which} {verb} no place: {state.message}")


def unplaced(found: Iterable[Object]) -> list[Object]:
    """Those of a task's pods that the scheduler has no node for."""
    return [pod for pod in newest(found) if gang.no_place(pod)]


def worst(pods: Sequence[Object], events: Iterable[Object] = ()) -> Object | None:
    """The pod that task_state speaks of."""
    about = by_object(events)
    return min(newest(pods), key=lambda pod: _severity(podstate.pod_state(pod, about)), default=None)


def ready(pods: Sequence[Object]) -> int:
    """Pods that are ready and not on their way out."""
    return sum(podstate.is_ready(pod) for pod in newest(pods) if not pod["metadata"].get("deletionTimestamp"))


def newest(pods: Iterable[Object]) -> list[Object]:
    """The last pod of each index: a replaced pod no longer matters."""
    last: dict[str, Object] = {}
    for pod in sorted(pods, key=lambda p: p["metadata"].get("creationTimestamp") or ""):
        metadata = pod["metadata"]
        index = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}.get(INDEX)
        last[index or metadata["name"]] = pod
    return list(last.values())


def by_object(events: Iterable[Object]) -> dict[str, list[Object]]:
    """Events by the name of what they are about, oldest first."""
    about: dict[str, list[Object]] = {}
    for event in sorted(events, key=when):
        name = kai.evicted(event) or (event.get("involvedObject") or {}).get("name", "")
        about.setdefault(name, []).append(event)
    return about


def when(event: Object) -> str:
    """The time of an event, as a Kubernetes timestamp."""
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


# -- the Job --------------------------------------------------------------------------------------------------------


def _failed_job(
    condition: Object, states: list[State], pods: Sequence[Object], about: dict[str, list[Object]]
) -> State:
    """The pods know better than the Job's condition why it failed."""
    if condition.get("reason") == "DeadlineExceeded":
        hint = "raise activeDeadlineSeconds, or drop it; then launch it again"
        return State(FAILED, "DeadlineExceeded", "it ran longer than its activeDeadlineSeconds", hint)
    causes = [state for state in states if state.phase == FAILED]
    if causes:
        return min(causes, key=_severity)
    for name, events in about.items():
        lost = podstate.lost(events) or (podstate.evicted(name, events) if not pods else None)
        if lost:
            return lost
    going = [state for state in states if state.phase == TERMINATING and state.message]
    if going:
        return replace(going[0], phase=FAILED, reason=podstate.DELETED)
    if not pods:
        text = "its pods are gone: somebody deleted them, or their node went away"
        return State(FAILED, "PodsGone", text, "kubectl get nodes; then launch it again")
    return State(FAILED, condition.get("reason", ""), condition.get("message", ""))


def _stopped(job: Object, pods: Sequence[Object]) -> State:
    start = f"kubectl sky start {_name(job)}"
    if not job.get("spec", {}).get("suspend"):
        return State(STOPPED, "", "it was idle, and stopped itself", start)
    return State(TERMINATING, "", "it is being stopped") if pods else State(STOPPED, "", "it was stopped", start)


def _suspended(job: Object, about: dict[str, list[Object]]) -> State:
    queue = (job["metadata"].get("labels") or {}).get(QUEUE)
    if not queue:
        return State(STOPPED)
    text, hint = f"it waits in the Kueue queue {queue!r}", f"kubectl describe localqueue {queue}"
    said = [event for event in about.get(_name(job), []) if "kueue" in str(event.get("source", {}).get("component"))]
    if said:
        text += f": {said[-1].get('message', '')}"
    return State(PENDING, QUEUED, text, hint)


def _no_pods(job: Object, about: dict[str, list[Object]]) -> State:
    """No pod yet: the Job's events tell if the API server refuses them (quota, Pod Security, limits, webhooks)."""
    said = [str(e.get("message")) for e in about.get(_name(job), []) if e.get("reason") == "FailedCreate"]
    # a webhook may ask for a Job that it has not heard of yet: its controller tries again
    said = [text for text in said if f'Job.batch "{_name(job)}" not found' not in text]
    if said:
        reason, text, hint = refusals.explained(said[-1])
        return State(FAILED, reason, f"its pods are refused: {text}", hint)
    return State(PENDING, "", "waiting for the Job's pods")


_ORDER = ("NodeLost", "OOMKilled", "Evicted", "Preempted")
_PHASES = (FAILED, PENDING, STARTING, TERMINATING, UP, STOPPED, COMPLETED)


def _severity(state: State) -> tuple[int, int]:
    """Sorts the worst first. When a node of a task fails, the others are ended: the cause goes before its effects."""
    reason = _ORDER.index(state.reason) if state.reason in _ORDER else len(_ORDER)
    effect = (
        state.reason in (podstate.DELETED, podstate.LET_GO) or "SIGTERM" in state.message or "SIGKILL" in state.message
    )
    return _PHASES.index(state.phase), reason + effect


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])
