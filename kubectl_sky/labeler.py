"""Which nodes get which GPU label, and from what; the probe Job of those on which nothing tells it. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kubectl_sky import accelerators
from kubectl_sky.accelerators import SKY_LABELS
from kubectl_sky.capacity import instance_types, nodes
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.labels import gpu_probe

KEEP, LABEL, PROBE, FAIL = "keep", "label", "probe", "fail"
SELECTOR = "job=sky-gpu-labeler"  # SkyPilot's: who knows it finds ours
NODE_ANNOTATION = "kubectl-sky/node"
CONTAINER = "probe"
DEADLINE_SECONDS = 1200  # of a probe, its image's pull included: as long as SkyPilot's labeler waits
KEEP_SECONDS = 86400  # how long a result can be fetched after --no-wait or a killed client
# what NFD, cloud providers and NVIDIA's operator say of a node with GPUs that does not offer them (yet)
_LOOKS = re.compile(
    r"feature\.node\.kubernetes\.io/pci-(\w+_)?(10de|1002|1da3)(_\w+)?\.present=true"
    r"|feature\.node\.kubernetes\.io/pci-(0380|0302|1200)_8086(_\w+)?\.present=true"
    r"|(nvidia|amd)\.com/gpu(\.present)?=true|cloud\.google\.com/gke-gpu=true"
    r"|(kubernetes\.azure\.com/|k8s\.amazonaws\.com/)?accelerator=(nvidia|amd).*"
)
_VENDORS = (accelerators.NVIDIA, accelerators.AMD, accelerators.INTEL, accelerators.AWS)
RULES = """\
rules:                        # of a ClusterRole
- apiGroups: [""]
  resources: ["nodes"]
  verbs: ["get", "list", "patch"]
---
rules:                        # of a Role in namespace {namespace}, for nodes on which nothing tells the GPU
- apiGroups: ["batch"]
  resources: ["jobs"]
  verbs: ["create", "delete", "get", "list", "watch"]
- apiGroups: [""]
  resources: ["pods", "pods/log", "events"]
  verbs: ["get", "list", "watch"]"""


@dataclass(frozen=True)
class Step:
    """What is to be done with a node with GPUs, or has been.

    `gpu` is canonical; `source` what tells it; `product` what the GPU calls itself; `note` what a person should know;
    `devices` how many the node offers, by resource. FAIL has its reason in `note`, the next step in `hint`.
    """

    node: str
    action: str
    gpu: str = ""
    source: str = ""
    product: str = ""
    note: str = ""
    hint: str = ""
    devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def value(self) -> str:
        return label_value(self.gpu)


def plan(found: Iterable[Node], wanted: Iterable[str] = (), overwrite: bool = False) -> list[Step]:
    """A step for each node that has accelerators or is in `wanted` (then only for those), in the nodes' order."""
    names = set(wanted)
    steps = (_step(node, overwrite, node.name in names) for node in found if not names or node.name in names)
    return [step for step in steps if step]


def _step(node: Node, overwrite: bool, asked: bool) -> Step | None:
    bare = _without_sky_labels(node)
    there = node.labels.get(SKY_LABELS[0], "")
    if not (there or asked or bare.devices or _named(bare.labels) or _looks(bare.labels)):
        return None
    devices = {device.key: device.total for device in node.devices if not device.claim}
    told = _told(bare)
    if there and not overwrite:
        name = accelerators.canonical(there)
        note = f"{told[1]} says {told[0]}: --overwrite corrects it" if told and told[0] != name else ""
        return Step(node.name, KEEP, name, f"label {SKY_LABELS[0]}", note=note, devices=devices)
    twin = node.labels.get(SKY_LABELS[1], "")
    if twin and not overwrite:
        told = accelerators.canonical(twin), f"label {SKY_LABELS[1]}", ""
    if told:
        return Step(node.name, LABEL, told[0], told[1], told[2], devices=devices)
    tpus = [device for device in node.devices if device.key == "google.com/tpu"]
    if tpus:  # the labels of GKE say it, with the topology: nothing else is needed
        return Step(node.name, KEEP, tpus[0].name, f"resource {tpus[0].key}", devices=devices)
    if not node.ready:
        return Step(node.name, FAIL, note="the node is not ready", hint=f"kubectl describe node {node.name}")
    return Step(node.name, PROBE, devices=devices)


def _without_sky_labels(node: Node) -> Node:
    """The node as if nobody had labelled it."""
    if not any(key in node.labels for key in SKY_LABELS):
        return node
    labels = {key: value for key, value in node.labels.items() if key not in SKY_LABELS}
    bare = nodes.read({"metadata": {"name": node.name, "labels": labels}, "status": {"allocatable": node.allocatable}})
    return nodes.with_devices(bare, [device for device in node.devices if device.claim])


def _told(node: Node) -> tuple[str, str, str] | None:
    """(canonical name, what tells it, what it says), by the node's labels or machine type."""
    if not node.devices:
        return _named(node.labels)
    counts: Counter[tuple[str, str, str]] = Counter()
    for device in node.devices:
        name = _label_name(device)
        if name and (device.label or device.claim):
            what, says = _source(device)
            counts[_exact(name, node), what, says] += device.total
    return max(counts, key=lambda one: counts[one]) if counts else None


def _label_name(device: Device) -> str:
    """What a device makes its node's label: a resource of MIG slices says its own profile, the label the GPU."""
    if device.key.startswith("nvidia.com/mig-"):
        return device.name.rpartition("-MIG-")[0]
    return device.name if device.key != "google.com/tpu" else ""


