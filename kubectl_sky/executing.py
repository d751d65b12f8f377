"""Another job on a task that is up."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import attaching, cluster_objects, gang, jobspec, needs, queues, running, shape
from kubectl_sky.errors import UsageError
from kubectl_sky.files import collect, gitclone, uploading
from kubectl_sky.output import Progress

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task


@dataclass(frozen=True)
class Options:
    """`tty`: the job gets one; `attached`: the keys that detach this terminal from it, None to see only its log."""

    detach: bool = False
    tty: jobspec.Tty | None = None
    attached: str | None = None
    after: tuple[queues.After, ...] = ()
    priority: int | None = None  # None: the task's


def execute(cluster: Cluster, name: str, task: Task, options: Options) -> int:
    """Sends the files, queues the job, follows it; returns its exit code. Raises Failure."""
    if not task.run:
        raise UsageError("there is nothing to run", cluster.connection.command("exec", f"{name} COMMAND"))
    with Progress() as progress, gitclone.fetched(task, progress) as source:
        files = collect.collect(uploading.mounts(source.task))
        pods = cluster_objects.pods(cluster, name)
        head = running.Head(cluster, name)
        if pods and gang.rank(pods[0]) == 0 and running.task_up(pods[0]):
            head.first = str(pods[0]["metadata"]["name"])
        elif not pods:
            head()  # says why
        if task.num_nodes > len(pods):
            raise UsageError(f"{name} has {len(pods)} node(s), the task wants {task.num_nodes}")
        if options.after or options.priority is not None:
            queues.require(cluster, name, "--after" if options.after else "--priority")
        _check_buckets(cluster, name, task, progress)
        if files.mounts:
            uploading.send(cluster, files, head(), len(pods), progress)
        source.release()
        request = {"op": "submit", "spec": spec(task, options), "follow": not options.detach}
        result = attaching.follow(cluster, name, request, task.num_nodes, head, progress, options.attached)
        if options.detach:
            print(f"Queued. See it: {cluster.connection.command('logs', name)}", file=sys.stderr)
        return result


def spec(task: Task, options: Options) -> dict[str, Any]:
    """The job as the agent takes it."""
    job = {**jobspec.job_spec(replace(task, setup=None), options.tty), **demand(task), "after": options.after}
    return job if options.priority is None else {**job, "priority": options.priority}


def _check_buckets(cluster: Cluster, name: str, task: Task, progress: Progress) -> None:
    """They are those that the pods were made with: raises UsageError for others."""
    if not shape.wanted_buckets(task):
        return
    job = cluster_objects.get_job(cluster, name)
    if job and (missing := shape.missing_buckets(task, job)):
        command = cluster.connection.command
        raise UsageError(
            f"{name} was made without {', '.join(missing)}: exec brings no buckets",
            f"{command('down', name)}, then launch the task; or launch it under another name: -c NAME",
        )
    progress.line(f"Its buckets stay as they were when {name} started: exec neither copies nor uploads")


def demand(task: Task) -> dict[str, Any]:
    """What a job holds of each of its nodes; what it leaves open is little or nothing."""
    wanted = task.resources
    part = [one.count for one in wanted.accelerators[:1] if one.count < 1]
    return {"cpus": wanted.cpus, "memory": wanted.memory, "gpus": part[0] if part else needs.gpus(task)}
