"""kubectl sky stop"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_sky.commands.down import agreed, limit
from kubectl_sky.commands.endflags import EVERYTHING, TIMEOUT, WANTED, YES
from kubectl_sky.errors import UsageError
from kubectl_sky.globs import is_glob
from kubectl_sky.output import Progress

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def stop(
    ctx: typer.Context,
    wanted: WANTED = None,
    everything: EVERYTHING = False,
    yes: YES = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the pods are gone")] = True,
    timeout: TIMEOUT = "2m",
) -> int:
    """End the pods of clusters and keep the rest: named volumes, and what start needs. What runs in them ends.

    \b
    Examples:
      kubectl sky stop train
      kubectl sky start train
    """
    from kubectl_sky import finding

    names = [name.removeprefix("job.batch/") for name in wanted or ()]
    if bool(names) == everything:
        raise UsageError("which cluster?", "kubectl sky stop NAME, or --all; kubectl sky status lists them")
    seconds = limit(timeout)
    groups = finding.grouped(ctx.obj, "stop", names)
    return max(_stop(cluster, some, everything, yes, seconds if wait else None) for cluster, some in groups)


def _stop(cluster: Cluster, names: Sequence[str], everything: bool, yes: bool, seconds: float | None) -> int:
    from kubectl_sky import autostop, cluster_objects, stopping
    from kubectl_sky.commands.status import missing
    from kubectl_sky.names import MANAGED
    from kubectl_sky.overview import Board

    board = Board(cluster, cluster.namespace)
    board.load()
    missing(names, board.rows(names), board.job_names(), cluster, everywhere=False)
    jobs = board.jobs(names)
    if held := [job["metadata"]["name"] for job in jobs if MANAGED in job["metadata"]["labels"]]:
        cancel = cluster.connection.command("jobs cancel", held[0])
        print(f"{', '.join(held)}: managed jobs are not stopped; {cancel} ends them", file=sys.stderr)
        jobs = [job for job in jobs if job["metadata"]["name"] not in held]
    up = [job for job in jobs if not (autostop.stopped(job) or cluster_objects.finished(job))]
    for job in jobs:
        if job not in up:
            print(f"{job['metadata']['name']} has no pods that run", file=sys.stderr)
    tasks = [job["metadata"]["name"] for job in up]
    certain = not everything and not any(map(is_glob, names)) and not any(map(stopping.lost_volumes, up))
    if up and not yes and not agreed(tasks, cluster, certain, f"Stop{_with_losses(up)}"):
        print("Nothing was stopped.", file=sys.stderr)
        return 1
    pods = {row.name: row.pods for row in board.rows(names)}
    _end(cluster, up, pods, seconds)
    return 0


def _with_losses(jobs: list[dict[str, Any]]) -> str:
    from kubectl_sky import stopping

    lost = [f"{job['metadata']['name']}:{path}" for job in jobs for path in stopping.lost_volumes(job)]
    return f", and lose what is in {', '.join(lost)}," if lost else ""


def _end(
    cluster: Cluster, jobs: list[dict[str, Any]], pods: Mapping[str, Sequence[dict[str, Any]]], seconds: float | None
) -> None:
    from kubectl_sky import hooking, hooks, stopping

    tasks = [job["metadata"]["name"] for job in jobs]
    with Progress(f"Stopping {', '.join(tasks)}") as progress:
        hooking.run(cluster, jobs, hooks.STOP, progress)
        for job in jobs:
            stopping.stop(cluster, job, pods[job["metadata"]["name"]])
        if seconds is not None:
            stopping.wait(cluster, tasks, seconds, progress)
    for task in tasks:
        start = cluster.connection.command("start", task)
        print(f"{task} {'is stopped' if seconds is not None else 'stops'}. Back again: {start}")
