"""Which context and which of a task's alternatives to use: asking the contexts, choosing, and showing the choice."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kubectl_sky import contexts, facts, globs, images, needs, optimizer, planning, podspec, registry, settings
from kubectl_sky.api import kubeconfig
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.errors import ClusterFailure, UsageError
from kubectl_sky.optimizer import Candidate, Place
from kubectl_sky.output import table
from kubectl_sky.taskfile import buckets
from kubectl_sky.volumes import wanted

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task


@dataclass(frozen=True)
class Choice:
    """`considered` are all candidates, the chosen one among them; `away`: contexts that did not answer, and why."""

    cluster: Cluster
    facts: podspec.Facts
    candidate: Candidate
    considered: tuple[Candidate, ...]
    away: tuple[str, ...] = ()

    def table(self, reasons: bool) -> str:
        """`Considered resources (2 nodes):` and a row for each candidate; `reasons`: why not the others."""
        count = self.candidate.task.num_nodes
        priced = any(one.price is not None for one in self.considered)
        headers = ["infra", "instance", "vcpus", "mem(gb)", "gpus", "room for", *(["cost ($/h)"] if priced else [])]
        rows = [self._row(one, priced, reasons) for one in self.considered]
        body = table(rows, [*headers, "chosen", *(["why not"] if reasons else [])])
        away = "".join(f"{line}\n" for line in self.away)
        return f"Considered resources ({count} node{'s' * (count != 1)}):\n{body}{away}".rstrip("\n")

    def _row(self, one: Candidate, priced: bool, reasons: bool) -> list[str]:
        request, task = one.request, one.task
        gpus = [f"{request.name if request else kind.name}:{kind.count:g}" for kind in task.resources.accelerators[:1]]
        room = "-" if one.now is None else f"{one.now} now" if not one.lack else "none"
        room = f"{one.ever} on new {one.place.group.name}" if one.place.group else room
        price = [] if not priced else ["-" if one.price is None else f"{one.price * task.num_nodes:.2f}"]
        chosen = one is self.candidate
        why = [] if not reasons else ["-" if chosen else one.why_not(self.candidate)]
        amounts = [f"{needs.cpus(task):g}", f"{needs.memory(task):g}", *(gpus or ["-"])]
        infra = f"Kubernetes ({one.place.context})"
        return [infra, optimizer.summary(one), *amounts, room, *price, "✔" if chosen else "-", *why]


def clusters(cluster: Cluster, task: Task) -> list[Cluster]:
    """The contexts that come into question, `cluster` itself for its own. Raises UsageError for unknown ones."""
    connection = cluster.connection
    names = _names(cluster, task)
    names = [name for name in names if images.serves(task, name)] or names
    if names == [cluster.context] and not connection.contexts:
        return [cluster]
    return [
        cluster if one.context == cluster.context and not connection.contexts else one
        for one in contexts.limited(connection, names)
    ]


def _names(cluster: Cluster, task: Task) -> list[str]:
    """Those that the task names, which may be globs over what is allowed; else what is allowed."""
    connection = cluster.connection
    if connection.contexts:
        allowed = contexts.given(connection)
    else:
        allowed = [] if connection.context or connection.server else contexts.allowed(connection, task.layers)
    named = [one.context for one in task.resources.candidates()[0] if one.context]
    if not named:
        return allowed or [cluster.context]
    known = kubeconfig.contexts(connection)
    for name in named:
        if name != cluster.context and not globs.matching(name, known):
            raise contexts.unknown(name, known)
    found = optimizer.contexts(task, allowed or [cluster.context], allowed or known)
    if not found:
        text = f"infra: k8s/{named[0]} matches none of the contexts that are allowed"
        raise UsageError(text, f"these are: {', '.join(allowed)}")
    return found


def choose(places: Sequence[Cluster], task: Task) -> Choice:
    """Asks the contexts side by side. Raises ClusterFailure when nothing can ever run the task."""
    options, ordered = task.resources.candidates()
    own = settings.load()
    need = facts.Need(
        optimizer.wants_accelerators(task),
        len(options) * len(places) > 1,
        lambda found: _enough(task, found),
        None,
        frozenset(one.name for one in wanted.of(task) if one.name) if task.volumes else None,
        any(bucket.mode != buckets.COPY for bucket in buckets.read(task.file_mounts)),
        task.num_nodes > 1,
    )
    with ThreadPoolExecutor(len(places)) as pool:
        asked = [pool.submit(facts.gather, one, own, _whose(need, task, one.context, own)) for one in places]
    known: dict[str, tuple[Cluster, podspec.Facts]] = {}
    offers, away = [], []
    for cluster, answer in zip(places, asked, strict=True):
        error = answer.exception()
        if isinstance(error, ClusterFailure) and len(places) > 1:
            away.append(f"context {cluster.context} is left out: {error.message}")
            continue
        found, there = answer.result()
        known[cluster.context] = (cluster, found)
        priced = settings.prices(cluster.context, task.settings(cluster.context).pricing)
        place = Place(cluster.context, there.nodes, there.usage, False, priced)
        offers += [place, *(place.with_group(one, task.num_nodes) for one in settings.groups(cluster.context))]
    if not offers:
        raise ClusterFailure("no context answers:\n  " + "\n  ".join(away))
    offers = _possible(task, offers, known)
    considered = optimizer.candidates(task, offers)
    if not any(one.possible for one in considered):
        considered = optimizer.candidates(task, [_growing(known[one.context][0], one, task) for one in offers])
    best = optimizer.choose(considered, ordered)
    cluster, found = known[best.place.context]
    if best.place.group:
        found = replace(found, nodes=best.place.nodes)  # whose taints its pods tolerate
    return Choice(cluster, found, best, tuple(considered), tuple(away))


def _whose(need: facts.Need, task: Task, context: str, own: settings.Settings) -> facts.Need:
    """The same; with the service account, whose Secrets count where the task brings a login."""
    return replace(need, service_account=podspec.service_account(task, context)) if registry.wanted(task, own) else need


def _enough(task: Task, found: list[Node]) -> bool:
    """Whether the first page of nodes tells that the task can run."""
    return any(not one.lack for one in optimizer.candidates(task, [Place("", tuple(found))]))


def _possible(task: Task, offers: list[Place], known: dict[str, tuple[Cluster, podspec.Facts]]) -> list[Place]:
    """Only the contexts where it can be, if any is so; else all: the refusal then tells what is missing."""
    if len(offers) == 1:
        return offers
    asked = [(one, known[one.context][1]) for one in offers]
    has = [one for one, found in asked if not planning.impossible(task, "", found)]
    return has or offers


def _growing(cluster: Cluster, place: Place, task: Task) -> Place:
    """Before a refusal: an autoscaler may make the nodes that are missing."""
    return replace(place, grows=bool(task.settings(cluster.context).autoscaler) or facts.grows(cluster))
