"""kubectl sky jobs queue"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.output import Format, age, duration, listing, table

if TYPE_CHECKING:
    from kubectl_sky.jobs.listing import Row

HEADERS = ("name", "resources", "submitted", "job duration", "#recoveries", "status")


def queue(
    ctx: typer.Context,
    wanted: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or globs (default: all)")
    ] = None,
    skip_finished: Annotated[bool, typer.Option("-s", "--skip-finished", help="Only jobs that wait or run")] = False,
    limit: Annotated[int, typer.Option("-l", "--limit", metavar="N", min=0, help="The newest N; 0: all")] = 50,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, json or yaml")] = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Without the line of headers")] = False,
) -> int:
    """List managed jobs: those that wait, run and recover, and those that have ended.

    Jobs that ended are listed for `keep_hours` (24).

    \b
    Examples:
      kubectl sky jobs queue
      kubectl sky jobs queue -s -o wide    # with reasons; only what has not ended
      kubectl sky jobs queue 'sweep-*' -o json
    """
    from kubectl_sky import kube
    from kubectl_sky.jobs import listing as jobs

    form = Format.parse(output, Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    cluster = kube.connect(ctx.obj)
    found = [row for row in jobs.rows(cluster, wanted or ()) if not (skip_finished and row.now.over)]
    shown = found[-limit:] if limit else found
    if form in (Format.JSON, Format.YAML):
        print(listing([row.document() for row in shown], form), end="")
        return 0
    wide = form is Format.WIDE
    headers = [*HEADERS, *(["reason"] if wide else [])]
    if shown:
        print(table([cells(row, wide) for row in shown], () if no_headers else headers), end="")
    else:
        print(f"No managed jobs in namespace {cluster.namespace}.", file=sys.stderr)
    if len(shown) < len(found):
        print(f"{len(found) - len(shown)} older ones are not shown: --limit 0 shows all", file=sys.stderr)
    return 0


def cells(row: Row, wide: bool) -> Sequence[str]:
    now = row.now
    took = duration((now.ended or time.time()) - now.started) if now.started else "-"
    code = f" ({now.exit})" if now.status.startswith("FAILED") and now.exit is not None else ""
    reason = [now.reason.splitlines()[0] if now.reason else "-"] if wide else []
    return [row.name, row.resources, age(row.submitted), took, str(now.recoveries), now.status + code, *reason]
