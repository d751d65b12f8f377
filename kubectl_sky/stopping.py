"""Stopping clusters: their pods end, their record and their volumes stay for a start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from kubectl_sky import autostop, cluster_objects, costs, names
from kubectl_sky.errors import EXIT_TIMEOUT, ClusterFailure, Failure
from kubectl_sky.names import QUEUE

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress

Object = dict[str, Any]


def stop(cluster: Cluster, job: Object, pods: Sequence[Object]) -> None:
    """Suspends the Job: its controller ends the pods, and makes none. Raises Failure."""
    name = job["metadata"]["name"]
    if queue := (job["metadata"].get("labels") or {}).get(QUEUE):
        text = f"{name} is in the Kueue queue {queue!r}, which itself says when it runs: it cannot be stopped"
        raise Failure(text, cluster.connection.command("down", name))
    now = datetime.now(timezone.utc)
    ran = costs.before(job) + costs.ran(job, pods, now)
    noted = {autostop.STOPPED: now.isoformat(timespec="seconds"), costs.BEFORE: f"{ran:.0f}"}
    changes = {"metadata": {"annotations": noted}, "spec": {"suspend": True}}
    answer = cluster.patch(f"{cluster_objects.collection(cluster, 'Job')}/{name}", changes)
    if not answer["spec"].get("suspend"):  # before Kubernetes 1.22 the field is dropped without a word
        raise Failure(f"this cluster's Kubernetes cannot suspend Jobs: {name} runs on", "it needs 1.22 or later")


def pods_of(cluster: Cluster, tasks: Sequence[str]) -> list[str]:
    """The names of the pods of tasks that are still there."""
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: cluster_objects.listed(cluster, "Pod", names.selector(name)), tasks)
    return [pod["metadata"]["name"] for pods in found for pod in pods]


def wait(cluster: Cluster, tasks: Sequence[str], seconds: float, progress: Progress) -> None:
    """Until their pods are gone. ClusterFailure after `seconds`."""
    end, pause = time.monotonic() + seconds, 0.1
    while left := pods_of(cluster, tasks):
        progress.update(f"Waiting for {', '.join(left)} to end")
        if time.monotonic() + pause > end:
            text = f"after {seconds:g} s these pods are still there: {', '.join(left)}"
            raise ClusterFailure(text, f"look at them: kubectl get pods {' '.join(left)}", EXIT_TIMEOUT)
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def lost_volumes(job: Object) -> list[str]:
    """Where the task has volumes that end with its pods."""
    spec = job["spec"]["template"]["spec"]
    own = {volume["name"] for volume in spec.get("volumes") or [] if "ephemeral" in volume}
    mounts = [mount for one in spec["containers"] for mount in one.get("volumeMounts") or []]
    return sorted({mount["mountPath"] for mount in mounts if mount["name"] in own})
