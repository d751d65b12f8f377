"""What makes a task's ports reachable, as it is in the cluster: read for endpoints.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, endpoints, names, running
from kubectl_sky.errors import ApiError
from kubectl_sky.parts import ports

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
KINDS = ("Service", "Ingress", "HTTPRoute")


def read(cluster: Cluster, name: str) -> endpoints.Found:
    """Raises Failure when there is no such task."""
    job = cluster_objects.get_job(cluster, name)
    if job is None:
        raise running.unknown(cluster, name)
    services, ingresses, routes = (cluster_objects.listed(cluster, kind, names.selector(name)) for kind in KINDS)
    state = running.explain(cluster, name)
    wanted = {parent for route in routes for parent in endpoints.parents(route, cluster.namespace)}
    return endpoints.Found(
        job,
        services,
        ingresses,
        routes,
        _events(cluster, [*services, *ingresses]),
        {parent: gateway for parent in wanted if (gateway := _gateway(cluster, *parent))},
        "" if state.phase == "Up" else f"{name} is {state.phase}: {state.message or state.reason or ''}".rstrip(": "),
    )


def _gateway(cluster: Cluster, namespace: str, name: str) -> Object | None:
    try:
        return cluster.get(f"/apis/{ports.GATEWAY_API}/namespaces/{namespace}/gateways/{name}")
    except ApiError:
        return None


def _events(cluster: Cluster, things: Sequence[Object]) -> list[Object]:
    """Of these objects, the newest last; none where they may not be read."""
    found: list[Object] = []
    for thing in things:
        try:
            which = f"involvedObject.uid={thing['metadata']['uid']}"
            found += cluster.get(f"/api/v1/namespaces/{cluster.namespace}/events", fieldSelector=which)["items"]
        except ApiError:
            return []
    return sorted(found, key=lambda event: event.get("lastTimestamp") or event["metadata"]["creationTimestamp"])
