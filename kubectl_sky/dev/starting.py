"""What `dev` begins with: a task that it launches, or one that is up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kubectl_sky import cluster_objects, executing, launching, planning, running
from kubectl_sky.dev.live import Live
from kubectl_sky.dev.run import Run
from kubectl_sky.dev.watching import Watch
from kubectl_sky.errors import UsageError
from kubectl_sky.files import collect, uploading
from kubectl_sky.output import Progress

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task


def launch(cluster: Cluster, task: Task, options: planning.Options, restart: bool) -> int:
    """Launches a task, or takes the one that is up, and keeps its files until Ctrl-C. Raises Failure."""
    mounts = watched(task)
    with Progress(f"Launching {options.name}") as progress:
        up = launching.bring_up(cluster, task, options, progress)
    run = None
    if up.request:
        run = _run(up.cluster, options.name, task, min(task.num_nodes, up.nodes))
        run.start(up.request)
    return Live(up.cluster, options.name, up.nodes, Watch(mounts, up.files), run, restart).loop()


def join(cluster: Cluster, name: str, task: Task, restart: bool) -> int:
    """The same with a task that is up; `task` says which files, and what to run there if anything."""
    mounts = watched(task)
    nodes = len(cluster_objects.pods(cluster, name))
    if not nodes:
        raise running.unknown(cluster, name)
    if task.num_nodes > nodes:
        raise UsageError(f"{name} has {nodes} node(s), the task wants {task.num_nodes}")
    run = _run(cluster, name, task, task.num_nodes) if task.run else None
    live = Live(cluster, name, nodes, Watch(mounts), run, restart)
    live.first()
    if run:
        run.start()
    return live.loop()


def watched(task: Task) -> list[collect.Mount]:
    """The files to keep. Raises UsageError: there are none, or the workdir is not here."""
    if task.workdir is not None and not isinstance(task.workdir, Path):
        raise UsageError("the workdir is a git repository: there is nothing here to watch", "give --workdir DIR")
    mounts = uploading.mounts(task)
    if not mounts:
        raise UsageError("there is nothing to watch: no workdir, no local file_mounts", "give --workdir DIR")
    return mounts


def here() -> str:
    """The folder to keep when none was named. Raises UsageError where that would be too much."""
    folder = Path.cwd()
    if folder in (Path(folder.anchor), Path(os.path.expanduser("~"))):
        raise UsageError(f"this would send all of {folder}", "go to a folder of your project, or give --workdir DIR")
    return str(folder)


def _run(cluster: Cluster, name: str, task: Task, nodes: int) -> Run:
    return Run(cluster, name, nodes, executing.spec(task, executing.Options()))
