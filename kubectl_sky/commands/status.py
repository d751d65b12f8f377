"""kubectl sky status"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_sky import cluster_objects, live
from kubectl_sky.commands import status_contexts, status_endpoints
from kubectl_sky.commands.listflags import ALL_CONTEXTS, ALL_NAMESPACES, NO_HEADERS, WATCH
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.diagnosis.state import QUEUED, UNSCHEDULABLE, UP
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.globs import is_glob
from kubectl_sky.output import Format, age, duration, listing, near, table
from kubectl_sky.overview import Board, Row

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

HEADERS = ("name", "nodes", "resources", "status", "autostop", "age")
WIDE = ("context", "namespace", "user", "image", "node", "ip")


def status(
    ctx: typer.Context,
    wanted: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or globs")] = None,
    everywhere: ALL_NAMESPACES = False,
    all_contexts: ALL_CONTEXTS = False,
    selector: Annotated[str | None, typer.Option("-l", "--selector", metavar="LABELS", help="e.g. team=ml")] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, name, json or yaml")
    ] = None,
    no_headers: NO_HEADERS = False,
    ports: Annotated[bool, typer.Option("--endpoints", help="Where the ports of one cluster can be reached")] = False,
    port: Annotated[int | None, typer.Option("--endpoint", metavar="PORT", help="The address of one port")] = None,
    watch: WATCH = False,
) -> int:
    """List clusters and how they are.

    \b
    Examples:
      kubectl sky status
      kubectl sky status 'train-*' -o wide
      kubectl sky status -A -o json
      kubectl sky status --all-contexts
      kubectl sky status --endpoints web
      kubectl sky status -v             # with the reason under each that is not up
    """
    from kubectl_sky import finding

    form = Format.parse(output)
    why, plain = ctx.obj.verbosity >= 1, not ports and port is None
    if plain and (all_contexts or ctx.obj.contexts):
        if watch or why:
            raise UsageError("several contexts go without -v and --watch", "one context at a time: --context NAME")
        return status_contexts.show(ctx.obj, wanted or (), everywhere, selector, form, not no_headers)
    cluster = finding.cluster(ctx.obj, "status", () if everywhere else wanted or ())
    if not plain:
        return status_endpoints.show(cluster, wanted or (), port, form, not no_headers)
    board = Board(cluster, None if everywhere else cluster.namespace, selector, reasons=bool(wanted) or why)
    board.load()
    printer = Printer(form, everywhere, not no_headers)
    if why:
        printer.below = lambda row: reason(row, cluster)
    rows = board.rows(wanted or ())
    if watch:
        missing(wanted or (), rows, board.job_names(), cluster, everywhere)
        return go_on(board, printer, wanted or ())
    if wanted or why:
        rows = with_queues(rows, cluster)
    if why:
        rows = with_nodes(rows, board.events, cluster)
    if wanted or why or form is not Format.TABLE:
        rows = with_time_left(rows, cluster)
    printer.show(rows)
    if wanted and not why and form in (Format.TABLE, Format.WIDE):
        explain(rows, cluster)
    missing(wanted or (), rows, board.job_names(), cluster, everywhere)
    if not rows and form in (Format.TABLE, Format.WIDE):
        print(nothing(cluster, everywhere), file=sys.stderr)
    return 0


def nothing(cluster: Cluster, everywhere: bool) -> str:
    where = "any namespace" if everywhere else f"namespace {cluster.namespace}"
    return f"No clusters in {where}. To make one: kubectl sky launch task.yaml"


def go_on(board: Board, printer: Printer, wanted: Sequence[str]) -> int:
    """--watch: until Ctrl-C."""
    view, is_table = live.Live(), printer.form in (Format.TABLE, Format.WIDE)
    printed, objects = live.Rows(printer.titles(), ("age",), printer.headers), live.Objects()
    for _ in itertools.chain([None], board.changes(view.tick if is_table else None)):
        rows = {(row.namespace, row.name): row for row in board.rows(wanted)}
        if is_table and view.on:
            view.draw(printer.text(list(rows.values())) or nothing(board.cluster, printer.everywhere))
        elif is_table:
            printed.show({key: printer.cells(row) for key, row in rows.items()})
        elif changed := objects.changed({key: as_dict(row) for key, row in rows.items()}):
            printer.show([rows[key] for key in changed])
    return 0


def explain(rows: Sequence[Row], cluster: Cluster) -> None:
    """Why tasks that were asked for are not up."""
    for row in rows:
        first, *more = reason(row, cluster) or [""]
        if first:
            print(f"{row.name}: {first}", *more, sep="\n  ", file=sys.stderr)


def with_nodes(rows: Sequence[Row], events: Sequence[dict[str, Any]], cluster: Cluster) -> list[Row]:
    """The rows; those that have no place know what the nodes say, which are read once for all."""
    from kubectl_sky.diagnosis import unplaced, why

    if all(row.state.reason != UNSCHEDULABLE for row in rows):
        return list(rows)
    there = why.nodes(cluster)
    return [replace(row, state=unplaced.refined(row.state, row.pods, events, there)) for row in rows]


def with_queues(rows: Sequence[Row], cluster: Cluster) -> list[Row]:
    """The rows; those that wait in a queue of Kueue in this namespace know what it says."""
    from kubectl_sky.diagnosis import kueue

    queues = kueue.Queues(cluster)
    return [
        replace(row, state=kueue.refined(queues, row.state, row.job))
        if row.state.reason == QUEUED and row.namespace == cluster.namespace
        else row
        for row in rows
    ]


def with_time_left(rows: Sequence[Row], cluster: Cluster) -> list[Row]:
    """The rows; of those that end by themselves, with the time until then, as long as nothing keeps them."""
    from kubectl_sky import queues

    asked = [row.name for row in rows if row.autostop and row.state.phase == UP and row.namespace == cluster.namespace]
    left = {one.task: one.idle["left"] for one in queues.read(cluster, asked) if one.idle}
    return [replace(row, left=left.get(row.name)) if row.namespace == cluster.namespace else row for row in rows]


def ends(row: Row) -> str:
    """`30m (down), 12m left`, `-` for never."""
    if row.autostop is None:
        return "-"
    after = duration(row.autostop.minutes * 60) if row.autostop.minutes else "0m"
    left = "" if row.left is None else f", {duration(row.left)} left"
    return after + (" (down)" if row.autostop.down else "") + left


def reason(row: Row, cluster: Cluster) -> list[str]:
    """Why a task is not up, and what to do."""
    if not row.state.message:
        return []
    hint = located(cluster.connection, row.state.hint or "")
    return [*row.state.message.splitlines(), *hint.splitlines()]


def missing(
    wanted: Sequence[str], rows: Sequence[Row], known: Sequence[str], cluster: Cluster, everywhere: bool
) -> None:
    """Raises Failure for names (not globs) that are not among the rows."""
    shown = {row.name for row in rows}
    absent = [name for name in wanted if not is_glob(name) and name not in shown]
    if absent:
        if not everywhere:
            cluster_objects.check_namespace(cluster)
        text = ", ".join(repr(name) for name in absent)
        where = "any namespace" if everywhere else f"namespace {cluster.namespace}"
        raise Failure(f"there is no cluster {text} in {where}", near(absent[0], known))


class Printer:
    """Tasks in one format."""

    def __init__(self, form: Format, everywhere: bool, headers: bool, contexts: bool = False):
        self.form, self.everywhere, self.headers, self.contexts = form, everywhere, headers, contexts
        self.below: Callable[[Row], list[str]] = lambda row: []  # lines under a row

    def show(self, rows: Sequence[Row]) -> None:
        print(self.text(rows), end="", flush=True)

    def text(self, rows: Sequence[Row]) -> str:
        if self.form in (Format.JSON, Format.YAML):
            return listing([as_dict(row) for row in rows], self.form)
        if self.form is Format.NAME:
            return "".join(f"job.batch/{row.name}\n" for row in rows)
        lines = table([self.cells(row) for row in rows], self.titles() if self.headers else ()).splitlines()
        shown = lines[: len(lines) - len(rows)]
        for line, row in zip(lines[len(lines) - len(rows) :], rows, strict=True):
            shown += [line, *(f"  {text}" for text in self.below(row))]
        return "".join(f"{line}\n" for line in shown)

    def titles(self) -> list[str]:
        return self.cells_of(HEADERS, WIDE, "namespace", "context")

    def cells(self, row: Row) -> list[str]:
        plain = (row.name, f"{row.ready}/{row.wanted}", row.resources, str(row.state), ends(row), age(row.created))
        wide = (row.context, row.namespace, row.user, row.image, ",".join(row.nodes()), ",".join(row.addresses()))
        return self.cells_of(plain, wide, row.namespace, row.context)

    def cells_of(self, plain: Sequence[str], wide: Sequence[str], namespace: str, context: str) -> list[str]:
        first = [context] * self.contexts + [namespace] * self.everywhere
        is_wide = self.form is Format.WIDE
        return [*([] if is_wide else first), *plain, *(wide if is_wide else ())]


def as_dict(row: Row) -> dict[str, Any]:
    """A task for -o json and yaml."""
    state = row.state
    return {
        "name": row.name,
        "namespace": row.namespace,
        "context": row.context,
        "user": row.user,
        "image": row.image,
        "resources": row.resources,
        "nodes": row.wanted,
        "readyNodes": row.ready,
        "status": {"phase": state.phase, "reason": state.reason, "message": state.message, "hint": state.hint or ""},
        "created": row.created,
        "autostop": row.autostop
        and {
            "idleMinutes": row.autostop.minutes,
            "waitFor": row.autostop.wait_for,
            "down": row.autostop.down,
            "secondsLeft": row.left and round(row.left),
        },
        "pods": [
            {
                "name": pod["metadata"]["name"],
                "node": pod.get("spec", {}).get("nodeName", ""),
                "ip": pod.get("status", {}).get("podIP", ""),
                "phase": pod.get("status", {}).get("phase", ""),
            }
            for pod in row.pods
        ],
    }
