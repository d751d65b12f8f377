"""kubectl sky exec"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.commands.launchflags import DETACH
from kubectl_sky.commands.taskflags import TaskFlags, check_supported, read_task, with_task_flags
from kubectl_sky.commands.ttyflags import DETACH_KEYS, STDIN, TTY, wanted


@with_task_flags
def exec_(
    ctx: typer.Context,
    flags: TaskFlags,
    cluster_name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster")],
    entry: Annotated[
        list[str] | None, typer.Argument(metavar="FILE | COMMAND...", help="A task file, or a command")
    ] = None,
    detach: DETACH = False,
    tty: TTY = False,
    stdin: STDIN = False,
    detach_keys: DETACH_KEYS = None,
    after: Annotated[
        list[str] | None,
        typer.Option("--after", metavar="JOB", help="Start when that job has succeeded; any:JOB: ended (repeat)"),
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", metavar="N", min=-1000, max=1000, help="Those with more start first")
    ] = None,
) -> int:
    """Run more in a cluster that is up: no setup; the workdir is sent again if there is one.

    Jobs start in order, side by side as far as the cluster's GPUs, CPUs and memory go. One that says
    nothing takes half a CPU; --gpus NAME:0.5 shares a GPU. The exit code is the job's.

    \b
    Examples:
      kubectl sky exec train nvidia-smi
      kubectl sky exec -it train -- python -m pdb train.py
      kubectl sky exec train task.yaml --env LR=0.2
      kubectl sky exec -d --gpus 1 train -- python eval.py
      kubectl sky exec -d --after 3 train python report.py
    """
    from kubectl_sky import executing, finding, queues

    task = read_task(entry or [], flags)
    check_supported(task)
    terminal, keys = wanted(tty, stdin, detach, detach_keys)
    options = executing.Options(detach, terminal, keys, tuple(queues.after(after or ())), priority)
    return executing.execute(finding.cluster(ctx.obj, "exec", [cluster_name]), cluster_name, task, options)
