"""What a launch was asked, kept in the task's Secret: `start` asks the same again, on any machine. Pure."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kubectl_sky import task as tasks
from kubectl_sky.parts.ports import Exposure
from kubectl_sky.taskfile.overrides import Overrides

FILE = "launch.json"  # in the Secret
VERSION = 1


@dataclass(frozen=True)
class Record:
    """`origin` is the task's; `config`: the values of --config; `machine`: where the task's files were sent from."""

    origin: tasks.Origin
    config: tuple[str, ...]
    exposure: Exposure
    privileged_mounts: bool
    machine: str

    def as_dict(self) -> dict[str, Any]:
        return {"version": VERSION, **asdict(self)}

    def task(self, no_files: bool = False) -> tasks.Task:
        """As it was launched. Raises TaskErrors: its files are gone, or this version reads it differently."""
        origin = self.origin
        overrides = replace(origin.overrides, no_files=no_files)
        task, _ = tasks.parse(origin.text, origin.source, overrides, Path(origin.base))
        return task


def of(task: tasks.Task, config: Sequence[str], exposure: Exposure, privileged_mounts: bool) -> Record | None:
    """Of a launch; None for a task that did not come from a file or a command line."""
    if task.origin is None:
        return None
    return Record(task.origin, tuple(config), exposure, privileged_mounts, socket.gethostname())


def read(said: dict[str, Any]) -> Record:
    """From what as_dict() made. Raises ValueError for another version's."""
    if said.get("version") != VERSION:
        raise ValueError(f"version {said.get('version')}")
    try:
        origin = said["origin"]
        overrides = origin["overrides"]
        lists = {name: tuple(overrides[name]) for name in ("ports", "command")}
        made = tasks.Origin(**{**origin, "overrides": Overrides(**{**overrides, **lists})})
        exposure, config = Exposure(**said["exposure"]), tuple(said["config"])
        return Record(made, config, exposure, said["privileged_mounts"], said["machine"])
    except (KeyError, TypeError) as error:
        raise ValueError(str(error)) from None
