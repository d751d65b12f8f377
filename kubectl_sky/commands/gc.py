"""kubectl sky gc"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands.down import limit
from kubectl_sky.errors import UsageError
from kubectl_sky.output import age, can_ask, confirm, table

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.leftovers import Leftover

HEADERS = ("object", "age", "why")


def gc(
    ctx: typer.Context,
    older: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Only what is older: a launch may be under way")
    ] = "10m",
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Volumes too, with what is in them; else they are only shown")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is left over")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask")] = False,
) -> int:
    """Find what belongs to no cluster any more, left by a client that was killed or by another hand; remove it.

    \b
    Examples:
      kubectl sky gc --dry-run
      kubectl sky gc -y --older-than 1h
    """
    from kubectl_sky import kube, leftovers, teardown

    seconds = limit(older, "--older-than")
    cluster = kube.connect(ctx.obj)
    things = teardown.find(cluster)
    found = leftovers.of(things, datetime.now(timezone.utc), timedelta(seconds=seconds))
    chosen = [one for one in found if volumes or not one.data]
    _show(found, cluster)
    for task, gone in leftovers.broken(things).items():
        text = f"{task} has lost {', '.join(gone)}: its pods cannot start again"
        print(f"{text}. To remove it: {cluster.connection.command('down', task)}", file=sys.stderr)
    if len(chosen) < len(found):
        print("Volumes are removed only with --volumes.", file=sys.stderr)
    if not chosen or dry_run:
        return 0
    if not yes and not _agreed(len(chosen)):
        print("Nothing was removed.", file=sys.stderr)
        return 1
    teardown.delete(cluster, [one.thing for one in chosen])
    print(f"Removed {teardown.describe([one.thing for one in chosen])}.")
    return 0


def _show(found: Sequence[Leftover], cluster: Cluster) -> None:
    if not found:
        print(f"Nothing is left over in namespace {cluster.namespace}.", file=sys.stderr)
        return
    rows = [(str(one.thing), age(one.thing.manifest["metadata"]["creationTimestamp"]), one.why) for one in found]
    print(table(rows, HEADERS), end="")


def _agreed(count: int) -> bool:
    if can_ask():
        return confirm(f"Remove {count} object{'s' * (count != 1)}?")
    raise UsageError("there is no terminal to ask on", "to remove what is shown: --yes")
