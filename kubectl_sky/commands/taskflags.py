"""The flags that describe a task, shared by launch, exec and render; and reading the task that they complete."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import typer

from kubectl_sky import system
from kubectl_sky import task as tasks
from kubectl_sky.cli import is_task_file
from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile.fields import JOBS_ONLY

Texts = list[str] | None
Text = str | None

# Field of TaskFlags -> (its type, spelling, metavar, help)
_OPTIONS: dict[str, tuple[Any, str, str | None, str]] = {
    "name": (Text, "--name", "NAME", "Name of the task"),
    "workdir": (Text, "--workdir", "DIR", "Folder to take along; commands start in it"),
    "git_url": (Text, "--git-url", "URL", "Git repository to take along as the workdir"),
    "git_ref": (Text, "--git-ref", "REF", "Its branch, tag or commit (default: its main branch)"),
    "num_nodes": (int | None, "--num-nodes", "N", "Number of nodes (pods)"),
    "cpus": (Text, "--cpus", "N", "CPUs a node, e.g. 4 or 4+"),
    "memory": (Text, "--memory", "GIB", "Memory a node in GiB, e.g. 16 or 16+"),
    "gpus": (Text, "--gpus", "NAME[:N]", "GPUs a node, e.g. A100:2"),
    "image_id": (Text, "--image-id", "IMAGE", "Container image"),
    "use_spot": (bool | None, "--use-spot/--no-use-spot", None, "Only spot nodes; or none of them"),
    "infra": (Text, "--infra", "INFRA", "Where to run: kubernetes, or kubernetes/CONTEXT"),
    "ports": (Texts, "--ports", "PORT", "Port that the task serves, or a range (repeat)"),
    "disk_size": (Text, "--disk-size", "GB", "Disk space a node in GB"),
    "env": (Texts, "--env", "NAME[=VALUE]", "Environment variable; without a value the one set here (repeat)"),
    "env_file": (Texts, "--env-file", "FILE", "File of NAME=value lines (repeat)"),
    "secret": (Texts, "--secret", "NAME[=VALUE]", "Like --env, but never shown (repeat)"),
    "secret_file": (Texts, "--secret-file", "FILE", "Like --env-file, for secrets (repeat)"),
}


@dataclass(frozen=True)
class TaskFlags:
    """The values of the task flags, None where not given; lists where a flag may be repeated."""

    name: str | None = None
    workdir: str | None = None
    git_url: str | None = None
    git_ref: str | None = None
    num_nodes: int | None = None
    cpus: str | None = None
    memory: str | None = None
    gpus: str | None = None
    image_id: str | None = None
    use_spot: bool | None = None
    infra: str | None = None
    ports: list[str] | None = None
    disk_size: str | None = None
    env: list[str] | None = None
    env_file: list[str] | None = None
    secret: list[str] | None = None
    secret_file: list[str] | None = None

    def overrides(self, command: Sequence[str] = ()) -> tasks.Overrides:
        """What is put on top of the task file. UsageError: a bad variable, an env file that cannot be read."""
        given = tasks.variables(self.env or (), self.env_file or (), self.secret or (), self.secret_file or ())
        same = (
            "name", "workdir", "git_url", "git_ref", "num_nodes", "cpus", "memory", "gpus", "image_id", "use_spot",
            "infra", "disk_size",
        )  # fmt: skip
        return tasks.Overrides(
            **{key: getattr(self, key) for key in same},
            ports=tuple(self.ports or ()),
            envs=given.envs,
            secrets=given.secrets,
            env_file=given.env_file,
            command=tuple(command),
        )


def with_task_flags(verb: Callable[..., int]) -> Callable[..., int]:
    """Gives `verb` the task flags as options, and their values as one argument `flags: TaskFlags`."""
    own = inspect.signature(verb, eval_str=True)
    parameters = [parameter for parameter in own.parameters.values() if parameter.name != "flags"]
    for name, (kind, spelling, metavar, text) in _OPTIONS.items():
        option = typer.Option(None, spelling, metavar=metavar, help=text)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, keyword, default=option, annotation=kind))

    @functools.wraps(verb)
    def wrapper(**given: Any) -> int:
        flags = TaskFlags(**{field.name: given.pop(field.name) for field in fields(TaskFlags)})
        return verb(flags=flags, **given)

    wrapper.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapper


def read_tasks(entry: Sequence[str], flags: TaskFlags) -> tasks.TaskFile:
    """As read_task, for managed jobs: several tasks of one file too, and the fields that are only for them."""
    if len(entry) != 1 or not is_task_file(entry[0]):
        return tasks.TaskFile("task", None, (read_task(entry, flags),))
    path = entry[0]
    text, source = (sys.stdin.buffer.read(), "stdin") if path == "-" else (tasks.read_file(path), path)
    file, warnings = tasks.parse_all(text, source, flags.overrides())
    for warning in warnings:
        if warning.message != JOBS_ONLY:
            print(f"warning: {warning}", file=sys.stderr)
    return file


def read_task(entry: Sequence[str], flags: TaskFlags) -> tasks.Task:
    """The task of a command line: a task file (`-` is stdin), or a command; warnings go to stderr.

    UsageError (TaskErrors): no such file, problems in it, words after a task file.
    """
    if len(entry) == 1 and is_task_file(entry[0]):
        path = entry[0]
        text, source = (sys.stdin.buffer.read(), "stdin") if path == "-" else (tasks.read_file(path), path)
        task, warnings = tasks.parse(text, source, flags.overrides())
    elif entry and is_task_file(entry[0]) and os.path.exists(entry[0]):
        raise UsageError(f"{entry[1]!r}: nothing can follow the task file {entry[0]}", "a command goes after `--`")
    elif len(entry) == 1 and "/" in system.with_slashes(entry[0]) and os.path.isdir(entry[0]):
        raise UsageError(f"{entry[0]} is a folder, not a task file", "to send it along: --workdir FOLDER -- COMMAND")
    else:
        task, warnings = tasks.parse(None, "command line", flags.overrides(entry), Path.cwd())
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return task


def check_supported(task: tasks.Task) -> None:
    """Raises TaskErrors for what the task file may say but cannot be run yet."""
    if problems := tasks.unsupported(task):
        raise tasks.TaskErrors(problems)
