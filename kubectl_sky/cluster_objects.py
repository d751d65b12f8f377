"""The objects of a task in the cluster: made in an order that survives a kill at any point, found, taken away."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kubectl_sky import gang, names
from kubectl_sky.errors import ApiError, Failure

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Manifest = dict[str, Any]
COLLECTIONS = {
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Service": "/api/v1/namespaces/{}/services",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
    "ResourceClaimTemplate": "/apis/resource.k8s.io/v1/namespaces/{}/resourceclaimtemplates",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "Pod": "/api/v1/namespaces/{}/pods",
}
KEPT = "kubectl-sky/outlives-its-job"  # annotation of a claim whose Job was ended for a new one of the same name
# only some clusters have them, or let everybody read them
OPTIONAL = ("ResourceClaimTemplate", "PersistentVolumeClaim", "Ingress", "HTTPRoute")


def collection(cluster: Cluster, kind: str) -> str:
    return COLLECTIONS[kind].format(cluster.namespace)


def folder(cluster: Cluster, manifest: Manifest) -> str:
    """Where objects like that one are; of a kind that only some clusters have, by its apiVersion."""
    if manifest["kind"] in COLLECTIONS:
        return collection(cluster, manifest["kind"])
    return f"/apis/{manifest['apiVersion']}/namespaces/{cluster.namespace}/{manifest['kind'].lower()}s"


def listed(cluster: Cluster, kind: str, selector: str) -> list[Manifest]:
    """Those of a kind; none of one that the cluster does not have, or that the user has no business with."""
    try:
        items: list[Manifest] = cluster.get(collection(cluster, kind), labelSelector=selector)["items"]
        return items
    except ApiError as error:
        if kind in OPTIONAL and error.status in (403, 404):
            return []
        raise


def get_job(cluster: Cluster, name: str) -> Manifest | None:
    """The task's Job, or None. Raises Failure when a Job of somebody else's has the name."""
    try:
        job = cluster.get(f"{collection(cluster, 'Job')}/{name}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    if job["metadata"].get("labels", {}).get(names.MANAGED_BY) != "kubectl-sky":
        raise Failure(
            f"namespace {cluster.namespace} has a Job {name!r} that kubectl sky did not make", "choose a name: -c NAME"
        )
    return job


def check_namespace(cluster: Cluster) -> None:
    """Raises ApiError when the namespace does not exist. Lists are empty there: it explains why nothing was found."""
    try:
        cluster.get(f"/api/v1/namespaces/{cluster.namespace}")
    except ApiError as error:
        if error.status == 404:
            raise


def pods(cluster: Cluster, name: str) -> list[Manifest]:
    """The task's pods, by rank; of several with one rank (one was replaced) the newest."""
    found = cluster.get(collection(cluster, "Pod"), labelSelector=names.selector(name))["items"]
    newest = {gang.rank(pod): pod for pod in sorted(found, key=lambda pod: pod["metadata"]["creationTimestamp"])}
    return [newest[n] for n in sorted(newest)]


def finished(job: Manifest) -> str | None:
    """`Complete` or `Failed`, or None while it goes on."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition["type"])
    return None


def create(cluster: Cluster, manifests: list[Manifest]) -> Manifest:
    """Makes the task's objects; returns the Job as the server has it.

    The Job comes last, so that its pods never wait for what they mount; then it is made the owner of the others.
    What a killed launch left behind is replaced.
    """
    *parts, job = manifests
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda manifest: put(cluster, manifest), parts))
    made = cluster.create(collection(cluster, "Job"), job)
    pool = ThreadPoolExecutor(len(parts))
    for part in parts:
        pool.submit(own, cluster, part, [made])
    pool.shutdown(wait=False)  # the launch goes on meanwhile; the interpreter's exit waits for them
    return made


def dry_run(cluster: Cluster, manifests: list[Manifest]) -> list[Manifest]:
    """What the server would make of them: admission, quota and rights are checked, nothing is kept."""
    return [cluster.create(folder(cluster, m), m, dryRun="All") for m in manifests]


def own(cluster: Cluster, part: Manifest, jobs: Sequence[Manifest]) -> None:
    """Lets an object go with the last of the Jobs."""
    owners = [
        {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
        for job in jobs
    ]
    path = f"{folder(cluster, part)}/{part['metadata']['name']}"
    cluster.patch(path, {"metadata": {"ownerReferences": owners}})


def put(cluster: Cluster, manifest: Manifest) -> None:
    """Makes one object; an older one of the same task gives way. Raises Failure where it is another's."""
    path = folder(cluster, manifest)
    name = manifest["metadata"]["name"]
    try:
        cluster.create(path, manifest)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        there = cluster.get(f"{path}/{name}")
        labels, kind = there["metadata"].get("labels") or {}, manifest["kind"]
        whose = "that kubectl sky did not make" if labels.get(names.MANAGED_BY) != "kubectl-sky" else ""
        if not whose and labels.get(names.INSTANCE) != manifest["metadata"]["labels"][names.INSTANCE]:
            whose = f"of the task {labels.get(names.INSTANCE)}"
        if whose:
            text = f"namespace {cluster.namespace} has a {kind} {name!r} {whose}"
            raise Failure(text, "choose another name: -c NAME") from None
        if KEPT in (there["metadata"].get("annotations") or {}):
            return _check_kept(there, manifest)
        cluster.delete(f"{path}/{name}")
        _create_after(cluster, path, manifest)


