"""The task file: the model, and how it comes from YAML and the command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kubectl_sky import resources as resource_model
from kubectl_sky.config import pod_shape
from kubectl_sky.config.layer import stamp
from kubectl_sky.config.layers import Effective, Layers
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.resources import Accelerator, Autostop, Resources
from kubectl_sky.taskfile import buckets, envs, mounts, rules
from kubectl_sky.taskfile.envfile import read_env_file, variables
from kubectl_sky.taskfile.envs import SecretRef
from kubectl_sky.taskfile.field import Report, check, join
from kubectl_sky.taskfile.fields import TASK
from kubectl_sky.taskfile.fields_storage import FILE_MOUNTS, VOLUMES
from kubectl_sky.taskfile.mounts import FileMount, GitSource
from kubectl_sky.taskfile.overrides import Overrides, apply
from kubectl_sky.taskfile.problem import Problem
from kubectl_sky.taskfile.taskyaml import MAX_BYTES, Loaded, Node, load
from kubectl_sky.taskfile.volumes import check_volumes

__all__ = [
    "Accelerator", "Autostop", "FileMount", "GitSource", "Overrides", "Problem", "Resources", "SecretRef", "Task",
    "TaskErrors", "TaskFile", "parse", "parse_all", "read_env_file", "read_file", "unsupported", "variables",
]  # fmt: skip

NAME = re.compile(r"[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*")


@dataclass(frozen=True)
class Origin:
    """What a task was read from: the file's text (None: the command line alone), its name, the folder that paths
    are relative to, and what the flags put on top."""

    text: str | None
    source: str
    base: str
    overrides: Overrides


@dataclass(frozen=True)
class Task:
    """A checked task. `places` maps a field's path to its line and column, for later findings."""

    name: str | None = None
    workdir: Path | GitSource | None = None
    num_nodes: int = 1
    resources: Resources = field(default_factory=Resources)
    envs: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    secret_refs: tuple[SecretRef, ...] = ()
    setup: str | None = None
    run: str | None = None
    command: tuple[str, ...] = ()
    file_mounts: tuple[FileMount, ...] = ()
    volumes: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] | None = None
    pool: dict[str, Any] | None = None
    event_callback: str | None = None
    source: str = "task"
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, compare=False, repr=False)
    layers: Layers = field(default_factory=Layers, compare=False, repr=False)
    origin: Origin | None = field(default=None, compare=False, repr=False)

    def settings(self, context: str) -> Effective:
        """What its `config:` and, where they were read, the files and flags say for a context."""
        return self.layers.of(context, self.resources.labels)

    def problem(self, path: str, message: str, hint: str | None = None) -> Problem:
        """A finding about a field, at its place or at that of the nearest field around it."""
        around = path
        while around and around not in self.places:
            around = around[: max(around.rfind("."), around.rfind("["), 0)]
        line, column = self.places.get(around, (0, 0))
        return Problem(self.source, line, column, path, message, hint)


@dataclass(frozen=True)
class TaskFile:
    """A file of one or more tasks. `kind` is task, pipeline (in order) or group (at the same time)."""

    kind: str
    name: str | None
    tasks: tuple[Task, ...]
    header: dict[str, Any] = field(default_factory=dict)


