"""How a pod asks for accelerators: which resource, how many, on nodes with which labels. Pure.

A cluster may offer the same model in several ways: whole GPUs of a device plugin, MIG slices, time slices, dynamic
resource allocation. A pod can use one of them, so each way is a request of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from kubectl_sky import accelerators
from kubectl_sky.capacity import products
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.resources import Accelerator

TPU_TOPOLOGY = "cloud.google.com/gke-tpu-topology"
TOLERANCE = 0.01  # 1/7 of a GPU is written 0.14
Term = dict[str, Any]
# by an extended resource's domain
VISIBLE = {
    "nvidia.com": ["CUDA_VISIBLE_DEVICES"],
    "amd.com": ["ROCR_VISIBLE_DEVICES"],
    "gpu.intel.com": ["ZE_AFFINITY_MASK"],
    "habana.ai": ["HABANA_VISIBLE_MODULES"],
    "aws.amazon.com": ["NEURON_RT_VISIBLE_CORES"],
    "google.com": ["TPU_VISIBLE_CHIPS"],
}


@dataclass(frozen=True)
class DeviceRequest:
    """`count` of `key` a pod: an extended resource, or with `claim` a DeviceClass.

    `terms` are alternatives of required node affinity, () for none, each of (label, values), without values for nodes
    that do not have the label; `products` are what a claim's driver calls them.
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
        return [{"matchExpressions": [_expression(key, values) for key, values in term]} for term in self.terms]


def _expression(key: str, values: tuple[str, ...]) -> dict[str, Any]:
    if not values:
        return {"key": key, "operator": "DoesNotExist"}
    return {"key": key, "operator": "In", "values": list(values)}


@lru_cache(4096)  # of thousands of nodes many have the same devices
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
    # error correction and the driver keep some: an A10 has 22731 of 24576 MiB
    enough = device.memory >= wanted.memory * 0.9
    exact = wanted.at_least or device.memory <= wanted.memory * 1.12
    return enough and exact and _share_fits(wanted.count, device)


def _share_fits(count: float, device: Device) -> bool:
    """A whole number of devices are whole ones; a part of one is a slice that is no smaller."""
    if count >= 1:
        return device.whole and count == int(count)
    return not device.whole and device.share >= count - TOLERANCE


def is_whole(wanted: Accelerator) -> bool:
    """Whether it is a number of devices, or of slices that are named, and not a part of one."""
    return wanted.count == int(wanted.count)


def visible(resource: str) -> list[str]:
    """The variables by which a program is told which of a node's accelerators (an extended resource) are its own."""
    return VISIBLE.get(resource.partition("/")[0], VISIBLE["nvidia.com"])


def count(wanted: Accelerator, device: Device | None = None) -> int:
    """How many of the resource a pod asks for; a part of a device is one slice, `tpu-v6e-8` eight chips."""
    if wanted.count == 1 and (chips := _tpu(wanted.name)[1]):
        return chips
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
            if device.total and fits(wanted, device) and _wired(node, count(wanted, device)):
                ways.setdefault((device.key, device.claim, -device.share), []).append((node, device))
    return [_way(wanted, pairs, known) for _, pairs in sorted(ways.items(), key=lambda one: _rank(wanted, one[0]))]


def _rank(wanted: Accelerator, way: tuple[str, bool, float]) -> tuple[bool, float, bool, str]:
    """Device plugins first; of slices the smallest that is enough; what most images are made for before the rest."""
    key, claim, share = way
    return claim, share if wanted.count >= 1 else -share, not key.startswith("nvidia.com/"), key


def _way(wanted: Accelerator, pairs: Sequence[tuple[Node, Device]], nodes: Iterable[Node]) -> DeviceRequest:
    device = pairs[0][1]
    name = wanted.name if wanted.memory is None else " or ".join(sorted({one.name for _, one in pairs}))
    number = count(wanted, device)
    if device.claim:
        products = tuple(sorted({one.product for _, one in pairs}))
        return DeviceRequest(name, number, device.key, (), True, products, device.driver)
    fitting = {one for _, one in pairs}
    strangers = [
        node for node in nodes for one in node.devices if one.key == device.key and one.total and one not in fitting
    ]
    return DeviceRequest(name, number, device.key, _terms(pairs, strangers))


_Term = tuple[tuple[str, tuple[str, ...]], ...]
# labels that tell apart what has the same name: parts of a device from whole ones, sizes of memory
_APART = (
    accelerators.PARTITION_LABEL, accelerators.SHARING_LABEL, accelerators.CLIENTS_LABEL, *accelerators.MEMORY_LABELS,
    "nvidia.com/gpu.product", *accelerators.INSTANCE_TYPES,
)  # fmt: skip
_HOSTNAME = "kubernetes.io/hostname"


def _terms(pairs: Iterable[tuple[Node, Device]], strangers: Sequence[Node]) -> tuple[_Term, ...]:
    """A term for each label key that names such a device; `strangers` have the same resource for something else."""
    named: dict[tuple[str, str], list[Node]] = {}
    unnamed = []
    for node, device in pairs:
        if device.label:
            named.setdefault(device.label, []).append(node)
        elif strangers:
            unnamed.append(node)
        else:
            return ()  # the resource alone says it
    values: dict[tuple[str, _Term], set[str]] = {}
    for (key, value), nodes in named.items():
        same = [node for node in strangers if node.labels.get(key) == value]
        values.setdefault((key, (*_apart(nodes, same), *_topology(nodes))), set()).add(value)
    if unnamed:
        values[_HOSTNAME, ()] = {node.labels.get(_HOSTNAME, node.name) for node in unnamed}
    return tuple(((key, tuple(sorted(found))), *more) for (key, more), found in sorted(values.items()))


