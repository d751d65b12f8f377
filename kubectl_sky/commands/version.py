"""kubectl sky version"""

from __future__ import annotations

import platform
import sys
from typing import Annotated

import typer

from kubectl_sky import __version__
from kubectl_sky.errors import Failure
from kubectl_sky.output import Format, dump


def version(
    ctx: typer.Context,
    client: Annotated[bool, typer.Option("--client", help="Do not ask the server")] = False,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
) -> int:
    """Print the versions of this plugin and of the API server.

    \b
    Examples:
      kubectl sky version
      kubectl sky version --client -o json
    """
    form = Format.parse(output, Format.JSON, Format.YAML)
    python = f"{platform.python_version()} ({sys.platform}/{platform.machine()})"
    found: dict[str, str] = {"client": __version__, "python": python}
    failure: Failure | None = None
    if not client:
        try:
            found["server"] = server_version(ctx)
        except Failure as error:
            failure = error
    if form is Format.TABLE:
        print("\n".join(f"{name.capitalize()}: {value}" for name, value in found.items()))
    else:
        print(dump(found, form), end="")
    if failure:
        raise failure
    return 0


def server_version(ctx: typer.Context) -> str:
    from kubectl_sky.kube import connect

    return str(connect(ctx.obj).get("/version").get("gitVersion", "unknown"))
