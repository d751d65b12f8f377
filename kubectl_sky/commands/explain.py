"""kubectl sky explain"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kubectl_sky import overview, running
from kubectl_sky.diagnosis import happened, limits, state
from kubectl_sky.diagnosis.happened import Happened
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.output import Format, age, dump

if TYPE_CHECKING:
    from kubectl_sky.diagnosis.why import Why
    from kubectl_sky.kube import Cluster


def explain(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME | task[.FIELD]", help="A cluster, or a field of the task file such as task.envs"),
    ],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
    recursive: Annotated[bool, typer.Option("--recursive", help="With task.FIELD: all fields below it")] = False,
) -> int:
    """Say why a cluster is not running, and what to do; or what a field of the task file means.

    How it is and since when; the reason, node by node when it has no place, with what holds the room; what
    happened last; the limit of the wait; the next step.

    \b
    Examples:
      kubectl sky explain my-task
      kubectl sky explain my-task -o json
      kubectl sky explain task                            # the fields of a task file; needs no cluster
      kubectl sky explain task.resources.accelerators
      kubectl sky explain job/task                        # the cluster that is called task
    """
    from kubectl_sky.taskfile import field_help

    if field_help.is_field_path(name):
        return _field(name, recursive, output)
    name = name.removeprefix("job/")
    from kubectl_sky import finding
    from kubectl_sky.diagnosis import why

    form = Format.parse(output, Format.TABLE, Format.JSON, Format.YAML)
    cluster = finding.cluster(ctx.obj, "explain", [name])
    found = why.read(cluster, name)
    if found.job is None and not found.pods:
        raise running.unknown(cluster, name)
    told = why.explain(cluster, found)
    if form is Format.TABLE:
        sys.stdout.write("\n".join(screen(told, cluster)) + "\n")
    else:
        sys.stdout.write(dump(as_dict(told, cluster), form))
    return 0


def _field(path: str, recursive: bool, output: str | None) -> int:
    from kubectl_sky.taskfile import field_help

    form = Format.parse(output, Format.TABLE, Format.JSON, Format.YAML)
    if form is Format.TABLE:
        sys.stdout.write(field_help.screen(path, recursive))
    else:
        from kubectl_sky.taskfile.schema import of_field

        sys.stdout.write(dump(of_field(field_help.find(path)), form))
    return 0


def screen(told: Why, cluster: Cluster) -> list[str]:
    """At most 25 lines."""
    now, job = told.state, told.found.job
    since = overview.since(job, told.found.pods)
    lines = [f"{_name(told)}: {now}" + (f" for {age(since)}" if since else "")]
    if job:
        row = overview.row(job, told.found.pods, told.found.events)
        lines.append(f"  {row.resources or row.image}; {row.ready} of {row.wanted} ready")
        lines += [f"  pod {pod} on {node}" for pod, node in _placed(row)][:4]
    if now.message:
        lines += ["", "Why:", *(f"  {line}" for line in _reason(told))]
    if told.unread:
        lines.append(f"  (what is on the nodes is not known: {told.unread})")
    if told.lines:
        lines += ["", "It printed:", *(f"  {line[:160]}" for line in told.lines)]
    past = happened.told(told.found.related(), 5)
    if past:
        lines += ["", "What happened:", *(f"  {_event(one)}" for one in past)]
    lines += ["", f"Limit: {limit(now, job)}", "Next:", *(f"  {step}" for step in steps(told, cluster))]
    return lines


def _reason(told: Why) -> list[str]:
    """The sentence; of several groups of nodes each on its line."""
    head, colon, rest = told.state.message.partition(": ")
    parts = rest.split("; ")
    if told.state.reason == state.UNSCHEDULABLE and len(parts) > 1:
        more = len(parts) - 6
        return [f"{head}{colon}".rstrip(), *(f"  - {part}" for part in parts[:6]), *([f"  - {more} more"] * (more > 0))]
    return told.state.message.splitlines()[:8]


def _placed(row: overview.Row) -> list[tuple[str, str]]:
    return [(pod["metadata"]["name"], node) for pod, node in zip(row.pods, row.nodes(), strict=True) if node[0] != "<"]


def _event(one: Happened) -> str:
    times = f" ({one.times} times)" if one.times > 1 else ""
    return f"{age(one.when) + ' ago':<10} {one.text}{times}"


def limit(now: state.State, job: dict[str, Any] | None) -> str:
    """How long it stays like this."""
    deadline = ((job or {}).get("spec") or {}).get("activeDeadlineSeconds")
    if now.phase in (state.PENDING, state.STARTING):
        ends = f"{limits.shown(deadline)} after its start (activeDeadlineSeconds)" if deadline else "none"
        return (
            f"{ends}, the cluster goes on trying; a launch waits {limits.shown(limits.DEFAULT)}, or {limits.FLAG} TIME"
        )
    kept = ((job or {}).get("spec") or {}).get("ttlSecondsAfterFinished")
    if now.phase in (state.FAILED, state.COMPLETED) and kept:
        return f"what is left of it goes away {limits.shown(kept)} after its end"
    return "none"


def steps(told: Why, cluster: Cluster) -> list[str]:
    """What to do next, as commands where it can be one."""
    command, name = cluster.connection.command, _name(told)
    found = [located(cluster.connection, line) for line in (told.state.hint or "").splitlines()]
    if told.state.phase in (state.PENDING, state.STARTING):
        return [*found, f"{command('down', name)} gives it up"]
    if told.state.phase == state.UP:
        return [f"{command('logs', name)}", f"{command('ssh', name)}"]
    return found or [command("logs", name)]


def _name(told: Why) -> str:
    one = told.found.job or told.found.pods[0]
    return str((one["metadata"].get("labels") or {}).get("app.kubernetes.io/instance") or one["metadata"]["name"])


def as_dict(told: Why, cluster: Cluster) -> dict[str, Any]:
    """For -o json and yaml."""
    now, job = told.state, told.found.job
    placing = told.placing
    return {
        "name": _name(told),
        "namespace": cluster.namespace,
        "context": cluster.context,
        "status": {"phase": now.phase, "reason": now.reason, "message": now.message, "hint": now.hint or ""},
        "since": overview.since(job, told.found.pods),
        "nodes": [
            {
                "obstacle": group.obstacle.what,
                "key": group.obstacle.key,
                "text": group.text,
                "hint": group.hint,
                "only": group.alone,
                "names": [node.name for node in group.nodes],
            }
            for group in (placing.groups if placing else ())
        ],
        "fitting": list(placing.fits) if placing else [],
        "unread": told.unread,
        "printed": list(told.lines),
        "events": [one._asdict() for one in happened.told(told.found.related(), 20)],
        "limit": limit(now, job),
        "next": steps(told, cluster),
    }
