"""A launch, from a task to its first line of output. Each step can be killed and done again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import (
    attaching,
    bursting,
    choosing,
    cluster_objects,
    existing,
    exposing,
    identity,
    jobspec,
    planning,
    podcheck,
    podspec,
    queuecheck,
    registry,
    running,
)
from kubectl_sky.buckets import uploading as bucket_uploading
from kubectl_sky.diagnosis import limits
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.errors import EXIT_INTERRUPT, ClusterFailure, Failure, Unreachable
from kubectl_sky.files import collect, gitclone, uploading
from kubectl_sky.names import QUEUE
from kubectl_sky.output import Progress
from kubectl_sky.planning import Options
from kubectl_sky.ssh import keeping
from kubectl_sky.startup import Startup
from kubectl_sky.taskfile import buckets

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.task import Task
    from kubectl_sky.timings import Timings


@dataclass(frozen=True)
class Up:
    """A task whose pods are up and have its files. `request` starts or follows its job; None: nothing is to run."""

    cluster: Cluster
    head: str  # node 0's pod
    nodes: int
    files: collect.Files
    request: dict[str, Any] | None
    queued: bool = False  # by Kueue, which may take its pods away, and bring them again


def launch(cluster: Cluster, task: Task, options: Options, timings: Timings | None = None) -> int:
    """Runs the task; returns its exit code (0 when detached). Raises Failure. `timings` is told each phase."""
    with Progress(f"Launching {options.name}", timings=timings) as progress:
        up = bring_up(cluster, task, options, progress)
        cluster = up.cluster
        if up.request is None:
            progress.close()
            usage = cluster.connection.command("exec", f"{options.name} COMMAND")
            shell = keeping.advice(cluster, options.name)
            print(f"{options.name} is up. Use it: {usage}\nA shell: {shell}", file=sys.stderr)
            return 0
        progress.phase("job handed over")
        try:
            result = _follow(task, options, up, progress)
        except Failure:
            _leave(cluster, options)
            raise
        if options.detach:
            shell = keeping.advice(cluster, options.name)
            logs = cluster.connection.command("logs", options.name)
            print(f"Detached. See it: {logs}\nA shell: {shell}", file=sys.stderr)
        elif result != EXIT_INTERRUPT:
            _leave(cluster, options)
        return result


def _follow(task: Task, options: Options, up: Up, progress: Progress) -> int:
    """Starts or follows the job of a task that is up, also over a time without its pods; its exit code.

    Raises Failure.
    """
    while True:
        request = {**(up.request or {}), "follow": not options.detach}
        finder = running.Head(up.cluster, options.name, first=up.head)
        nodes = min(task.num_nodes, up.nodes)
        try:
            result = attaching.follow(up.cluster, options.name, request, nodes, finder, progress, options.attached)
        except running.Anew as lost:
            if not up.queued:
                raise  # nobody asked for it to run twice
            progress.line(f"{lost.message}: they are sent again")
            up = bring_up(up.cluster, task, options, progress)
            continue
        except Failure:
            _forget_job(up, options)
            raise
        if not options.detach and result != EXIT_INTERRUPT:
            _forget_job(up, options)
        return result


def _forget_job(up: Up, options: Options) -> None:
    """Its job has ended: pods that Kueue takes away, and brings again, do not run it once more."""
    if up.queued and not (options.autostop and options.autostop.at_once):
        cluster_objects.forget_job(up.cluster, options.name)


def bring_up(cluster: Cluster, task: Task, options: Options, progress: Progress) -> Up:
    """Makes the pods unless they are there, waits for them, and sends the files. Raises Failure."""
    progress.phase("files here read")
    cluster.kubectl()  # first: nothing is made where it is missing
    with gitclone.fetched(task, progress) as source:
        files = collect.collect(uploading.mounts(source.task))  # nor for files that cannot be read
        uploads = bucket_uploading.files(source.task)
        progress.phase("cluster asked")
        places = [cluster] if options.here else choosing.clusters(cluster, task)
        cluster, job, request, head = _start(places, task, options, uploads, progress)
        there = job["spec"].get("parallelism", 1)
        keeping.launched(cluster, options.name)
        if files.mounts:
            progress.phase("files sent")
            uploading.send(cluster, files, head, there, progress)
    if request is None and (task.run or task.setup):
        request = {"op": "submit", "spec": {**jobspec.job_spec(task, options.tty), "launch": True}}
        if options.autostop:
            request["autostop"] = options.autostop.as_dict()
    return Up(cluster, head, there, files, request, QUEUE in (job["metadata"].get("labels") or {}))


def _leave(cluster: Cluster, options: Options) -> None:
    """After --down, with its end seen, nothing is kept for a later look."""
    if options.autostop and options.autostop.at_once and not options.detach:
        cluster_objects.remove(cluster, options.name)
        keeping.taken_down(cluster, [options.name])


def _start(
    places: Sequence[Cluster], task: Task, options: Options, uploads: collect.Files, progress: Progress
) -> tuple[Cluster, dict[str, Any], dict[str, Any] | None, str]:
    """What _pods returns, and node 0's pod. Where the pods find no place in time, the next context is tried."""
    last: Failure | None = None
    while True:
        try:
            cluster, job, request = _pods(places, task, options, uploads, progress)
        except ClusterFailure as failure:  # of those that are left none answers, or has such nodes
            raise last or failure from None
        seconds = limits.provision(options.timeout, task.settings(cluster.context).timeout)
        try:
            return cluster, job, request, Startup(cluster, job, new=_is_new(job)).wait(progress, seconds)
        except Failure as failure:
            places = [one for one in places if one.context != cluster.context]
            if not places or not bursting.moves_on(cluster, job, failure):
                raise
            last = failure
            progress.line(f"No place in context {cluster.context}: {failure.message}")
            cluster_objects.remove(cluster, options.name)


