"""kubectl sky rsync"""

from __future__ import annotations

from typing import Annotated

import typer


def rsync(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="[RSYNC FLAGS] SRC... DST", help="NAME:PATH there, PATH here")],
) -> int:
    """Run rsync with a cluster on one side.

    All flags are rsync's own (man rsync); those of kubectl go before the verb: kubectl sky -n NAMESPACE rsync ...
    Nothing needs to be installed in the image.

    \b
    Examples:
      kubectl sky rsync -av --delete src/ train:sky_workdir/
      kubectl sky rsync -avz train-1:/tmp/logs .
    """
    import shlex
    import shutil
    import subprocess

    from kubectl_sky import contexts
    from kubectl_sky.errors import Failure
    from kubectl_sky.ssh.program import program

    if not shutil.which("rsync"):
        raise Failure("rsync was not found on PATH", "install it, or use: kubectl sky cp SRC... DST")
    contexts.first(ctx.obj)
    several = [f"--context={name}" for name in ctx.obj.contexts]  # ssh looks where the name is
    shell = [*program(), *ctx.obj.kubectl_flags(), *several, "ssh"]
    return subprocess.run(["rsync", "-e", shlex.join(shell), *words]).returncode
