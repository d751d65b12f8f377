"""What Kueue says of a Job that waits in one of its queues: why, and at which place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubectl_sky.diagnosis.state import QUEUE, State
from kubectl_sky.errors import Failure

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
VERSIONS = ("v1beta2", "v1beta1")


def refined(cluster: Cluster, state: State, job: Object) -> State:
    """The state with what the Job's Workload and the queue say, as far as they may be read."""
    queue, uid = (job["metadata"].get("labels") or {}).get(QUEUE, ""), job["metadata"].get("uid")
    found = [one for one in _items(cluster, "kueue.x-k8s.io", "workloads") if _owner(one) == uid]
    if not found:
        return state
    name = found[0]["metadata"]["name"]
    waiting = _items(cluster, "visibility.kueue.x-k8s.io", f"localqueues/{queue}/pendingworkloads")
    place = next((one.get("positionInLocalQueue") for one in waiting if one["metadata"]["name"] == name), None)
    message = f"it waits in the Kueue queue {queue!r}"
    message += f", {place} before it" if place is not None else ""
    why = reason(found[0])
    return replace(
        state, message=f"{message}: {why}" if why else message, hint=f"kubectl describe workload {name}\n{state.hint}"
    )


def reason(workload: Object) -> str:
    """Why a Workload is not admitted, by its conditions: an eviction or a missing quota."""
    conditions = {one["type"]: one for one in (workload.get("status") or {}).get("conditions") or ()}
    for kind, bad in (("Evicted", "True"), ("QuotaReserved", "False"), ("Admitted", "False")):
        one = conditions.get(kind)
        if one and one.get("status") == bad and one.get("message"):
            return str(one["message"])
    return ""


def _owner(workload: Object) -> str | None:
    return next((one.get("uid") for one in workload["metadata"].get("ownerReferences") or ()), None)


def _items(cluster: Cluster, group: str, what: str) -> list[Object]:
    for version in VERSIONS:
        try:
            path = f"/apis/{group}/{version}/namespaces/{cluster.namespace}/{what}"
            found: list[Object] = cluster.get(path).get("items") or []
            return found
        except Failure:
            continue  # no such version, no right to read it: the queue's name must do
    return []
