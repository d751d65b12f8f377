"""kubectl sky jobs launch"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands.configflag import CONFIG, configured
from kubectl_sky.commands.launchflags import DETACH, ENTRY, NEVER_ASKS
from kubectl_sky.commands.taskflags import TaskFlags, check_supported, read_tasks, with_task_flags
from kubectl_sky.errors import UsageError

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task, TaskFile


@with_task_flags
def launch(
    ctx: typer.Context,
    flags: TaskFlags,
    entry: ENTRY = None,
    detach: DETACH = False,
    recovery: Annotated[
        str | None,
        typer.Option("--job-recovery", metavar="STRATEGY", help="For SkyPilot's habit: all do the same here"),
    ] = None,
    num_jobs: Annotated[
        int, typer.Option("--num-jobs", metavar="N", min=1, max=1000, help="So many pods, each a job with its rank")
    ] = 1,
    yes: NEVER_ASKS = False,  # noqa: ARG001
    config: CONFIG = None,
) -> int:
    """Run a task that goes on without this machine: lost nodes are replaced, and its pods end with it.

    Its files go along with it (at most 8 MB, compressed). The exit code is the job's.

    \b
    Examples:
      kubectl sky jobs launch task.yaml
      kubectl sky jobs launch -d --name sweep --env LR=0.1 task.yaml
      kubectl sky jobs queue
    """
    from kubectl_sky import contexts, planning
    from kubectl_sky.jobs import following, launching, listing
    from kubectl_sky.output import Progress

    if not entry:
        raise UsageError("nothing to launch", "name a task file, or a command after --")
    if recovery and recovery.upper() not in ("FAILOVER", "EAGER_NEXT_REGION", "NONE"):
        raise UsageError(f"--job-recovery: {recovery!r} is no strategy", "FAILOVER, EAGER_NEXT_REGION or none")
    file = read_tasks(entry, flags)
    tasks = [configured(task, config) for task in file.tasks]
    check(tasks, file, num_jobs)
    cluster = contexts.first(ctx.obj)
    cluster.kubectl()  # first: nothing is made where it is missing
    if file.kind == "group":
        return launch_group(cluster, flags.name or str(file.name), tasks, detach)
    first = tasks[0] if len(tasks) == 1 else replace(tasks[0], name=flags.name or file.name)
    name = planning.name_of(first, None)
    with Progress(f"Launching {name}") as progress:
        cluster, job = launching.launch(cluster, tasks, name, progress, num_jobs)
        name = job["metadata"]["name"]
        progress.line(f"Managed job {name} is made; it goes on without this machine")
        places = [row.place for row in listing.of_job(job, ())]
        if detach or num_jobs > 1:
            progress.close()
            print(f"See it: {cluster.connection.command('jobs logs', str(places[0]))}", file=sys.stderr)
            return 0
        return following.follow_all(cluster, places, progress)


def check(tasks: Sequence[Task], file: TaskFile, num_jobs: int) -> None:
    """Raises UsageError for what cannot be a managed job."""
    for task in tasks:
        check_supported(task)
        if not (task.run or task.setup):
            raise UsageError("the task has nothing to run", "add `run:`, or give a command after --")
    if num_jobs > 1 and (len(tasks) > 1 or tasks[0].num_nodes > 1):
        raise UsageError("--num-jobs is for a task of one node", "launch the others one by one, with --env of your own")
    primary = file.header.get("primary_tasks") or []
    if set(primary) < {task.name for task in tasks} and primary:
        text = "primary_tasks: nothing in the cluster may end the others when these are over"
        raise UsageError(text, "leave it out, and end them with kubectl sky jobs cancel")


def launch_group(cluster: Cluster, name: str, tasks: Sequence[Task], detach: bool) -> int:
    """The jobs of a group, side by side."""
    from kubectl_sky.jobs import grouping, listing, together
    from kubectl_sky.output import Progress

    group = grouping.called(name, tasks)
    with Progress(f"Launching {group.name}") as progress:
        cluster, jobs = grouping.launch(cluster, tasks, group, progress)
        progress.line(f"Managed jobs {', '.join(group.jobs)} are made; they go on without this machine")
    if detach:
        print(f"See them: {cluster.connection.command('jobs logs', group.name)}", file=sys.stderr)
        return 0
    return together.follow(cluster, group.name, [row.place for job in jobs for row in listing.of_job(job, ())])