def _check_kept(there: Manifest, wanted: Manifest) -> None:
    """Raises Failure when a claim that was kept is not as large as the one that is wanted."""
    has, asked = (one["spec"]["resources"]["requests"]["storage"] for one in (there, wanted))
    if has != asked:
        task = there["metadata"]["labels"][names.INSTANCE]
        raise Failure(
            f"the volume {there['metadata']['name']} that {task} has kept is of {has}, not {asked}",
            f"launch with {has}; or without what is in it: kubectl sky down {task}, then launch",
        )


def _create_after(cluster: Cluster, path: str, manifest: Manifest, seconds: float = 20.0) -> None:
    """Makes an object whose namesake was just deleted: a claim goes only when its finalizer is off."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            cluster.create(path, manifest)
            return
        except ApiError as error:
            if error.reason != "AlreadyExists" or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def forget_job(cluster: Cluster, name: str) -> None:
    """New pods of the task run nothing by themselves any more. Nothing where it is gone, or may not be read."""
    path = f"{collection(cluster, 'Secret')}/{name}-sky"
    try:
        task = json.loads(base64.b64decode(cluster.get(path)["data"]["task.json"]))
        if task.get("job"):
            told = json.dumps({**task, "job": None, "expects": False})
            cluster.patch(path, {"data": {"task.json": base64.b64encode(told.encode()).decode()}})
    except ApiError:
        pass


def keep_claims(cluster: Cluster, name: str) -> None:
    """Lets a task's claims outlive its Job: they are those of the next one of that name."""
    kept = {"metadata": {"annotations": {KEPT: "true"}, "ownerReferences": None}}
    for claim in listed(cluster, "PersistentVolumeClaim", names.selector(name)):
        owners = claim["metadata"].get("ownerReferences") or []
        if all(owner["kind"] == "Job" for owner in owners):  # a pod's own goes with the pod
            cluster.patch(f"{collection(cluster, 'PersistentVolumeClaim')}/{claim['metadata']['name']}", kept)


def remove(cluster: Cluster, name: str, seconds: float = 60.0) -> None:
    """Takes away a task that has ended, so that its name is free; waits until it is. Raises Failure at the limit.

    Claims that keep_claims() was called for stay.
    """
    selector = names.selector(name)
    policy = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    kinds = [kind for kind in COLLECTIONS if kind != "Pod"]
    deadline = time.monotonic() + seconds
    while True:
        found = [(kind, item["metadata"]) for kind in kinds for item in listed(cluster, kind, selector)]
        left = [(kind, one["name"]) for kind, one in found if KEPT not in (one.get("annotations") or {})]
        if not left:
            return
        if time.monotonic() > deadline:
            raise Failure(
                f"what is left of {name} does not go away: {', '.join('/'.join(pair) for pair in left)}",
                f"look for finalizers: kubectl get job {name} -o yaml",
            )
        for kind, item in left:
            try:
                cluster.delete(f"{collection(cluster, kind)}/{item}", policy)
            except ApiError as error:
                if error.status != 404:
                    raise
        time.sleep(0.2)