def _apart(nodes: Sequence[Node], others: Sequence[Node]) -> _Term:
    """What `nodes` have, and none of the `others` whose label says the same."""
    if not others:
        return ()
    for key in _APART:
        here, there = {node.labels.get(key) for node in nodes}, {node.labels.get(key) for node in others}
        if not here & there and (None not in here or len(here) == 1):
            return ((key, tuple(sorted(value for value in here if value is not None))),)
    return ((_HOSTNAME, tuple(sorted(node.labels.get(_HOSTNAME, node.name) for node in nodes))),)


def _topology(nodes: Sequence[Node]) -> _Term:
    found = {node.labels[TPU_TOPOLOGY] for node in nodes if TPU_TOPOLOGY in node.labels}
    return ((TPU_TOPOLOGY, tuple(sorted(found))),) if found else ()


def _wired(node: Node, chips: int) -> bool:
    """Whether so many chips are a slice of TPUs on such a machine by itself."""
    topology = node.labels.get(TPU_TOPOLOGY)
    return topology is None or topology in tpu_topologies(chips)


def _blind(wanted: Accelerator) -> DeviceRequest:
    """For `render` without a cluster, and for users who may not read nodes: all labels that would say it."""
    name = wanted.name
    key, number, maker = accelerators.resource(name), count(wanted), accelerators.vendor(name)
    model = accelerators.parse(name).model
    if maker == accelerators.GOOGLE:
        return DeviceRequest(name, number, key, ((("cloud.google.com/gke-tpu-accelerator", (tpu_name(name),)),),))
    if maker == accelerators.AWS:
        return DeviceRequest(name, number, key, ((("karpenter.k8s.aws/instance-accelerator-name", (model.lower(),)),),))
    if maker != accelerators.NVIDIA or not (model or wanted.memory):
        return DeviceRequest(name, number, key)
    # a slice's node is labelled as its GPU
    whole = replace(wanted, name=re.sub(r"[-_ ]MIG[-_ ].*", "", name, flags=re.I), count=1)

    def is_it(one: str) -> bool:
        return fits(whole, Device(one, key, 1, accelerators.memory(one)))

    known = [one for one in products.names() if is_it(one)] or [accelerators.canonical(whole.name)]
    low = tuple(sorted({one.lower() for one in known}))
    terms = [
        (("skypilot.co/accelerator", low),),
        (("skypilot.co/accelerators", (*low, *sorted({one.upper() for one in known} - set(low)))),),
        (("cloud.google.com/gke-accelerator", products.labels(products.GKE, is_it)),),
        *_karpenter(known),
        (("nvidia.com/gpu.product", products.labels(products.NVIDIA, is_it)),),
    ]
    return DeviceRequest(name, number, key, tuple(term for term in terms if term[0][1]))


def _karpenter(known: Iterable[str]) -> list[_Term]:
    """Its label does not tell sizes of memory apart, another does."""
    sizes: dict[str, set[float]] = {}
    for one in known:
        sizes.setdefault(accelerators.parse(one).model, set()).add(accelerators.memory(one) or 0)
    whole = sorted(model.lower() for model, found in sizes.items() if found >= set(accelerators.MODELS.get(model, ())))
    terms: list[_Term] = [(("karpenter.k8s.aws/instance-gpu-name", tuple(whole)),)] if whole else []
    for model, found in sorted(sizes.items()):
        if model.lower() not in whole:
            memory = tuple(f"{size * 1024:.0f}" for size in sorted(found))
            name = ("karpenter.k8s.aws/instance-gpu-name", (model.lower(),))
            terms.append((name, ("karpenter.k8s.aws/instance-gpu-memory", memory)))
    return terms


_TPUS = (
    (r"tpu-v6e-(\d+)", "tpu-v6e-slice"), (r"tpu-v5(?:litepod|e)-(\d+)", "tpu-v5-lite-podslice"),
    (r"tpu-v5lite-(\d+)", "tpu-v5-lite-device"), (r"tpu-v5p-(\d+)", "tpu-v5p-slice"),
    (r"tpu-v4-(\d+)", "tpu-v4-podslice"),
)  # fmt: skip


def tpu_name(name: str) -> str:
    """Google Cloud's name of a slice as GKE's label has it: `tpu-v6e-8` -> `tpu-v6e-slice`; others as they are."""
    return _tpu(name)[0]


@lru_cache(256)
def _tpu(name: str) -> tuple[str, int]:
    """GKE's name and the chips: `tpu-v6e-8` -> (`tpu-v6e-slice`, 8), as in SkyPilot; 0 for names that tell none."""
    for pattern, label in _TPUS:
        if found := re.fullmatch(pattern, name, re.I):
            return label, int(found[1])
    return name, 0


def tpu_topologies(chips: int) -> tuple[str, ...]:
    """How chips of one machine may be wired."""
    return {1: ("1x1",), 4: ("2x2", "2x2x1"), 8: ("2x4",)}.get(chips, ())
