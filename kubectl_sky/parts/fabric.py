"""network_tier: best: the fast network of the nodes that the task can go to, as their cloud hands it to pods. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kubectl_sky import names
from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.parts.part import Fields, Part

ZONE = "topology.kubernetes.io/zone"
EFA, TOGETHER, COREWEAVE = "vpc.amazonaws.com/efa", "nvidia.com/rdma_ib", "rdma/ib"
SHARED = "rdma/"  # the domain of the device plugins for RDMA
_MELLANOX = {"NCCL_IB_HCA": "mlx5", "UCX_NET_DEVICES": ",".join(f"mlx5_{number}:1" for number in range(8))}


@dataclass(frozen=True)
class Fabric:
    """`key`: the extended resource of its devices, "" where every pod sees them; `env` as SkyPilot sets it."""

    key: str
    count: int = 1
    env: Fields = field(default_factory=dict)
    one_zone: bool = False


def part(name: str, num_nodes: int, request: DeviceRequest | None, nodes: Sequence[Node] | None, level: str) -> Part:
    """What the pods of the task `name` need for it; where there is none, a note alone.

    `nodes` None when they may not be read; `level` of Pod Security that the namespace enforces.
    """
    if nodes is None:
        return _without("the nodes are not known (no cluster was asked, or it does not let you list nodes)")
    able = [node for node in nodes if _has(node, request)]
    found = next((fabric for look in _LOOKS for node in able if (fabric := look(node, request))), None)
    if found is None:
        return _without(_why(able))
    if level != "privileged":
        return _without(f"it needs the capability IPC_LOCK, which the namespace's Pod Security level {level} forbids")
    container: dict[str, object] = {"name": "task", "securityContext": {"capabilities": {"add": ["IPC_LOCK"]}}}
    if found.key:
        amount = {found.key: str(found.count)}
        container["resources"] = {"requests": amount, "limits": amount}
    pod: dict[str, object] = {"containers": [container]}
    if found.one_zone and num_nodes > 1:
        term = {"labelSelector": {"matchLabels": {names.INSTANCE: name}}, "topologyKey": ZONE}
        pod["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return Part(env=tuple({"name": key, "value": value} for key, value in found.env.items()), pod=pod)


def _without(why: str) -> Part:
    return Part(notes=(f"network_tier: best is ignored: {why}",))


def _has(node: Node, request: DeviceRequest | None) -> bool:
    """Whether the node has the accelerators that are asked for."""
    if request is None:
        return True
    if not any(device.key == request.key and device.total >= request.count for device in node.devices):
        return False
    terms = request.terms or ((),)
    return any(all(_matches(node, key, values) for key, values in term) for term in terms)


def _matches(node: Node, key: str, values: tuple[str, ...]) -> bool:
    return node.labels.get(key) in values if values else key not in node.labels


def _there(node: Node, key: str) -> int:
    return int(node.allocatable.get(key, 0))


def _coreweave(node: Node, _request: DeviceRequest | None) -> Fabric | None:
    env = {"NCCL_SOCKET_IFNAME": "eth0", "NCCL_IB_HCA": "ibp", "UCX_TLS": "tcp", "UCX_NET_DEVICES": "eth0"}
    labelled = any(key.startswith("ib.coreweave.cloud/") for key in node.labels)
    return Fabric(COREWEAVE, env=env) if labelled and _there(node, COREWEAVE) else None


def _together(node: Node, request: DeviceRequest | None) -> Fabric | None:
    return Fabric(TOGETHER, request.count, _MELLANOX) if request and _there(node, TOGETHER) else None


def _efa(node: Node, request: DeviceRequest | None) -> Fabric | None:
    """As large a part of the node's interfaces as of its GPUs."""
    interfaces = _there(node, EFA)
    gpus = next((device.total for device in node.devices if request and device.key == request.key), 0)
    if not interfaces or not gpus or not request:
        return None
    return Fabric(EFA, max(1, interfaces * request.count // gpus), {"FI_PROVIDER": "efa"}, one_zone=True)


def _nebius(node: Node, request: DeviceRequest | None) -> Fabric | None:
    return Fabric("", env=_MELLANOX) if request and any(key.startswith("nebius.com/") for key in node.labels) else None


def _plugin(node: Node, _request: DeviceRequest | None) -> Fabric | None:
    """Any other cluster with a device plugin for RDMA; NCCL finds such devices by itself."""
    key = next((key for key in sorted(node.allocatable) if key.startswith(SHARED) and _there(node, key)), None)
    return Fabric(key) if key else None


_LOOKS: tuple[Callable[[Node, DeviceRequest | None], Fabric | None], ...] = (
    _coreweave, _together, _efa, _nebius, _plugin,
)  # fmt: skip
_ORACLE = "oci.oraclecloud.com/rdma."
_GPUDIRECT = ("a3-", "a4-")  # GKE's machines with it


def _why(nodes: Sequence[Node]) -> str:
    by_hand = "give them in config.kubernetes.pod_config"
    if any(key.startswith(_ORACLE) for node in nodes for key in node.labels):
        return f"OCI's RDMA needs the host's network and privileged pods: {by_hand}"
    if any(node.instance_type.startswith(_GPUDIRECT) for node in nodes):
        return f"GKE's GPUDirect needs networks and daemons of its own: {by_hand}"
    return "no node that the task can go to has a fast network that is known here (EFA, rdma/..., InfiniBand)"
