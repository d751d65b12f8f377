"""The cluster's own gang scheduling: the nodes of a task get their places together, or none does. Pure.

What each of them wants of a pod group is data here; which one the cluster has is asked in gang_schedulers.py. KAI wants
none: it makes a group of a Job by itself, and would not look at another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
SCHEDULERS = {VOLCANO: "volcano", KAI: "kai-scheduler"}  # the schedulerName of its pods
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


def chosen(offers: Sequence[Offer], scheduler: str | None, queue: str = "") -> Offer | None:
    """The one to use where pod_config says `scheduler` (schedulerName), or nothing; the first that fits.

    `queue`: the one of KAI's that the task names, by which it asks for KAI, also for one node.
    """
    if scheduler == SCHEDULERS[KAI] or (queue and scheduler is None):
        return Offer(KAI, queue=queue or next((offer.queue for offer in offers if offer.kind == KAI), ""))
    for offer in offers:
        own = SCHEDULERS.get(offer.kind)
        if offer.kind == COSCHEDULING or scheduler is None or scheduler == (own or DEFAULT_SCHEDULER):
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
    grouped = ({**group, "spec": members},)
    if offer.kind == COSCHEDULING:
        return Part(grouped, labels={"scheduling.x-k8s.io/pod-group": name}, notes=notes)
    pod = {"schedulerName": SCHEDULERS[VOLCANO]}
    return Part(grouped, annotations={"scheduling.k8s.io/group-name": name}, pod=pod, notes=notes)


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
