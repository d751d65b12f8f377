"""Taking tasks down: everything that carries their labels, also what a killed launch left without a Job."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import gang_schedulers, names
from kubectl_sky.cluster_objects import COLLECTIONS, folder, listed
from kubectl_sky.errors import EXIT_TIMEOUT, ApiError, ClusterFailure
from kubectl_sky.overview import job_of, matches

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress

Object = dict[str, Any]
# The Job goes first: it makes no new pods then.
ORDER = (
    "Job", "Pod", "Ingress", "HTTPRoute", "Service", "ConfigMap", "Secret", "PersistentVolumeClaim",
    "ResourceClaimTemplate", "PodGroup", "Workload",
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """One object of a task in the cluster, or of a whole job group."""

    kind: str
    task: str
    manifest: Object

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def group(self) -> str:
        """The job group that it belongs to, or ""."""
        return (self.manifest["metadata"].get("labels") or {}).get(names.GROUP, "")

    @property
    def uid(self) -> str:
        return str(self.manifest["metadata"]["uid"])

    @property
    def owner(self) -> str:
        """uid of the Job of a pod."""
        return job_of(self.manifest) if self.kind == "Pod" else ""

    @property
    def job(self) -> str:
        """uid of the Job that owns it."""
        return job_of(self.manifest)

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


def find(cluster: Cluster, pod_groups: bool = True) -> list[Thing]:
    """All objects of all tasks in the cluster's namespace: one list a kind, side by side.

    Without `pod_groups` those of gang schedulers are left out, which take some requests more to find.
    """

    def one(kind: str) -> list[Object]:
        return [{**item, "kind": kind} for item in listed(cluster, kind, names.OURS)]

    with ThreadPoolExecutor(len(COLLECTIONS) + 1) as pool:
        groups = pool.submit(gang_schedulers.groups, cluster) if pod_groups else None
        found = [item for items in pool.map(one, [kind for kind in ORDER if kind in COLLECTIONS]) for item in items]
        found += groups.result() if groups else []
        return [Thing(item["kind"], names.whose(item["metadata"]["labels"]), item) for item in found]


def chosen(things: Sequence[Thing], patterns: Sequence[str], everything: bool) -> list[Thing]:
    """The objects of the tasks that names or globs choose; a job group's name stands for all of it."""
    tasks = {thing.task for thing in things if thing.kind == "Job"}
    groups = [name for name in patterns if name not in tasks]
    members = {thing.task for thing in things if thing.group and matches(thing.group, groups)}
    return [thing for thing in things if everything or matches(thing.task, patterns) or thing.task in members]


def delete(cluster: Cluster, things: Sequence[Thing]) -> None:
    """Delete them, side by side. What is gone already, or made anew by somebody, is let be."""
    # A Job takes its pods with it; with Foreground it stays until they are gone.
    jobs = [thing for thing in things if thing.kind == "Job"]
    owners = {job.uid for job in jobs}
    others = [thing for thing in things if thing.kind != "Job" and thing.owner not in owners]
    with ThreadPoolExecutor(8) as pool:
        for step in (jobs, others):
            list(pool.map(lambda thing: _delete(cluster, thing), step))


def _delete(cluster: Cluster, thing: Thing) -> None:
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Foreground" if thing.kind == "Job" else "Background",
        "preconditions": {"uid": thing.uid},
    }
    try:
        cluster.delete(f"{folder(cluster, thing.manifest)}/{thing.name}", options)
    except ApiError as error:
        if error.status not in (404, 409):
            raise


def wait(cluster: Cluster, things: Sequence[Thing], seconds: float, progress: Progress) -> None:
    """Until they and their pods are gone. ClusterFailure after `seconds`, with the reason."""
    uids = {thing.uid for thing in things}
    grouped = any(thing.kind not in COLLECTIONS for thing in things)
    end, pause = time.monotonic() + seconds, 0.1
    while True:
        left = [thing for thing in find(cluster, grouped) if thing.uid in uids or thing.owner in uids]
        if not left:
            return
        progress.update(f"Waiting for {describe(left)} to go away")
        if time.monotonic() + pause > end:
            raise ClusterFailure(*why_left(left, seconds), EXIT_TIMEOUT)
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def why_left(left: Sequence[Thing], seconds: float) -> tuple[str, str | None]:
    """Message and next step for objects that do not go away."""
    lines, hint = [f"after {seconds:g} s this is still there:"], None
    for thing in left:
        metadata = thing.manifest["metadata"]
        reasons = []
        held = [name for name in metadata.get("finalizers") or [] if name != "foregroundDeletion"]
        if held:
            reasons.append(f"held by the finalizer {', '.join(held)}")
        if not metadata.get("deletionTimestamp"):
            reasons.append("not deleted yet")
        elif thing.kind == "Pod":
            node = thing.manifest.get("spec", {}).get("nodeName") or "no node"
            reasons.append(f"ending on {node} since {metadata['deletionTimestamp']}")
            hint = f"if that node is gone: kubectl delete pod {thing.name} --force --grace-period=0"
        lines.append(f"  {thing}: {'; '.join(reasons) or 'waits for the others'}")
    return "\n".join(lines), hint or "look at it: kubectl get " + " ".join(str(thing) for thing in left[:3])


def describe(things: Sequence[Thing]) -> str:
    """`1 job, 2 pods, 1 secret`."""
    counts = {kind: sum(thing.kind == kind for thing in things) for kind in ORDER}
    plural = {kind: "es" if kind.endswith("s") else "s" for kind in ORDER}
    shown = [f"{count} {kind.lower()}{plural[kind] * (count != 1)}" for kind, count in counts.items() if count]
    return ", ".join(shown)
