"""The volumes of a task in its pods. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kubectl_sky import names
from kubectl_sky.parts.part import Part
from kubectl_sky.volumes.storage import Storage
from kubectl_sky.volumes.wanted import EPHEMERAL, HOST, MANY, NAMED, NFS, READ_MANY, Volume

LINKED = "/sky/volumes"  # where those are whose destination is below ~: the supervisor makes links to them
LINKS = "SKY_LINKS_VOLUMES"  # see remote/links.py
GROUP = 1000  # of what is written to a volume: any uid of the task may then write there


def part(name: str, volumes: Sequence[Volume], storage: Storage | None, nodes: int) -> Part:
    """What the pods of the task `name` mount. Without `storage` (no cluster was asked), names are those of claims."""
    sources: dict[str, dict[str, Any]] = {}  # one volume of the pod may be mounted at several places
    mounts, links, manifests, owns = [], {}, [], False
    for number, volume in enumerate(volumes):
        if volume.is_shared:
            manifests.append(_claim(f"{name}-volume-{number}", volume))
        source = _source(volume, name, number, storage)
        key = f"{number}" if volume.kind == EPHEMERAL else json.dumps(source, sort_keys=True)
        entry = sources.setdefault(key, {"name": f"volume-{number}", **source})
        read_only = volume.read_only or _only_readable(volume, storage, nodes)
        owns = owns or (volume.kind in (NAMED, EPHEMERAL) and "hostPath" not in source and not read_only)
        path = volume.dst
        if path.startswith("~"):
            path = f"{LINKED}/{number}"
            links[volume.dst] = path
        mount: dict[str, Any] = {"name": entry["name"], "mountPath": path}
        if volume.sub_path:
            mount["subPath"] = volume.sub_path
        mounts.append({**mount, "readOnly": True} if read_only else mount)
    return Part(
        manifests=tuple(manifests),
        volumes=tuple(sources.values()),
        mounts=tuple(mounts),
        env=({"name": LINKS, "value": json.dumps(links)},) if links else (),
        pod={"securityContext": {"fsGroup": GROUP, "fsGroupChangePolicy": "OnRootMismatch"}} if owns else {},
    )


def _source(volume: Volume, name: str, number: int, storage: Storage | None) -> dict[str, Any]:
    """The pod's volume without its name in the pod."""
    folder = storage.folders.get(volume.name) if storage and volume.kind == NAMED else None
    found = storage.claim(volume.name) if storage and volume.kind == NAMED else None
    if volume.kind == HOST or (folder and not found):
        return {"hostPath": {"path": folder or volume.source, "type": "DirectoryOrCreate"}}
    if volume.kind == NFS:
        server, _, path = volume.source.rpartition(":")
        return {"nfs": {"server": server.strip("[]"), "path": path, **({"readOnly": True} if volume.read_only else {})}}
    if volume.is_shared:
        return {"persistentVolumeClaim": {"claimName": f"{name}-volume-{number}"}}
    if volume.kind == EPHEMERAL:
        # with the task's labels, so that `down` waits for the claims too
        metadata = {"labels": {**volume.labels, **names.labels(name)}}
        return {"ephemeral": {"volumeClaimTemplate": {"metadata": metadata, "spec": _claim_spec(volume)}}}
    return {"persistentVolumeClaim": {"claimName": found.name if found else volume.name}}


def _only_readable(volume: Volume, storage: Storage | None, nodes: int) -> bool:
    """Whether the claim cannot be written from the task's pods."""
    found = storage.claim(volume.name) if storage and volume.kind == NAMED else None
    if not found or READ_MANY not in found.modes or MANY in found.modes:
        return False
    return nodes > 1 or found.modes == (READ_MANY,)


def _claim(name: str, volume: Volume) -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(volume.labels)}
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": _claim_spec(volume),
    }  # fmt: skip


def _claim_spec(volume: Volume) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": [volume.access_mode],
        "resources": {"requests": {"storage": volume.size}},
    }
    return {**spec, "storageClassName": volume.storage_class} if volume.storage_class else spec
