"""Which gang schedulers a cluster has that the user may use: asked once a launch of several nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubectl_sky import names
from kubectl_sky.checks import rights
from kubectl_sky.errors import ApiError
from kubectl_sky.parts.gangs import COSCHEDULING, GROUPS, KAI, KAI_DEFAULT, NATIVE, VOLCANO, WORKLOAD, Offer

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

RESOURCES = {NATIVE: "podgroups", WORKLOAD: "workloads", VOLCANO: "podgroups"}
# by which it is seen that Volcano and KAI run, and that their pods have a queue to go to
QUEUES = {VOLCANO: "v1beta1/queues/default", KAI: f"v2/queues/{KAI_DEFAULT}"}


def read(cluster: Cluster) -> tuple[Offer, ...]:
    """Those that can be used, the best first; none where it cannot be asked."""
    versions = _versions(cluster)
    found = [_native(cluster, versions.get(GROUPS[NATIVE], []))]
    for kind in (VOLCANO, KAI):
        if served := versions.get(GROUPS[kind]):
            found.append(_queued(cluster, kind, served))
    if served := versions.get(GROUPS[COSCHEDULING]):
        found.append(Offer(COSCHEDULING, served[0]))
    return tuple(offer for offer in found if offer and _may_create(cluster, offer))


def groups(cluster: Cluster) -> list[dict[str, Any]]:
    """The pod groups of all tasks in the cluster's namespace, whichever scheduler they are for."""
    found: list[dict[str, Any]] = []
    for api, versions in _versions(cluster).items():
        for version in versions if api in GROUPS.values() else ():
            for resource, kind in (("podgroups", "PodGroup"), ("workloads", "Workload")):
                path = f"/apis/{api}/{version}/namespaces/{cluster.namespace}/{resource}"
                items = (_get(cluster, path, labelSelector=names.OURS) or {}).get("items") or ()
                found += ({**item, "apiVersion": f"{api}/{version}", "kind": kind} for item in items)
    return list({item["metadata"]["uid"]: item for item in found}.values())


def _versions(cluster: Cluster) -> dict[str, list[str]]:
    """Of each group of the API."""
    groups = (_get(cluster, "/apis") or {}).get("groups") or ()
    return {group["name"]: [one["version"] for one in group["versions"]] for group in groups}


def _native(cluster: Cluster, versions: list[str]) -> Offer | None:
    """PodGroups (Kubernetes 1.36 on), or Workloads (1.35); v1 of that group has neither."""
    for version in (one for one in versions if one != "v1"):
        served = (_get(cluster, f"/apis/{GROUPS[NATIVE]}/{version}") or {}).get("resources") or ()
        names = {one["name"] for one in served}
        if "podgroups" in names:
            return Offer(NATIVE, version)
        if "workloads" in names and version == "v1alpha1":
            return Offer(WORKLOAD, version)
    return None


def _queued(cluster: Cluster, kind: str, versions: list[str]) -> Offer | None:
    queue = _get(cluster, f"/apis/{GROUPS[kind]}/{QUEUES[kind]}")
    if queue is None or (kind == VOLCANO and (queue.get("status") or {}).get("state") != "Open"):
        return None
    return Offer(kind, versions[0], queue["metadata"]["name"])


def _may_create(cluster: Cluster, offer: Offer) -> bool:
    if offer.kind == KAI:
        return True  # it makes its groups itself
    right = rights.Right(GROUPS[offer.kind], RESOURCES.get(offer.kind, "podgroups"), "create", cluster.namespace)
    try:
        return rights.ask(cluster, right)
    except ApiError:
        return False


def _get(cluster: Cluster, path: str, **params: str) -> dict[str, Any] | None:
    try:
        return cluster.get(path, **params)
    except ApiError:
        return None
