"""What is wrong (or worth a warning) in a task, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One finding. `line` and `column` count from 1; with line 0, `file` is a place of its own, such as `--gpus`."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        field = f"{self.field}: " if self.field and self.line else ""
        return f"{place}: {field}{self.message}" + (f" ({self.hint})" if self.hint else "")


# What people write, and what they mean, where the letters alone do not tell.
SYNONYMS = {
    "spot_recovery": "job_recovery",
    "https": "tls",
    "command": "run",
    "cmd": "run",
    "script": "run",
    "nodes": "num_nodes",
    "gpu": "accelerators",
    "image": "image_id",
    "container_image": "image_id",
    "ram": "memory",
    "mem": "memory",
    "context": "infra",
    "working_dir": "workdir",
    "environment": "envs",
    "mounts": "file_mounts",
    "container_tools": "enable_docker",
    "context_configs": "pod_config",
    "idle": "idle_minutes",
}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant by `word`, or None."""
    names = {name.lower(): name for name in known}
    names = {other: names[name] for other, name in SYNONYMS.items() if name in names} | names
    if len(word) > 60:
        return None
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def shown(value: Any) -> str:
    """A value as it may stand in a message: like in YAML, and never long."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map" if value else "{}"
    if isinstance(value, list):
        return "a list" if value else "[]"
    text = f'"{value[:61]}"' if isinstance(value, str) else str(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= 60 else text[:57] + "..."
