"""Local files to buckets, before the task starts: by a Job of its own in the cluster, NAME-upload.

The cluster's rclone does it, with the same credentials and endpoint as the task's pods: this machine needs none, and
need not reach the bucket.
"""

from __future__ import annotations

import functools
import subprocess
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, planning
from kubectl_sky import settings as own_settings
from kubectl_sky.buckets import access
from kubectl_sky.diagnosis import limits, why
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.errors import EXIT_INTERRUPT, ClusterFailure, Failure
from kubectl_sky.files import collect, uploading
from kubectl_sky.parts import bucket_uploads
from kubectl_sky.startup import Startup
from kubectl_sky.taskfile import buckets

if TYPE_CHECKING:
    from pathlib import Path

    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress
    from kubectl_sky.task import Task
    from kubectl_sky.taskfile.buckets import Bucket

SUFFIX = "-upload"


def wanted(task: Task) -> list[Bucket]:
    """The buckets that local files go to."""
    return [bucket for bucket in buckets.read(task.file_mounts) if bucket.uploads]


def files(task: Task) -> collect.Files:
    """What goes to them; its `mounts` are empty for a task that sends nothing there. Raises NotReadable."""
    return collect.collect([mount for index, one in enumerate(wanted(task)) for mount in _mounts(index, one.uploads)])


def _mounts(index: int, paths: tuple[Path, ...]) -> list[collect.Mount]:
    """A folder alone is the bucket; of several paths each has its name there."""
    place = bucket_uploads.source(index)
    if len(paths) == 1 and paths[0].is_dir():
        return [collect.Mount(paths[0], place, ignore=True)]
    return [collect.Mount(path, f"{place}/{path.name}", ignore=path.is_dir()) for path in paths]


def upload(cluster: Cluster, task: Task, collected: collect.Files, job: dict[str, Any], progress: Progress) -> None:
    """Returns when all that files() `collected` is in the buckets. `job` is the task's, made or not. Raises Failure."""
    if not (chosen := wanted(task)):
        return
    name = f"{job['metadata']['name']}{SUFFIX}"
    settings = own_settings.load()
    rclone = access.access(task, name, settings, chosen)
    receiver = {
        "image": settings.own_image(settings.runtime_image),
        "imagePullPolicy": settings.image_pull_policy,
    }
    like = job["spec"]["template"]["spec"]
    manifests = bucket_uploads.job(rclone, chosen, receiver, planning.code(), like)
    if cluster_objects.get_job(cluster, name):
        cluster_objects.remove(cluster, name)  # of a launch that was killed
    made = cluster_objects.create(cluster, manifests)
    where = ", ".join(one.uri for one in chosen)
    try:
        _send(cluster, task, made, collected, where, progress)
    except (KeyboardInterrupt, Failure) as error:
        if isinstance(error, Failure) and error.exit_code != EXIT_INTERRUPT:
            raise
        raise Failure(
            f"interrupted before all was in {where}", "the same command again goes on", EXIT_INTERRUPT
        ) from None
    finally:
        policy = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        cluster.delete(f"{cluster_objects.collection(cluster, 'Job')}/{name}", policy)
    progress.line(f"Uploaded to {where}")


def _send(
    cluster: Cluster, task: Task, made: dict[str, Any], collected: collect.Files, where: str, progress: Progress
) -> None:
    """The files to the Job `made`, and until it has them in the buckets."""
    started = {bucket_uploads.RECEIVING, bucket_uploads.CONTAINER}
    seconds = limits.provision(None, task.settings(cluster.context).timeout)
    pod = Startup(cluster, made, started).wait(progress, seconds)
    receiving = ("exec", "-i", pod, "-c", bucket_uploads.RECEIVING, "--")
    command = cluster.kubectl(*receiving, *bucket_uploads.RECEIVE)
    uploading.stream(functools.partial(uploading.to_receiver, command), collected, progress)
    _say_sent(cluster.kubectl(*receiving, *bucket_uploads.SENT))
    progress.update(f"Uploading to {where}")
    _await(cluster, made["metadata"]["name"], pod)


def _say_sent(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=60)
    if done.returncode:
        raise Failure(f"the files cannot be handed over: {done.stderr.strip()}", "run the same command again")


def _await(cluster: Cluster, name: str, pod: str) -> None:
    """Until rclone has ended. Raises ClusterFailure with what it said."""
    path = cluster_objects.collection(cluster, "Pod")
    for event in cluster.watch(path, fieldSelector=f"metadata.name={pod}"):
        status = event["object"].get("status") or {}
        ends = {
            one["name"]: end
            for one in status.get("containerStatuses") or ()
            if (end := (one.get("state") or {}).get("terminated"))
        }
        end = ends.get(bucket_uploads.CONTAINER)
        if end and end.get("exitCode") == 0:
            return
        if end or event["type"] == "DELETED" or status.get("phase") == "Failed":
            break
    state = why.read(cluster, name).state
    hint = located(cluster.connection, state.hint) if state.hint else None
    raise ClusterFailure(state.message or f"pod {pod} ended before all was in the bucket", hint)
