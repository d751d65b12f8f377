"""kubectl sky port-forward"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky import portmap


def port_forward(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[[LOCAL:]PORT]...", help="Default: the task's ports. :PORT takes any free local port"),
    ] = None,
    rank: Annotated[int, typer.Option("--rank", "--node", metavar="RANK", min=0, help="The node")] = 0,
    address: Annotated[
        str, typer.Option("--address", metavar="IP", help="Where to listen; several by commas, 0.0.0.0 for all")
    ] = portmap.LOOPBACK,
) -> int:
    """Reach ports of a cluster from this machine.

    Any port of the node, also one that the task does not name, and one that is open on localhost only. Goes on over
    broken connections and new pods, until the task ends or Ctrl-C.

    \b
    Examples:
      kubectl sky port-forward web                  # all ports that the task names
      kubectl sky port-forward web 8080 9000:6006
      kubectl sky port-forward web :8080            # any free port here
      kubectl sky port-forward train 6006 --rank 1
    """
    from kubectl_sky import finding, forwarding

    addresses = portmap.check_addresses(address)
    portmap.parse(words or [], ())
    cluster = finding.cluster(ctx.obj, "port-forward", [name])
    return forwarding.forward(cluster, name, words or [], rank, addresses)
