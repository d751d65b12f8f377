"""kubectl sky schema"""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.output import Format, dump


def schema(
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
) -> int:
    """Print the JSON Schema of task files, for editors. Needs no cluster.

    \b
    Editors with the YAML language server use it when this is the first line of a task file:
      # yaml-language-server: $schema=task.schema.json

    \b
    Examples:
      kubectl sky schema > task.schema.json
    """
    form = Format.parse(output or "json", Format.JSON, Format.YAML)
    from kubectl_sky.taskfile.schema import json_schema

    print(dump(json_schema(), form), end="")
    return 0
