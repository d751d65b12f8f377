"""What pods hold of the nodes' room, as the scheduler counts it. Pure; small, clusters have tens of thousands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kubectl_sky import quantity
from kubectl_sky.capacity.nodes import Device, Node

Amounts = dict[str, float]


class Holding(NamedTuple):
    """A pod on a node. `claims`: the (driver, pool, device) that were allocated to it."""

    namespace: str
    pod: str
    node: str
    requests: Amounts


class Usage:
    """The pods of a cluster by node. `claimed`: devices allocated by dynamic resource allocation, by (node, class)."""

    def __init__(self, holdings: Iterable[Holding], claimed: Mapping[tuple[str, str], int] | None = None):
        self.by_node: dict[str, list[Holding]] = {}
        self.claimed = dict(claimed or {})
        self._used: dict[str, Amounts] = {}
        for holding in holdings:
            self.by_node.setdefault(holding.node, []).append(holding)
            used = self._used.setdefault(holding.node, {})
            for key, amount in holding.requests.items():
                used[key] = used.get(key, 0.0) + amount

    def used(self, node: Node, key: str) -> float:
        return self._used.get(node.name, {}).get(key, 0.0)

    def free(self, node: Node, key: str) -> float:
        """What is left of a node's resource, never below 0."""
        return max(node.allocatable.get(key, 0.0) - self.used(node, key), 0.0)

    def free_devices(self, node: Node, device: Device) -> int:
        if device.claim:
            return max(device.total - self.claimed.get((node.name, device.name), 0), 0)
        return int(self.free(node, device.key))

    def holders(self, node: Node, key: str) -> list[Holding]:
        """The pods that hold some of a node's resource, those with most first."""
        holding = [one for one in self.by_node.get(node.name, ()) if one.requests.get(key)]
        return sorted(holding, key=lambda one: (-one.requests[key], one.namespace, one.pod))


def read(pod: Mapping[str, Any]) -> Holding | None:
    """A pod as the API server sends it; None for one that holds nothing: not placed yet, or over."""
    spec = pod["spec"]
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    metadata = pod["metadata"]
    return Holding(metadata["namespace"], metadata["name"], spec["nodeName"], requests(spec))


def requests(spec: Mapping[str, Any]) -> Amounts:
    """What the scheduler counts for a pod's spec: {"cpu": 1.5, "memory": bytes, "pods": 1, "nvidia.com/gpu": 1}.

    Its containers and sidecars together, or an init container that needs more; the overhead of its runtime on top.
    Limits stand for requests that are missing, as the API server fills them in.
    """
    sidecars: Amounts = {}
    at_start: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _own(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, own)
            own = dict(sidecars)
        elif sidecars:
            own = _sum(own, sidecars)
        for key, amount in own.items():
            at_start[key] = max(at_start.get(key, 0.0), amount)
    total = dict(sidecars)
    for container in spec["containers"]:
        _add(total, _own(container))
    for key, amount in at_start.items():
        total[key] = max(total.get(key, 0.0), amount)
    total.update(_own(spec))  # a pod's own resources stand for those of its containers
    if overhead := spec.get("overhead"):
        _add(total, {key: quantity.parse(value) for key, value in overhead.items()})
    total["pods"] = 1.0
    return total


def _own(container: Mapping[str, Any]) -> Amounts:
    resources = container.get("resources")
    if not resources:
        return {}
    limits, asked = resources.get("limits"), resources.get("requests")
    both = {**limits, **(asked or {})} if limits else asked or {}
    return {key: quantity.parse(value) for key, value in both.items()}


def _add(total: Amounts, more: Mapping[str, float]) -> None:
    for key, amount in more.items():
        total[key] = total.get(key, 0.0) + amount


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> Amounts:
    total = dict(one)
    _add(total, other)
    return total
