"""Buckets that a CSI driver of the cluster mounts, as volumes in the pod itself: no rights are needed for it. Pure.

Only drivers that mount what a pod names (volumeLifecycleModes: Ephemeral). The driver's own container does the work,
with access of its own: gcsfuse as the pod's service account, blobfuse by a Secret with the account's key.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_sky.buckets.credentials import Remote
from kubectl_sky.parts.part import Part
from kubectl_sky.taskfile.buckets import Bucket

GCSFUSE, BLOB = "gcsfuse.csi.storage.gke.io", "blob.csi.azure.com"
DRIVERS = {"gs": GCSFUSE, "azure": BLOB}  # kind of bucket -> what mounts it
LINKS = "SKY_LINKS_CSI"
HOLDER = "/sky/csi"
# GKE's webhook adds the container that mounts to pods with it
GCSFUSE_ANNOTATION = {"gke-gcsfuse/volumes": "true"}


def driver(bucket: Bucket, remote: Remote, there: frozenset[str]) -> str:
    """The one of those `there` that can mount the bucket with what is known of its access; else ""."""
    name = DRIVERS.get(bucket.kind, "")
    if name not in there or any(character.isspace() or character == "," for character in bucket.path):
        return ""
    return name if name != BLOB or remote.options.get("key") else ""


def part(name: str, buckets: Sequence[Bucket], remotes: Mapping[tuple[str, ...], Remote]) -> Part:
    """A volume for each bucket, and where it is in the task's container. `name`: of the task."""
    accounts = list(dict.fromkeys(one.account for one in buckets if one.kind == "azure"))
    keys = {one.account: remotes[one.access].options["key"] for one in buckets if one.kind == "azure"}
    volumes = []
    for index, one in enumerate(buckets):
        secret = f"{name}-azure-{accounts.index(one.account)}" if one.kind == "azure" else ""
        attributes = _azure(one, secret) if secret else _google(one)
        csi = {"driver": DRIVERS[one.kind], "volumeAttributes": attributes, "readOnly": _read_only(one)}
        volumes.append({"name": f"csi-{index}", "csi": csi})
    places = {one.dst: f"{HOLDER}/{index}" for index, one in enumerate(buckets) if one.dst.startswith("~")}
    google = [one for one in buckets if one.kind == "gs"]
    notes = [f"{one.uri} is mounted by {DRIVERS[one.kind]}" for one in buckets]
    return Part(
        manifests=tuple(_secret(f"{name}-azure-{n}", account, keys[account]) for n, account in enumerate(accounts)),
        volumes=tuple(volumes),
        mounts=tuple(
            {"name": f"csi-{index}", "mountPath": places.get(one.dst, one.dst), "readOnly": _read_only(one)}
            for index, one in enumerate(buckets)
        ),
        env=({"name": LINKS, "value": json.dumps(dict(sorted(places.items())))},) if places else (),
        annotations=GCSFUSE_ANNOTATION if google else {},
        notes=(*notes, *(["gcsfuse reads as the pods' service account"] if google else [])),
    )


def _read_only(bucket: Bucket) -> bool:
    return bool(dict(bucket.config).get("read_only"))


def _google(bucket: Bucket) -> dict[str, str]:
    name, _, prefix = bucket.path.partition("/")
    options = ["implicit-dirs", "file-mode=777", "dir-mode=777"]  # for any user, as rclone's mounts are
    options += [f"only-dir={prefix}"] if prefix else []
    options += ["file-cache:max-size-mb:-1"] if bucket.mode == "MOUNT_CACHED" else []
    return {"bucketName": name, "mountOptions": ",".join(options)}


def _azure(bucket: Bucket, secret: str) -> dict[str, str]:
    name, _, prefix = bucket.path.partition("/")
    options = ["-o allow_other", "--virtual-directory=true", "--file-cache-timeout-in-seconds=120"]
    options += [f"--subdirectory={prefix}"] if prefix else []
    return {"containerName": name, "secretName": secret, "protocol": "fuse", "mountOptions": " ".join(options)}


def _secret(name: str, account: str, key: str) -> dict[str, Any]:
    values = {"azurestorageaccountname": account, "azurestorageaccountkey": key}
    data = {field: base64.b64encode(value.encode()).decode() for field, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": data}
