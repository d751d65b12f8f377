"""`volumes`: rules between its fields, and where volumes may be mounted."""

from __future__ import annotations

import re
from typing import Any

from kubectl_sky.taskfile.field import Report, join
from kubectl_sky.taskfile.mounts import destination
from kubectl_sky.taskfile.problem import shown
from kubectl_sky.taskfile.taskyaml import Node

OURS = ("/sky", "/dev", "/proc", "/sys")  # our own mounts, and the container runtime's
NFS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:/\s\[\]]+):(/\S*)")


def check_volumes(node: Node | None, report: Report) -> None:
    """Destinations and kinds of `volumes`, whose shape was checked."""
    seen: dict[str, str] = {}
    for key, key_node, value in node.entries() if node is not None else ():
        path = join("volumes", key)
        if not isinstance(key, str) or not key.startswith(("/", "~")):
            report.error(key_node, path, 'a destination should start with "/" or "~"')
        elif key.endswith("/") and key != "/":
            report.error(key_node, path, "a destination cannot end with a slash")
        else:
            _check_place(key, key_node, path, report)
            other = seen.setdefault(destination(key), key)
            if other != key:
                report.error(key_node, path, f"the same destination as {shown(other)}")
        if value.kind == "map":
            _check_kind(value, path, report)
        elif value.kind == "text" and not value.value:
            report.error(value, path, "the volume's name is empty")


def _check_place(key: str, node: Node, path: str, report: Report) -> None:
    place = destination(key)
    if place in ("/", "~"):
        what = "the home" if place == "~" else "the root"
        report.error(node, path, f"a volume cannot be {what} itself", f"mount it below: {key.rstrip('/')}/data")
    elif place.startswith("~") and not place.startswith("~/"):
        report.error(node, path, "only the image's own user has a home here", "write ~/… or an absolute path")
    elif ".." in place.split("/"):
        report.error(node, path, "a destination cannot leave the home")
    elif ":" in place:
        report.error(node, path, 'a destination cannot hold ":"', "Kubernetes does not mount there")
    elif any(place == one or place.startswith(f"{one}/") for one in OURS):
        report.error(node, path, f"{place.split('/')[1]} at the root is taken", "mount it elsewhere, such as /mnt/data")


def _check_kind(node: Node, path: str, report: Report) -> None:
    config = node.get("config")
    host_path = node.get("host_path") or (config.get("host_path") if config is not None else None)
    kind: Any = node.get("type")
    given = [name for name in ("name", "size", "nfs") if node.get(name) is not None]
    if node.get("host_path") is not None:
        given.append("host_path")
    if kind is not None and kind.value == "runpod-network-volume":
        report.error(kind, f"{path}.type", "runpod-network-volume is not of Kubernetes", "k8s-pvc or k8s-hostpath")
    elif kind is not None and kind.value == "k8s-hostpath" and host_path is None and "name" not in given:
        report.error(kind, f"{path}.type", "k8s-hostpath needs `config.host_path`, a folder of the node")
    elif not given and host_path is None:
        hint = "or `host_path` (a folder of the node), `nfs` (server:/path)"
        report.error(node, path, "`name` (an existing volume) or `size` (a new one) is missing", hint)
    elif len(given) > 1 and set(given) != {"name", "size"}:
        report.error(node, path, f"only one of `{'`, `'.join(given)}` can be given")
    _check_sources(node, host_path, path, report)


def _check_sources(node: Node, host_path: Node | None, path: str, report: Report) -> None:
    if host_path is not None and host_path.kind == "text":
        text = host_path.value
        if not text.startswith("/") or text.strip("/") == "" or ".." in text.split("/"):
            report.error(host_path, f"{path}.host_path", "should be an absolute path of a folder, and not /")
    nfs = node.get("nfs")
    if nfs is not None and nfs.kind == "text" and not NFS.fullmatch(nfs.value):
        report.error(nfs, f"{path}.nfs", f"{shown(nfs.value)} should be server:/path")
    size, config = node.get("size"), node.get("config")
    mode = config.get("access_mode") if config is not None else None
    if size is not None and size.kind in ("text", "int") and re.match(r"0+\D*$", str(size.value)):
        report.error(size, f"{path}.size", "should be more than nothing")
    if size is not None and mode is not None and mode.value == "ReadOnlyMany":
        text = "a new volume that is only read stays empty"
        report.error(mode, f"{path}.config.access_mode", text, "ReadWriteOnce, or ReadWriteMany for several nodes")
