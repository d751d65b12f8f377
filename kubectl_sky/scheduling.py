"""Where a pod may go and would rather go: affinity, tolerations, runtime class. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from kubectl_sky import accelerators, names
from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.capacity.nodes import Node

Fields = dict[str, Any]
HOSTNAME = "kubernetes.io/hostname"
GPU_POD = "kubectl-sky/gpu"  # label of pods with accelerators
# how the clouds mark spot nodes: (label, value); the first two also as a taint
SPOT = (
    ("cloud.google.com/gke-spot", "true"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
    ("karpenter.sh/capacity-type", "spot"),
    ("eks.amazonaws.com/capacityType", "SPOT"),
    ("cloud.google.com/gke-preemptible", "true"),
)
# where no node could be read, the labels by which clouds tell GPU nodes
_GPU_LABELS = ("cloud.google.com/gke-accelerator", "nvidia.com/gpu.present", "skypilot.co/accelerator")


def fields(
    name: str, num_nodes: int, request: DeviceRequest | None, spot: bool | None, nodes: Iterable[Node] | None,
    runtime_classes: Iterable[str] = (),
) -> Fields:  # fmt: skip
    """The pod's fields for it.

    `name` is the task's; `spot` as use_spot: only spot nodes, none of them, or (None) either; `nodes` None when they
    could not be read.
    """
    known = None if nodes is None else list(nodes)
    affinity: Fields = {}
    if node_affinity := _node_affinity(request, spot, known):
        affinity["nodeAffinity"] = node_affinity
    if request and num_nodes == 1:
        # bin packing: whole nodes stay free for those who need them
        affinity["podAffinity"] = _preferred(10, {"matchLabels": {GPU_POD: "true"}})
    if num_nodes > 1:
        affinity["podAntiAffinity"] = _preferred(100, {"matchLabels": {names.INSTANCE: name}})
    made: Fields = {"affinity": affinity} if affinity else {}
    if tolerated := _tolerations(request, spot, known):
        made["tolerations"] = tolerated
    if request and request.key.startswith("nvidia.com/") and "nvidia" in runtime_classes:
        made["runtimeClassName"] = "nvidia"
    return made


def _preferred(weight: int, selector: Fields) -> Fields:
    term = {"labelSelector": selector, "topologyKey": HOSTNAME}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": weight, "podAffinityTerm": term}]}


def _node_affinity(request: DeviceRequest | None, spot: bool | None, nodes: list[Node] | None) -> Fields:
    required = _with_spot(request.node_selector_terms() if request else [], spot, nodes)
    made: Fields = {}
    if required:
        made["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": required}
    if not request and (keys := _gpu_labels(nodes)):
        off = [{"key": key, "operator": "DoesNotExist"} for key in keys]
        preferred = [{"weight": 100, "preference": {"matchExpressions": off}}]
        made["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    return made


def _with_spot(terms: list[Fields], spot: bool | None, nodes: list[Node] | None) -> list[Fields]:
    """Terms are alternatives, so each of them goes with each way in which nodes are marked, or with none of them."""
    if spot is None:
        return terms
    marks = _spot_labels(nodes)
    if spot:
        ways = [[{"key": key, "operator": "In", "values": [value]}] for key, value in marks]
    elif any(is_spot(node) for node in nodes or ()) or nodes is None:
        ways = [[{"key": key, "operator": "NotIn", "values": [value]} for key, value in marks]]
    else:
        return terms
    bases = [term["matchExpressions"] for term in terms] or [[]]
    return [{"matchExpressions": [*base, *way]} for base in bases for way in ways]


def _spot_labels(nodes: list[Node] | None) -> list[tuple[str, str]]:
    """Those that nodes have, else all."""
    used = [one for one in SPOT if any(node.labels.get(one[0]) == one[1] for node in nodes or ())]
    return used or list(SPOT)


def is_spot(node: Node) -> bool:
    return any(node.labels.get(key) == value for key, value in SPOT)


def _gpu_labels(nodes: list[Node] | None) -> list[str]:
    """Label keys that nodes with accelerators have: tasks without keep off them."""
    if nodes is None:
        return list(_GPU_LABELS)
    found = {device.label[0] for node in nodes for device in node.devices if device.label and device.total}
    # a machine's type does not set GPU nodes apart
    return sorted(found - set(accelerators.INSTANCE_TYPES))


def _tolerations(request: DeviceRequest | None, spot: bool | None, nodes: Iterable[Node] | None) -> list[Fields]:
    """Of the taints that keep pods without accelerators, or that are not for spot, off a node."""
    keys: set[str] = set()
    if request:
        # nodes that have what is wanted may be tainted for another of their resources, as with MIG
        keys = {taint.key for node in nodes or () for taint in node.taints if accelerators.is_device(taint.key)}
        own = accelerators.resource(request.name) if request.claim else request.key
        # so may be those with slices, for their GPUs
        keys |= {own, re.sub(r"^nvidia\.com/.*", "nvidia.com/gpu", own)}
    if spot:
        keys |= {key for key, _ in SPOT}
    return [{"key": key, "operator": "Exists"} for key in sorted(keys)]
