"""kubectl sky gpus"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.output import Format, dump, table

if TYPE_CHECKING:
    from kubectl_sky.gpus import Listing


def gpus(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[GPU...]", help="Only these: H100, A100-80GB, 80GB+, or globs")
    ] = None,
    everywhere: Annotated[bool, typer.Option("--all-contexts", help="In every context of the kubeconfig")] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, name, json or yaml")
    ] = None,
) -> int:
    """Show the GPUs of the cluster, how many are free, and on which nodes.

    \b
    Examples:
      kubectl sky gpus
      kubectl sky gpus H100 --all-contexts
      kubectl sky gpus -o json
    """
    form = Format.parse(output, Format.WIDE, Format.NAME, Format.JSON, Format.YAML)
    from kubectl_sky import gpus as found
    from kubectl_sky.choosing import contexts

    listings = found.gather(contexts(ctx.obj, everywhere))
    listings = [found.only(one, names or ()) for one in listings]
    if form in (Format.JSON, Format.YAML):
        print(dump({"contexts": [found.document(one) for one in listings]}, form), end="")
    elif form is Format.NAME:
        print("".join(f"{name}\n" for name in sorted({kind.name for one in listings for kind in one.kinds})), end="")
    else:
        for position, one in enumerate(listings):
            print("\n" * (position > 0) + text(one, form is Format.WIDE, heading=len(listings) > 1), end="")
    for one in listings:
        for line in one.notes:
            print(f"note: {line}" if len(listings) == 1 else f"note: {one.context}: {line}", file=sys.stderr)
    return 0 if any(one.answered for one in listings) else 1


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