def _is_new(job: dict[str, Any]) -> bool:
    """Whether its nodes have not all been there yet, so far as its Job tells."""
    return not (job.get("status") or {}).get("ready") and not (job.get("status") or {}).get("startTime")


def _pods(
    places: Sequence[Cluster], task: Task, options: Options, uploads: collect.Files, progress: Progress
) -> tuple[Cluster, dict[str, Any], dict[str, Any] | None]:
    """The Job of the task, made unless it is up, and where; and how to follow its first job if it takes that along."""
    with ThreadPoolExecutor(len(places) + 2) as pool:
        there = [pool.submit(existing.find, one, options.name, progress) for one in places]
        choice = pool.submit(choosing.choose, places, task)
        key = pool.submit(identity.new_identity)
        for place, answer in zip(places, there, strict=True):
            if isinstance(answer.exception(), Unreachable) and len(places) > 1:
                continue
            if job := answer.result():
                for note in existing.check(task, job, place, options):
                    progress.line(note)
                bucket_uploading.upload(place, task, uploads, job, progress)
                if any(bucket.mode == buckets.COPY for bucket in buckets.read(task.file_mounts)):
                    progress.line(f"Its buckets stay as they were copied when {options.name} started")
                return place, job, None
        chosen, identity_ = choice.result(), key.result()
    job, plan = make(chosen, options, identity_, uploads, progress)
    return chosen.cluster, job, {"op": "follow", "job": 1} if plan.job else None


def make(
    chosen: choosing.Choice, options: Options, key: podspec.Identity, uploads: collect.Files, progress: Progress
) -> tuple[dict[str, Any], podspec.Plan]:
    """The Job, as the server has it, of what was chosen; and its plan. Raises Failure before anything is made."""
    options = exposing.checked(chosen.cluster, chosen.candidate.task, options)
    made = planning.plan(chosen.candidate, options, chosen.facts, key)
    verbose = chosen.cluster.connection.verbosity > 0
    progress.line(chosen.table(reasons=verbose))
    for note in made.notes:
        progress.line(located(chosen.cluster.connection, note))
    progress.phase("objects made")
    rendered = podspec.render(made)
    for note in queuecheck.check(chosen.cluster, rendered[-1]):
        progress.line(note)
    podcheck.check(chosen.cluster, made, rendered)
    registry.check(chosen.cluster, made, rendered)
    bucket_uploading.upload(chosen.cluster, chosen.candidate.task, uploads, rendered[-1], progress)
    return cluster_objects.create(chosen.cluster, rendered), made
