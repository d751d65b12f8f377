"""How a pod asks for accelerators: which resource, how many, on nodes with which labels. Pure.

A cluster may offer the same model in several ways: whole GPUs of a device plugin, MIG slices, time slices, dynamic
resource allocation. A pod can use one of them, so each way is a request of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sky import accelerators, products
from kubectl_sky.nodes import Device, Node
from kubectl_sky.resources import Accelerator

TPU_TOPOLOGY = "cloud.google.com/gke-tpu-topology"
TOLERANCE = 0.01  # 1/7 of a GPU is written 0.14
Term = dict[str, Any]


@dataclass(frozen=True)
class DeviceRequest:
    """`count` of `key` a pod: an extended resource, or with `claim` a DeviceClass.

    `terms` are alternatives of required node affinity, () for none; `products` are what a claim's driver calls them.
    """

    name: str
    count: int
    key: str
    terms: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...] = ()
    claim: bool = False
    products: tuple[str, ...] = ()
    driver: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.count:g}"

    def node_selector_terms(self) -> list[Term]:
        """The terms as Kubernetes takes them."""
        return [
            {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)} for key, values in term]}
            for term in self.terms
        ]


def fits(wanted: Accelerator, device: Device) -> bool:
    """Whether devices of that kind are what is asked for, however many there are."""
    if device.claim and wanted.count < 1:
        return False
    if wanted.memory is not None:
        return _has_memory(wanted, device)
    profile = accelerators.parse(wanted.name).slice
    # a part of an A100 may be one of its MIG slices
    name = device.name if profile or wanted.count >= 1 else re.sub(r"-MIG-.*", "", device.name)
    if not name or not accelerators.matches(tpu_name(wanted.name), name, None if profile else device.whole_memory):
        return False
    if profile:
        return wanted.count == int(wanted.count)
    return _share_fits(wanted.count, device)


def _has_memory(wanted: Accelerator, device: Device) -> bool:
    if device.memory is None or (wanted.manufacturer or "").lower() not in ("", accelerators.vendor(device.name)):
        return False
    assert wanted.memory is not None
    enough = device.memory >= wanted.memory * 0.93  # the driver keeps some, and GiB are larger than GB
    exact = wanted.at_least or device.memory <= wanted.memory * 1.12
    return enough and exact and _share_fits(wanted.count, device)


def _share_fits(count: float, device: Device) -> bool:
    """A whole number of devices are whole ones; a part of one is a slice that is no smaller."""
    if count >= 1:
        return device.whole and count == int(count)
    return not device.whole and device.share >= count - TOLERANCE


def count(wanted: Accelerator, device: Device | None = None) -> int:
    """How many of the resource a pod asks for; a part of a device is one slice."""
    return 1 if device and not device.whole and wanted.count < 1 else math.ceil(wanted.count)


def requests(wanted: Accelerator, nodes: Iterable[Node] | None) -> list[DeviceRequest]:
    """All ways to ask for it that some node offers, whole devices before parts; [] when none does.

    `nodes` None: they could not be read, so it is the usual resource and the labels that clouds give.
    """
    if nodes is None:
        return [_blind(wanted)]
    known = list(nodes)
    ways: dict[tuple[str, bool, float], list[tuple[Node, Device]]] = {}
    for node in known:
        for device in node.devices:
            if device.total and fits(wanted, device):
                ways.setdefault((device.key, device.claim, -device.share), []).append((node, device))
    return [_way(wanted, pairs, known) for _, pairs in sorted(ways.items(), key=lambda one: _rank(wanted, one[0]))]


def _rank(wanted: Accelerator, way: tuple[str, bool, float]) -> tuple[bool, float, str]:
    """Device plugins first; of slices the smallest that is enough."""
    key, claim, share = way
    return claim, share if wanted.count >= 1 else -share, key


def _way(wanted: Accelerator, pairs: Sequence[tuple[Node, Device]], nodes: Iterable[Node]) -> DeviceRequest:
    device = pairs[0][1]
    name = wanted.name if wanted.memory is None else " or ".join(sorted({one.name for _, one in pairs}))
    number = count(wanted, device)
    if device.claim:
        products = tuple(sorted({one.product for _, one in pairs}))
        return DeviceRequest(name, number, device.key, (), True, products, device.driver)
    others = any(one.key == device.key and one not in [d for _, d in pairs] for node in nodes for one in node.devices)
    return DeviceRequest(name, number, device.key, _terms(pairs, number, others))


def _terms(
    pairs: Iterable[tuple[Node, Device]], number: int, others: bool
) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], ...]:
    """A term for each label key that names such a device; `others`: nodes have the same resource for something else."""
    values: dict[str, set[str]] = {}
    for node, device in pairs:
        if device.label:
            values.setdefault(device.label[0], set()).add(device.label[1])
        elif others:
            values.setdefault("kubernetes.io/hostname", set()).add(node.labels.get("kubernetes.io/hostname", node.name))
        else:
            return ()  # the resource alone says it
    topology = {node.labels[TPU_TOPOLOGY] for node, _ in pairs if TPU_TOPOLOGY in node.labels}
    extra = ((TPU_TOPOLOGY, tuple(sorted(topology & set(tpu_topologies(number))))),) if topology else ()
    return tuple(((key, tuple(sorted(found))), *extra) for key, found in sorted(values.items()))


def _blind(wanted: Accelerator) -> DeviceRequest:
    """For `render` without a cluster, and for users who may not read nodes."""
    name = wanted.name
    key, number = accelerators.resource(name), count(wanted)
    if wanted.memory is not None or not accelerators.parse(name).model:
        return DeviceRequest(name, number, key)
    low = accelerators.canonical(name).lower()
    model = accelerators.parse(name).model.lower()
    if name.lower().startswith("tpu"):
        return DeviceRequest(name, number, key, ((("cloud.google.com/gke-tpu-accelerator", (tpu_name(name),)),),))
    terms = (
        (("skypilot.co/accelerator", (low,)),),
        (("skypilot.co/accelerators", (low, low.upper())),),
        (("cloud.google.com/gke-accelerator", (f"nvidia-tesla-{low}", f"nvidia-{low}")),),
        (("karpenter.k8s.aws/instance-gpu-name", (model,)),),
        *(((("nvidia.com/gpu.product", found),),) if (found := products.labels(name)) else ()),
    )
    return DeviceRequest(name, number, key, terms)


_TPUS = (
    (r"tpu-v6e-\d+", "tpu-v6e-slice"), (r"tpu-v5(lite|e)(pod)?-\d+", "tpu-v5-lite-podslice"),
    (r"tpu-v5p-\d+", "tpu-v5p-slice"), (r"tpu-v4-\d+", "tpu-v4-podslice"),
)  # fmt: skip


def tpu_name(name: str) -> str:
    """Google Cloud's name of a slice as GKE's label has it: `tpu-v6e-8` -> `tpu-v6e-slice`; others as they are."""
    return next((label for pattern, label in _TPUS if re.fullmatch(pattern, name, re.I)), name)


def tpu_topologies(chips: int) -> tuple[str, ...]:
    """How chips of one machine may be wired."""
    return {1: ("1x1",), 4: ("2x2", "2x2x1"), 8: ("2x4",)}.get(chips, ())
