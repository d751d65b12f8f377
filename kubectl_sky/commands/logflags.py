"""The flags for a log, shared by logs and jobs logs."""

from __future__ import annotations

from typing import Annotated

import typer

FOLLOW = Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Go on until the job ends")]
TAIL = Annotated[int | None, typer.Option("--tail", metavar="N", min=0, help="Only the last N lines first")]
NODE = Annotated[int | None, typer.Option("--node", metavar="RANK", min=0, help="Only that node's output")]
