"""The volumes of a task, as `volumes:` means them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sky.task import Task
from kubectl_sky.taskfile.field import join
from kubectl_sky.taskfile.mounts import destination

# by name; a new claim; a folder of the node; a folder of an NFS server
NAMED, EPHEMERAL, HOST, NFS = "named", "ephemeral", "host", "nfs"
ONCE, ONCE_POD, MANY, READ_MANY = "ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"


@dataclass(frozen=True)
class Volume:
    """`dst` is absolute or begins with `~/`; `place` is its field in the task file.

    `name` of a named one, `source` the host's folder or the NFS server's `server:/path`; what follows it is of an
    ephemeral one.
    """

    dst: str
    place: str
    kind: str
    name: str = ""
    sub_path: str = ""
    source: str = ""
    read_only: bool = False
    size: str = ""
    storage_class: str = ""
    access_mode: str = ONCE
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_shared(self) -> bool:
        """Whether a new volume is one for all nodes, instead of one for each."""
        return self.kind == EPHEMERAL and self.access_mode in (MANY, READ_MANY)


def of(task: Task) -> tuple[Volume, ...]:
    """All of a checked task, in its order."""
    return tuple(_volume(dst, value) for dst, value in task.volumes.items())


def _volume(dst: str, value: Any) -> Volume:
    place, where = join("volumes", dst), destination(dst)
    if isinstance(value, str):
        return Volume(where, place, NAMED, name=value)
    config = value.get("config") or {}
    sub_path, read_only = (value.get("sub_path") or "").strip("/"), bool(value.get("read_only"))
    host_path = value.get("host_path") or config.get("host_path")
    common: dict[str, Any] = {"sub_path": sub_path, "read_only": read_only}
    if value.get("nfs"):
        return Volume(where, place, NFS, source=value["nfs"], **common)
    if host_path and not value.get("name"):
        return Volume(where, place, HOST, source=host_path, **common)
    if value.get("size") is None:
        return Volume(where, place, NAMED, name=value["name"], **common)
    return Volume(
        where,
        place,
        EPHEMERAL,
        **common,
        size=quantity(value["size"]),
        storage_class=config.get("storage_class_name") or "",
        access_mode=config.get("access_mode") or ONCE,
        namespace=config.get("namespace") or "",
        labels={str(key): str(text) for key, text in (value.get("labels") or {}).items()},
    )


def quantity(size: str | int) -> str:
    """A size as Kubernetes takes it; all units are binary, as SkyPilot has them: `10`, `10GB`, `10Gi` -> `10Gi`."""
    number, letter = re.match(r"(\d+)\s*([kmgtp]?)", str(size).lower()).groups()  # type: ignore[union-attr]
    return f"{number}{(letter or 'g').upper()}i"


def shape(task: Task) -> list[str] | None:
    """What is mounted where, to compare a second launch with; None without volumes."""
    found = sorted(
        f"{one.dst}: {one.name or one.source or one.size}" + (f" ({one.sub_path})" if one.sub_path else "")
        for one in of(task)
    )
    return found or None
