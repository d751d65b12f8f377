"""kubectl sky jobs cancel"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands.launchflags import NEVER_ASKS
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.output import near

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def cancel(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or globs")] = None,
    given: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The same as NAME")] = None,
    everything: Annotated[bool, typer.Option("-a", "--all", help="All jobs that wait or run")] = False,
    yes: NEVER_ASKS = False,  # noqa: ARG001
) -> int:
    """End managed jobs that wait or run: SIGTERM to their processes, SIGKILL 5 s later; then their pods end.

    What is left of them can be looked at for `keep_hours`; `kubectl sky down NAME` removes it now.

    \b
    Examples:
      kubectl sky jobs cancel train
      kubectl sky jobs cancel 'sweep-*'
      kubectl sky jobs cancel -a
    """
    from kubectl_sky import finding

    wanted = [*(names or ()), *([given] if given else ())]
    if everything == bool(wanted):
        raise UsageError("which jobs?", "give names, or --all; kubectl sky jobs queue lists them")
    for cluster, some in finding.grouped(ctx.obj, "jobs cancel", wanted, finding.Kind.JOB):
        _cancel(cluster, some, everything)
    return 0


def _cancel(cluster: Cluster, wanted: Sequence[str], everything: bool) -> None:
    from kubectl_sky.jobs import cancelling, listing

    every = listing.rows(cluster)
    found = every if everything else [row for row in every if row.is_one_of(wanted)]
    live = [row for row in found if not row.now.over]
    cancelling.check(live, every)
    for name in dict.fromkeys(row.place.name for row in live):
        cancelling.cancel(cluster, [row for row in live if row.place.name == name])
        print(f"{name} is cancelled")
    for row in found if not everything else ():
        if row.now.over and not any(one.place.name == row.place.name for one in live):
            print(f"{row.name} had ended already: {row.now.status}", file=sys.stderr)
    absent = [one for one in wanted if not any(row.is_one_of([one]) for row in found)]
    if absent:
        known = [row.name for row in every]
        raise Failure(f"there is no managed job {absent[0]!r} in namespace {cluster.namespace}", near(absent[0], known))
    if everything and not live:
        print("No managed job waits or runs.", file=sys.stderr)
