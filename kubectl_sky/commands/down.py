"""kubectl sky down"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from kubectl_sky.commands.endflags import EVERYTHING, TIMEOUT, WANTED, YES
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.globs import is_glob
from kubectl_sky.output import Progress, can_ask, confirm, near, parse_duration

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.teardown import Thing


def down(
    ctx: typer.Context,
    wanted: WANTED = None,
    everything: EVERYTHING = False,
    yes: YES = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all is gone")] = True,
    timeout: TIMEOUT = "2m",
    everywhere: Annotated[bool, typer.Option("-A", "--all-namespaces", hidden=True)] = False,
) -> int:
    """Take clusters down, and all that belongs to them.

    \b
    Examples:
      kubectl sky down train
      kubectl sky down 'sweep-*' -y
      kubectl sky down -a
    """
    from kubectl_sky import finding

    names = [name.removeprefix("job.batch/") for name in wanted or ()]
    check(names, everything, everywhere)
    seconds = limit(timeout)
    groups = finding.grouped(ctx.obj, "down", names, finding.Kind.PARTS)
    return max(_down(cluster, some, everything, yes, seconds if wait else None) for cluster, some in groups)


def _down(cluster: Cluster, names: Sequence[str], everything: bool, yes: bool, seconds: float | None) -> int:
    from kubectl_sky import cluster_objects, teardown

    found = teardown.find(cluster)
    known = sorted({thing.task for thing in found})
    things = teardown.chosen(found, names, everything)
    tasks = sorted({thing.task for thing in things})
    absent = [name for name in names if not is_glob(name) and name not in tasks]
    if things:
        if not (yes or agreed(tasks, cluster, certain=not everything and not any(map(is_glob, names)))):
            print("Nothing was taken down.", file=sys.stderr)
            return 1
        end(cluster, things, tasks, seconds)
    elif not absent:
        print(f"Nothing to take down in namespace {cluster.namespace}.", file=sys.stderr)
    if absent:
        cluster_objects.check_namespace(cluster)
        text = ", ".join(repr(name) for name in absent)
        raise Failure(f"there is no cluster {text} in namespace {cluster.namespace}", near(absent[0], known))
    return 0


def check(names: Sequence[str], everything: bool, everywhere: bool) -> None:
    if everywhere:
        raise UsageError("down works in one namespace at a time", "kubectl sky down -a -n NAMESPACE")
    if everything and names:
        raise UsageError("give names or --all, not both")
    if not everything and not names:
        raise UsageError("which cluster?", "kubectl sky down NAME, or --all; kubectl sky status lists them")


def limit(text: str, flag: str = "--timeout") -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None


def agreed(tasks: Sequence[str], cluster: Cluster, certain: bool, what: str = "Take down") -> bool:
    """Whether the user wants it: asks on a terminal; without one, only names that were written out are enough."""
    if can_ask():
        print(f"In namespace {cluster.namespace} of {cluster.context}: {', '.join(tasks)}", file=sys.stderr)
        return confirm(f"{what} {len(tasks)} cluster{'s' * (len(tasks) != 1)}?")
    if certain:
        return True
    raise UsageError(
        f"this would {what.lower()} {', '.join(tasks)}, and there is no terminal to ask on", "if so: add --yes"
    )


def end(cluster: Cluster, things: Sequence[Thing], tasks: Sequence[str], seconds: float | None) -> None:
    """Delete `things`; wait for up to `seconds` (None: not at all)."""
    from kubectl_sky import hooking, hooks, teardown
    from kubectl_sky.ssh import keeping

    with Progress(f"Taking down {', '.join(tasks)}: {teardown.describe(things)}") as progress:
        hooking.run(cluster, [one.manifest for one in things if one.kind == "Job"], hooks.DOWN, progress)
        teardown.delete(cluster, things)
        keeping.taken_down(cluster, tasks)  # now: an ssh-config at the same moment sees that they are on their way out
        if seconds is not None:
            teardown.wait(cluster, things, seconds, progress)
    for task in tasks:
        print(f"{task} is down" if seconds is not None else f"{task} goes down")
