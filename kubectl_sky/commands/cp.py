"""kubectl sky cp"""

from __future__ import annotations

from typing import Annotated

import typer


def cp(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="SRC... DST", help="NAME:PATH there, or PATH here")],
    node: Annotated[int | None, typer.Option("--node", metavar="RANK", min=0, help="The node (default: 0)")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress")] = False,
    _recursive: Annotated[bool, typer.Option("-r", "-R", "--recursive", help="Folders, which need no flag")] = False,
) -> None:
    """Copy files and folders to a cluster, or from it.

    As `cp -r` does it: into DST if that is a folder, else DST is the copy; SRC/. is what is in SRC. A PATH there begins
    at the home unless it has a slash in front, and may have wildcards (in quotes). Modes, times and links are kept.
    Goes on over broken connections. NAME-1:PATH is on node 1.

    \b
    Examples:
      kubectl sky cp data.csv train:
      kubectl sky cp train:sky_workdir/results .
      kubectl sky cp 'train:/tmp/*.log' logs/
      kubectl sky cp model.pt train-1:/tmp/
      kubectl sky cp one:model.pt two:
    """
    from kubectl_sky import finding
    from kubectl_sky.ssh import copying, places

    wanted = places.read(words)
    there = [name for name in wanted.names if name]
    copying.copy(finding.cluster(ctx.obj, "cp", there, finding.Kind.NODE), wanted, node, quiet)
