"""What the nodes of a task are: noted at its Job, so that a second launch or an exec can be compared with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from kubectl_sky import settings
from kubectl_sky.task import Task
from kubectl_sky.taskfile import buckets
from kubectl_sky.volumes import wanted

SHAPE = "kubectl-sky/shape"  # annotation: what the task's nodes are, to compare a second launch with
KEPT = "kubectl-sky/kept"  # annotation: what else its pods keep until it is taken down, as digests


def of(task: Task) -> dict[str, Any]:
    """What a task demands of its nodes; None for what it leaves open."""
    r = task.resources
    gpus = [f"{a.name}:{a.count:g}" for a in r.accelerators[:1]]
    mounted = {"volumes": wanted.shape(task)} if task.volumes else {}
    if there := wanted_buckets(task):
        mounted["buckets"] = there
    return {"cpus": r.cpus, "memory": r.memory, "accelerators": gpus or None, "image": r.image_id, **mounted}


def wanted_buckets(task: Task) -> list[str]:
    """`s3://bucket at /data` of each."""
    return [f"{bucket.uri} at {bucket.dst}" for bucket in buckets.read(task.file_mounts)]


def misfits(task: Task, there: dict[str, Any]) -> list[str]:
    """What nodes of the shape `there` lack for the best of the task's alternatives, in words."""
    candidates, _ = task.resources.candidates()
    return min((_misfits(of(replace(task, resources=one)), there) for one in candidates), key=len)


def _misfits(wanted: dict[str, Any], there: dict[str, Any]) -> list[str]:
    return [
        f"{what}: asked for {_say(value)}, has {_say(there.get(what))}"
        for what, value in wanted.items()
        if value is not None and there.get(what) != value
    ]


def missing_buckets(task: Task, job: dict[str, Any]) -> list[str]:
    """Those of the task that the Job of another was not made with."""
    there = told(job, SHAPE)
    return [one for one in wanted_buckets(task) if one not in there.get("buckets", ())]


def told(job: dict[str, Any], annotation: str) -> dict[str, Any]:
    """What one of the annotations above says of a task that is up."""
    return dict(json.loads(job["metadata"].get("annotations", {}).get(annotation, "{}")))


def unlike(task: Task, context: str, job: dict[str, Any]) -> list[str]:
    """The fields of a second launch that its pods were made without; those that it leaves open are not among them."""
    there = told(job, KEPT)
    return [field for field, digest in kept(task, context).items() if there.get(field) != digest]


def kept(task: Task, context: str) -> dict[str, str]:
    """Field -> digest, of those that are given."""
    there, r = task.settings(context), task.resources
    config = [
        there.labels, there.annotations, there.service_account, there.queue, there.limits,
        [there.allowed_nodes.terms()] if there.allowed_nodes else [], [node.raw() for node in there.pod_config],
    ]  # fmt: skip
    values = {
        "config.kubernetes": config if any(config) else None,
        "resources.labels": r.labels,
        "resources.disk_size": r.disk_size,
        "image_pull_secret": settings.load().image_pull_secret,
    }
    digest = {field: json.dumps(value, sort_keys=True, default=str) for field, value in values.items() if value}
    return {field: hashlib.sha256(text.encode()).hexdigest()[:12] for field, text in digest.items()}


def _say(value: Any) -> str:
    """`["H100:8"]` -> `H100:8`"""
    return "the default" if value is None else ", ".join(value) if isinstance(value, list) else f"{value}"
