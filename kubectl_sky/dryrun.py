"""`launch --dry-run` and `render`: what a launch would create, without creating it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kubectl_sky import choosing, cluster_objects, exposing, identity, planning, podcheck, podspec, registry
from kubectl_sky.errors import UsageError
from kubectl_sky.output import Format, manifests

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task


def mode(dry_run: str | None, output: str | None) -> tuple[str, Format] | None:
    """The checked flags --dry-run and -o, or None for a real launch. Raises UsageError."""
    if dry_run in (None, "none"):
        if output:
            raise UsageError("-o needs --dry-run=client or --dry-run=server")
        return None
    if dry_run not in ("client", "server"):
        raise UsageError(f"--dry-run={dry_run}: must be none, client or server")
    return dry_run, Format.parse(output or "name", Format.YAML, Format.JSON, Format.NAME)


def run(cluster: Cluster, task: Task, options: planning.Options, how: tuple[str, Format], show_secrets: bool) -> int:
    """Prints the manifests; with `server` after the server has checked them. Raises Failure with what it refuses."""
    choice = choosing.choose(choosing.clusters(cluster, task), task)
    print(choice.table(reasons=cluster.connection.verbosity > 0), file=sys.stderr)
    options = exposing.checked(choice.cluster, choice.candidate.task, options)
    plan = planning.plan(choice.candidate, options, choice.facts, identity.new_identity())
    for note in plan.notes:
        print(f"note: {note}", file=sys.stderr)
    rendered = podspec.render(plan)
    if how[0] == "server":
        podcheck.check(choice.cluster, plan, rendered)
    registry.check(choice.cluster, plan, rendered)
    if how[0] == "server":
        rendered = cluster_objects.dry_run(choice.cluster, rendered)
    if podspec.has_secrets(plan) and not show_secrets:
        rendered = podspec.hidden(rendered)
        print("note: secrets are hidden; --show-secrets shows them, for `kubectl apply`", file=sys.stderr)
    show(rendered, how[1], how[0])
    return 0


def show(rendered: list[dict[str, Any]], form: Format, how: str) -> None:
    if form is Format.NAME:
        for manifest in rendered:
            print(f"{manifest['kind'].lower()}/{manifest['metadata']['name']} created ({how} dry run)")
    else:
        print(manifests(rendered, form), end="")
