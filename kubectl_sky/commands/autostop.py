"""kubectl sky autostop"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.commands.idleflags import WAIT_FOR
from kubectl_sky.commands.launchflags import NEVER_ASKS
from kubectl_sky.errors import UsageError


def autostop(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The clusters")],
    minutes: Annotated[
        int | None, typer.Option("-i", "--idle-minutes", metavar="MINUTES", help="How long it may be idle (default: 5)")
    ] = None,
    wait_for: WAIT_FOR = None,
    down: Annotated[bool, typer.Option("--down", help="Keep nothing of it for a later start")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Let it stay up")] = False,
    yes: NEVER_ASKS = False,  # noqa: ARG001
) -> int:
    """Say when idle clusters end. The pods end by themselves: nothing here has to go on running.

    \b
    Examples:
      kubectl sky autostop train -i 30 --down
      kubectl sky autostop train --cancel
    """
    from kubectl_sky import autostop, finding, idling

    if cancel and (minutes is not None or wait_for or down):
        raise UsageError("--cancel goes alone")
    idle = autostop.DEFAULT_MINUTES if minutes is None else minutes
    policy = None if cancel else autostop.policy(None, idle, wait_for, down)
    for cluster, some in finding.grouped(ctx.obj, "autostop", names):
        for name in some:
            idling.change(cluster, name, policy)
            print(f"{name} {idling.words(policy)}")
    return 0
