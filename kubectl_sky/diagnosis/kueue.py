"""What Kueue says of a Job that waits in one of its queues: why, at which place, and who is before it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from kubectl_sky.diagnosis.state import State
from kubectl_sky.errors import ApiError, Failure
from kubectl_sky.names import QUEUE

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
GROUP, VISIBILITY = "kueue.x-k8s.io", "visibility.kueue.x-k8s.io"
VERSIONS = ("v1beta2", "v1beta1")
NAMED = 3  # of those before it


@dataclass(frozen=True)
class Answer:
    """A list: None where it could not be read, then with the status of the refusal (404: no such API)."""

    items: list[Object] | None
    status: int = 200


def ask(cluster: Cluster, group: str, what: str) -> Answer:
    """Of the namespace."""
    status = 0
    for version in VERSIONS:
        try:
            path = f"/apis/{group}/{version}/namespaces/{cluster.namespace}/{what}"
            return Answer(list(cluster.get(path).get("items") or []))
        except ApiError as error:
            status = error.status
            if status != 404:
                break
        except Failure:
            break
    return Answer(None, status)


class Queues:
    """What a namespace's queues say; each is asked once."""

    def __init__(self, cluster: Cluster):
        self.workloads: Callable[[], Answer] = cache(lambda: ask(cluster, GROUP, "workloads"))
        self.waiting: Callable[[str], Answer] = cache(
            lambda queue: ask(cluster, VISIBILITY, f"localqueues/{queue}/pendingworkloads")
        )


def refined(queues: Queues, state: State, job: Object) -> State:
    """The state with what the Job's Workload and the queue say, as far as they may be read."""
    queue, uid = (job["metadata"].get("labels") or {}).get(QUEUE, ""), job["metadata"].get("uid")
    answer = queues.workloads()
    if answer.status == 404:
        text = f"it waits in the Kueue queue {queue!r}, and the cluster has no Kueue: nobody starts it"
        return replace(state, message=text, hint="launch it without the queue, or have Kueue installed")
    found = [one for one in answer.items or () if owner(one).get("uid") == uid]
    if not found:
        return state
    name = found[0]["metadata"]["name"]
    waiting = queues.waiting(queue).items
    message = f"it waits in the Kueue queue {queue!r}{place(waiting or (), name)}"
    why = reason(found[0], {str(owner(one).get("uid")): str(owner(one).get("name")) for one in answer.items or ()})
    return replace(
        state, message=f"{message}: {why}" if why else message, hint=f"kubectl describe workload {name}\n{state.hint}"
    )


# -- at which place -------------------------------------------------------------------------------------------------


def place(waiting: list[Object] | tuple[()], name: str) -> str:
    """`, first in line`, `, 2 before it (a and b), and 3 of other queues`; "" where it is not known."""
    mine = next((one for one in waiting if one["metadata"]["name"] == name), None)
    if mine is None or mine.get("positionInLocalQueue") is None:
        return ""
    count = int(mine["positionInLocalQueue"])
    before = sorted(waiting, key=lambda one: int(one.get("positionInLocalQueue") or 0))[:count]
    others = int(mine.get("positionInClusterQueue", count)) - count
    elsewhere = f"{others} of other queues" if others > 0 else ""
    if not count:
        return f", {elsewhere} before it" if elsewhere else ", first in line"
    tasks = [str(owner(one).get("name") or one["metadata"]["name"]) for one in before[:NAMED]]
    shown = [*tasks, *([f"{count - NAMED} more"] if count > NAMED else [])]
    listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else ""
    return f", {count} before it" + (f" ({listed})" if listed else "") + (f", and {elsewhere}" if elsewhere else "")


def owner(workload: Object) -> Object:
    """The reference to the Job that it stands for."""
    return next(iter(workload["metadata"].get("ownerReferences") or ()), {})


# -- why ------------------------------------------------------------------------------------------------------------

_CAUSES = (
    ("prioritization in the ClusterQueue", "{who}, of a higher priority, took its place"),
    ("while borrowing", "{who} of another team took its place: it ran on quota that was borrowed"),
    ("reclamation within the cohort", "{who} of another team took back its team's quota"),
    ("Fair Sharing", "{who} of another team took its place, so that each has its share"),
)
_UNUSED = re.compile(r"insufficient unused quota for (\S+) in flavor [^\s,]+, (\S+) more needed")
_NEVER = re.compile(
    r"insufficient quota for (\S+) in flavor [^\s,]+, .*?current podset request \(([^)]+)\) > maximum capacity "
    r"\(([^)]+)\)"
)
_STOPPED = re.compile(r"((?:Local|Cluster)Queue) (\S+) (doesn't exist|is inactive|is stopped)")
_GONE = {"doesn't exist": "does not exist", "is inactive": "admits nothing now", "is stopped": "is stopped"}


def reason(workload: Object, tasks: dict[str, str] | None = None) -> str:
    """Why a Workload is not admitted, by its conditions: an eviction, and a missing quota.

    `tasks`: names by the uid of their Job, of those that may be read.
    """
    conditions = {one["type"]: one for one in (workload.get("status") or {}).get("conditions") or ()}
    evicted, quota = conditions.get("Evicted") or {}, conditions.get("QuotaReserved") or {}
    why = ""
    if evicted.get("status") == "True" and evicted.get("message"):
        why = _evicted(str(evicted["message"]), tasks or {})
        if evicted["message"] == quota.get("message"):
            return why
    for one in (quota, conditions.get("Admitted") or {}):
        if one.get("status") == "False" and one.get("message"):
            return "; ".join(filter(None, (why, _plain(str(one["message"])))))
    return why


def _evicted(said: str, tasks: dict[str, str]) -> str:
    if not said.startswith("Preempted"):
        return said
    found = re.search(r"JobUID: ([^,) ]+)", said)
    who = tasks.get(found[1] if found else "")
    words = next((text for cause, text in _CAUSES if cause in said), "{who} took its place")
    return f"preempted: {words.format(who=who or 'a task')}; it starts again by itself"


def _plain(said: str) -> str:
    """The message of a missing quota, without what only administrators know."""
    if never := _NEVER.search(said):
        return f"never: it asks for {never[2]} {never[1]}, and the queue can have {never[3]} at most"
    if lacks := _UNUSED.findall(said):
        return "the queue's quota is in use: " + ", ".join(f"{more} {what} more needed" for what, more in lacks)
    if stopped := _STOPPED.search(said):
        return f"the {stopped[1]} {stopped[2]} {_GONE[stopped[3]]}"
    return said
