"""kubectl sky ssh"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.errors import UsageError


def ssh(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster, or NAME-1 … for its other nodes")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]...", help="Run it (default: a shell)")
    ] = None,
    node: Annotated[int | None, typer.Option("--node", metavar="RANK", min=0, help="The node (default: 0)")] = None,
    persist: Annotated[
        bool, typer.Option("--persist", help="A shell that stays when the connection breaks: this comes back to it")
    ] = False,
    session: Annotated[
        str | None, typer.Option("--session", metavar="WORD", help="With --persist: which, to have several")
    ] = None,
) -> int:
    """Open a shell, or run a command, in the task's container.

    Any image will do; no port is opened. Flags go before NAME; what follows it is the command.

    \b
    Examples:
      kubectl sky ssh train
      kubectl sky ssh train nvidia-smi
      kubectl sky ssh --node 1 train
      kubectl sky ssh --persist train          # Ctrl-P Ctrl-Q detaches; the same again comes back
    """
    from kubectl_sky import finding, persisting
    from kubectl_sky.ssh import client

    if session and not persist:
        raise UsageError("--session is for shells that stay", "add --persist")
    cluster = finding.cluster(ctx.obj, "ssh", [name], finding.Kind.NODE)
    if persist:
        return persisting.shell(cluster, name, node, session or "", command or [])
    return client.ssh(cluster, name, node, command or [])
