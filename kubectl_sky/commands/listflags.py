"""The flags of verbs that list, shared by status, queue, jobs queue, gpus, cost-report and volumes ls."""

from __future__ import annotations

from typing import Annotated

import typer

NO_HEADERS = Annotated[bool, typer.Option("--no-headers", help="Without the line of headers")]
SKIP_FINISHED = Annotated[bool, typer.Option("-s", "--skip-finished", help="Only jobs that wait or run")]
ALL_NAMESPACES = Annotated[bool, typer.Option("-A", "--all-namespaces", help="Of all namespaces")]
ALL_CONTEXTS = Annotated[
    bool, typer.Option("--all-contexts", help="In every context of the kubeconfig; one that is away is named")
]
WATCH = Annotated[bool, typer.Option("-w", "--watch", help="Go on, and show what changes")]
