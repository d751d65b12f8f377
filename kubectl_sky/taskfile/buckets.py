"""The buckets under `file_mounts`: what their URIs and maps mean, and which cannot be had anywhere. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubectl_sky.taskfile.mounts import FileMount

S3 = ("s3", "r2", "nebius", "cw", "oci", "vastdata", "cos")  # the schemes of what speaks S3
KINDS = (*S3, "gs", "azure")
COPY = "COPY"
_STORES = {
    "S3": "s3", "GCS": "gs", "R2": "r2", "NEBIUS": "nebius", "COREWEAVE": "cw", "OCI": "oci", "VASTDATA": "vastdata",
}  # fmt: skip
_AZURE = re.compile(r"https://([^/.]+)\.blob\.core\.windows\.net/(.*)", re.IGNORECASE)
_ELSEWHERE = {
    "hf": "download it in `setup`: hf download REPOSITORY --local-dir FOLDER",
    "az": "write https://ACCOUNT.blob.core.windows.net/CONTAINER",
}
# the kinds of store of which a name alone does not tell where the bucket is
_NOT_BY_NAME = {
    "AZURE": ("the storage account is not known", "source: https://ACCOUNT.blob.core.windows.net/CONTAINER"),
    "IBM": ("the region is not known", "source: cos://REGION/BUCKET"),
    "HF": ("rclone does not know Hugging Face", _ELSEWHERE["hf"]),
}


_TAKEN = ("/", "~", "/dev", "/dev/shm", "/proc", "/sys", "/sky")


class Refused(Exception):
    """A bucket that cannot be had: `args` are the message and a hint."""


@dataclass(frozen=True)
class Bucket:
    """`path` is BUCKET[/PREFIX], `account` Azure's, or IBM's region. `dst` is absolute or starts with `~`.

    `uri` is as written. `mode` is COPY, MOUNT or MOUNT_CACHED, `config` what tunes the last two.
    `named`: given by its name, so that it is made when there is none; `uploads`: what goes there first.
    """

    dst: str
    uri: str
    kind: str
    path: str
    account: str = ""
    mode: str = COPY
    config: tuple[tuple[str, Any], ...] = ()
    named: bool = False
    uploads: tuple[Path, ...] = ()

    @property
    def access(self) -> tuple[str, ...]:
        """What one set of credentials is for."""
        return (self.kind, self.account, self.path.partition("/")[0]) if self.account else (self.kind,)


def read(mounts: Sequence[FileMount]) -> list[Bucket]:
    """Those of a task, in the order of the file. Raises Refused."""
    return [_read(mount) for mount in mounts if not mount.is_local]


def refusal(mount: FileMount) -> tuple[str, str] | None:
    """(message, hint) for a bucket that cannot be had, whatever the cluster."""
    try:
        read([mount])
    except Refused as reason:
        return reason.args[0], reason.args[1]
    return None


def _read(mount: FileMount) -> Bucket:
    storage = mount.storage
    if mount.dst in _TAKEN or mount.dst.startswith(("/proc/", "/sys/", "/sky/")) or re.match("~[^/]", mount.dst):
        raise Refused(f"a bucket cannot be at {mount.dst}", "choose a folder of its own, such as /data or ~/data")
    store = str(storage.get("store") or "S3").upper()
    if store == "VOLUME":
        raise Refused("`store: volume` cannot be used", "name the volume under `volumes:`")
    if isinstance(mount.src, str) and mount.src.startswith("skypilot:"):
        raise Refused(f"{mount.src} is known to SkyPilot's server only", "write the bucket's URI")
    named = bool(storage) and not isinstance(mount.src, str)
    if named and store in _NOT_BY_NAME:
        reason, hint = _NOT_BY_NAME[store]
        text = "; copy what is local there first" if mount.uploads else ""
        raise Refused(f"`store: {store}` with a `name`: {reason}", hint + text)
    uri = f"{_STORES[store]}://{storage['name']}" if named else str(mount.src)
    kind, account, path = _located(uri)
    mode = str(storage.get("mode") or "MOUNT").upper() if storage else COPY
    config = (storage.get("config") or {}).get("mount" if mode == "MOUNT" else "mount_cached") or {}
    return Bucket(mount.dst, uri, kind, path, account, mode, tuple(config.items()), named, mount.uploads)


def _located(uri: str) -> tuple[str, str, str]:
    """(kind, account, path)"""
    if azure := _AZURE.fullmatch(uri):
        kind, account, path = "azure", azure[1].lower(), azure[2].strip("/")
    else:
        scheme, _, path = uri.partition("://")
        kind, account, path = scheme.lower(), "", path.strip("/")
    if kind == "cos":
        account, _, path = path.partition("/")
    if kind not in KINDS:
        hint = _ELSEWHERE.get(kind, "use its S3 endpoint: `s3://BUCKET`, with AWS_ENDPOINT_URL set")
        raise Refused(f"{kind}:// cannot be read", hint)
    if not path:
        raise Refused(f"{uri} names no bucket", "cos://REGION/BUCKET" if kind == "cos" else "add it")
    return kind, account, path
