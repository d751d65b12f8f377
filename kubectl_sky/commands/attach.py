"""kubectl sky attach"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.commands.ttyflags import DETACH_KEYS


def attach(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster")],
    job: Annotated[int | None, typer.Argument(metavar="[JOB]", help="Its id (default: the newest that runs)")] = None,
    detach_keys: DETACH_KEYS = None,
) -> int:
    """Connect this terminal to that of a running job; several may be at once.

    A job has a terminal if it was run with --tty; of one that has none, its log is shown. Closing this
    terminal, or the detach keys, leave the job running. The exit code is the job's.

    \b
    Examples:
      kubectl sky exec -d --tty train -- python debug.py
      kubectl sky attach train
      kubectl sky attach train 2 --detach-keys ctrl-b,d
    """
    from kubectl_sky import attaching, finding, terminals

    keys = terminals.DETACH_KEYS if detach_keys is None else detach_keys
    return attaching.attach(finding.cluster(ctx.obj, "attach", [name]), name, job, keys)
