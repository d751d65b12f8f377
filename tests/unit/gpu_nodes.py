"""Nodes, tasks and places for the tests of accelerators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubectl_sky import resources
from kubectl_sky.capacity import nodes
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.capacity.pricing import Prices
from kubectl_sky.capacity.usage import Holding, Usage
from kubectl_sky.optimizer import Place
from kubectl_sky.task import Resources, Task

GPU, GFD, MEMORY = "nvidia.com/gpu", "nvidia.com/gpu.product", "nvidia.com/gpu.memory"
GKE, SHARING = "cloud.google.com/gke-accelerator", "cloud.google.com/gke-gpu-sharing-strategy"
KARPENTER, TYPE = "karpenter.k8s.aws/instance-gpu-name", "node.kubernetes.io/instance-type"
HOSTNAME = "kubernetes.io/hostname"
H100, A100, T4 = {GFD: "NVIDIA-H100-80GB-HBM3"}, {GFD: "NVIDIA-A100-SXM4-40GB"}, {GFD: "Tesla-T4"}


def raw(
    name: str = "n", labels: Mapping[str, str] | None = None, devices: Mapping[str, int] | None = None,
    taints: Iterable[tuple[str, str, str]] = (), ready: str = "True", cordoned: bool = False, cpu: str = "64",
    memory: str = "256Gi",
) -> dict[str, Any]:  # fmt: skip
    """A node as the API server sends it."""
    made = {"cpu": cpu, "memory": memory, "pods": "110", **{key: str(count) for key, count in (devices or {}).items()}}
    return {
        "metadata": {"name": name, "labels": {HOSTNAME: name, **(labels or {})}},
        "spec": {
            "unschedulable": cordoned,
            "taints": [{"key": key, "value": value, "effect": effect} for key, value, effect in taints],
        },
        "status": {"allocatable": made, "conditions": [{"type": "Ready", "status": ready}]},
    }


def node(name: str = "n", labels: Mapping[str, str] | None = None, gpus: int = 8, **more: Any) -> Node:
    """A node with that many nvidia.com/gpu, unless `devices` says otherwise."""
    return nodes.read(raw(name, labels, more.pop("devices", {GPU: gpus}), **more))


def task(*accelerators: str, nodes: int = 1, **more: Any) -> Task:
    found = tuple(resources.accelerator(text) for text in accelerators)
    return Task(num_nodes=nodes, resources=Resources(accelerators=found, **more))


def place(*found: Node, context: str = "ctx", held: Iterable[Holding] = (), **more: Any) -> Place:
    return Place(context, found, Usage(held), **more)


def held(on: str, pod: str = "p", **amounts: float) -> Holding:
    return Holding("ml", pod, on, {GPU if key == "gpu" else key: amount for key, amount in amounts.items()})


def prices(**of: float) -> Prices:
    return Prices(accelerators={key.replace("_", "-"): price for key, price in of.items()})
