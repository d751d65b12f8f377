"""The cluster's own gang scheduling: the nodes of a task get their places together, or none does. Pure.

What each of them wants of a pod group is data here; which one the cluster has is asked in gang_schedulers.py. KAI wants
none: it makes a group of a Job by itself, and would not look at another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sky import names
from kubectl_sky.parts.part import Part

NATIVE, WORKLOAD, VOLCANO, KAI, COSCHEDULING = "native", "workload", "volcano", "kai", "coscheduling"
CALLED = {
    NATIVE: "Kubernetes' own gang scheduling",
    WORKLOAD: "Kubernetes' own gang scheduling",
    VOLCANO: "Volcano",
    KAI: "the KAI scheduler",
    COSCHEDULING: "coscheduling",
}
GROUPS = {
    NATIVE: "scheduling.k8s.io",
    WORKLOAD: "scheduling.k8s.io",
    VOLCANO: "scheduling.volcano.sh",
    KAI: "scheduling.run.ai",
    COSCHEDULING: "scheduling.x-k8s.io",
}
SCHEDULERS = {KAI: "kai-scheduler", VOLCANO: "volcano"}  # the schedulerName of its pods
VERSIONS = {KAI: "v2", VOLCANO: "v1beta1"}  # of its API, where the cluster was not asked
DEFAULT_SCHEDULER = "default-scheduler"
KAI_DEFAULT = "default-queue"  # where KAI sends what names none
KAI_MEMBERS = "kai.scheduler/batch-min-member"  # annotation of a Job: how many of its pods, or none, get a place
_MEMBERS = "nodes"


@dataclass(frozen=True)
class Offer:
    """One that the cluster has: `kind` as above, the `version` of its API, the `queue` that its pods would go to."""

    kind: str
    version: str = ""
    queue: str = ""


def chosen(offers: Sequence[Offer], scheduler: str | None, queues: Mapping[str, str]) -> Offer | None:
    """The one to use where pod_config says `scheduler` (schedulerName), or nothing; the first that fits.

    `queues`: by kind, those that the task names: it asks for that scheduler so, also for one node.
    """
    for kind, own in SCHEDULERS.items():
        queue = queues.get(kind, "")
        if (queue and scheduler in (None, own)) or (kind == KAI and scheduler == own):
            there = next((offer for offer in offers if offer.kind == kind), Offer(kind, VERSIONS[kind]))
            return replace(there, queue=queue or there.queue)
    for offer in offers:
        by_name = SCHEDULERS.get(offer.kind)
        if offer.kind == COSCHEDULING or scheduler is None or scheduler == (by_name or DEFAULT_SCHEDULER):
            return offer
    return None


def part(name: str, num_nodes: int, offer: Offer) -> Part:
    """The group of the task's pods, and how they say that they belong to it."""
    if offer.kind == KAI:
        return _kai(num_nodes, offer.queue)
    api = f"{GROUPS[offer.kind]}/{offer.version}"
    group: dict[str, Any] = {"apiVersion": api, "kind": "PodGroup", "metadata": {"name": name}}
    policy = {"gang": {"minCount": num_nodes}}
    members: dict[str, Any] = {"minMember": num_nodes, **({"queue": offer.queue} if offer.queue else {})}
    notes = (f"Its {num_nodes} nodes start together or not at all: {CALLED[offer.kind]}",)
    if offer.kind == NATIVE:
        spec: dict[str, Any] = {"schedulingPolicy": policy}
        return Part(({**group, "spec": spec},), pod={"schedulingGroup": {"podGroupName": name}}, notes=notes)
    if offer.kind == WORKLOAD:
        spec = {"podGroups": [{"name": _MEMBERS, "policy": policy}]}
        workload = {**group, "kind": "Workload", "spec": spec}
        return Part((workload,), pod={"workloadRef": {"name": name, "podGroup": _MEMBERS}}, notes=notes)
    if offer.kind == VOLCANO:
        return _volcano(num_nodes, offer.queue, {**group, "spec": members}, notes)
    grouped = ({**group, "spec": members},)
    return Part(grouped, labels={"scheduling.x-k8s.io/pod-group": name}, notes=notes)


def _volcano(num_nodes: int, queue: str, group: dict[str, Any], notes: tuple[str, ...]) -> Part:
    # of one pod Volcano makes a group by itself
    named = {names.VOLCANO_QUEUE: queue} if queue else {}
    many = num_nodes > 1
    grouped = {"scheduling.k8s.io/group-name": group["metadata"]["name"]} if many else {}
    return Part(
        (group,) if many else (),
        annotations={**named, **grouped},
        job_annotations=named,
        pod={"schedulerName": SCHEDULERS[VOLCANO]},
        notes=tuple(f"{note}, queue {queue!r}" if queue else note for note in notes) if many else (),
    )


def _kai(num_nodes: int, queue: str) -> Part:
    # on the Job too, where it goes before what pods say
    labels = {names.KAI_QUEUE: queue} if queue else {}
    where = f", queue {queue!r}" if queue else ""
    notes = (f"Its {num_nodes} nodes start together or not at all: {CALLED[KAI]} (from 0.14.1 on){where}",)
    return Part(
        labels=labels,
        job_labels=labels,
        job_annotations={KAI_MEMBERS: str(num_nodes)} if num_nodes > 1 else {},
        pod={"schedulerName": SCHEDULERS[KAI]},
        notes=notes if num_nodes > 1 else (),
    )
