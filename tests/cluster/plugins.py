"""Fake devices of a node that kubelet itself hands out: plugins of kubelet's, as daemons of the cluster."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping

from tests.cluster.control import kubectl
from tests.cluster.process import command_line, daemons, end, spawn_module, wait_for
from tests.cluster.settings import ROOT, ClusterError, Node, Version


def start_device_plugin(node: Node, version: Version, amounts: Mapping[str, int]) -> None:
    """Gives the node so many devices of each resource, instead of those of an earlier plugin; none ends the plugin."""
    stop("device_plugin", node)
    if not amounts:
        return
    start("device_plugin", node, *(f"{resource}={count}" for resource, count in amounts.items()))

    def allocatable() -> bool:
        have = json.loads(kubectl(version, "get", "node", node.name, "-o", "json"))["status"]["allocatable"]
        return all(have.get(resource) == str(count) for resource, count in amounts.items())

    wait_for(f"the devices of {node.name}", allocatable, 30, log=f"{node.name}-device_plugin")


def start_dra_plugin(node: Node, version: Version, count: int, product: str, memory: str) -> None:
    """Gives the node `count` GPUs that pods claim by resource.k8s.io/v1; none ends the plugin."""
    if int(version.minor.split(".")[1]) < 34:
        raise ClusterError(f"Kubernetes {version.minor} has no resource.k8s.io/v1: 1.34 or later is needed")
    stop("dra_plugin", node)
    if not count:
        return
    start("dra_plugin", node, version.minor, str(count), product, memory)
    log = ROOT / f"{node.name}-dra_plugin.log"
    wait_for(f"the GPUs of {node.name}", lambda: "published" in log.read_text(), 30, log=log.stem)


def start_csi_plugin(node: Node, version: Version, driver: str, config: str) -> None:
    """Lets the node mount buckets by a CSI driver of that name; `config`: rclone's file with a section [bucket]."""
    stop("csi_plugin", node)
    spec = {"attachRequired": False, "podInfoOnMount": True, "volumeLifecycleModes": ["Persistent", "Ephemeral"]}
    about = {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": driver}, "spec": spec}
    kubectl(version, "apply", "-f", "-", stdin=json.dumps(about))
    start("csi_plugin", node, driver, config)
    log = ROOT / f"{node.name}-csi_plugin.log"
    wait_for(f"the driver {driver}", lambda: "ready" in log.read_text(), 30, log=log.stem)


def stop_csi_plugin(node: Node, version: Version, driver: str) -> None:
    """Takes that away."""
    kubectl(version, "delete", "csidriver", driver, "--ignore-not-found")
    stop("csi_plugin", node)


def start(module: str, node: Node, *arguments: str) -> None:
    """Starts tests.cluster.MODULE with the node's folder and the arguments."""
    if not importlib.util.find_spec("grpc"):
        raise ClusterError("kubelet's plugins speak gRPC: pip install grpcio (it is one of the project's dev extras)")
    (ROOT / f"{node.name}-{module}.log").write_text("")
    spawn_module(f"{node.name}-{module}", f"tests.cluster.{module}", [node.dir, *arguments], node.netns)


def stop(module: str, node: Node) -> None:
    """Ends the node's plugin, if there is one."""
    end([pid for pid in daemons(f"tests.cluster.{module}") if str(node.dir) in command_line(pid)], grace=2)