def read_file(path: str) -> bytes:
    """The bytes of a task file, cut off soon after the largest size that parse() takes."""
    try:
        with open(Path(path).expanduser(), "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        hint = "to run a command: kubectl sky launch -- COMMAND"
        raise UsageError(f"the task file {path} does not exist", hint) from None
    except OSError as error:
        raise UsageError(f"cannot read the task file {path}: {error.strerror}") from None


def parse(
    text: bytes | str | None, source: str, overrides: Overrides | None = None, base: Path | None = None
) -> tuple[Task, list[Problem]]:
    """The one task of a file, and warnings. No text (None): a task from the command line alone. Raises TaskErrors."""
    file, warnings = parse_all(text, source, overrides, base)
    if len(file.tasks) != 1:
        what = "a job group" if file.kind == "group" else "a pipeline"
        message = f"{what} of {len(file.tasks)} tasks is no cluster of one task"
        raise TaskErrors([Problem(source, 1, 1, "", message, "kubectl sky jobs launch FILE runs it")])
    origin = Origin(_decoded(text), source, str(base or Path.cwd()), overrides or Overrides())
    return replace(file.tasks[0], origin=origin), warnings


def _decoded(text: bytes | str | None) -> str | None:
    return text.decode() if isinstance(text, bytes) else text


def parse_all(
    text: bytes | str | None, source: str, overrides: Overrides | None = None, base: Path | None = None
) -> tuple[TaskFile, list[Problem]]:
    """All tasks of a file, and warnings. Raises TaskErrors with every problem of every task."""
    overrides, base = overrides or Overrides(), base or Path.cwd()
    report = Report(source)
    loaded = load(text, source) if text is not None else Loaded([Node({})], [], [])
    documents, report.problems, report.warnings = loaded
    if text is not None and not any(node.value for node in documents):
        raise TaskErrors([Problem(source, 1, 1, "", "the file is empty: no task in it", "add at least `run:`")])
    kind, header, documents = rules.split(documents, report)
    if kind != "task":
        overrides = replace(overrides, name=None)  # that is the whole one's
    drafts = [_Draft(node, overrides, base, report) for node in documents]
    problems = report.in_order()
    if problems:
        raise TaskErrors(problems)
    tasks = tuple(draft.build(source) for draft in drafts)
    name = header.get("name") or (tasks[0].name if len(tasks) == 1 else None)
    warnings = sorted(dict.fromkeys(report.warnings), key=lambda one: (one.line, one.column))
    return TaskFile(kind, name, tasks, header), warnings


class _Draft:
    """A task being read: all checks at creation, the model from build() when there was no problem."""

    def __init__(self, root: Node, overrides: Overrides, base: Path, report: Report):
        self.root, self.overrides, self.base = root, overrides, base
        if root.kind == "broken":
            return
        if root.kind != "map":
            report.error(root, "", f"a task should be a map of fields, not {_a(root)}", "such as `run: echo hello`")
            return
        rules.old_forms(root, report)
        apply(root, overrides, report)
        given_envs, given_secrets = envs.with_env_file(root.get("secrets"), overrides)
        self.envs = envs.read_envs(root.get("envs"), given_envs, report)
        self.secrets, self.secret_refs = envs.read_secrets(root.get("secrets"), given_secrets, report)
        known = {**self.envs, **self.secrets}
        for name in ("workdir", "file_mounts", "volumes", "service"):
            try:
                if root.get(name) is not None:
                    root.value[name] = envs.substitute(root.value[name], known)
            except ValueError as error:
                report.error(root.value[name], name, str(error))
        self._check(report)

    def _check(self, report: Report) -> None:
        root = self.root
        check(root, TASK, "", report)
        for known in (FILE_MOUNTS, VOLUMES):
            if known.name in root.value:
                check(root.value[known.name], known, known.name, report)
        rules.check_name(root.get("name"), NAME, report)
        pod_shape.check(_pod_config(root), "config.kubernetes.pod_config", report)
        rules.check_resources(root.get("resources"), report)
        rules.check_serving(root, report)
        envs.check_docker_login(self.envs, self.secrets, root, report)
        envs.check_managed(root.get("managed_secrets"), report)
        mounts.check_workdir(root.get("workdir"), self.base, report)
        mounts.check_file_mounts(root.get("file_mounts"), root.get("workdir") is not None, self.base, report)
        check_volumes(root.get("volumes"), report)

    def build(self, source: str) -> Task:
        """The model; only after checks without a problem."""
        raw = {key: value for key, value in self.root.raw().items() if value is not None}
        raw |= {name: _set(raw[name]) for name in ("file_mounts", "volumes", "service", "pool") if name in raw}
        config = {key: part if key == "kubernetes" else _set(part) for key, part in raw.get("config", {}).items()}
        command = tuple(self.overrides.command)
        run = (command[0] if len(command) == 1 else shlex.join(command)) if command else raw.get("run")
        return Task(
            name=raw.get("name"), workdir=mounts.build_workdir(raw.get("workdir"), self.base),
            num_nodes=raw.get("num_nodes", 1), resources=resource_model.build(raw.get("resources", {})),
            envs=self.envs, secrets=self.secrets,
            secret_refs=(*self.secret_refs, *envs.managed(self.root.get("managed_secrets"))),
            setup=raw.get("setup"), run=run, command=command,
            file_mounts=mounts.build_file_mounts(raw.get("file_mounts"), self.base), volumes=raw.get("volumes", {}),
            config=config, service=raw.get("service"), pool=raw.get("pool"),
            event_callback=raw.get("event_callback"), source=source, places=rules.places(self.root),
            layers=_layers(self.root.get("config"), source),
        )  # fmt: skip


def _set(value: Any) -> Any:
    """Without what is null: it is not set."""
    if isinstance(value, dict):
        return {key: _set(item) for key, item in value.items() if item is not None}
    return [_set(item) for item in value] if isinstance(value, list) else value


def _pod_config(root: Node) -> Node | None:
    found: Node | None = root
    for key in ("config", "kubernetes", "pod_config"):
        found = found.get(key) if found is not None else None
    return found


def _layers(config: Node | None, source: str) -> Layers:
    own = config.get("kubernetes") if config is not None else None
    return Layers(task=stamp(own, source) if own is not None else None)


def _a(node: Node) -> str:
    return {"list": "a list", "text": "a single text"}.get(node.kind, "a single value")


def unsupported(task: Task) -> list[Problem]:
    """What was understood but cannot be launched by this version."""
    found = []
    for mount in task.file_mounts:
        if refusal := buckets.refusal(mount):
            found.append(task.problem(join("file_mounts", mount.dst), *refusal))
    for ref in task.secret_refs:
        if ref.name not in task.secrets:
            hint = f"--secret {ref.name}=VALUE"
            found.append(task.problem(ref.field, f"the secret {ref.name} has no value", hint))
    return found
