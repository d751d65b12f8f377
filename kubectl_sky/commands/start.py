"""kubectl sky start"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_sky.commands.idleflags import IDLE_MINUTES, WAIT_FOR
from kubectl_sky.commands.launchflags import NEVER_ASKS
from kubectl_sky.errors import ApiError, Failure, TaskErrors, UsageError

if TYPE_CHECKING:
    from kubectl_sky.autostop import Policy
    from kubectl_sky.kube import Cluster
    from kubectl_sky.record import Record
    from kubectl_sky.task import Task


def start(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The clusters")],
    idle_minutes: IDLE_MINUTES = None,
    wait_for: WAIT_FOR = None,
    down: Annotated[bool, typer.Option("--down", help="Take the cluster down when idle")] = False,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Without the files that were sent from here: workdir and file_mounts")
    ] = False,
    yes: NEVER_ASKS = False,  # noqa: ARG001
) -> int:
    """Bring stopped clusters back: the same pods, files and setup, and the volumes that they had. `run` is not run.

    \b
    Examples:
      kubectl sky start train
      kubectl sky start train -i 60 --down
    """
    from kubectl_sky import autostop, cluster_objects, finding, launching, running

    code = 0
    groups = finding.grouped(ctx.obj, "start", names)
    for cluster, name in ((cluster, name) for cluster, some in groups for name in some):
        job = cluster_objects.get_job(cluster, name)
        if job is None:
            raise running.unknown(cluster, name)
        if not (autostop.stopped(job) or cluster_objects.finished(job)):
            print(f"{name} was not stopped")
            continue
        record = recorded(cluster, name)
        task = again(record, no_files)
        policy = autostop.read(job)
        if idle_minutes is not None or down or wait_for:
            policy = autostop.policy(None, idle_minutes, wait_for, down)
        code = launching.launch(cluster, task, options(name, record, policy, _ran(cluster, job))) or code
    return code


def _ran(cluster: Cluster, job: dict[str, Any]) -> float:
    """Seconds that it had until now, for cost-report."""
    from kubectl_sky import cluster_objects, costs

    return costs.of(job, cluster_objects.pods(cluster, job["metadata"]["name"]), datetime.now(timezone.utc)).seconds


def recorded(cluster: Cluster, name: str) -> Record:
    """What the launch was asked. Raises Failure where it is not known."""
    from kubectl_sky import cluster_objects, record

    relaunch = cluster.connection.command("launch", f"-c {name} FILE")
    try:
        data = cluster.get(f"{cluster_objects.collection(cluster, 'Secret')}/{name}-sky")["data"]
    except ApiError as error:
        if error.status != 404:
            raise
        raise Failure(f"what {name} was launched with is gone", relaunch) from None
    try:
        return record.read(json.loads(_decoded(data[record.FILE])))
    except (KeyError, ValueError):
        text = f"{name} was launched by another version of kubectl sky, which did not note its task"
        raise Failure(text, relaunch) from None


def _decoded(data: str) -> str:
    import base64

    return base64.b64decode(data).decode()


def again(record: Record, no_files: bool) -> Task:
    """The task without its run. Raises UsageError, also when its files are not on this machine."""
    from kubectl_sky.commands.configflag import configured

    try:
        task = configured(record.task(no_files), record.config)
    except TaskErrors as errors:
        where = f"it was launched from {record.origin.base} on {record.machine}"
        raise UsageError(f"{errors.message}\n{where}", "start it there, or without its files: --no-files") from None
    return replace(task, run=None, command=())


def options(name: str, record: Record, policy: Policy | None, ran_before: float) -> Any:
    """Of the launch that it is."""
    from kubectl_sky import planning

    return planning.Options(
        name,
        autostop=policy,
        exposure=record.exposure,
        privileged_mounts=record.privileged_mounts,
        record=record,
        here=True,
        ran_before=ran_before,
    )
