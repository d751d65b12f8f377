"""Nodes that say they have GPUs, with the labels of NVIDIA's GPU feature discovery."""

from __future__ import annotations

import json

from tests.cluster.control import kubectl
from tests.cluster.settings import Node, Version

RESOURCE = "nvidia.com/gpu"
LABELS = {"product": "NVIDIA-H100-80GB-HBM3", "memory": "81559", "family": "hopper", "present": "true"}


def add_gpus(node: Node, version: Version, count: int) -> None:
    """Gives the node `count` H100s. kubelet keeps resources of a node's status that it does not know."""
    labels = {f"{RESOURCE}.{key}": value for key, value in {**LABELS, "count": str(count)}.items()}
    kubectl(version, "patch", "node", node.name, "-p", json.dumps({"metadata": {"labels": labels}}))
    amount = {RESOURCE: str(count)}
    status = {"status": {"capacity": amount, "allocatable": amount}}
    kubectl(version, "patch", "node", node.name, "--subresource=status", "-p", json.dumps(status))
