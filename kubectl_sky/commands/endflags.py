"""The arguments that choose the clusters to end, shared by stop and down."""

from __future__ import annotations

from typing import Annotated

import typer

WANTED = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or globs")]
EVERYTHING = Annotated[bool, typer.Option("-a", "--all", help="All clusters of the namespace")]
YES = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask")]
TIMEOUT = Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long to wait, e.g. 30s or 5m")]
