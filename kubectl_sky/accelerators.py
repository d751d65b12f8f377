"""Accelerators as data: the labels by which clusters name them and the resources by which pods ask for them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

# label keys whose values name the accelerator of a node, most exact first
LABELS = (
    "skypilot.co/accelerator",
    "skypilot.co/accelerators",
    "cloud.google.com/gke-accelerator",
    "cloud.google.com/gke-tpu-accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.k8s.aws/instance-accelerator-name",
    "nvidia.com/gpu.product",
    "gpu.nvidia.com/class",
    "nebius.com/gpu-name",
    "amd.com/gpu.product-name",
)
# (how the accelerator's name begins, the pod resource), first match wins
RESOURCES = (
    (r"tpu", "google.com/tpu"),
    (r"trainium|inferentia", "aws.amazon.com/neuron"),
    (r"mi\d+", "amd.com/gpu"),
    (r"gaudi", "habana.ai/gaudi"),
    (r"", "nvidia.com/gpu"),
)
DEFAULT = "nvidia.com/gpu"


def resource(name: str) -> str:
    """The extended resource of an accelerator: `H100` -> `nvidia.com/gpu`."""
    return next(key for start, key in RESOURCES if re.match(start, name.lower()))


def count(wanted: float) -> int:
    """Devices a pod must ask for: fractions are rounded up, Kubernetes has whole ones only."""
    return math.ceil(wanted)


def words(value: str) -> list[str]:
    """The parts of a product's name: `NVIDIA-H100-80GB-HBM3` -> nvidia, h100, 80gb, hbm3."""
    return [word for word in re.split(r"[^a-z0-9]+", value.lower()) if word]


def matches(wanted: str, value: str) -> bool:
    """Whether a node with that label value has the accelerator: all words of the wanted name are in it.

    `H100` matches `NVIDIA-H100-80GB-HBM3`, `A100-80GB` never an A100 of 40 GB, `L4` never an `L40`.
    """
    have = words(value)
    return bool(words(wanted)) and all(word in have for word in words(wanted))


def affinity(wanted: str, nodes: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    """Required node affinity for an accelerator: every label value on `nodes` that means it.

    `nodes` None means that they could not be read: the well-known spellings are asked for instead.
    """
    found: dict[str, set[str]] = {}
    for node in nodes or ():
        labels = node["metadata"].get("labels") or {}
        key = next((k for k in LABELS if k in labels and matches(wanted, labels[k])), None)
        if key:
            found.setdefault(key, set()).add(labels[key])
    if not found:
        low = wanted.lower()
        found = {"skypilot.co/accelerator": {low}, "skypilot.co/accelerators": {low, wanted.upper()}}
        found["cloud.google.com/gke-accelerator"] = {f"nvidia-tesla-{low}", f"nvidia-{low}"}
        found["karpenter.k8s.aws/instance-gpu-name"] = {low}
    terms = [
        {"matchExpressions": [{"key": key, "operator": "In", "values": sorted(values)}]}
        for key, values in found.items()
    ]
    return {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
