"""The flags for when an idle cluster ends, shared by launch, start and autostop."""

from __future__ import annotations

from typing import Annotated

import typer

IDLE_MINUTES = Annotated[
    int | None,
    typer.Option(
        "-i",
        "--idle-minutes-to-autostop",
        metavar="MINUTES",
        help="End the pods after so long without a job or a session (default: as the task says, else never)",
    ),
]
WAIT_FOR = Annotated[
    str | None,
    typer.Option("--wait-for", metavar="WHAT", help="What keeps it from being idle: jobs_and_ssh, jobs or none"),
]
