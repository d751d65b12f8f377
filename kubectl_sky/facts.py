"""What a context offers, asked once and side by side; what may not be read is taken as absent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import gang_schedulers, versions
from kubectl_sky.capacity import inventory
from kubectl_sky.capacity.inventory import Inventory
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.errors import ApiError
from kubectl_sky.podspec import Facts
from kubectl_sky.settings import Settings
from kubectl_sky.volumes import reading

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

# from these on an image can be mounted as a volume, with a path inside it, without asking for a feature gate
IMAGE_VOLUME_SERVER = (1, 35)
SIDECAR_SERVER = (1, 29)
INDEXED_SERVER = (1, 22)
FAILURE_RULES_SERVER, PER_INDEX_SERVER = (1, 26), (1, 29)
IMAGE_VOLUME_RUNTIMES = {"containerd": (2, 1), "cri-o": (1, 33)}
ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True)
class Need:
    """What must be known. `accelerators`: pods and their claims too; else nodes until there are `enough`."""

    accelerators: bool
    several: bool = False  # alternatives to choose from by what is free
    enough: Callable[[list[Node]], bool] | None = None
    service_account: str | None = None  # whose Secrets to pull with must be known
    volumes: frozenset[str] | None = None  # names of the task's; None: it has no volumes at all
    csi: bool = False  # which drivers mount buckets
    gang: bool = False  # several nodes, that are to start together


def gather(cluster: Cluster, settings: Settings, need: Need) -> tuple[Facts, Inventory]:
    """The facts for a pod, and what the nodes have."""
    with ThreadPoolExecutor(7) as pool:
        version = pool.submit(cluster.get, "/version")
        namespace = pool.submit(_get, cluster, f"/api/v1/namespaces/{cluster.namespace}")
        classes = pool.submit(_get, cluster, "/apis/node.k8s.io/v1/runtimeclasses") if need.accelerators else None
        account = pool.submit(_get, cluster, _account(cluster, need)) if need.service_account else None
        storage = pool.submit(reading.read, cluster, need.volumes) if need.volumes is not None else None
        drivers = pool.submit(_get, cluster, "/apis/storage.k8s.io/v1/csidrivers") if need.csi else None
        gangs = pool.submit(gang_schedulers.read, cluster) if need.gang else None
        enough = None if need.accelerators or storage else need.enough
        there = inventory.read(cluster, need.accelerators or need.several, need.accelerators, enough)
    labels = (namespace.result() or {}).get("metadata", {}).get("labels") or {}
    found = (classes.result() if classes else None) or {"items": []}
    pulling = ((account.result() if account else None) or {}).get("imagePullSecrets") or ()
    server = versions.server(version.result())
    facts = Facts(
        context=cluster.context or "",
        image_volumes=_image_volumes(server, there.nodes, settings),
        pod_security=labels.get(ENFORCE, "privileged"),
        nodes=there.nodes,
        failure_rules=server >= FAILURE_RULES_SERVER,
        per_index=server >= PER_INDEX_SERVER,
        indexed=server >= INDEXED_SERVER,
        sidecars=server >= SIDECAR_SERVER,
        runtime_classes=frozenset(item["metadata"]["name"] for item in found["items"]),
        storage=storage.result() if storage else None,
        csi=_inline((drivers.result() if drivers else None) or {"items": []}),
        gang_schedulers=gangs.result() if gangs else (),
        pull_secrets=tuple(one["name"] for one in pulling if one.get("name")),
    )
    return facts, there


def _inline(drivers: dict[str, Any]) -> frozenset[str]:
    """Of the CSI drivers those that mount what a pod itself names."""
    return frozenset(
        one["metadata"]["name"]
        for one in drivers["items"]
        if "Ephemeral" in ((one.get("spec") or {}).get("volumeLifecycleModes") or ())
    )


def _account(cluster: Cluster, need: Need) -> str:
    return f"/api/v1/namespaces/{cluster.namespace}/serviceaccounts/{need.service_account}"


def grows(cluster: Cluster) -> bool:
    """Whether an autoscaler may add nodes of kinds that are not there now."""
    status = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status"
    with ThreadPoolExecutor(2) as pool:
        return any(pool.map(lambda path: _get(cluster, path) is not None, (status, "/apis/karpenter.sh")))


def _get(cluster: Cluster, path: str, **params: Any) -> dict[str, Any] | None:
    try:
        return cluster.get(path, **params)
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def _image_volumes(server: tuple[int, ...], nodes: Iterable[Node] | None, settings: Settings) -> bool:
    if settings.image_volumes != "auto":
        return settings.image_volumes == "true"
    if server < IMAGE_VOLUME_SERVER or not nodes:
        return False
    return all(_runtime_can(node.runtime) for node in nodes)


def _runtime_can(runtime: str) -> bool:
    """`containerd://2.4.2` -> True"""
    name, _, version = runtime.partition("://")
    return versions.numbers(version) >= IMAGE_VOLUME_RUNTIMES.get(name, (999,))
