"""The nodes and pods of a big cluster, as objects of the API: sizes, labels and images as they are in real ones."""

from __future__ import annotations

from typing import Any

from tests.cluster.vendors import TYPE, Vendor, vendors

NAMESPACES = tuple(f"team-{letter}" for letter in "abcdefgh")
KINDS = (*vendors(), Vendor("cpu", {TYPE: "m7i.24xlarge"}, {}))
# how the pods of a node share its accelerators, in eighths: the first pod's, the second's, ...
SHARES = ((8,), (4, 4), (1, 2, 4), (2, 2, 0, 1), (0, 1, 1), ())
REGISTRY = "registry.example.com/team/training"
NOW = "2026-01-01T00:00:00Z"
CONDITIONS = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}


def node_name(index: int) -> str:
    return f"{KINDS[index % len(KINDS)].name}-{index:05}"


def fake_node(index: int) -> dict[str, Any]:
    """A node that is ready: 96 cpus, 768 GiB, and the accelerators, labels and taints of one vendor."""
    kind, name = KINDS[index % len(KINDS)], node_name(index)
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name,
        "topology.kubernetes.io/region": "test-1",
        "topology.kubernetes.io/zone": f"test-1{'abc'[index % 3]}",
        TYPE: "test.24xlarge",
        **kind.labels,
    }
    taints = [{"key": key, "value": value, "effect": effect} for key, value, effect in kind.taints]
    metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
    return {"metadata": metadata, "spec": {"taints": taints}, "status": node_status(index, name, kind)}


def node_status(index: int, name: str, kind: Vendor) -> dict[str, Any]:
    """What kubelet would say of the node."""
    size = {"cpu": "96", "memory": "768Gi", "ephemeral-storage": "2Ti", "pods": "110", "hugepages-2Mi": "0"}
    capacity = {**size, **{resource: str(count) for resource, count in kind.resources.items()}}
    address = f"10.{128 + index // 65536}.{index // 256 % 256}.{index % 256}"
    info = {
        "architecture": "amd64", "operatingSystem": "linux", "osImage": "Ubuntu 24.04.3 LTS", "bootID": "",
        "kubeletVersion": "v1.37.2", "kernelVersion": "6.8.0-1030", "containerRuntimeVersion": "containerd://2.1.4",
        "kubeProxyVersion": "", "machineID": f"{index:032x}", "systemUUID": f"{index:032x}",
    }  # fmt: skip
    conditions = [
        {"type": key, "status": value, "lastHeartbeatTime": NOW, "lastTransitionTime": NOW, "reason": f"Kubelet{key}"}
        for key, value in CONDITIONS.items()
    ]
    images = [
        {"names": [f"{REGISTRY}-{n}@sha256:{n:064x}", f"{REGISTRY}-{n}:v1.{n}"], "sizeBytes": (n + 1) * 10**9}
        for n in range(10)
    ]
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]
    return {
        "capacity": capacity, "allocatable": {**capacity, "cpu": "95", "memory": "750Gi"}, "conditions": conditions,
        "addresses": addresses, "nodeInfo": info, "images": images,
    }  # fmt: skip


def fake_pod(index: int, nodes: int) -> dict[str, Any]:
    """Pod number `index`, on its node already; a node's pods share its accelerators."""
    node, slot = index % nodes, index // nodes
    shares = SHARES[node // len(KINDS) % len(SHARES)]
    share = shares[slot] if slot < len(shares) else 0
    resources = KINDS[node % len(KINDS)].resources
    amounts = {resource: count * share // 8 for resource, count in resources.items()}
    return pod(f"train-{index:05}", index, amounts, nodeName=node_name(node))


def pending_pod(index: int) -> dict[str, Any]:
    """A pod for the scheduler: half of them fit somewhere, the others ask for a node that there is not."""
    selector = {"example.com/pool": "none"} if index % 2 else {}
    return pod(f"queued-{index:05}", index, {"nvidia.com/gpu": 1 + index % 4 * 2}, nodeSelector=selector)


def pod(name: str, index: int, accelerators: dict[str, int], **spec: Any) -> dict[str, Any]:
    """A pod of a training job, of a size that such have: 3 kB and more with what the API server adds."""
    amounts = {resource: str(count) for resource, count in accelerators.items() if count}
    env = [{"name": f"TRAIN_SETTING_{n}", "value": f"the value of setting {n} of {name}"} for n in range(20)]
    container = {
        "name": "main",
        "image": f"{REGISTRY}-{index % 10}:v1.{index % 10}",
        "command": ["torchrun", "--nnodes=4", "--nproc-per-node=8", "--rdzv-backend=c10d", "train.py"],
        "env": env,
        "resources": {"requests": {"cpu": "8", "memory": "64Gi", **amounts}, "limits": {"memory": "64Gi", **amounts}},
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}, {"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "data", "emptyDir": {}}]
    labels = {"app.kubernetes.io/name": "train", "app.kubernetes.io/instance": f"run-{index // 4}", "team": "research"}
    metadata = {"name": name, "namespace": NAMESPACES[index % len(NAMESPACES)], "labels": labels}
    base = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    tolerations = [{"operator": "Exists", "effect": "NoSchedule"}]
    return {"metadata": metadata, "spec": {**base, "volumes": volumes, "tolerations": tolerations, **spec}}
