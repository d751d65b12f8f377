"""A job group on its way: its tasks are jobs side by side in one context, made all or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import choosing, cluster_objects, names
from kubectl_sky.errors import ClusterFailure, Failure, UsageError
from kubectl_sky.jobs import launching
from kubectl_sky.parts import membership

if TYPE_CHECKING:
    from kubectl_sky.choosing import Choice
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress
    from kubectl_sky.task import Task


@dataclass(frozen=True)
class Group:
    """`jobs`: what the Jobs of its tasks are called, in their order."""

    name: str
    jobs: tuple[str, ...]


def called(name: str, tasks: Sequence[Task]) -> Group:
    """As Kubernetes takes the names. Raises UsageError where two are the same then."""
    group = names.object_name(name, "name")
    jobs = [names.object_name(task.name or "", "name") for task in tasks]
    for job in [group, *jobs]:
        if [group, *jobs].count(job) > 1:
            text = f"the job group and its tasks need names of their own: {job} is there twice"
            raise UsageError(text, "give one of them another name")
    return Group(group, tuple(jobs))


def launch(
    cluster: Cluster, tasks: Sequence[Task], group: Group, progress: Progress
) -> tuple[Cluster, list[dict[str, Any]]]:
    """Where it is, and the Jobs of its tasks. Raises Failure, with nothing left of it."""
    with ExitStack() as stack:
        loads = [launching.load(stack, [task], progress) for task in tasks]
        chosen = _chosen(cluster, tasks)
        cluster = chosen[0].cluster
        _make_room(cluster, group, progress)
        for job, task in zip(group.jobs, tasks, strict=True):
            if (task.name or "").lower() != job:
                progress.line(f"The others find {task.name} as {membership.host(job, group.name, 0)}")
        told = launching.told_of_group(tasks, group.name, group.jobs, hosts(group, tasks))
        service = membership.service(group.name)
        made: list[dict[str, Any]] = []
        try:
            cluster_objects.put(cluster, service)
            for choice, load, name, managed in zip(chosen, loads, group.jobs, told, strict=True):
                made.append(launching.make(choice, load, name, managed, progress))
            cluster_objects.own(cluster, service, made)
            _begin(cluster, made)
        except Failure:
            for name in (names.group_instance(group.name), *group.jobs):
                cluster_objects.remove(cluster, name)
            raise
    return cluster, made


def _begin(cluster: Cluster, jobs: Sequence[dict[str, Any]]) -> None:
    """Lets them make their pods: a launch that is killed before leaves nothing that runs. A queue does it by itself."""
    for job in jobs:
        if names.QUEUE not in job["metadata"]["labels"]:
            path = f"{cluster_objects.collection(cluster, 'Job')}/{job['metadata']['name']}"
            cluster.patch(path, {"spec": {"suspend": False}})


def hosts(group: Group, tasks: Sequence[Task]) -> list[str]:
    """By which its nodes find each other."""
    return [
        membership.host(job, group.name, rank)
        for job, task in zip(group.jobs, tasks, strict=True)
        for rank in range(task.num_nodes)
    ]


def _chosen(cluster: Cluster, tasks: Sequence[Task]) -> list[Choice]:
    """For each task, in the first context in which all can run: they talk to each other. Raises Failure."""
    allowed = [{one.context for one in choosing.clusters(cluster, task)} for task in tasks]
    places = [one for one in choosing.clusters(cluster, tasks[0]) if all(one.context in some for some in allowed)]
    if not places:
        text = "the tasks of a job group run in one context, and theirs have none in common"
        raise UsageError(text, "give them the same `infra`, or none")
    while True:
        first = choosing.choose(places, tasks[0])
        try:
            return [first, *(choosing.choose([first.cluster], task) for task in tasks[1:])]
        except ClusterFailure:
            places = [one for one in places if one.context != first.cluster.context]
            if not places:
                raise


def _make_room(cluster: Cluster, group: Group, progress: Progress) -> None:
    """Takes away what has ended of an earlier one, or never began. UsageError: a name is another's, or it goes on."""
    jobs = [job for name in (group.name, *group.jobs) if (job := cluster_objects.get_job(cluster, name))]
    halfway = any(map(_never_began, jobs))
    for job in jobs:
        name = job["metadata"]["name"]
        if job["metadata"]["labels"].get(names.GROUP) != group.name:
            text = f"the name {name} is taken: each task of a job group bears its own, by which the others find it"
            raise UsageError(text, f"{cluster.connection.command('down', name)}, or another name, or namespace (-n)")
        if not (cluster_objects.finished(job) or job["spec"].get("suspend") or halfway):
            text = f"the job group {group.name} is there already: {name} goes on"
            raise UsageError(text, f"to end it: {cluster.connection.command('jobs cancel', group.name)}")
    for job in jobs:
        progress.update(f"Waiting for the earlier {job['metadata']['name']} to go away")
        cluster_objects.remove(cluster, job["metadata"]["name"])


def _never_began(job: dict[str, Any]) -> bool:
    """Whether its launch was killed before it let it go (a queue lets go by itself); then the group is not whole."""
    waits = job["spec"].get("suspend") and names.QUEUE not in job["metadata"]["labels"]
    return bool(waits) and not cluster_objects.finished(job)
