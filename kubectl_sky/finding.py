"""In which of the contexts that may be used a cluster is, for verbs that name one.

Where neither the setting `allowed_contexts` nor several --context name more than one, nothing is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING

from kubectl_sky import cluster_objects, contexts, kube, names
from kubectl_sky.api import kubeconfig
from kubectl_sky.errors import ClusterFailure, Failure, UsageError
from kubectl_sky.globs import is_glob

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection
    from kubectl_sky.cluster_objects import Manifest
    from kubectl_sky.kube import Cluster


class Kind(Enum):
    """What a name stands for."""

    TASK = "a task"
    NODE = "a task, or NAME-1 ... for one of its nodes"
    PARTS = "a task, or what a killed launch has left of one"
    JOB = "a managed job, NAME/0 ... for one of its pods, or a job group"

    @property
    def word(self) -> str:
        return "managed job" if self is Kind.JOB else "cluster"

    @property
    def lists(self) -> str:
        """The verb that lists them."""
        return "jobs queue" if self is Kind.JOB else "status"


def cluster(connection: Connection, verb: str, wanted: Sequence[str], kind: Kind = Kind.TASK) -> Cluster:
    """Where all of these are. Raises Failure: nowhere, in several contexts, or not in the same one."""
    found = grouped(connection, verb, wanted, kind)
    if len(found) > 1:
        text = "; ".join(f"{', '.join(some)} in context {where.context}" for where, some in found)
        commands = [where.connection.command(verb, " ".join(some)) for where, some in found]
        raise UsageError(f"they are in several contexts: {text}", "one at a time:\n" + "\n".join(commands))
    return found[0][0]


def grouped(
    connection: Connection, verb: str, wanted: Sequence[str], kind: Kind = Kind.TASK
) -> list[tuple[Cluster, list[str]]]:
    """The names by where they are. Globs, and no names at all, are about the one context that would be used anyway.

    Raises Failure: one is in several contexts; none is anywhere. Those that are nowhere are with the last others.
    """
    plain = [name for name in wanted if not is_glob(name)]
    places = candidates(connection) if plain else []
    if len(places) < 2:
        return [(kube.connect(connection), list(wanted))] if not places else [(places[0], list(wanted))]
    there = _ask(places, plain, kind)
    found: dict[str, list[str]] = {}
    for name in plain:
        having = [one for one in there if name in there[one]]
        if len(having) > 1:
            commands = [one.connection.command(verb, name) for one in places if one.context in having]
            raise UsageError(f"{name} is in several contexts: {', '.join(having)}", "which?\n" + "\n".join(commands))
        if having:
            found.setdefault(having[0], []).append(name)
    if not found:
        where = f"context{'s' * (len(there) > 1)} {', '.join(there)}"
        hint = f"kubectl sky {kind.lists} {' '.join(f'--context {one}' for one in there)} lists what there is"
        raise Failure(f"there is no {kind.word} {plain[0]!r} in {where}", hint)
    groups = [(_at_ease(one, connection), found[one.context]) for one in places if one.context in found]
    groups[-1][1].extend(name for name in plain if not any(name in some for some in there.values()))
    globs = [name for name in wanted if is_glob(name)]
    return [*groups, (kube.connect(connection), globs)] if globs else groups


def listing(connection: Connection, wanted: Sequence[str], everywhere: bool) -> list[Cluster]:
    """Where a list is to look: in the contexts that are said; where names that are written out may be; or in one."""
    if everywhere or connection.contexts:
        return contexts.several(connection, everywhere)
    plain = any(not is_glob(name) for name in wanted)
    return (candidates(connection) if plain else []) or [kube.connect(connection)]


def candidates(connection: Connection) -> list[Cluster]:
    """The contexts to look in: those of several --context; those that are allowed, then the current one; else none."""
    if connection.contexts:
        return contexts.limited(connection, contexts.given(connection))
    if connection.context or connection.server or not (allowed := contexts.allowed(connection)):
        return []
    known = kubeconfig.contexts(connection)
    current = kube.connect(connection).context
    return contexts.limited(connection, [one for one in dict.fromkeys([*allowed, current]) if one in known])


def _ask(places: Sequence[Cluster], wanted: Sequence[str], kind: Kind) -> dict[str, list[str]]:
    """By context which of the names it has; those that are away are named, and left out."""
    answers = contexts.asked(places, lambda one: [name for name in wanted if _has(one, name, kind)])
    return {place.context: having for place, having in answers}


def _has(place: Cluster, name: str, kind: Kind) -> bool:
    name = name.removeprefix("job.batch/").removeprefix("job/")
    if kind is Kind.PARTS:
        kinds, selector = ("Job", "Secret", "Pod"), names.selector(name)
        return any(cluster_objects.listed(place, one, selector) for one in kinds)
    if kind is Kind.JOB:
        name = name.partition("/")[0]
        job = _job(place, name)
        if job and job["metadata"]["labels"].get(names.MANAGED):
            return True
        return bool(cluster_objects.listed(place, "Job", f"{names.OURS},{names.GROUP}={name}"))
    if _job(place, name):
        return True
    node = re.fullmatch(r"(.+)-\d+", name) if kind is Kind.NODE else None
    return bool(node and _job(place, node[1]))


def _job(place: Cluster, name: str) -> Manifest | None:
    try:
        return cluster_objects.get_job(place, name)
    except ClusterFailure:
        raise
    except Failure:
        return None  # somebody else's


def _at_ease(place: Cluster, connection: Connection) -> Cluster:
    """The same, without the hurry of a question that goes to several."""
    place.limit(connection.request_timeout)
    return place
