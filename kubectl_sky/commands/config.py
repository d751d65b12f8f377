"""kubectl sky config view"""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from kubectl_sky.api.connection import Connection
from kubectl_sky.commands.configflag import CONFIG, configured
from kubectl_sky.commands.taskflags import TaskFlags, read_task
from kubectl_sky.errors import ClusterFailure
from kubectl_sky.output import Format, dump, table
from kubectl_sky.task import Task


def view(
    ctx: typer.Context,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A task file: with its `config:`")] = None,
    config: CONFIG = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="yaml or json")] = None,
) -> int:
    """Show the configuration that holds for a context, and where each value comes from. Asks no cluster.

    \b
    Examples:
      kubectl sky config view
      kubectl sky config view task.yaml --context prod
      kubectl sky config view -o yaml
    """
    from kubectl_sky import settings
    from kubectl_sky.config import view as viewing

    form = Format.parse(output, Format.YAML, Format.JSON)
    task = configured(read_task([file], TaskFlags()) if file else Task(), config)
    context = current(ctx.obj)
    section, rows = viewing.kubernetes(task.layers, context)
    own = settings.sources()
    if form is Format.TABLE:
        listed = [*rows, *(viewing.Row(key, value, source) for key, (value, source) in own.items())]
        print(table([(row.key, shown(row.value), row.source) for row in listed], ["key", "value", "from"]), end="")
        return 0
    document = {
        "context": context,
        "kubernetes": section,
        "settings": {key: value for key, (value, _) in own.items()},
        "from": {**{row.key: row.source for row in rows}, **{key: source for key, (_, source) in own.items()}},
    }
    print(dump(document, form), end="")
    return 0


def current(connection: Connection) -> str:
    """The context that is given, or the kubeconfig's own; "" without a kubeconfig, where files can be looked at."""
    from kubectl_sky import kube

    try:
        return connection.context or kube.connect(connection).context
    except ClusterFailure:
        return ""


def shown(value: Any) -> str:
    """On one line: text as it is, all else as in YAML's flow style."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text.replace("\n", "\\n") or '""'
