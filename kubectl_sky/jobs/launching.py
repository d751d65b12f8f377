"""Managed jobs on their way: packed, chosen for, made. Once its Job is there, nobody has to watch it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import choosing, cluster_objects, identity, jobspec, launching, managed, names
from kubectl_sky.buckets import uploading as bucket_uploading
from kubectl_sky.errors import UsageError
from kubectl_sky.files import collect, gitclone, recording, uploading
from kubectl_sky.jobs import pipeline
from kubectl_sky.managed import Managed
from kubectl_sky.parts import carried
from kubectl_sky.planning import Options
from kubectl_sky.remote import frames

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress
    from kubectl_sky.task import Task

WORTH_A_WORD = 5_000_000  # bytes
MOST_RAW = 256_000_000  # bytes: more is not even packed
CHOICES = """\
put large data on a volume (volumes:) or in a bucket (file_mounts, COPY or MOUNT), or into the image;
name what is not needed in a .skyignore file at the top of the workdir;
or keep a cluster for it: kubectl sky launch --down sends files of any size, and does not replace lost nodes"""


@dataclass(frozen=True)
class Load:
    """What goes along with one Job: the packed files of each of its tasks, and what is for buckets."""

    packed: tuple[bytes, ...]
    uploads: collect.Files


def launch(
    cluster: Cluster, tasks: Sequence[Task], name: str, progress: Progress, ranks: int = 1
) -> tuple[Cluster, dict[str, Any]]:
    """Makes the Job of a task, of `ranks` times the same one, or of a pipeline's tasks.

    Its name is `name` or the next free one; returns where it is, and the Job. Raises Failure.
    """
    task, notes = (tasks[0], []) if len(tasks) == 1 else pipeline.joined(tasks)
    with ExitStack() as stack:
        along = load(stack, tasks, progress, task if len(tasks) > 1 else None)
        chosen = choosing.choose(choosing.clusters(cluster, task), task)
        name = free(chosen.cluster, name)
        job = make(chosen, along, name, _told(tasks, name, ranks), progress)
    for note in notes:
        progress.line(note)
    return chosen.cluster, job


def load(stack: ExitStack, tasks: Sequence[Task], progress: Progress, joint: Task | None = None) -> Load:
    """Reads and packs the files; what was fetched for it goes with `stack`. UsageError: they are too large."""
    sources = [stack.enter_context(gitclone.fetched(one, progress)).task for one in tasks]
    collected = [collect.collect(uploading.mounts(one)) for one in sources]
    uploads = bucket_uploading.files(joint or sources[0])
    packed = tuple(pack(files, progress) if files.mounts else b"" for files in collected)
    if sum(map(len, packed)) > carried.LIMIT:
        raise too_large(collected)
    return Load(packed, uploads)


def make(chosen: choosing.Choice, along: Load, name: str, told: Managed, progress: Progress) -> dict[str, Any]:
    """The Job, as the server has it. Raises Failure."""
    options = Options(name, timeout=math.inf, managed=told, recordings=along.packed)
    return launching.make(chosen, options, identity.new_identity(), along.uploads, progress)[0]


def _told(tasks: Sequence[Task], name: str, ranks: int) -> Managed:
    at, serial = time.time(), len(tasks) > 1
    specs = _specs(tasks, [managed.told(name, one.resources, at, number) for number, one in enumerate(tasks)])
    called = tuple(one.name or "" for one in tasks) if serial else ()
    return Managed(specs, len(tasks) if serial else ranks, serial, called)


def told_of_group(tasks: Sequence[Task], group: str, jobs: Sequence[str], peers: Sequence[str]) -> list[Managed]:
    """What each of them is told; `peers` are the host names of all."""
    at = time.time()
    told = [managed.told(job, task.resources, at) for job, task in zip(jobs, tasks, strict=True)]
    for one in told:
        one["env"]["SKYPILOT_JOBGROUP_NAME"] = group
        one["peers"] = list(peers)
    return [Managed((spec,), group=group) for spec in _specs(tasks, told)]


def _specs(tasks: Sequence[Task], told: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Of their jobs, as the agents want them."""
    ids = "\n".join(one["task_id"] for one in told)
    for one in told:
        one["env"]["SKYPILOT_TASK_IDS"] = ids
    return tuple({**jobspec.job_spec(one), "managed": said} for one, said in zip(tasks, told, strict=True))


def pack(files: collect.Files, progress: Progress) -> bytes:
    """The files as they go along with the job. UsageError: they are too large."""
    total = _size([files])
    if total > WORTH_A_WORD:
        progress.update(f"Packing {total / 1e6:.1f} MB of files")
    if total > MOST_RAW:
        raise too_large([files])
    try:
        packed, warnings = recording.record(files, carried.LIMIT)
    except recording.TooLarge:
        raise too_large([files]) from None
    for warning in warnings:
        progress.line(f"warning: {warning}")
    return packed


def too_large(collected: Sequence[collect.Files]) -> UsageError:
    """What to raise for files that do not fit."""
    large = [one for files in collected for one in recording.largest(files)]
    large.sort(key=lambda one: -one[1])
    shown = ", ".join(f"{name} ({size / 1e6:.1f} MB)" for name, size in large[:3])
    total = f"{_size(collected) / 1e6:.1f} MB; at most {carried.LIMIT / 1e6:g} MB, compressed,"
    text = f"the workdir and file_mounts are too large to go along with a managed job: {total}"
    return UsageError(f"{text} are kept in the cluster for pods that are made anew\nthe largest: {shown}", CHOICES)


def _size(collected: Sequence[collect.Files]) -> int:
    """Bytes of the files' contents."""
    found = (record for files in collected for record in files.records if record[:1] == frames.FILE)
    return sum(frames.decode(record).size for record in found)


def free(cluster: Cluster, name: str) -> str:
    """The name, or the first of NAME-2, NAME-3... that no task has."""
    taken = {job["metadata"]["name"] for job in cluster_objects.listed(cluster, "Job", names.OURS)}
    number, found = 1, name
    while found in taken:
        number += 1
        found = names.object_name(f"{name}-{number}", "name")
    return found
