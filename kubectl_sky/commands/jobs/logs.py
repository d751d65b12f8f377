"""kubectl sky jobs logs"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from kubectl_sky.commands.logflags import FOLLOW, NODE, TAIL
from kubectl_sky.errors import Failure, UsageError


def logs(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The job, NAME/INDEX, or a job group (default: the newest)")
    ] = None,
    follow: FOLLOW = True,
    tail: TAIL = None,
    node: NODE = None,
) -> int:
    """Print the output of a managed job, and follow it to its end, also from pod to pod.

    The exit code is the job's. Ctrl-C ends the following, not the job.

    \b
    Examples:
      kubectl sky jobs logs train
      kubectl sky jobs logs train --no-follow --tail 100
    """
    from kubectl_sky import contexts, finding, managed
    from kubectl_sky.jobs import following, listing, together
    from kubectl_sky.output import Progress

    if name:
        looked = [finding.cluster(ctx.obj, "jobs logs", [name], finding.Kind.JOB)]
    else:
        looked = contexts.several(ctx.obj)
    asked = contexts.asked(looked, lambda one: listing.rows(one, [name] if name else ()))
    # of several the one with the newest job
    cluster, rows = max(asked, key=lambda one: one[1][-1].submitted if one[1] else "")
    if not rows:
        text = f"there is no managed job {name!r}" if name else "there are no managed jobs"
        raise Failure(f"{text} in namespace {cluster.namespace}", cluster.connection.command("jobs queue"))
    chosen = [row for row in rows if row.place.name == rows[-1].place.name]
    grouped = rows[-1].group and all(row.group == rows[-1].group for row in rows) and name == rows[-1].group
    if grouped:
        places = [replace(row.place, tail=tail, only=node, wait=follow) for row in rows]
        return together.follow(cluster, rows[-1].group, places)
    if not name:
        print(f"The newest job: {chosen[0].place.name}", file=sys.stderr)
    if len(chosen) > 1 and not managed.fan(chosen[0].job)[1]:
        names = f"{chosen[0].name} to {chosen[-1].name}"
        raise UsageError(f"{chosen[0].place.name} is {len(chosen)} jobs: {names}", "name one of them")
    if not follow:
        chosen = [row for row in chosen if row.pod or row.now.over]
    places = [replace(row.place, tail=tail, only=node, wait=follow) for row in chosen]
    with Progress() as progress:
        return following.follow_all(cluster, places, progress)
