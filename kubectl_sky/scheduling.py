"""Where a pod may go and would rather go: affinity, tolerations, runtime class. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubectl_sky import accelerators, names
from kubectl_sky.device_request import DeviceRequest
from kubectl_sky.nodes import Node

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
    name: str, num_nodes: int, request: DeviceRequest | None, spot: bool, nodes: Iterable[Node] | None,
    runtime_classes: Iterable[str] = (),
) -> Fields:  # fmt: skip
    """The pod's fields for it; `name` is the task's, `nodes` None when they could not be read."""
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


def _node_affinity(request: DeviceRequest | None, spot: bool, nodes: list[Node] | None) -> Fields:
    terms = request.node_selector_terms() if request else []
    if spot:
        # terms are alternatives, so each of one kind goes with each of the other
        terms = [
            {"matchExpressions": [*term["matchExpressions"], {"key": key, "operator": "In", "values": [value]}]}
            for term in terms or [{"matchExpressions": []}]
            for key, value in _spot_labels(nodes)
        ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}} if terms else {}
    if request or not (keys := _gpu_labels(nodes)):
        return required
    off = [{"key": key, "operator": "DoesNotExist"} for key in keys]
    preferred = [{"weight": 100, "preference": {"matchExpressions": off}}]
    return {**required, "preferredDuringSchedulingIgnoredDuringExecution": preferred}


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


def _tolerations(request: DeviceRequest | None, spot: bool, nodes: Iterable[Node] | None) -> list[Fields]:
    """The taints that keep tasks without accelerators, or that are not for spot, off a node."""
    keys = (
        {request.key if not request.claim else request.driver.replace("gpu.nvidia.com", "nvidia.com/gpu")}
        if request
        else set()
    )
    if request:  # of nodes that have what is wanted under another resource too, as with MIG
        keys |= {t.key for node in nodes or () for t in node.taints if accelerators.is_device(t.key)}
    made = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in sorted(keys)]
    if spot:
        made += [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key, _ in SPOT]
    return made
