"""workdir, file_mounts and volumes: checks of paths, and the model. The only part of parsing that looks at the disk."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubectl_sky.taskfile.field import Report, join
from kubectl_sky.taskfile.fields_storage import SCHEMES
from kubectl_sky.taskfile.problem import nearest, shown
from kubectl_sky.taskfile.taskyaml import Node

REMOTE_WORKDIR = "~/sky_workdir"


@dataclass(frozen=True)
class GitSource:
    """A workdir that is cloned."""

    url: str
    ref: str | None = None


@dataclass(frozen=True)
class FileMount:
    """`dst` is absolute or starts with `~`. `src` is a local path, or the URI of a bucket, or None for a named bucket.

    `storage` is the bucket's map as written (name, store, mode, ...), empty for plain entries; `uploads` are the local
    paths that go to that bucket first.
    """

    dst: str
    src: Path | str | None
    storage: dict[str, Any] = field(default_factory=dict)
    uploads: tuple[Path, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether it is copied from this machine without a bucket."""
        return isinstance(self.src, Path) and not self.storage


def local_path(text: str, base: Path) -> Path:
    """An absolute path, `~` expanded, relative to `base`."""
    return Path(os.path.normpath(base / Path(text).expanduser()))


def _exists(path: Path, as_folder: bool = False) -> bool:
    """The one place that asks the disk."""
    try:
        return path.is_dir() if as_folder else path.exists()
    except (OSError, ValueError):
        return False


def is_uri(text: str) -> bool:
    """Whether it is a URI such as s3://bucket, as opposed to a path."""
    return bool(re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text))


def destination(text: str) -> str:
    """Normal form; a relative one is in the workdir."""
    if not text.startswith(("/", "~")):
        text = f"{REMOTE_WORKDIR}/{text}"
    return re.sub(r"^//", "/", posixpath.normpath(text))


def check_workdir(node: Node | None, base: Path, report: Report) -> None:
    """A local workdir must be an existing folder."""
    if node is None or node.kind != "text":
        return
    if not node.value.strip():
        report.error(node, "workdir", "should not be empty", "`workdir: .` is the current folder")
        return
    path = _expanded(node, "workdir", base, report)
    if path and not _exists(path, as_folder=True):
        what = "is not a folder" if _exists(path) else "does not exist"
        hint = "for a git repository: `workdir: {url: ..., ref: ...}`" if is_uri(node.value) else f"looked at {path}"
        report.error(node, "workdir", f"{shown(node.value)} {what}", hint)


def _expanded(node: Node, path: str, base: Path, report: Report) -> Path | None:
    try:
        return local_path(node.value, base)
    except (RuntimeError, ValueError):  # no such user, or a NUL
        report.error(node, path, f"{shown(node.value)} is no path")
        return None


def check_file_mounts(node: Node | None, has_workdir: bool, base: Path, report: Report) -> None:
    """Destinations and sources of `file_mounts`, whose shape was checked."""
    seen: dict[str, str] = {}
    for key, key_node, value in node.entries() if node is not None else ():
        path = join("file_mounts", key)
        _check_destination(key, key_node, path, has_workdir, report)
        place = destination(str(key))
        if place in seen:
            report.error(key_node, path, f"the same destination as {shown(seen[place])}")
        seen[place] = str(key)
        if value.kind == "text":
            _check_source(value, path, base, report)
        elif value.kind == "map":
            _check_storage(value, path, base, report)


def _check_destination(key: Any, node: Node, path: str, has_workdir: bool, report: Report) -> None:
    if not isinstance(key, str) or not key:
        hint = 'quote it: "~"' if node.text == "~" else None
        report.error(node, path, "a destination should be a path", hint)
    elif key.endswith("/"):
        report.error(node, path, "a destination cannot end with a slash", f"write {shown(key.rstrip('/') or '/dir')}")
    elif is_uri(key):
        report.error(node, path, "a destination cannot be a bucket", "it is `destination: source`")
    elif has_workdir and destination(key) == REMOTE_WORKDIR:
        report.error(node, path, f"{REMOTE_WORKDIR} is the workdir's place", "mount to a path inside of it")
    elif re.match(r"/sky/(run|code|tools|etc)(/|$)", destination(key)):
        report.error(node, path, "is where the pod keeps what it runs with", "choose another place, such as /data")
    elif key == ".." or key.startswith("../"):
        report.error(node, path, "a relative destination cannot leave the workdir")


def _check_source(node: Node, path: str, base: Path, report: Report) -> None:
    if not node.value.strip():
        report.error(node, path, "the source is empty")
    elif is_uri(node.value):
        _check_uri(node, path, report)
    elif not node.value.startswith("skypilot:"):
        _check_local(node, path, base, report)


