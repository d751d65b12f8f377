"""When a launch gives a context up for the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects
from kubectl_sky.errors import EXIT_TIMEOUT, ClusterFailure, Failure, Unreachable

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def moves_on(cluster: Cluster, job: dict[str, Any], failure: Failure) -> bool:
    """Whether its failure is for want of a place: the time is over, or no pod was given a node (quota, admission).

    What has run, or could not start where it was put, is not tried elsewhere.
    """
    if failure.exit_code == EXIT_TIMEOUT:
        return True
    if not isinstance(failure, ClusterFailure) or isinstance(failure, Unreachable):
        return False
    pods = cluster_objects.pods(cluster, job["metadata"]["name"])
    return not any(pod.get("spec", {}).get("nodeName") for pod in pods)
