"""kubectl sky launch"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubectl_sky.commands.configflag import CONFIG, configured
from kubectl_sky.commands.idleflags import IDLE_MINUTES, WAIT_FOR
from kubectl_sky.commands.launchflags import DETACH, ENTRY, NEVER_ASKS
from kubectl_sky.commands.taskflags import TaskFlags, check_supported, read_task, with_task_flags
from kubectl_sky.commands.ttyflags import DETACH_KEYS, TTY, wanted
from kubectl_sky.errors import UsageError


@with_task_flags
def launch(
    ctx: typer.Context,
    flags: TaskFlags,
    entry: ENTRY = None,
    cluster_name: Annotated[
        str | None,
        typer.Option("-c", "--cluster-name", metavar="NAME", help="Name of the cluster (default: the task's)"),
    ] = None,
    detach: DETACH = False,
    idle_minutes: IDLE_MINUTES = None,
    wait_for: WAIT_FOR = None,
    down: Annotated[
        bool, typer.Option("--down", help="Take the cluster down when idle (without -i: after its last job)")
    ] = False,
    yes: NEVER_ASKS = False,  # noqa: ARG001
    tty: TTY = False,
    detach_keys: DETACH_KEYS = None,
    expose: Annotated[
        str | None,
        typer.Option(
            "--expose",
            metavar="HOW",
            help="Make the ports reachable: loadbalancer, ingress, gateway, clusterip or none (default: the setting "
            "`expose`, else none); port-forward needs none of them",
        ),
    ] = None,
    provision_timeout: Annotated[
        str | None,
        typer.Option(
            "--provision-timeout",
            metavar="TIME",
            help="How long to wait for the pods; longer by itself while an autoscaler adds nodes; 0: for ever "
            "(default: kubernetes.provision_timeout as configured, else 10m)",
        ),
    ] = None,
    privileged_mounts: Annotated[
        bool,
        typer.Option(
            "--allow-privileged-mounts",
            help="Mount buckets (mode MOUNT) by a privileged container beside the task's",
        ),
    ] = False,
    config: CONFIG = None,
    dry_run: Annotated[
        str | None,
        typer.Option(
            "--dry-run",
            metavar="client|server",
            help="Create nothing, print what would be; `server` lets the cluster check it",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FORMAT", help="With --dry-run: yaml, json or name")
    ] = None,
    timings: Annotated[
        bool, typer.Option("--timings", help="Say at the end how long each phase took, on stderr")
    ] = False,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="With --dry-run: do not blank out secrets")
    ] = False,
) -> int:
    """Run a task: make its pods, send its files, run setup and run, and print what they print.

    On a name that is up already: send the files again, run setup, queue the job. The exit code is the job's.

    \b
    Examples:
      kubectl sky launch task.yaml
      kubectl sky launch -c dev --gpus H100:8 --workdir . -- python train.py
      kubectl sky launch task.yaml --env LR=0.1 --down
      kubectl sky launch task.yaml --dry-run=client -o yaml | kubectl apply -f -
    """
    from kubectl_sky import autostop, contexts, dryrun, exposing, launching, planning, record
    from kubectl_sky.diagnosis import limits
    from kubectl_sky.timings import Timings, since_start

    mode = dryrun.mode(dry_run, output)
    if not entry and not cluster_name:
        raise UsageError("nothing to launch", "name a task file, a command after --, or idle pods: -c NAME")
    task = configured(read_task(entry or [], flags), config)
    check_supported(task)
    seconds = limits.given(provision_timeout)
    cluster = contexts.first(ctx.obj)
    exposure = exposing.wanted(expose, task.resources, task.settings(cluster.context).ports)
    terminal, keys = wanted(tty, False, detach, detach_keys)
    idle = autostop.policy(task.resources.autostop, idle_minutes, wait_for, down)
    options = planning.Options(
        planning.name_of(task, cluster_name),
        detach,
        idle,
        seconds,
        exposure,
        privileged_mounts,
        terminal,
        record.of(task, config or (), exposure, privileged_mounts),
        attached=keys,
    )
    if mode:
        return dryrun.run(cluster, task, options, mode, show_secrets)
    clock = Timings(since_start()) if timings else None
    try:
        return launching.launch(cluster, task, options, clock)
    finally:
        if clock:
            print(clock.table(), file=sys.stderr)