def _named(labels: Mapping[str, str]) -> tuple[str, str, str] | None:
    """The same for a node that offers no devices (yet): its labels, then its machine type."""
    for vendor in _VENDORS:
        found = accelerators.named(labels, vendor)
        if found:
            return (
                accelerators.canonical(found[0], accelerators.labelled_memory(labels)),
                f"label {found[1][0]}",
                found[0],
            )
    for key in accelerators.INSTANCE_TYPES:
        name = instance_types.accelerator(labels.get(key, ""))
        if name:
            return name, "instance type", labels[key]
    return None


def _exact(name: str, node: Node) -> str:
    """With its memory, where the label leaves it out and the machine type tells: a p4de has an `a100` of 80 GB."""
    machine = instance_types.accelerator(node.instance_type)
    one, other = accelerators.parse(name), accelerators.parse(machine)
    return machine if machine and one.model == other.model and not one.memory and not one.slice else name


def _source(device: Device) -> tuple[str, str]:
    if device.label is None:
        return (f"ResourceSlice of {device.driver}", device.product) if device.claim else (f"resource {device.key}", "")
    key, value = device.label
    return ("instance type" if key in accelerators.INSTANCE_TYPES else f"label {key}"), value


def _looks(labels: Mapping[str, str]) -> bool:
    return any(_LOOKS.fullmatch(f"{key}={value}") for key, value in labels.items())


def label_value(gpu: str) -> str:
    """As SkyPilot wants it: `A100-80GB` -> `a100-80gb`."""
    return re.sub(r"[^a-z0-9._-]+", "-", gpu.lower())[:63].strip("-._")


def labels(gpu: str) -> dict[str, str]:
    return dict.fromkeys(SKY_LABELS, label_value(gpu))


# -- probes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProbeOptions:
    """`privileged`: it may see the node's own file system; Pod Security forbids that in some namespaces."""

    namespace: str
    image: str
    pull_policy: str = "IfNotPresent"
    privileged: bool = True


def job(node: str, options: ProbeOptions) -> dict[str, Any]:
    """The probe of a node. Its name changes with whatever matters to what it finds."""
    template = {
        "metadata": {"labels": _labels(), "annotations": {NODE_ANNOTATION: node}},
        "spec": _pod_spec(node, options),
    }
    key = hashlib.sha256(f"{node} {options} {gpu_probe.SCRIPT}".encode()).hexdigest()[:8]
    slug = re.sub(r"[^a-z0-9-]+", "-", node.lower())[:28].strip("-")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"sky-gpu-labeler-{slug}-{key}",
            "namespace": options.namespace,
            "labels": _labels(),
            "annotations": {NODE_ANNOTATION: node},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": KEEP_SECONDS,
            "template": template,
        },
    }


def _labels() -> dict[str, str]:
    key, _, value = SELECTOR.partition("=")
    return {key: value, "app.kubernetes.io/name": "kubectl-sky-gpu-labeler"}


def _pod_spec(node: str, options: ProbeOptions) -> dict[str, Any]:
    """No GPU is asked for and the scheduler is not: a full, tainted or cordoned node is reached all the same."""
    env = {"NODE_NAME": node}
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.image,
        "imagePullPolicy": options.pull_policy,
        "command": ["sh", "-c", gpu_probe.SCRIPT],
        "resources": {"requests": {"cpu": "0", "memory": "0"}, "limits": {"cpu": "1", "memory": "512Mi"}},
    }
    spec: dict[str, Any] = {
        "nodeName": node,
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
    }
    if options.privileged:
        # where NVIDIA's runtime is the default one, it brings nvidia-smi along
        env |= {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "utility"}
        container["securityContext"] = {"privileged": True, "runAsUser": 0}
        container["volumeMounts"] = [{"name": "host", "mountPath": "/host", "readOnly": True}]
        spec["volumes"] = [{"name": "host", "hostPath": {"path": "/", "type": "Directory"}}]
    else:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        spec["securityContext"] = {
            "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip
    container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    return spec


def concluded(step: Step, found: gpu_probe.Findings, privileged: bool = True) -> Step:
    """The step after its probe: LABEL with what was found, or FAIL."""
    names = found.names()
    if not names:
        blind = "" if privileged else "; the probe might not use the node's own tools: privileged pods are refused"
        return replace(step, action=FAIL, note=_nothing(found) + blind, hint=_nothing_hint(step.node, found))
    (name, count), *others = names.most_common()
    notes = []
    if others:
        rest = ", ".join(f"{number} {other}" for other, number in others)
        notes.append(f"has different GPUs, and the label is of those that it has most of: {count} {name}, {rest}")
    if (
        not found.products
        and not found.drivers
        and accelerators.vendor(name) in (accelerators.NVIDIA, accelerators.AMD)
    ):
        notes.append("no driver answers on it: pods cannot use its GPUs before one is installed")
    profiles = set(found.slices)
    if len(profiles) == 1 and step.devices.get("nvidia.com/gpu") == len(found.slices):
        name = f"{name}-MIG-{profiles.pop()}"  # the "single" strategy: its nvidia.com/gpu are slices
    return replace(
        step, action=LABEL, gpu=name, source=found.told_by(), product=found.product(names.most_common(1)[0][0]),
        note="; ".join(notes),
    )  # fmt: skip


def _nothing(found: gpu_probe.Findings) -> str:
    text = "no GPU was found on it"
    if found.pci:
        text = f"its GPU is not known here, and no driver names it: PCI id {', '.join(sorted(set(found.pci)))}"
    return "; ".join([text, *found.notes[:3]])


def _nothing_hint(node: str, found: gpu_probe.Findings) -> str:
    drivers = "are its drivers installed, and do they match its kernel?"
    if not (found.pci or found.notes):
        drivers = "if it has one: are its drivers installed?"
    return f"{drivers} Or name it by hand: kubectl label node {node} {SKY_LABELS[0]}=NAME"
