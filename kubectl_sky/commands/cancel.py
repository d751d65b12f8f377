"""kubectl sky cancel"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubectl_sky.commands.launchflags import NEVER_ASKS
from kubectl_sky.errors import UsageError


def cancel(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster")],
    jobs: Annotated[list[int] | None, typer.Argument(metavar="[JOB]...", help="Job ids, as queue lists them")] = None,
    everything: Annotated[bool, typer.Option("-a", "--all", help="All jobs that wait or run")] = False,
    yes: NEVER_ASKS = False,  # noqa: ARG001
) -> int:
    """End jobs that wait or run: SIGTERM to all their processes on all nodes, SIGKILL 5 s later.

    The cluster stays up.

    \b
    Examples:
      kubectl sky cancel train 3
      kubectl sky cancel train -a
    """
    from kubectl_sky import finding, queues, running

    if everything == bool(jobs):
        raise UsageError("which jobs?", "give job ids, or --all; kubectl sky queue lists them")
    cluster = finding.cluster(ctx.obj, "cancel", [name])
    ended = [job["id"] for job in queues.cancel(cluster, name, None if everything else jobs)]
    for number in ended:
        print(f"job {number} is cancelled")
    left = sorted(set(jobs or ()) - set(ended))
    if left:
        known = {job["id"]: job["status"] for job in queues.read(cluster, [name])[0].jobs}
        if absent := [str(number) for number in left if number not in known]:
            raise running.no_job(name, ", ".join(absent), known)
        for number in left:
            print(f"job {number} had ended already: {known[number]}", file=sys.stderr)
    elif not ended:
        print(f"{name} has no job that waits or runs", file=sys.stderr)
    return 0
