"""Labelling nodes with their GPUs: the patches, and the probe Jobs as objects. Those are watched in probing.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import labeler
from kubectl_sky.cluster_objects import collection, finished
from kubectl_sky.errors import ApiError
from kubectl_sky.labeler import FAIL, Step

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
Tell = Callable[[Step], None]
SIDE_BY_SIDE = 8
ENFORCE = "pod-security.kubernetes.io/enforce"


def may_be_privileged(cluster: Cluster) -> bool:
    """Whether the namespace lets a pod see its node. ApiError when there is no such namespace."""
    try:
        namespace = cluster.get(f"/api/v1/namespaces/{cluster.namespace}")
    except ApiError as error:
        if error.status != 403:
            raise
        return True  # unknown: if not, the probe's Job will tell
    return (namespace["metadata"].get("labels") or {}).get(ENFORCE, "privileged") == "privileged"


def label(cluster: Cluster, steps: Iterable[Step], tell: Tell) -> list[Step]:
    """Writes the labels of the LABEL steps, side by side; `tell` hears of each. The steps as they ended."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        done = []
        for step in pool.map(lambda one: label_one(cluster, one), steps):
            tell(step)
            done.append(step)
        return done


def label_one(cluster: Cluster, step: Step) -> Step:
    try:
        cluster.patch(f"/api/v1/nodes/{step.node}", {"metadata": {"labels": labeler.labels(step.gpu)}})
    except ApiError as error:
        if error.status != 404:
            raise
        return replace(step, action=FAIL, note="the node is gone")
    return step


def check_rights(cluster: Cluster, node: str) -> None:
    """Raises ApiError when nodes may not be labelled: better now than after their probes."""
    cluster.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {}}}, dryRun="All")


def jobs(cluster: Cluster) -> Object:
    """The list of probe Jobs, SkyPilot's too."""
    return cluster.get(collection(cluster, "Job"), labelSelector=labeler.SELECTOR)


def node_of(job: Object) -> str:
    """The node of a Job that is ours; "" for SkyPilot's."""
    return (job["metadata"].get("annotations") or {}).get(labeler.NODE_ANNOTATION, "")


def delete(cluster: Cluster, names: Iterable[str]) -> None:
    """Deletes Jobs, side by side; those that are gone already do not matter."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(lambda name: delete_one(cluster, name), names))


def tidy(cluster: Cluster, settled: Iterable[str]) -> None:
    """Deletes what a killed client left: probes that are over, of nodes that have their label. Best effort."""
    nodes = set(settled)
    try:
        found = jobs(cluster)["items"] if nodes else []
        delete(cluster, [job["metadata"]["name"] for job in found if finished(job) and node_of(job) in nodes])
    except ApiError as error:
        if error.status not in (403, 404):
            raise


def delete_one(cluster: Cluster, name: str) -> None:
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    try:
        cluster.delete(f"{collection(cluster, 'Job')}/{name}", options)
    except ApiError as error:
        if error.status != 404:
            raise
