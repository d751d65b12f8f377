"""Making, enlarging and deleting the volumes of a namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubectl_sky import quantity
from kubectl_sky.errors import ApiError, Failure, UsageError
from kubectl_sky.volumes import fits, reading, volumefile
from kubectl_sky.volumes.storage import CLAIM_TYPE, HOST_PATH_TYPE, Storage
from kubectl_sky.volumes.volumefile import Spec

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

CREATED, CONFIGURED, UNCHANGED = "created", "configured", "unchanged"
_PATHS = {"PersistentVolumeClaim": reading.CLAIMS, "ConfigMap": reading.FOLDERS}


def apply(cluster: Cluster, spec: Spec) -> str:
    """Makes the volume as it should be: created, configured or unchanged. Raises Failure when it cannot become so."""
    there = reading.read(cluster, ())
    if spec.namespace and spec.namespace != cluster.namespace:
        raise UsageError(
            f"config.namespace is {spec.namespace}, not {cluster.namespace}",
            f"kubectl sky volumes apply -n {spec.namespace} …: tasks mount what is in their own namespace",
        )
    if spec.type == CLAIM_TYPE:
        claim = there.claim(spec.name)
        if claim:
            return _change(cluster, spec, claim.name)
        if spec.use_existing:
            hint = fits.near(spec.name, there.known)
            raise Failure(f"namespace {cluster.namespace} has no claim {spec.name!r}", hint)
        if problem := fits.class_problem(spec.storage_class, there):
            raise Failure(*problem)
    return _put(cluster, volumefile.manifest(spec), there, spec)


def _put(cluster: Cluster, manifest: dict[str, Any], there: Storage, spec: Spec) -> str:
    if spec.type == HOST_PATH_TYPE and there.claim(spec.name):
        raise Failure(f"namespace {cluster.namespace} has a claim {spec.name!r}", "choose another name")
    path = _PATHS[manifest["kind"]].format(cluster.namespace)
    try:
        cluster.create(path, manifest)
        return CREATED
    except ApiError as error:
        if error.reason != "AlreadyExists" or spec.type == CLAIM_TYPE:
            raise
    found = cluster.get(f"{path}/{manifest['metadata']['name']}")
    if found.get("data") == manifest["data"]:
        return UNCHANGED
    cluster.patch(f"{path}/{manifest['metadata']['name']}", {"data": manifest["data"]})
    return CONFIGURED


def _change(cluster: Cluster, spec: Spec, name: str) -> str:
    """A claim can only grow; what else differs is refused."""
    path = f"{reading.CLAIMS.format(cluster.namespace)}/{name}"
    there = cluster.get(path)
    found = there["spec"]
    other = []
    if spec.storage_class and spec.storage_class != found.get("storageClassName"):
        other.append(f"storage class {found.get('storageClassName') or 'none'}, not {spec.storage_class}")
    if not spec.use_existing and spec.access_mode not in found["accessModes"]:
        other.append(f"access mode {' '.join(found['accessModes'])}, not {spec.access_mode}")
    has = found["resources"]["requests"]["storage"]
    larger = quantity.parse(spec.size) - quantity.parse(has) if spec.size else 0
    if larger < 0 and not spec.use_existing:
        other.append(f"size {has}, which cannot become less ({spec.size})")
    if other:
        hint = f"another name, or: kubectl sky volumes delete {spec.name}"
        raise Failure(f"volume {spec.name} is there, with another {'; '.join(other)}", hint)
    if larger <= 0:
        return UNCHANGED
    _grow(cluster, path, there, spec)
    return CONFIGURED


def _grow(cluster: Cluster, path: str, there: dict[str, Any], spec: Spec) -> None:
    if (there.get("status") or {}).get("phase") != "Bound":
        text = f"volume {spec.name} cannot grow to {spec.size}: it waits for its first task"
        raise Failure(text, f"make it anew: kubectl sky volumes delete {spec.name}")
    try:
        cluster.patch(path, {"spec": {"resources": {"requests": {"storage": spec.size}}}})
    except ApiError as error:
        if error.status not in (403, 422):
            raise
        name = there["spec"].get("storageClassName") or "none"
        hint = f"its StorageClass ({name}) needs allowVolumeExpansion: true"
        raise Failure(f"volume {spec.name} cannot grow to {spec.size}: {error.message}", hint) from None


def delete(cluster: Cluster, kind: str, name: str) -> bool:
    """Whether there was something to delete."""
    try:
        cluster.delete(f"{_PATHS[kind].format(cluster.namespace)}/{name}")
        return True
    except ApiError as error:
        if error.status != 404:
            raise
        return False
