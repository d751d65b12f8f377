"""kubectl sky logs"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.commands.logflags import FOLLOW, NODE, TAIL
from kubectl_sky.errors import UsageError


def logs(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster")],
    job: Annotated[list[int] | None, typer.Argument(metavar="[JOB]...", help="Job ids (default: the newest)")] = None,
    follow: FOLLOW = True,
    tail: TAIL = None,
    node: NODE = None,
) -> int:
    """Print the output of a job, of all its nodes, and follow it to its end.

    The exit code is the job's. Ctrl-C ends the following, not the job.

    \b
    Examples:
      kubectl sky logs train                 # the newest job
      kubectl sky logs train 2 --tail 100
      kubectl sky logs train --no-follow --node 1
    """
    from kubectl_sky import finding, reading

    if node is not None and tail is not None:
        raise UsageError("--tail counts the lines of all nodes", "use --node without --tail, or pipe it to `tail`")
    cluster = finding.cluster(ctx.obj, "logs", [name])
    return reading.read(cluster, name, reading.Options(tuple(job or ()), follow, tail, node))