def _check_local(node: Node, path: str, base: Path, report: Report) -> bool:
    where = _expanded(node, path, base, report)
    if where and not _exists(where):
        report.error(node, path, f"the source {shown(node.value)} does not exist", f"looked at {where}")
    return bool(where)


def _check_uri(node: Node, path: str, report: Report) -> None:
    scheme = node.value.split("://")[0].lower()
    if scheme not in SCHEMES:
        meant = nearest(scheme, SCHEMES)
        hint = f"did you mean `{meant}://`?" if meant else "known: " + ", ".join(f"{one}://" for one in SCHEMES)
        report.error(node, path, f"{shown(node.value)} is no bucket that is known", hint)
    elif scheme == "https" and not re.match(r"https://[^/]+\.blob\.core\.windows\.net/", node.value, re.IGNORECASE):
        report.error(node, path, f"{shown(node.value)} is no Azure blob container",
                     "files from the web: download them in `setup`")  # fmt: skip


def _check_storage(node: Node, path: str, base: Path, report: Report) -> None:
    name, source = node.get("name"), node.get("source")
    store, mode = node.get("store"), node.get("mode")
    _check_mode(node, str(mode.value).upper() if mode is not None else "MOUNT", path, report)
    if store is not None and store.value == "volume":
        return
    if name is not None and name.kind == "text" and "://" in name.value:
        hint = f"use `source: {name.value[:40]}`"
        report.error(name, f"{path}.name", "should be a bucket's name, not a URI", hint)
    if source is None:
        if name is None:
            report.error(node, path, "`name` or `source` is missing")
        elif mode is not None and str(mode.value).upper() == "COPY":
            report.error(node, path, "`mode: COPY` needs a `source`")
        return
    remote = source.kind == "text" and is_uri(source.value)
    if remote:
        _check_uri(source, f"{path}.source", report)
        if name is not None:
            report.error(name, f"{path}.name", "cannot be given together with a URI as the source")
        return
    if name is None:
        report.error(node, path, "`name` is missing: the bucket that the local source goes to")
    _check_uploads(source, f"{path}.source", base, report)


def _check_mode(node: Node, mode: str, path: str, report: Report) -> None:
    """Tuning goes with its own mode."""
    config = node.get("config")
    tuning = [(node.get("type"), "type", "MOUNT_CACHED")]
    if config is not None:
        tuning.append((config.get("mount_cached"), "config.mount_cached", "MOUNT_CACHED"))
        tuning.append((config.get("mount"), "config.mount", "MOUNT"))
    for found, name, wanted in tuning:
        if found is not None and mode != wanted:
            report.error(found, f"{path}.{name}", f"is for `mode: {wanted}`, not {mode}")


def _check_uploads(source: Node, path: str, base: Path, report: Report) -> None:
    if source.kind == "text":
        if _check_local(source, path, base, report) and _is_file(source.value, base):
            hint = f"for one file: `source: [{source.value}]`"
            report.error(source, path, "a bucket's source should be a folder", hint)
        return
    if source.value == []:
        report.error(source, path, "names no path")
    names: set[str] = set()
    for index, item in enumerate(source.value if source.kind == "list" else ()):
        if item.kind != "text":
            continue
        _check_local(item, f"{path}[{index}]", base, report)
        last = posixpath.basename(item.value)
        if last in names:
            report.error(item, f"{path}[{index}]", f"two sources are called {shown(last)}")
        names.add(last)


def _is_file(text: str, base: Path) -> bool:
    path = local_path(text, base)
    return _exists(path) and not _exists(path, as_folder=True)


def build_workdir(value: Any, base: Path) -> Path | GitSource | None:
    """The model of a checked workdir."""
    if isinstance(value, dict):
        return GitSource(value["url"], value.get("ref"))
    return local_path(value, base) if value is not None else None


def build_file_mounts(value: dict[str, Any] | None, base: Path) -> tuple[FileMount, ...]:
    """The model of checked file_mounts."""
    mounts = []
    for dst, source in (value or {}).items():
        storage = source if isinstance(source, dict) else {}
        written = storage.get("source") if storage else source
        src: Path | str | None = written if isinstance(written, str) else None
        if isinstance(src, str) and not is_uri(src) and not src.startswith("skypilot:"):
            src = local_path(src, base)
        uploads = tuple(local_path(one, base) for one in written) if isinstance(written, list) else ()
        uploads = (src,) if storage and isinstance(src, Path) else uploads
        mounts.append(FileMount(destination(dst), src, storage, uploads))
    return tuple(mounts)
