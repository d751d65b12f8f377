"""What one node offers: its room, its accelerators, what keeps pods off it. Pure; small, clusters have thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from kubectl_sky import accelerators, quantity
from kubectl_sky.capacity import instance_types


class Taint(NamedTuple):
    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True)
class Device:
    """Accelerators of one kind on a node.

    `name` is canonical, "" where nothing tells it; `key` the extended resource that counts them, or with `claim` the
    DeviceClass of dynamic resource allocation; `memory` GB of each; `share` the part of a whole device that each is
    (1/4 of 4 time slices); `label` what tells the name, for a pod's affinity.
    """

    name: str
    key: str
    total: int
    memory: float | None = None
    share: float = 1.0
    label: tuple[str, str] | None = None
    claim: bool = False
    product: str = ""  # of a claim: what its driver calls it
    driver: str = ""

    @property
    def whole(self) -> bool:
        return self.share == 1.0

    @property
    def whole_memory(self) -> float | None:
        """GB of the device that it is a slice of; time slices have all of it."""
        return accelerators.memory(self.name.partition("-MIG-")[0]) if "-MIG-" in self.name else self.memory


@dataclass(frozen=True)
class Node:
    """`allocatable`: amounts by resource (cpus, bytes, devices); `pods` of them are no more than that many."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    ready: bool
    cordoned: bool
    allocatable: Mapping[str, float]
    devices: tuple[Device, ...]
    runtime: str = ""  # `containerd://2.4.2`

    @property
    def state(self) -> str:
        """`Ready`, `NotReady`, `Ready,SchedulingDisabled`: as kubectl says it."""
        return ("Ready" if self.ready else "NotReady") + (",SchedulingDisabled" if self.cordoned else "")

    @property
    def usable(self) -> bool:
        return self.ready and not self.cordoned

    @property
    def instance_type(self) -> str:
        return next((self.labels[key] for key in accelerators.INSTANCE_TYPES if key in self.labels), "")


_PRODUCT = "nvidia.com/gpu.product"
# set by the node's own controllers while `ready` or `cordoned` say the same
_STATE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/unschedulable")


def read(thing: Mapping[str, Any]) -> Node:
    """A node as the API server sends it."""
    metadata, spec, status = thing["metadata"], thing.get("spec") or {}, thing.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {c["type"]: c.get("status") for c in status.get("conditions") or ()}
    allocatable = {key: quantity.parse(value) for key, value in (status.get("allocatable") or {}).items()}
    taints = tuple(Taint(t["key"], t.get("value") or "", t["effect"]) for t in spec.get("taints") or ())
    return Node(
        name=metadata["name"],
        labels=labels,
        taints=tuple(taint for taint in taints if taint.key not in _STATE_TAINTS),
        ready=conditions.get("Ready") == "True",
        cordoned=bool(spec.get("unschedulable")),
        allocatable=allocatable,
        devices=tuple(_devices(labels, allocatable)),
        runtime=(status.get("nodeInfo") or {}).get("containerRuntimeVersion", ""),
    )


def with_devices(node: Node, more: Iterable[Device]) -> Node:
    """The node with those that ResourceSlices tell of besides."""
    return replace(node, devices=(*node.devices, *more))


def _devices(labels: Mapping[str, str], allocatable: Mapping[str, float]) -> Iterable[Device]:
    for key, amount in allocatable.items():
        if "/" in key:
            for kind in accelerators.RESOURCES:
                found = re.fullmatch(kind.pattern, key)
                if found:
                    slice_ = found.groupdict().get("slice") or ""
                    yield _device(labels, kind, key, int(amount), slice_)
                    break


def _device(labels: Mapping[str, str], kind: accelerators.Resource, key: str, total: int, slice_: str) -> Device:
    product, label = accelerators.named(labels, kind.vendor) or _by_machine(labels, kind.vendor) or (kind.name, None)
    parts = labels.get(_PRODUCT, "") if kind.vendor == accelerators.NVIDIA else ""
    if accelerators.parse(parts).slice:  # other labels do not tell it
        product, label = parts, (_PRODUCT, parts)
    part = slice_ or _part(labels, product)
    if part and part != "shared":
        return _slice(product, part, key, total, label)
    labelled = accelerators.labelled_memory(labels)
    name = accelerators.canonical(product, labelled) if product else ""
    share = 1 / _replicas(labels, part)
    return Device(name, key, total, labelled or accelerators.memory(name), share, label)


def _part(labels: Mapping[str, str], product: str) -> str:
    """A MIG profile, or "shared", that holds for all GPUs of a node, whichever label names them."""
    told = [labels.get(accelerators.PARTITION_LABEL, ""), accelerators.parse(product).slice]
    told.append(accelerators.parse(labels.get(accelerators.PRODUCT_LABEL, "")).slice)
    return next((part for part in told if part), "")


def _slice(product: str, profile: str, key: str, total: int, label: tuple[str, str] | None) -> Device:
    """Slices of MIG. A label of memory says nothing: with one strategy it is the slice's, with the other the GPU's."""
    bare = re.sub(r"[-_ ]MIG[-_ ].*$", "", product, flags=re.I)
    whole = accelerators.canonical(bare) if bare else ""
    size = accelerators.memory(f"MIG-{profile}")
    full = accelerators.memory(whole) if whole else None
    share = size / full if size and full else 0.125
    return Device(f"{whole}-MIG-{profile}" if whole else f"MIG-{profile}", key, total, size, share, label)


def _replicas(labels: Mapping[str, str], part: str) -> int:
    """How many pods share each device."""
    text = labels.get(accelerators.REPLICAS_LABEL, "1") if part == "shared" else "1"
    if labels.get(accelerators.SHARING_LABEL):
        text = labels.get(accelerators.CLIENTS_LABEL, text)
    return max(int(text), 1) if text.isdigit() else 1


def _by_machine(labels: Mapping[str, str], vendor: str) -> tuple[str, tuple[str, str] | None] | None:
    """The accelerators of the cloud's machine type."""
    for key in accelerators.INSTANCE_TYPES:
        name = instance_types.accelerator(labels.get(key, ""))
        if name and accelerators.vendor(name) == vendor:
            return name, (key, labels[key])
    return None
