"""What clusters know that the shell may put at the cursor: names, job ids, namespaces, GPUs. Nothing waits long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from kubectl_sky import cluster_objects, finding, kube, names

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection
    from kubectl_sky.kube import Cluster

T = TypeVar("T")
Words = list[tuple[str, str]]  # candidates, each with a description or ""
PATIENCE = 2.0  # s for a cluster: the user waits with a finger on the tab key
TOGETHER = 0.6  # s for several: those that are slower have nothing to say, while others do


def tasks(connection: Connection, only_managed: bool = False) -> Words:
    """Names of clusters, or of managed jobs and job groups, of all contexts in which a verb would look for them."""
    selector = f"{names.OURS},{names.MANAGED}=true" if only_managed else names.OURS
    told = _asked(_places(connection), lambda one: cluster_objects.listed(one, "Job", selector))
    words: dict[str, list[str]] = {}
    for place, jobs in told:
        for job in jobs:
            resources = (job["metadata"].get("annotations") or {}).get("kubectl-sky/resources", "")
            where = f"{resources} in {place.context}".strip() if len(told) > 1 else resources
            words.setdefault(job["metadata"]["name"], []).append(where)
            if group := job["metadata"]["labels"].get(names.GROUP):
                words.setdefault(group, ["job group"])
    return sorted((name, "; ".join(where)) for name, where in words.items())


def jobs(connection: Connection, name: str) -> Words:
    """Ids of the jobs of a cluster, the newest first."""
    from kubectl_sky import queues

    places = _places(connection)
    if len(places) > 1:
        there = _asked(places, lambda one: cluster_objects.get_job(one, name))
        places = [place for place, job in there if job]
    (found,) = queues.read(places[0], [name])
    return [(str(job["id"]), f"{job['status']} {job['name'] or ''}".rstrip()) for job in reversed(found.jobs)]


def namespaces(connection: Connection) -> Words:
    found = kube.connect(_hurried(connection)).get("/api/v1/namespaces")["items"]
    return [(one["metadata"]["name"], "") for one in found]


def contexts(connection: Connection) -> Words:
    from kubectl_sky.api import kubeconfig

    return [(name, "") for name in kubeconfig.contexts(connection)]


def gpus(connection: Connection) -> Words:
    from kubectl_sky import gpus
    from kubectl_sky.capacity import inventory

    cluster = kube.connect(_hurried(connection))
    there = gpus.listing(cluster.context, inventory.read(cluster, with_pods=False))
    return [(kind.name, "") for kind in there.kinds]


def _hurried(connection: Connection) -> Connection:
    return replace(connection, request_timeout=f"{PATIENCE:g}s")


def _places(connection: Connection) -> list[Cluster]:
    hurried = _hurried(connection)
    return finding.candidates(hurried) or [kube.connect(hurried)]


def _asked(places: Sequence[Cluster], question: Callable[[Cluster], T]) -> list[tuple[Cluster, T]]:
    """What those say that are quick enough, in their order; nobody is told of the others."""
    answers: dict[str, Any] = {}
    news = threading.Condition()

    def ask(place: Cluster) -> None:
        try:
            answer = (question(place),)
        except Exception:  # away, or not ours to read
            answer = None
        with news:
            answers[place.context] = answer
            news.notify()

    began = time.monotonic()
    for place in places:
        threading.Thread(target=ask, args=(place,), daemon=True).start()  # nobody waits for those that are slow
    with news:
        news.wait_for(lambda: len(answers) == len(places), TOGETHER if len(places) > 1 else PATIENCE)
        if not any(answers.values()):
            left = PATIENCE - (time.monotonic() - began)
            news.wait_for(lambda: any(answers.values()) or len(answers) == len(places), left)
        return [(place, answers[place.context][0]) for place in places if answers.get(place.context)]
