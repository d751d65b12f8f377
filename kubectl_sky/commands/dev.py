"""kubectl sky dev"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from kubectl_sky.cli import is_task_file
from kubectl_sky.commands.configflag import CONFIG, configured
from kubectl_sky.commands.taskflags import TaskFlags, check_supported, read_task, with_task_flags
from kubectl_sky.errors import UsageError


@with_task_flags
def dev(
    ctx: typer.Context,
    flags: TaskFlags,
    entry: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE | NAME [FILE | COMMAND...]",
            help="A task file, which is launched; or a cluster that is up, and what to run there",
        ),
    ],
    cluster_name: Annotated[
        str | None,
        typer.Option(
            "-c", "--cluster-name", metavar="NAME", help="With FILE: name of the cluster (default: the task's)"
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("-r", "--restart", help="End the run at each change, and run it again")
    ] = False,
    config: CONFIG = None,
) -> int:
    """Work live: files that change here are in the pods, on all nodes, within a second.

    It watches the workdir and the local file_mounts; what .skyignore or .gitignore leave out stays here. What is
    deleted here is deleted there, unless the task has changed it. With a cluster's name, the workdir is the one of the
    task file there, else this folder. A run that reloads by itself needs no -r. Ctrl-C ends the watching, not the task.

    \b
    Examples:
      kubectl sky dev task.yaml
      kubectl sky dev -r train -- python train.py
      kubectl sky dev train                    # only the files: run what you like by ssh or exec
    """
    from kubectl_sky import autostop, contexts, exposing, finding, planning, record
    from kubectl_sky.dev import starting

    name, words = ("", entry) if is_task_file(entry[0]) else (entry[0], entry[1:])
    if name and cluster_name:
        raise UsageError(f"the cluster is {name} or {cluster_name}", "-c is for a task file that is launched")
    if name and not flags.workdir and not (words and is_task_file(words[0])):
        flags = replace(flags, workdir=starting.here())
    task = configured(read_task(words, flags), config)
    check_supported(task)
    if restart and not task.run:
        raise UsageError("--restart: there is nothing to run", "give a task file with `run`, or a command after --")
    if name:
        return starting.join(finding.cluster(ctx.obj, "dev", [name]), name, task, restart)
    cluster = contexts.first(ctx.obj)
    exposure = exposing.wanted(None, task.resources, task.settings(cluster.context).ports)
    options = planning.Options(
        planning.name_of(task, cluster_name),
        autostop=autostop.policy(task.resources.autostop, None, None, False),
        exposure=exposure,
        record=record.of(task, config or (), exposure, privileged_mounts=False),
    )
    return starting.launch(cluster, task, options, restart)
