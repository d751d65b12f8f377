"""Nodes that say they have accelerators. kubelet keeps resources of a node's status that it does not know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.cluster.control import kubectl
from tests.cluster.settings import ClusterError, Node, Version
from tests.cluster.vendors import NVIDIA, Vendor, discovered, vendors

DRESSED = "kubectl-sky.test/dressed-as"  # the annotation that says which vendor's a node is


def add_gpus(node: Node, version: Version, count: int) -> None:
    """Gives the node `count` H100s."""
    labels = discovered("NVIDIA-H100-80GB-HBM3", count, 81559, "hopper")
    patch(node, version, {"metadata": {"labels": labels}})
    patch_resources(node, version, {NVIDIA: str(count)})


def dress(nodes: Sequence[Node], version: Version, names: Sequence[str] = ()) -> dict[str, str]:
    """Makes each node look like one of a vendor's: of `names`, or of all in order. Returns node -> vendor.

    Its pods go on running; new ones need the vendor's tolerations, as there.
    """
    known = {vendor.name: vendor for vendor in vendors()}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ClusterError(f"no such vendor: {' '.join(unknown)}; there are {' '.join(known)}")
    undress(nodes, version)
    chosen = [known[name] for name in names] or list(known.values())
    pairs = list(zip(nodes, chosen))
    for node, vendor in pairs:
        metadata = {"labels": dict(vendor.labels), "annotations": {DRESSED: vendor.name}}
        patch(node, version, {"metadata": metadata, "spec": {"taints": [*taints(node, version), *own_taints(vendor)]}})
        patch_resources(node, version, {resource: str(count) for resource, count in vendor.resources.items()})
    return {node.name: vendor.name for node, vendor in pairs}


def undress(nodes: Sequence[Node], version: Version) -> None:
    """Takes away what dress() gave the nodes."""
    known = {vendor.name: vendor for vendor in vendors()}
    for node in nodes:
        vendor = known.get(get(node, version)["metadata"].get("annotations", {}).get(DRESSED, ""))
        if not vendor:
            continue
        left = [taint for taint in taints(node, version) if taint not in own_taints(vendor)]
        metadata = {"labels": dict.fromkeys(vendor.labels), "annotations": {DRESSED: None}}
        patch(node, version, {"metadata": metadata, "spec": {"taints": left}})
        patch_resources(node, version, dict.fromkeys(vendor.resources))


def own_taints(vendor: Vendor) -> list[dict[str, str]]:
    """The vendor's taints, as in a node's spec."""
    return [{"key": key, "value": value, "effect": effect} for key, value, effect in vendor.taints]


def get(node: Node, version: Version) -> dict[str, Any]:
    """The node as the API has it."""
    return json.loads(kubectl(version, "get", "node", node.name, "-o", "json"))


def taints(node: Node, version: Version) -> list[dict[str, str]]:
    """The taints that the node has."""
    return get(node, version)["spec"].get("taints", [])


def patch(node: Node, version: Version, change: dict[str, Any], *flags: str) -> None:
    """A merge patch: null takes a key away."""
    kubectl(version, "patch", "node", node.name, "--type=merge", *flags, "-p", json.dumps(change))


def patch_resources(node: Node, version: Version, amounts: dict[str, Any]) -> None:
    """Changes what the node says it has; a device plugin of the node that has such a resource has the last word."""
    patch(node, version, {"status": {"capacity": amounts, "allocatable": amounts}}, "--subresource=status")
