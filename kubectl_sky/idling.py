"""Changing when an idle task ends, and how that is said."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kubectl_sky import autostop, cluster_objects, podspec, queues, settings
from kubectl_sky.errors import ClusterFailure
from kubectl_sky.output import duration

if TYPE_CHECKING:
    from kubectl_sky.autostop import Policy
    from kubectl_sky.kube import Cluster


def change(cluster: Cluster, name: str, policy: Policy | None) -> None:
    """From now on, in the pods; and on the Job, for all who look. Raises Failure."""
    queues.set_autostop(cluster, name, policy)
    note(cluster, name, policy)


def note(cluster: Cluster, name: str, policy: Policy | None) -> None:
    """What `status` shows, and for how long what is left of it is kept."""
    changes: dict[str, Any] = {
        "metadata": {"annotations": autostop.annotated(policy)},
        "spec": {"ttlSecondsAfterFinished": podspec.kept_seconds(policy, settings.load())},
    }
    with contextlib.suppress(ClusterFailure):  # the pods know already: this is for the show
        cluster.patch(f"{cluster_objects.collection(cluster, 'Job')}/{name}", changes)


def words(policy: Policy | None) -> str:
    """`ends after 30 min without a job or a session`"""
    if policy is None:
        return "stays up until it is taken down"
    after = duration(policy.minutes * 60)
    if policy.wait_for == "none":
        return f"ends in {after}, whatever runs"
    without = "a job" if policy.wait_for == "jobs" else "a job or a session"
    return f"ends after {after} without {without}" if policy.minutes else f"ends once it is without {without}"
