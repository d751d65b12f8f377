"""kubectl sky code"""

from __future__ import annotations

from typing import Annotated

import typer


def code(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The cluster, or NAME-1 … for its other nodes")],
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="Folder or file in it (default: its workdir, else its home)")
    ] = None,
    editor: Annotated[
        str | None,
        typer.Option(
            "--editor",
            metavar="PROGRAM",
            help="VS Code or one made of it (default: what is on the PATH)",
        ),
    ] = None,
) -> int:
    """Open VS Code on a cluster, by its Remote-SSH extension. Where there is no editor, its URL is printed.

    \b
    Examples:
      kubectl sky code train
      kubectl sky code train /data
      kubectl sky code train --editor cursor
    """
    from kubectl_sky import finding
    from kubectl_sky.ssh import editors

    return editors.open_in(finding.cluster(ctx.obj, "code", [name], finding.Kind.NODE), name, path, editor)
