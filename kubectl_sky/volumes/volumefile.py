"""SkyPilot's volume YAML: its fields, its checks, and the object that it stands for. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sky import names
from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile.field import Field, Report, check
from kubectl_sky.taskfile.problem import Problem, shown
from kubectl_sky.taskfile.taskyaml import Node, load
from kubectl_sky.volumes.storage import CLAIM_TYPE, HOST_PATH_TYPE, NAME, TYPE, VOLUMES
from kubectl_sky.volumes.wanted import ONCE, quantity

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_SIZE = re.compile(r"[0-9]+([kmgtp](b|i|ib)?)?", re.IGNORECASE)


def _size(value: str | int) -> None:
    if not _SIZE.fullmatch(str(value)) or not int(re.sub(r"\D", "", str(value))):
        raise ValueError(f"{shown(value)} should be a size such as 10Gi or 100GB")


VOLUME_FILE = Field("", "map", "A volume.", (
    Field("name", "text", "Its name."),
    Field("type", "text", "k8s-pvc or k8s-hostpath.", exact_case=True,
          choices=(CLAIM_TYPE, HOST_PATH_TYPE, "runpod-network-volume")),
    Field("infra", "text", "kubernetes, or kubernetes/CONTEXT."),
    Field("size", "text|int", "How much it holds.", check=_size),
    Field("resource_name", "text", internal=True),
    Field("use_existing", "bool", "Take the claim that is there."),
    Field("labels", "map", value=Field("", "text")),
    Field("config", "map", "Settings.", (
        Field("storage_class_name", "text"),
        Field("access_mode", "text", exact_case=True,
              choices=("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany")),
        Field("namespace", "text"), Field("host_path", "text"),
        Field("cleanup_on_deletion", "bool", note="the folder stays on its node: nobody here can delete it"),
    )),
), required=("name", "type"))  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """A checked volume file, or the flags for one. `context` and `namespace` are "" where they are left open."""

    name: str
    type: str
    size: str = ""
    use_existing: bool = False
    storage_class: str = ""
    access_mode: str = ONCE
    host_path: str = ""
    context: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def parse(
    text: bytes | None, source: str, flags: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[Spec, list[Problem]]:
    """The volume of a file (None: none), with the flags over its fields, and warnings. Raises UsageError."""
    report = Report(source)
    root = Node({})
    if text is not None:
        documents, report.problems, report.warnings = load(text, source)
        full = [one for one in documents if one.value]
        root = full[0] if full else Node({}, 1, 1)
        if len(full) > 1:
            report.error(full[1], "", "one volume a file")
    if root.kind == "map":
        _put(root, flags)
        if any(value is not None for value in config.values()):
            if root.get("config") is None:
                root.value["config"] = Node({})
            _put(root.value["config"], config)
    check(root, VOLUME_FILE, "", report)
    if root.kind == "map":
        _check(root, report)
    if report.problems:
        found = [f"  {problem}" for problem in report.in_order()]
        raise UsageError("\n".join([f"{len(found)} problem{'s' * (len(found) != 1)} in the volume:", *found]))
    return _spec(root.raw()), report.warnings


def _put(node: Node, flags: Mapping[str, Any]) -> None:
    for key, value in flags.items():
        if value is not None and node.kind == "map":
            flag = key.removesuffix("_name").replace("_", "-")
            node.value[key] = Node(value, text=str(value), origin=f"--{flag}")


def _check(root: Node, report: Report) -> None:
    name, kind, size = root.get("name"), root.get("type"), root.get("size")
    config = root.get("config")
    folder = config.get("host_path") if config is not None else None
    if name is not None and name.kind == "text" and (not _NAME.fullmatch(name.value) or len(name.value) > 63):
        report.error(name, "name", f"{shown(name.value)} is no name: lower-case letters, digits, `-` and `.`")
    if kind is not None and kind.value == "runpod-network-volume":
        report.error(kind, "type", "runpod-network-volume is not of Kubernetes", "k8s-pvc or k8s-hostpath")
    if kind is not None and kind.value == CLAIM_TYPE and size is None and not _true(root.get("use_existing")):
        report.error(root, "size", "is missing", "such as 10Gi; or `use_existing: true`")
    if kind is not None and kind.value == HOST_PATH_TYPE:
        text = folder.value if folder is not None and folder.kind == "text" else ""
        if not text.startswith("/") or not text.strip("/") or ".." in text.split("/"):
            report.error(folder or root, "config.host_path", "should be an absolute path of a folder, and not /")
    infra = root.get("infra")
    if infra is not None and infra.kind == "text" and infra.value.split("/")[0].lower() not in ("k8s", "kubernetes"):
        report.error(infra, "infra", f"{shown(infra.value)} is not Kubernetes", "kubernetes, or kubernetes/CONTEXT")


def _true(node: Node | None) -> bool:
    return node is not None and node.value is True


def _spec(raw: dict[str, Any]) -> Spec:
    config = raw.get("config") or {}
    return Spec(
        name=raw["name"],
        type=raw["type"],
        size=quantity(raw["size"]) if raw.get("size") is not None else "",
        use_existing=bool(raw.get("use_existing")),
        storage_class=config.get("storage_class_name") or "",
        access_mode=config.get("access_mode") or ONCE,
        host_path=config.get("host_path") or "",
        context=(raw.get("infra") or "").partition("/")[2],
        namespace=config.get("namespace") or "",
        labels={str(key): str(value) for key, value in (raw.get("labels") or {}).items()},
    )


def manifest(spec: Spec) -> dict[str, Any]:
    """The claim; or the ConfigMap that gives a folder of the nodes a name."""
    labels = {**spec.labels, NAME: spec.name, names.MANAGED_BY: VOLUMES, TYPE: spec.type}
    if spec.type == HOST_PATH_TYPE:
        metadata = {"name": f"{spec.name}-volume", "labels": labels}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"host_path": spec.host_path}}
    storage: dict[str, Any] = {"accessModes": [spec.access_mode], "resources": {"requests": {"storage": spec.size}}}
    if spec.storage_class:
        storage["storageClassName"] = spec.storage_class
    metadata = {"name": spec.name, "labels": labels}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": storage}
