"""Reading the logs of a task's jobs: from its agent, or from what is left of its containers when it is over."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, gang, running
from kubectl_sky.diagnosis.state import COMPLETED, FAILED, STOPPED, task_state
from kubectl_sky.errors import ApiError, ClusterFailure, Failure
from kubectl_sky.follow import Printer
from kubectl_sky.output import Progress, colour
from kubectl_sky.startup import Startup

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

START_SECONDS = 600.0


@dataclass(frozen=True)
class Options:
    jobs: tuple[int, ...] = ()  # none is the newest
    follow: bool = True
    tail: int | None = None
    node: int | None = None


def read(cluster: Cluster, name: str, options: Options) -> int:
    """Prints the logs; returns the exit code of the last job. Raises Failure."""
    job = cluster_objects.get_job(cluster, name)
    if job is None:
        raise running.unknown(cluster, name)
    nodes = job["spec"].get("parallelism", 1)
    if options.node is not None and options.node >= nodes:
        raise Failure(f"{name} has no node {options.node}: its nodes are 0 to {nodes - 1}")
    pods = cluster_objects.pods(cluster, name)
    if cluster_objects.finished(job) or (pods and task_state(job, pods).phase in (COMPLETED, FAILED)):
        return _of_the_dead(cluster, name, nodes, options)
    with Progress() as progress:
        up = bool(pods) and gang.rank(pods[0]) == 0 and running.task_up(pods[0])
        head = pods[0]["metadata"]["name"] if up else Startup(cluster, job).wait(progress, START_SECONDS)
        finder = running.Head(cluster, name, first=head)
        code = 0
        for number in options.jobs or (None,):
            request = {"op": "follow", "job": number, "follow": options.follow, "tail": options.tail}
            code = running.follow(cluster, name, request, nodes, finder, progress, options.node)
        return code


def container_log(cluster: Cluster, pod: dict[str, Any], tail: int | None = None) -> Iterator[bytes]:
    """What the pod's task printed up to now, in pieces. Raises ClusterFailure."""
    query: dict[str, Any] = {"container": "task", **({} if tail is None else {"tailLines": tail})}
    folder = cluster_objects.collection(cluster, "Pod")
    return cluster.stream(f"{folder}/{pod['metadata']['name']}/log", **query)


def print_containers(
    cluster: Cluster, pods: Sequence[dict[str, Any]], nodes: int, tail: int | None, only: int | None, label: str = ""
) -> None:
    """What the task's container of each of the pods printed; `nodes`, `only` and `label` as Printer has them."""
    printer = Printer(nodes, colour(sys.stdout), only, label=label)
    for pod in pods:
        try:
            for piece in container_log(cluster, pod, tail):
                printer.write(gang.rank(pod), piece)
        except ApiError as error:
            print(f"node {gang.rank(pod)}: {error.message}", file=sys.stderr)
    printer.close()


def _of_the_dead(cluster: Cluster, name: str, nodes: int, options: Options) -> int:
    """What the containers of an ended task printed. Raises Failure with the reason when it did not end well."""
    print_containers(cluster, cluster_objects.pods(cluster, name), nodes, options.tail, options.node)
    state = running.explain(cluster, name)
    if state.phase not in (COMPLETED, STOPPED):
        raise ClusterFailure(f"{name} is over: {state.message or state.reason}", state.hint)
    return 0
