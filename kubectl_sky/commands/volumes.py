"""kubectl sky volumes apply, ls, delete"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_sky.commands.listflags import NO_HEADERS
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.output import Format, age, can_ask, confirm, dump, near, table

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.volumes.listing import Row


Text = str | None
Name = Annotated[Text, typer.Option("--name", metavar="NAME", help="Its name")]
Type = Annotated[Text, typer.Option("--type", metavar="TYPE", help="k8s-pvc or k8s-hostpath")]
Size = Annotated[Text, typer.Option("--size", metavar="SIZE", help="Such as 10Gi")]
Infra = Annotated[Text, typer.Option("--infra", metavar="INFRA", help="kubernetes/CONTEXT")]
Existing = Annotated[bool | None, typer.Option("--use-existing/--no-use-existing", help="Take the claim that is there")]
Class = Annotated[Text, typer.Option("--storage-class", metavar="NAME", help="Its StorageClass; else the default")]
Mode = Annotated[Text, typer.Option("--access-mode", metavar="MODE", help="ReadWriteOnce (default), ReadWriteMany, …")]
Folder = Annotated[Text, typer.Option("--host-path", metavar="DIR", help="The nodes' folder of a k8s-hostpath")]


def apply(
    ctx: typer.Context,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Volume YAML; - is stdin")] = None,
    name: Name = None,
    kind: Type = None,
    size: Size = None,
    infra: Infra = None,
    use_existing: Existing = None,
    storage_class: Class = None,
    access_mode: Mode = None,
    host_path: Folder = None,
) -> int:
    """Make the volume of a SkyPilot volume YAML, or enlarge the one that is there.

    \b
    Examples:
      kubectl sky volumes apply volume.yaml
      kubectl sky volumes apply --name data --size 100Gi
      kubectl sky volumes apply --name shared --size 1Ti --storage-class efs --access-mode ReadWriteMany
    """
    from kubectl_sky import kube, task
    from kubectl_sky.volumes import making, volumefile
    from kubectl_sky.volumes.storage import CLAIM_TYPE, HOST_PATH_TYPE

    if file is None and name is None:
        raise UsageError("which volume?", "kubectl sky volumes apply FILE, or --name NAME --size SIZE")
    text = None if file is None else sys.stdin.buffer.read() if file == "-" else task.read_file(file)
    config = {"storage_class_name": storage_class, "access_mode": access_mode, "host_path": host_path}
    default = HOST_PATH_TYPE if host_path else CLAIM_TYPE
    flags: dict[str, Any] = {
        "name": name, "type": kind or (default if file is None else None), "size": size, "infra": infra,
        "use_existing": use_existing,
    }  # fmt: skip
    spec, warnings = volumefile.parse(text, "stdin" if file == "-" else file or "command line", flags, config)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    connection = replace(ctx.obj, context=ctx.obj.context or spec.context) if spec.context else ctx.obj
    print(f"volume/{spec.name} {making.apply(kube.connect(connection), spec)}")
    return 0


def ls(
    ctx: typer.Context,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FORMAT", help="wide, name, json or yaml")
    ] = None,
    no_headers: NO_HEADERS = False,
) -> int:
    """List the volumes of the namespace: size, storage class, access mode, state, and who uses them.

    \b
    Examples:
      kubectl sky volumes ls
      kubectl sky volumes ls -o json
    """
    form = Format.parse(output, Format.WIDE, Format.NAME, Format.JSON, Format.YAML)
    from kubectl_sky import kube
    from kubectl_sky.volumes import listing

    cluster = kube.connect(ctx.obj)
    found = listing.rows(cluster)
    if form in (Format.JSON, Format.YAML):
        print(dump({"volumes": [row.document() for row in found]}, form), end="")
    elif form is Format.NAME:
        print("".join(f"volume/{row.name}\n" for row in found), end="")
    elif not found:
        print(f"No volumes in namespace {cluster.namespace}.", file=sys.stderr)
    else:
        wide = form is Format.WIDE
        headers = ["name", "type", "size", "class", "mode", "status", "used by", "age", *(["source"] if wide else [])]
        print(table([line(row, wide) for row in found], () if no_headers else headers), end="")
    return 0


def line(row: Row, wide: bool) -> list[str]:
    """The cells of a row."""
    modes = ",".join("".join(letter for letter in mode if letter.isupper()) for mode in row.modes)
    users = "<unknown>" if row.users is None else ",".join(row.used_by) or "-"
    cells = [row.name, row.type, row.size or "-", row.storage_class or "-", modes or "-", row.status, users]
    return [*cells, age(row.created), *([row.source or "-"] if wide else [])]


def delete(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Names")] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also those in use: they go when the pods that mount them end")
    ] = False,
    ignore: Annotated[bool, typer.Option("--ignore-not-found", help="What is not there is no error")] = False,
) -> int:
    """Delete volumes, and what is in them.

    \b
    Examples:
      kubectl sky volumes delete data
      kubectl sky volumes delete data scratch -y --ignore-not-found
    """
    if not names:
        raise UsageError("which volume?", "kubectl sky volumes delete NAME; kubectl sky volumes ls lists them")
    from kubectl_sky import kube
    from kubectl_sky.volumes import listing

    cluster = kube.connect(ctx.obj)
    found = listing.rows(cluster)
    chosen = [row for row in found if row.name in names or row.object in names]
    absent = [name for name in names if not any(name in (row.name, row.object) for row in chosen)]
    refuse_used(chosen, force)
    if chosen and not (yes or agreed(chosen, cluster)):
        print("Nothing was deleted.", file=sys.stderr)
        return 1
    remove(cluster, chosen)
    if absent and not ignore:
        text = ", ".join(repr(name) for name in absent)
        raise Failure(f"there is no volume {text} in namespace {cluster.namespace}",
                      near(absent[0], sorted({row.name for row in found if row not in chosen})))  # fmt: skip
    return 0


def refuse_used(chosen: Sequence[Row], force: bool) -> None:
    """Raises Failure for volumes that pods mount, all of them at once."""
    used = [row for row in chosen if row.in_use]
    if used and not force:
        lines = [f"volume {row.name} is in use by {', '.join(map(str, row.in_use))}" for row in used]
        tasks = sorted({user.task for row in used for user in row.in_use if user.task})
        end = f"kubectl sky down {' '.join(tasks)}" if tasks else "end these pods"
        raise Failure("\n".join(lines), f"{end}; or --force: it is gone when they end")


def agreed(chosen: Sequence[Row], cluster: Cluster) -> bool:
    """Asks on a terminal; elsewhere the names that were written out are enough, as for kubectl delete."""
    if not can_ask():
        return True
    for row in chosen:
        kept = " (the folder stays on its nodes)" if row.kind == "ConfigMap" else f" ({row.size}, with its data)"
        print(f"  {row.name}{kept}", file=sys.stderr)
    return confirm(f"Delete {len(chosen)} volume{'s' * (len(chosen) != 1)} of namespace {cluster.namespace}?")


def remove(cluster: Cluster, chosen: Sequence[Row]) -> None:
    from kubectl_sky.volumes import making

    for row in chosen:
        if making.delete(cluster, row.kind, row.object):
            print(f"volume/{row.name} " + ("will be gone when its pods end" if row.in_use else "deleted"))
