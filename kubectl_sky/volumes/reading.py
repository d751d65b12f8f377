"""Asking a cluster what it has for volumes; what may not be read is None."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kubectl_sky import names
from kubectl_sky.errors import ApiError
from kubectl_sky.volumes import storage
from kubectl_sky.volumes.storage import Object, Storage

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

CLAIMS = "/api/v1/namespaces/{}/persistentvolumeclaims"
FOLDERS = "/api/v1/namespaces/{}/configmaps"
PODS = "/api/v1/namespaces/{}/pods"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
OURS = f"{names.MANAGED_BY}={storage.VOLUMES}"
RUNNING = "status.phase!=Succeeded,status.phase!=Failed"


def items(cluster: Cluster, path: str, **params: Any) -> list[Object] | None:
    """A list of the namespace; None when it may not be read, or when there is no such kind."""
    try:
        found: list[Object] = cluster.get(path.format(cluster.namespace), **params)["items"]
        return found
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def read(cluster: Cluster, wanted: Collection[str]) -> Storage:
    """All claims and classes; of those called one of `wanted` also where their volumes are."""
    with ThreadPoolExecutor(4) as pool:
        claims = pool.submit(items, cluster, CLAIMS)
        classes = pool.submit(items, cluster, CLASSES)
        pods = pool.submit(items, cluster, PODS, fieldSelector=RUNNING) if wanted else None
        folders = pool.submit(items, cluster, FOLDERS, labelSelector=OURS) if wanted else None
        found = claims.result()
        volumes = dict(pool.map(lambda one: (name(one), _volume(cluster, one)), _chosen(found or (), wanted)))
        used = storage.users((pods.result() if pods else None) or ())
        known = classes.result()
        return Storage(
            namespace=cluster.namespace,
            claims=None
            if found is None
            else tuple(storage.claim(one, used.get(name(one), ()), volumes.get(name(one))) for one in found),
            classes=None if known is None else tuple(map(storage.storage_class, known)),
            folders=named_folders((folders.result() if folders else None) or ()),
        )


def name(found: Object) -> str:
    return str(found["metadata"]["name"])


def named_folders(config_maps: Sequence[Object]) -> dict[str, str]:
    """name -> folder of the node."""
    return {
        one["metadata"]["labels"][storage.NAME]: one["data"]["host_path"]
        for one in config_maps
        if storage.NAME in one["metadata"]["labels"] and "host_path" in (one.get("data") or {})
    }


def _chosen(claims: Sequence[Object], wanted: Collection[str]) -> list[Object]:
    return [one for one in claims if {name(one), (one["metadata"].get("labels") or {}).get(storage.NAME)} & set(wanted)]


def _volume(cluster: Cluster, claim: Object) -> Object | None:
    """Its PersistentVolume; None before it is bound, and without the right to see it."""
    volume = (claim.get("spec") or {}).get("volumeName")
    if not volume:
        return None
    try:
        return cluster.get(f"/api/v1/persistentvolumes/{volume}")
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise
