"""--config, and a task with all of its configuration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from kubectl_sky.config import sources
from kubectl_sky.task import Task

CONFIG = Annotated[
    list[str] | None,
    typer.Option(
        "--config",
        metavar="KEY=VALUE|FILE",
        help="Setting over all others, e.g. kubernetes.provision_timeout=900; or a file of them (repeat)",
    ),
]


def configured(task: Task, flags: Sequence[str] | None) -> Task:
    """The task with what the files and --config say; warnings go to stderr. Raises UsageError (TaskErrors)."""
    layers, warnings = sources.read(task.layers, flags or ())
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return replace(task, layers=layers)
