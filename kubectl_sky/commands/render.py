"""kubectl sky render"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubectl_sky.commands.configflag import CONFIG, configured
from kubectl_sky.commands.taskflags import TaskFlags, check_supported, read_task, with_task_flags
from kubectl_sky.output import Format, manifests


@with_task_flags
def render(
    ctx: typer.Context,
    entry: Annotated[list[str], typer.Argument(metavar="FILE", help="Task file (- is stdin), or a command after --")],
    flags: TaskFlags,
    cluster_name: Annotated[str | None, typer.Option("-c", "--cluster-name", metavar="NAME", help="Its name")] = None,
    down: Annotated[bool, typer.Option("--down", help="As launch --down makes it")] = False,
    expose: Annotated[
        str | None, typer.Option("--expose", metavar="HOW", help="As launch --expose makes the ports reachable")
    ] = None,
    privileged_mounts: Annotated[
        bool, typer.Option("--allow-privileged-mounts", help="As launch --allow-privileged-mounts makes it")
    ] = False,
    config: CONFIG = None,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="yaml or json")] = None,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Do not blank out secrets")] = False,
) -> int:
    """Print the manifests of a task, as `kubectl apply -f -` takes them. Needs no cluster.

    \b
    Examples:
      kubectl sky render task.yaml
      kubectl sky render task.yaml --gpus A100:1 | kubectl apply -f -
      kubectl sky render task.yaml --context prod   # with what the configuration says for it
    """
    form = Format.parse(output, Format.YAML, Format.JSON)
    task = configured(read_task(entry, flags), config)
    from kubectl_sky import autostop, exposing, identity, planning, podspec

    check_supported(task)
    context = ctx.obj.context or ""
    exposure = exposing.wanted(expose, task.resources, task.settings(context).ports)
    name = planning.name_of(task, cluster_name)
    idle = autostop.policy(task.resources.autostop, None, None, down)
    options = planning.Options(name, autostop=idle, exposure=exposure, privileged_mounts=privileged_mounts)
    plan = planning.plan(
        planning.blind(task, context), options, podspec.Facts(context=context), identity.new_identity()
    )
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    rendered = podspec.render(plan)
    if podspec.has_secrets(plan) and not show_secrets:
        rendered = podspec.hidden(rendered)
        print("note: secrets are hidden; --show-secrets shows them, for `kubectl apply`", file=sys.stderr)
    print(manifests(rendered, Format.JSON if form is Format.JSON else Format.YAML), end="")
    return 0
