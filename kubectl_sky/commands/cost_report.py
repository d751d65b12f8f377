"""kubectl sky cost-report"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands.listflags import ALL_NAMESPACES, NO_HEADERS
from kubectl_sky.output import Format, age, duration, listing, table

if TYPE_CHECKING:
    from kubectl_sky.costs import Cost
    from kubectl_sky.overview import Row

HEADERS = ("name", "launched", "duration", "resources", "status", "cost/hr", "cost (est.)")


def cost_report(
    ctx: typer.Context,
    everywhere: ALL_NAMESPACES = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
    no_headers: NO_HEADERS = False,
) -> int:
    """Estimate what clusters have cost, from the prices that were set at their launch.

    Ended clusters are counted as long as they can be looked at. Prices are the setting `pricing`.

    \b
    Examples:
      kubectl sky cost-report
      kubectl sky cost-report -A -o json
    """
    from kubectl_sky import costs, kube
    from kubectl_sky.overview import Board

    form = Format.parse(output, Format.TABLE, Format.JSON, Format.YAML)
    cluster = kube.connect(ctx.obj)
    board = Board(cluster, None if everywhere else cluster.namespace)
    board.load()
    now = datetime.now(timezone.utc)
    pods = board.pods()
    found = [(row, costs.of(row.job, pods.get(row.job["metadata"]["uid"], ()), now)) for row in board.rows()]
    if form is Format.TABLE:
        _show(found, everywhere, not no_headers)
    else:
        print(listing([as_dict(row, cost) for row, cost in found], form), end="")
    if found and all(cost.price is None for _, cost in found):
        print("No prices were known at their launch: set `pricing` (docs/gpus.md)", file=sys.stderr)
    return 0


def _show(found: Sequence[tuple[Row, Cost]], everywhere: bool, headers: bool) -> None:
    first = ("namespace",) if everywhere else ()
    rows = [[*([row.namespace] if everywhere else []), *_cells(row, cost)] for row, cost in found]
    print(table(rows, (*first, *HEADERS) if headers else ()), end="")
    known = [cost.total for _, cost in found if cost.total is not None]
    if known:
        print(f"Together: $ {sum(known):.2f}", file=sys.stderr)


def _cells(row: Row, cost: Cost) -> list[str]:
    price = "-" if cost.price is None else f"$ {cost.price:.2f}"
    total = "-" if cost.total is None else f"$ {cost.total:.2f}"
    return [row.name, f"{age(row.created)} ago", duration(cost.seconds), row.resources, str(row.state), price, total]


def as_dict(row: Row, cost: Cost) -> dict[str, object]:
    return {
        "name": row.name,
        "namespace": row.namespace,
        "launched": row.created,
        "seconds": round(cost.seconds),
        "resources": row.resources,
        "status": row.state.phase,
        "pricePerHour": cost.price,
        "cost": cost.total,
    }
