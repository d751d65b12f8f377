"""What the command line says about a task, put on top of its file as if it were written there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sky.taskfile.field import Report
from kubectl_sky.taskfile.taskyaml import Node


@dataclass(frozen=True)
class Overrides:
    """Flags of launch and exec; None is not given. `none` as text takes the file's value away.

    A None among `envs` or `secrets` is a name without a value, which is an error. `env_file` is below both: it feeds
    the envs, but for the names that the task has among its secrets, which it fills instead.
    """

    name: str | None = None
    workdir: str | None = None
    git_url: str | None = None
    git_ref: str | None = None
    num_nodes: int | None = None
    cpus: str | None = None
    memory: str | None = None
    gpus: str | None = None
    image_id: str | None = None
    infra: str | None = None
    ports: tuple[str, ...] = ()
    disk_size: str | None = None
    use_spot: bool | None = None
    envs: Mapping[str, str | None] = field(default_factory=dict)
    secrets: Mapping[str, str | None] = field(default_factory=dict)
    env_file: Mapping[str, str | None] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    no_files: bool = False  # those of this machine: workdir and file_mounts


# (attribute, flag, field of resources, other fields that it replaces)
_RESOURCES = (
    ("cpus", "--cpus", "cpus", ()),
    ("memory", "--memory", "memory", ()),
    ("gpus", "--gpus", "accelerators", ("gpus",)),
    ("image_id", "--image-id", "image_id", ()),
    ("infra", "--infra", "infra", ("cloud", "region", "zone")),
    ("disk_size", "--disk-size", "disk_size", ()),
    ("use_spot", "--use-spot", "use_spot", ()),
)
_TASK = (("name", "--name"), ("workdir", "--workdir"), ("num_nodes", "--num-nodes"))


def apply(root: Node, overrides: Overrides, report: Report) -> None:
    """Edits the tree of a task: a flag's value replaces the file's, in the alternatives of any_of and ordered too."""
    for name, flag in _TASK:
        value = getattr(overrides, name)
        if value is not None:
            root.value[name] = Node(value, text=str(value), origin=flag)
    _apply_git(root, overrides, report)
    if overrides.no_files:
        _drop_files(root)
    if overrides.command and root.get("run") is not None:
        report.error(root.value["run"], "run", "a command after `--` cannot be given with a task file that has `run`")
    changes = [(flag, key, also, getattr(overrides, name)) for name, flag, key, also in _RESOURCES]
    changes.append(("--ports", "ports", (), list(overrides.ports) or None))
    for flag, key, also, value in changes:
        if value is not None:
            _replace(root, flag, key, also, value)


def _drop_files(root: Node) -> None:
    root.value.pop("workdir", None)
    mounts = root.get("file_mounts")
    if mounts is not None and mounts.kind == "map":
        local = [dst for dst, src in mounts.value.items() if src.kind == "text" and "://" not in src.value]
        for dst in local:
            del mounts.value[dst]


def _apply_git(root: Node, overrides: Overrides, report: Report) -> None:
    """A workdir from git; a URL alone keeps the file's ref, a ref alone its URL."""
    for flag, key, value in (("--git-url", "url", overrides.git_url), ("--git-ref", "ref", overrides.git_ref)):
        if value is None:
            continue
        given = Node(value, text=value, origin=flag)
        there = root.get("workdir")
        if not value.strip():
            report.error(given, "workdir", "should not be empty")
        elif overrides.workdir is not None:
            report.error(given, "workdir", "cannot be given together with --workdir")
        elif there is not None and there.kind == "map":
            there.value[key] = given
        elif key == "url":
            root.value["workdir"] = Node({key: given}, origin=flag)
        else:
            report.error(given, "workdir", "needs a git repository as workdir", "give its --git-url too")


def _replace(root: Node, flag: str, key: str, also: tuple[str, ...], value: Any) -> None:
    resources = root.get("resources")
    if resources is None:
        resources = root.value["resources"] = Node({}, origin=flag)
    if resources.kind != "map":
        return
    alternatives = [resources.get("any_of"), resources.get("ordered")]
    parts = [part for listed in alternatives if listed is not None and listed.kind == "list" for part in listed.value]
    for part in [resources, *[part for part in parts if part.kind == "map"]]:
        for name in (key, *also):
            part.value.pop(name, None)
    if value != "none":
        resources.value[key] = _node(value, flag)


def _node(value: Any, flag: str) -> Node:
    if isinstance(value, list):
        return Node([_node(item, flag) for item in value], origin=flag)
    return Node(value, text=str(value), origin=flag)
