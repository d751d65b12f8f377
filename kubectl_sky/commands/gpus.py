"""kubectl sky gpus"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands.listflags import ALL_CONTEXTS, WATCH
from kubectl_sky.output import Format, dump, table

if TYPE_CHECKING:
    from kubectl_sky.gpus import Listing
    from kubectl_sky.kube import Cluster


def gpus(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[GPU...]", help="Only these: H100, A100-80GB, 80GB+, or globs")
    ] = None,
    everywhere: ALL_CONTEXTS = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, name, json or yaml")
    ] = None,
    watch: WATCH = False,
) -> int:
    """Show the GPUs of the cluster, how many are free, and on which nodes.

    \b
    Examples:
      kubectl sky gpus
      kubectl sky gpus H100 --all-contexts
      kubectl sky gpus -o json
      kubectl sky gpus -w               # drawn anew when nodes or pods change, until Ctrl-C
    """
    form = Format.parse(output, Format.WIDE, Format.NAME, Format.JSON, Format.YAML)
    from kubectl_sky import gpus as found
    from kubectl_sky.contexts import several

    clusters = several(ctx.obj, everywhere)
    listings = [found.only(one, names or ()) for one in found.gather(clusters)]
    if watch:
        return go_on(clusters, names or (), form)
    print(shown(listings, form), end="")
    for line in notes(listings):
        print(line, file=sys.stderr)
    return 0 if any(one.answered for one in listings) else 1


def go_on(clusters: Sequence[Cluster], names: Sequence[str], form: Format) -> int:
    """--watch: until Ctrl-C. Without a terminal all is printed again at each change."""
    from kubectl_sky import gpus as found
    from kubectl_sky import live

    view, said = live.Live(), ""
    for everything in found.changes(clusters):
        listings = [found.only(one, names) for one in everything]
        now = shown(listings, form)
        if view.on and form in (Format.TABLE, Format.WIDE):
            view.draw("\n".join([now.rstrip("\n"), *notes(listings)]))
        elif now != said:
            print(f"{said and chr(10)}{now}" if form in (Format.TABLE, Format.WIDE) else now, end="", flush=True)
        said = now
    return 0


def shown(listings: Sequence[Listing], form: Format) -> str:
    from kubectl_sky import gpus as found

    if form in (Format.JSON, Format.YAML):
        return dump({"contexts": [found.document(one) for one in listings]}, form)
    if form is Format.NAME:
        return "".join(f"{name}\n" for name in sorted({kind.name for one in listings for kind in one.kinds}))
    return "\n".join(text(one, form is Format.WIDE, heading=len(listings) > 1) for one in listings)


def notes(listings: Sequence[Listing]) -> list[str]:
    """What could not be read."""
    where = len(listings) > 1
    return [f"note: {one.context + ': ' if where else ''}{line}" for one in listings for line in one.notes]


def text(one: Listing, wide: bool, heading: bool) -> str:
    """Two tables: of kinds, of nodes."""
    lines = f"Context {one.context}\n" if heading else ""
    if not one.nodes:
        return lines + ("" if one.notes else "No accelerators.\n")
    kinds = [
        [kind.name or "<unknown>", ", ".join(map(str, kind.counts)), f"{say(kind.free)} of {kind.total}",
         f"{kind.memory:.3g} GB" if kind.memory else "-", str(kind.nodes), *([kind.key] if wide else [])]
        for kind in one.kinds
    ]  # fmt: skip
    headers = ["gpu", "requestable per node", "free", "memory", "nodes", *(["resource"] if wide else [])]
    return f"{lines}{table(kinds, headers)}\n{table(*node_rows(one, wide))}"


def node_rows(one: Listing, wide: bool) -> tuple[list[list[str]], list[str]]:
    headers = [
        "node",
        "gpu",
        "free",
        "state",
        "taints",
        *(["cpus free", "memory free", "type", "told by"] if wide else []),
    ]
    rows = []
    for node in one.nodes:
        extra = [node.cpus, node.memory, node.instance_type or "-", node.told_by or "-"] if wide else []
        taints = ",".join(node.taints) or "-"
        rows.append(
            [node.name, node.gpu or "<unknown>", f"{say(node.free)} of {node.total}", node.state, taints, *extra]
        )
    return rows, headers


def say(count: int | None) -> str:
    return "?" if count is None else str(count)
