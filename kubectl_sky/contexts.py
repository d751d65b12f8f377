"""Which contexts a command is about: those of --context, of the setting `allowed_contexts`, or the current one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from kubectl_sky import globs, kube, settings
from kubectl_sky.api import kubeconfig
from kubectl_sky.api.connection import Connection
from kubectl_sky.config import layer
from kubectl_sky.errors import ClusterFailure, UsageError

if TYPE_CHECKING:
    from kubectl_sky.config.layers import Layers
    from kubectl_sky.kube import Cluster

T = TypeVar("T")
PATIENCE = "3s"  # for each answer of a context that is one of several


def several(connection: Connection, everywhere: bool = False) -> list[Cluster]:
    """Those that --context names; all of the kubeconfig; or the one. Of several each answer is limited to PATIENCE."""
    if everywhere and not connection.contexts:
        return limited(connection, kubeconfig.contexts(connection))
    return limited(connection, given(connection)) if connection.contexts else [kube.connect(connection)]


def limited(connection: Connection, wanted: Sequence[str]) -> list[Cluster]:
    """Each of the contexts; of several each answer is limited to PATIENCE."""
    patience = connection.request_timeout or (PATIENCE if len(wanted) > 1 else None)
    one = replace(connection, contexts=(), request_timeout=patience)
    return [kube.connect(replace(one, context=name)) for name in wanted]


def first(connection: Connection) -> Cluster:
    """The one, or the first of several; `connection` as it was, so that choosing knows of the others."""
    if not connection.contexts:
        return kube.connect(connection)
    cluster = kube.connect(replace(connection, contexts=(), context=given(connection)[0]))
    cluster.connection = connection
    return cluster


def asked(places: Sequence[Cluster], question: Callable[[Cluster], T]) -> list[tuple[Cluster, T]]:
    """What each answers, asked side by side. Of several, those that are away are named, and left out.

    Raises ClusterFailure when none answers.
    """
    with ThreadPoolExecutor(len(places)) as pool:
        answers = [pool.submit(question, one) for one in places]
    if len(places) == 1:
        return [(places[0], answers[0].result())]
    found = []
    for place, answer in zip(places, answers, strict=True):
        error = answer.exception()
        if isinstance(error, ClusterFailure):
            print(f"context {place.context} is left out: {error.message}", file=sys.stderr)
        else:
            found.append((place, answer.result()))
    if not found:
        raise ClusterFailure(f"no context answers: {', '.join(one.context for one in places)}")
    return found


def given(connection: Connection) -> list[str]:
    """What several --context, or globs, stand for, in their order. UsageError for what the kubeconfig does not have."""
    return expanded(connection.contexts, kubeconfig.contexts(connection), "--context")


def allowed(connection: Connection, layers: Layers | None = None) -> list[str]:
    """By our own file; else by SkyPilot's, where contexts that this kubeconfig does not have are passed over.

    None: only the current one. `layers` None: SkyPilot's files are read here.
    """
    ours = [name.strip() for name in settings.load().allowed_contexts.split(",") if name.strip()]
    if ours == ["all"]:
        return kubeconfig.contexts(connection)
    if ours:
        wild = any(map(globs.is_glob, ours))
        return expanded(ours, kubeconfig.contexts(connection), "allowed_contexts") if wild else ours
    said = (_files() if layers is None else layers).allowed_contexts()
    if said is None or not said.raw():
        return []
    theirs, known = said.raw(), kubeconfig.contexts(connection)
    if not isinstance(theirs, list):
        return known if theirs == "all" else [str(theirs)]
    found: list[str] = []
    for name in map(str, theirs):
        there = globs.matching(name, known)
        if not there:
            where = layer.place(said)
            print(f"warning: {where}: allowed_contexts: the kubeconfig has no context {name!r}", file=sys.stderr)
        found += there
    return list(dict.fromkeys(found))


def _files() -> Layers:
    from kubectl_sky.config import sources
    from kubectl_sky.config.layers import Layers

    return sources.read(Layers())[0] if sources.paths() else Layers()


def unknown(name: str, known: Sequence[str]) -> UsageError:
    """What to raise for a name or glob that stands for no context."""
    text = f"no context matches {name!r}" if globs.is_glob(name) else f"there is no context {name!r}"
    return UsageError(f"{text} in the kubeconfig", f"there are: {', '.join(known)}")


def expanded(wanted: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """The contexts for names and globs, in their order, each once."""
    found: list[str] = []
    for one in wanted:
        there = globs.matching(one, known)
        if not there:
            error = unknown(one, known)
            raise UsageError(f"{what}: {error.message}", error.hint)
        found += there
    return list(dict.fromkeys(found))
