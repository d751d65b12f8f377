"""`check`: whether the cluster's accelerators can be used, and if not, why. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from kubectl_sky import accelerators
from kubectl_sky.accelerators import AMD, AWS, GOOGLE, INTEL, NVIDIA
from kubectl_sky.capacity import instance_types
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.checks.findings import INFO, OK, WARNING, Finding, Seen, some

_MAKERS = {NVIDIA: "NVIDIA", AMD: "AMD", INTEL: "Intel", GOOGLE: "Google TPU", AWS: "AWS Neuron"}
# how their device plugins come to the nodes
INSTALL = {
    NVIDIA: "install the NVIDIA device plugin (https://github.com/NVIDIA/k8s-device-plugin), or the GPU operator, "
    "which brings the drivers too",
    AMD: "install the AMD device plugin, or the AMD GPU operator: https://github.com/ROCm/k8s-device-plugin",
    INTEL: "install Intel's device plugins (https://github.com/intel/intel-device-plugins-for-kubernetes), for Gaudi "
    "the Gaudi base operator",
    GOOGLE: "GKE installs the TPU device plugin itself: kubectl describe node",
    AWS: "install the Neuron device plugin: https://awsdocs-neuron.readthedocs-hosted.com (Kubernetes)",
}
# of node feature discovery and GPU feature discovery, and the PCI vendors (with their class before or after)
_FEATURES = (
    (re.compile(r"nvidia\.com/gpu\.present"), NVIDIA),
    (re.compile(r"feature\.node\.kubernetes\.io/pci-(?:03\d\d_)?10de(?:_.*)?\.present"), NVIDIA),
    (re.compile(r"feature\.node\.kubernetes\.io/(?:amd-gpu|pci-(?:03\d\d_|1200_)?1002(?:_.*)?\.present)"), AMD),
    (re.compile(r"feature\.node\.kubernetes\.io/pci-(?:1200_)?1da3(?:_.*)?\.present"), INTEL),
    (re.compile(r"intel\.feature\.node\.kubernetes\.io/(?:gpu|gaudi)"), INTEL),
)


def sign(node: Node) -> tuple[str, str] | None:
    """(maker, what says so) when something says that the node has accelerators: a label, its machine type."""
    for maker in _MAKERS:
        found = accelerators.named(node.labels, maker)
        if found:
            return maker, f"{found[1][0]}={found[1][1]}"
    name = instance_types.accelerator(node.instance_type)
    if name:
        return accelerators.vendor(name), f"machine type {node.instance_type}"
    for key, value in node.labels.items():
        for pattern, maker in _FEATURES:
            if value == "true" and pattern.fullmatch(key):
                return maker, f"{key}=true"
    return None


def check_gpus(seen: Seen) -> Iterable[Finding]:
    if seen.nodes is None:
        text = "whether there are GPUs is not known, as nodes may not be read; tasks with GPUs are tried all the same"
        yield Finding("gpus", INFO, text)
        return
    having: list[Node] = []
    lacking: list[Node] = []
    for node in seen.nodes:
        (having if any(device.total for device in node.devices) else lacking).append(node)
    if having:
        yield _there(having)
    yield from _without_resource(lacking)
    yield from _without_name(having)
    yield from _dynamic(seen)
    if not having and not any(node.devices or sign(node) for node in lacking) and not seen.classes:
        text = "no node has GPUs: tasks that ask for some are refused, unless an autoscaler may add nodes"
        yield Finding("gpus", INFO, text)


def _there(having: Sequence[Node]) -> Finding:
    totals: Counter[str] = Counter()
    for (name, key), (total, _) in counted(having).items():
        totals[name or f"of {key}, of unknown kind"] += total
    text = f"{some(f'{total} {what}' for what, total in totals.most_common())} on {_nodes(len(having))}"
    usable = [node for node in having if node.usable]
    if not usable:
        what = "of these nodes none is" if len(having) > 1 else "the node is not"
        text += f", but {what} ready for pods: {some(f'{node.name} is {node.state}' for node in having)}"
        return Finding(
            "gpus", WARNING, text, f"kubectl describe node {having[0].name}; kubectl uncordon NODE, if you may"
        )
    if len(usable) < len(having):
        away = [f"{node.name} is {node.state}" for node in having if not node.usable]
        text += f" ({len(usable)} of them ready; {some(away)})"
    return Finding("gpus", OK, text)


def counted(nodes: Iterable[Node]) -> dict[tuple[str, str], tuple[int, int]]:
    """(name, resource) -> (how many there are, on how many nodes); most first."""
    totals: Counter[tuple[str, str]] = Counter()
    on: Counter[tuple[str, str]] = Counter()
    for node in nodes:
        for device in node.devices:
            if device.total:
                totals[device.name, device.key] += device.total
                on[device.name, device.key] += 1
    return {kind: (total, on[kind]) for kind, total in totals.most_common()}


def _without_resource(lacking: Sequence[Node]) -> Iterable[Finding]:
    """Nodes that should have accelerators, but offer none: no device plugin, or one that finds nothing."""
    empty = [node for node in lacking if node.devices]
    if empty:
        keys = sorted({device.key for node in empty for device in node.devices})
        text = f"{_names(empty)}: 0 of {', '.join(keys)}: the device plugin finds no device that works"
        hint = f"its driver may be missing or broken: kubectl describe node {empty[0].name}; see the plugin's log"
        yield Finding("gpus", WARNING, text, hint)
    for maker, found in _by_maker(node for node in lacking if not node.devices).items():
        nodes = [node for node, _ in found]
        text = f"{_names(nodes)}: no {_MAKERS[maker]} device is offered to pods, though there should be: {found[0][1]}"
        ready = [node for node in nodes if node.ready]
        yield Finding("gpus", WARNING, text, INSTALL[maker] if ready else f"kubectl describe node {nodes[0].name}")


def _by_maker(nodes: Iterable[Node]) -> dict[str, list[tuple[Node, str]]]:
    found: dict[str, list[tuple[Node, str]]] = {}
    for node in nodes:
        told = sign(node)
        if told:
            found.setdefault(told[0], []).append((node, told[1]))
    return found


def _without_name(having: Sequence[Node]) -> Iterable[Finding]:
    """Resources, but nothing that tells which kind: a task cannot ask for A100."""
    nameless = [node for node in having if any(not one.name and one.total and not one.claim for one in node.devices)]
    if nameless:
        text = f"{_names(nameless)}: nothing tells which kind of GPU {'they have' if len(nameless) > 1 else 'it has'}"
        yield Finding("gpus", WARNING, text, "kubectl sky label-gpus (an administrator, once)")


def _dynamic(seen: Seen) -> Iterable[Finding]:
    if not seen.classes:
        return
    claims: list[Device] = [one for node in seen.nodes or () for one in node.devices if one.claim and one.total]
    text = f"dynamic resource allocation: DeviceClass{'es' * (len(seen.classes) > 1)} {some(seen.classes)}"
    if claims:
        yield Finding("dra", OK, text)
    else:
        text += ", but no ResourceSlice of a node has such devices"
        yield Finding("dra", WARNING, text, "does the driver run on the nodes? kubectl get resourceslices")


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"


def _names(nodes: Sequence[Node]) -> str:
    if len(nodes) == 1:
        return nodes[0].name
    return f"{len(nodes)} nodes ({some([node.name for node in nodes], 3)})"
