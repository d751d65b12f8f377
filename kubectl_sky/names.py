"""Names of tasks and of their objects."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from kubectl_sky import __version__
from kubectl_sky.errors import UsageError

MANAGED_BY = "app.kubernetes.io/managed-by"
INSTANCE = "app.kubernetes.io/instance"
# Kueue's labels of a Job
QUEUE, QUEUE_PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
KAI_QUEUE = "kai.scheduler/queue"  # a label of Jobs and pods
VOLCANO_QUEUE = "scheduling.volcano.sh/queue-name"  # an annotation of pods
OURS = f"{MANAGED_BY}=kubectl-sky"
GROUP = "kubectl-sky/group"  # label of the Jobs and pods of a job group
MANAGED = "kubectl-sky/managed"  # label of the Job of a managed job
LONGEST = 52  # a pod's host name is NAME-INDEX, and a DNS label ends at 63


def labels(name: str) -> dict[str, str]:
    """What every object of a task carries."""
    return {
        "app.kubernetes.io/name": "kubectl-sky",
        INSTANCE: name,
        MANAGED_BY: "kubectl-sky",
        "app.kubernetes.io/version": __version__,
    }


def group_instance(group: str) -> str:
    """Whose the objects of a whole job group are: no task can be called so."""
    return f"{group}.group"


def whose(labels: Mapping[str, str]) -> str:
    """The task that an object with these labels belongs to, or the job group."""
    instance, group = labels.get(INSTANCE, ""), labels.get(GROUP)
    return group if group and instance == group_instance(group) else instance


def selector(name: str) -> str:
    return f"{OURS},{INSTANCE}={name}"


def object_name(name: str, source: str = "--cluster-name") -> str:
    """A task's name as Kubernetes takes it: lower case, `.` and `_` become `-`. Raises UsageError."""
    wanted = re.sub(r"[._]+", "-", name.lower())
    if re.search(r"\.(ya?ml|json)$", name):
        raise UsageError(f"{source}: {name!r} looks like a file, not a name", f"kubectl sky launch {name} -c NAME")
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", wanted):
        raise UsageError(f"{source}: {name!r} is no name: letters, digits, `-`, `_` and `.`, a letter first")
    if len(wanted) > LONGEST:
        raise UsageError(f"{source}: {name!r} is too long: at most {LONGEST} characters")
    return wanted


def random_name(user: str) -> str:
    """`sky-1f3a-ann`, as SkyPilot names clusters that were given no name."""
    suffix = re.sub(r"[^a-z0-9]+", "", user.lower())[:12]
    return f"sky-{os.urandom(2).hex()}" + (f"-{suffix}" if suffix else "")
