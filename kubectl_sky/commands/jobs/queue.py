"""kubectl sky jobs queue"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands import jobcells
from kubectl_sky.commands.listflags import ALL_CONTEXTS, NO_HEADERS, SKIP_FINISHED
from kubectl_sky.errors import Failure
from kubectl_sky.globs import is_glob
from kubectl_sky.output import Format, age, listing, near, table

if TYPE_CHECKING:
    from kubectl_sky.jobs.listing import Row
    from kubectl_sky.kube import Cluster

HEADERS = ("name", "resources", "submitted", "job duration", "#recoveries", "status")


def queue(
    ctx: typer.Context,
    wanted: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or globs (default: all)")
    ] = None,
    skip_finished: SKIP_FINISHED = False,
    all_contexts: ALL_CONTEXTS = False,
    limit: Annotated[int, typer.Option("-l", "--limit", metavar="N", min=0, help="The newest N; 0: all")] = 50,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, json or yaml")] = None,
    no_headers: NO_HEADERS = False,
) -> int:
    """List managed jobs: those that wait, run and recover, and those that have ended.

    Jobs that ended are listed for `keep_hours` (24).

    \b
    Examples:
      kubectl sky jobs queue
      kubectl sky jobs queue -s -o wide    # with reasons; only what has not ended
      kubectl sky jobs queue 'sweep-*' -o json
      kubectl sky jobs queue --context team-a --context team-b
    """
    from kubectl_sky import contexts, finding
    from kubectl_sky.jobs import listing as jobs

    form = Format.parse(output, Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    names = wanted or ()
    asked = contexts.asked(finding.listing(ctx.obj, names, all_contexts), lambda one: jobs.rows(one, names))
    every = sorted((row for _, rows in asked for row in rows), key=lambda row: row.submitted)
    found = [row for row in every if not (skip_finished and row.now.over)]
    shown = found[-limit:] if limit else found
    show(shown, form, not no_headers, several=len(asked) > 1)
    places = [one for one, _ in asked]
    missing(names, every, places)
    if not shown and form in (Format.TABLE, Format.WIDE):
        print(f"No managed jobs in {where(places)}.", file=sys.stderr)
    if len(shown) < len(found):
        print(f"{len(found) - len(shown)} older ones are not shown: --limit 0 shows all", file=sys.stderr)
    return 0


def missing(wanted: Sequence[str], rows: Sequence[Row], places: Sequence[Cluster]) -> None:
    """Raises Failure for names (not globs) that are not among the rows."""
    from kubectl_sky.jobs import listing as jobs

    absent = [name for name in wanted if not is_glob(name) and not any(row.is_one_of([name]) for row in rows)]
    if absent:
        text = f"there is no managed job {', '.join(map(repr, absent))} in {where(places)}"
        raise Failure(text, near(absent[0], [row.name for one in places for row in jobs.rows(one)]))


def where(places: Sequence[Cluster]) -> str:
    if len(places) > 1:
        return f"contexts {', '.join(one.context for one in places)}"
    return f"namespace {places[0].namespace}"


def show(rows: Sequence[Row], form: Format, headers: bool, several: bool) -> None:
    """In one table, with the context in front where `several` were asked."""
    if form in (Format.JSON, Format.YAML):
        print(listing([row.document() for row in rows], form), end="")
        return
    wide = form is Format.WIDE
    titles = [*(["context"] if several else []), *HEADERS, *(["reason"] if wide else [])]
    lines = [[*([row.context] if several else []), *cells(row, wide)] for row in rows]
    print(table(lines, titles if headers else ()), end="")


def cells(row: Row, wide: bool) -> Sequence[str]:
    now = row.now
    took, status = jobcells.took(now.started, now.ended), jobcells.outcome(now.status, now.exit)
    reason = [now.reason.splitlines()[0] if now.reason else "-"] if wide else []
    return [row.name, row.resources, age(row.submitted), took, str(now.recoveries), status, *reason]
