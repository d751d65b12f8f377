"""The arguments of verbs that start something, shared by launch, exec, jobs launch and others."""

from __future__ import annotations

from typing import Annotated

import typer

ENTRY = Annotated[list[str] | None, typer.Argument(metavar="[FILE | -- COMMAND...]", help="A task file, or a command")]
DETACH = Annotated[bool, typer.Option("-d", "--detach-run", help="Return when the job is handed over")]
NEVER_ASKS = Annotated[bool, typer.Option("-y", "--yes", help="For SkyPilot's habit: this never asks")]
