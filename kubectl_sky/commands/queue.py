"""kubectl sky queue"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_sky.commands import jobcells
from kubectl_sky.commands.listflags import NO_HEADERS, SKIP_FINISHED, WATCH
from kubectl_sky.output import Format, age, listing, table
from kubectl_sky.remote import wire

if TYPE_CHECKING:
    from kubectl_sky.overview import Board
    from kubectl_sky.queues import Queue

HEADERS = ("id", "name", "submitted", "started", "duration", "resources", "status")
WIDE = ("nodes", "log", "reason")
# of what the agent keeps, what is said to scripts
TOLD = (
    "id", "name", "tty", "status", "exit", "reason", "rank", "submitted", "started", "ended", "resources", "priority",
    "places",
)  # fmt: skip


def queue(
    ctx: typer.Context,
    wanted: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or globs (default: all that are up)")
    ] = None,
    skip_finished: SKIP_FINISHED = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, json or yaml")] = None,
    no_headers: NO_HEADERS = False,
    watch: WATCH = False,
) -> int:
    """List the jobs of clusters that are up: what runs, what waits and for what, what has ended.

    \b
    Examples:
      kubectl sky queue train
      kubectl sky queue -s              # of all clusters, only what waits or runs
      kubectl sky queue train -o wide   # with nodes, log files and reasons
      kubectl sky queue -w              # drawn anew at each change, until Ctrl-C
    """
    from kubectl_sky import finding, queues
    from kubectl_sky.commands.status import missing, with_queues
    from kubectl_sky.diagnosis.state import QUEUED, UP
    from kubectl_sky.gang import rank
    from kubectl_sky.overview import Board
    from kubectl_sky.running import task_up

    form = Format.parse(output, Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    cluster = finding.cluster(ctx.obj, "queue", wanted or ())
    board = Board(cluster, cluster.namespace)
    board.load()
    rows = board.rows(wanted or ())
    missing(wanted or (), rows, board.job_names(), cluster, everywhere=False)
    if watch:
        return go_on(board, wanted or (), form, skip_finished, not no_headers)
    # one of its nodes may be away
    up = [row for row in rows if row.state.phase == UP or any(rank(pod) == 0 and task_up(pod) for pod in row.pods)]
    found = queues.read(cluster, [row.name for row in up])
    if form in (Format.JSON, Format.YAML):
        print(listing([as_dict(one, job) for one in found for job in chosen(one, skip_finished)], form), end="")
    else:
        show(found, form is Format.WIDE, skip_finished, not no_headers)
    for row in with_queues(rows, cluster):
        if row.state.phase != UP and (wanted or row.state.reason == QUEUED):
            print(f"{row.name} is {row.state.phase}: {row.state.message or row.state.reason}", file=sys.stderr)
    troubles = [one for one in found if one.trouble]
    for one in troubles:
        print(f"{one.task}: {one.trouble}", file=sys.stderr)
    if not rows:
        print(f"No clusters in namespace {cluster.namespace}.", file=sys.stderr)
    return 1 if troubles else 0


def chosen(found: Queue, skip_finished: bool) -> list[dict[str, Any]]:
    return [job for job in found.jobs if not (skip_finished and job["status"] in wire.FINAL)]


def show(found: Sequence[Queue], wide: bool, skip_finished: bool, headers: bool) -> None:
    text = tabular(found, wide, skip_finished, headers)
    print(text, end="")
    if found and not text:
        print("No jobs.", file=sys.stderr)
    waiting = [job for one in found for job in one.jobs if job["status"] == "PENDING" and job["reason"]]
    if waiting and not wide:
        print(f"Job {waiting[0]['id']} is {waiting[0]['reason']}", file=sys.stderr)


def tabular(found: Sequence[Queue], wide: bool, skip_finished: bool, headers: bool) -> str:
    """One table for all; the cluster's name in front where there are several."""
    several = len(found) > 1
    rows = [
        [*([one.task] if several else []), *cells(job), *(more(job) if wide else ())]
        for one in found
        for job in chosen(one, skip_finished)
    ]
    titles = [*(["cluster"] if several else []), *HEADERS, *(WIDE if wide else ())]
    return table(rows, titles if headers else ())


def go_on(board: Board, wanted: Sequence[str], form: Format, skip_finished: bool, headers: bool) -> int:
    """--watch: until Ctrl-C."""
    from kubectl_sky import live
    from kubectl_sky.queue_watch import Queues

    view, is_table, wide = live.Live(), form in (Format.TABLE, Format.WIDE), form is Format.WIDE
    titles = ("cluster", *HEADERS, *(WIDE if wide else ()))
    printed, objects = live.Rows(titles, ("submitted", "started", "duration"), headers), live.Objects()
    for found in Queues(board, wanted).changes(view.tick if is_table else None):
        jobs = {(one.task, job["id"]): (one, job) for one in found for job in chosen(one, skip_finished)}
        if is_table and view.on:
            view.draw(tabular(found, wide, skip_finished, headers) or "No jobs.")
        elif is_table:
            rows = {key: [one.task, *cells(job), *(more(job) if wide else ())] for key, (one, job) in jobs.items()}
            printed.show(rows)
        else:
            objects_now = {key: as_dict(one, job) for key, (one, job) in jobs.items()}
            if changed := objects.changed(objects_now):
                print(listing([objects_now[key] for key in changed], form), end="", flush=True)
    return 0


def as_dict(one: Queue, job: dict[str, Any]) -> dict[str, Any]:
    """For -o json and yaml."""
    return {"cluster": one.task, **{key: job.get(key) for key in TOLD}}


def cells(job: dict[str, Any]) -> list[str]:
    when = [ago(job["submitted"]), ago(job["started"]), jobcells.took(job["started"], job["ended"])]
    return [str(job["id"]), job["name"] or "-", *when, job["resources"], jobcells.outcome(job["status"], job["exit"])]


def more(job: dict[str, Any]) -> list[str]:
    nodes = ",".join(str(rank) for rank, _ in job["places"] or ()) or "-"
    return [nodes, f"/sky/run/jobs/{job['id']}.run.log", (job["reason"] or "-").splitlines()[0]]


def ago(seconds: float | None) -> str:
    """How long ago, of seconds since 1970."""
    return age(datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")) if seconds else "-"
