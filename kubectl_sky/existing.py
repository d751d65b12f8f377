"""The task that has a launch's name already: gone on with, made anew when it cannot start, or no fit.

What never ran has nothing to lose: the next launch makes it anew, with another login, image or pod_config. What is up
stays as it was made, and the launch says what of it does not count.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kubectl_sky import autostop, cluster_objects, exposing, images, registry, shape
from kubectl_sky import settings as own_settings
from kubectl_sky.diagnosis import podstate, why
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.errors import ApiError, UsageError
from kubectl_sky.names import MANAGED

if TYPE_CHECKING:
    from kubectl_sky.diagnosis.why import Found
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress
    from kubectl_sky.planning import Options
    from kubectl_sky.task import Task

ENDING_SECONDS = 2.0


def find(cluster: Cluster, name: str, progress: Progress) -> dict[str, Any] | None:
    """The Job of a task that is up or starts, or None: what ended, or cannot start, is taken away first."""
    job = cluster_objects.get_job(cluster, name)
    if job is None:
        return None
    stopped = autostop.stopped(job)
    if not job["metadata"].get("deletionTimestamp") and not stopped and not cluster_objects.finished(job):
        complete = job.get("status", {}).get("ready", 0) >= job["spec"].get("parallelism", 1)
        reason = "" if complete else stuck(why.read(cluster, name))
        if not reason and not _just_over(cluster, job):
            return job
        if reason:
            progress.line(f"{name} is made anew, it could not start: {located(cluster.connection, reason)}")
    if stopped:
        cluster_objects.keep_claims(cluster, name)
    progress.update(f"Waiting for the ended {name} to go away")
    cluster_objects.remove(cluster, name)
    return None


def _just_over(cluster: Cluster, job: dict[str, Any]) -> bool:
    """Whether it is a managed job that has ended: its client knows that sooner than its pods and its Job say so."""
    until = time.monotonic() + ENDING_SECONDS
    while MANAGED in (job["metadata"].get("labels") or {}):
        if why.read(cluster, job["metadata"]["name"]).state.phase == podstate.COMPLETED:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return False


def stuck(found: Found) -> str:
    """Why it cannot start as it is; "" while it may, and for one that began.

    Jobs start on all nodes at once: one node that never had its container is enough to know that nothing has run.
    """
    state = found.state
    if not found.job or state.phase != podstate.FAILED or cluster_objects.finished(found.job):
        return ""
    failed = found.job.get("status", {}).get("failed")
    began = [pod for pod in found.pods if _began(pod)]
    return "" if failed or (found.pods and len(began) == len(found.pods)) else state.message or state.reason


def _began(pod: dict[str, Any]) -> bool:
    """Whether there is or was a container for the task."""
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return any(one["name"] == "task" and one.get("containerID") for one in statuses)


def check(task: Task, job: dict[str, Any], cluster: Cluster, options: Options) -> list[str]:
    """A second launch uses the nodes that are there; returns what of it has no effect, in words.

    Raises UsageError when it asks for other nodes.
    """
    name, down = job["metadata"]["name"], cluster.connection.command("down", job["metadata"]["name"])
    there = shape.told(job, shape.SHAPE)
    task = images.resolved(task, cluster.context or "")
    other = shape.misfits(task, there)
    nodes = job["spec"].get("parallelism", 1)
    if task.num_nodes > nodes:
        other.append(f"num_nodes: asked for {task.num_nodes}, has {nodes}")
    other += exposing.misfits(options.exposure, job)
    if other:
        text = "\n".join([f"{name} is up already, with other resources:", *(f"  {line}" for line in other)])
        raise UsageError(text, f"{down}, or launch under another name with -c NAME")
    notes = []
    if task.num_nodes < nodes:
        notes.append(f"{name} has {nodes} nodes: this job uses {task.num_nodes} of them, the others stay up")
    if changed := shape.unlike(task, cluster.context or "", job):
        notes.append(f"{' and '.join(changed)} changed; {name} stays as it was made until it is taken down: {down}")
    return [*notes, *_renewed(cluster, task, name)]


def _renewed(cluster: Cluster, task: Task, name: str) -> list[str]:
    """Another login for the image goes into the Secret that is there: a token that ended is no good to a new pod."""
    wanted = [secret for part in registry.parts(task, name, own_settings.load()) for secret in part.manifests]
    notes = []
    for manifest in wanted:
        path = f"{cluster_objects.collection(cluster, 'Secret')}/{manifest['metadata']['name']}"
        try:
            if cluster.get(path).get("data") != manifest["data"]:
                cluster.patch(path, {"data": manifest["data"]})
                notes.append(f"The login in the Secret {manifest['metadata']['name']} is replaced")
        except ApiError as error:
            if error.status == 404:
                notes.append(f"The login for the image has no effect: {name} was made without one")
            elif error.status != 403:
                raise
    return notes
