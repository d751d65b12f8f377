"""Keeps the installed hosts as the cluster has them: ssh-config those of a namespace, launch and down one task's."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from kubectl_sky import cluster_objects, gang, names
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.ssh import program
from kubectl_sky.ssh.book import Task
from kubectl_sky.ssh.installed import Change, Folder

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def tasks(cluster: Cluster, name: str | None = None) -> list[Task]:
    """The tasks of the namespace as ssh has to know them, or the one called `name`: three lists, side by side."""
    _check_secrets(cluster)
    selector = names.selector(name) if name else names.OURS
    with ThreadPoolExecutor(3) as pool:
        kinds = ("Job", "Secret", "Pod")
        jobs, secrets, pods = pool.map(lambda kind: cluster_objects.listed(cluster, kind, selector), kinds)
    keys = {secret["metadata"]["name"]: secret.get("data") or {} for secret in secrets}
    where: dict[str, dict[int, str]] = {}
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"]):
        task = pod["metadata"]["labels"][names.INSTANCE]
        where.setdefault(task, {})[gang.rank(pod)] = pod["metadata"]["name"]
    found = []
    for job in jobs:
        task, nodes = job["metadata"]["name"], job["spec"].get("parallelism", 1)
        public = keys.get(f"{task}-sky", {}).get("id_ed25519.pub")
        if public and not job["metadata"].get("deletionTimestamp") and not cluster_objects.finished(job):
            seen = [where.get(task, {}).get(node, "") for node in range(nodes)]
            found.append(_task(cluster, task, base64.b64decode(public).decode(), seen))
    return found


def all_of(cluster: Cluster, found: Iterable[Task]) -> Change:
    """Those of the cluster's namespace are `found` now."""
    return lambda before: [*(task for task in before if not is_in(task, cluster)), *found]


def is_in(task: Task, cluster: Cluster) -> bool:
    """Whether it is a task of the cluster's namespace."""
    return task.place == _task(cluster, "", "", []).place


def outdated(cluster: Cluster, name: str, public: str) -> bool:
    """Whether the installed hosts know a task by another host key than `public`."""
    known = [task.public for task in Folder().tasks() if task.name == name and is_in(task, cluster)]
    return any(one.split()[:2] != public.split()[:2] for one in known)


def launched(cluster: Cluster, name: str) -> None:
    """Have a task that is up among the hosts, if there are any. Never fails: the task is what was wanted."""
    folder = Folder()
    with suppress(Failure, OSError):
        if folder.installed():
            found = tasks(cluster, name)
            folder.update(lambda before: [*without(before, cluster, [name]), *found])


def taken_down(cluster: Cluster, gone: Iterable[str]) -> None:
    """Forget tasks. Never fails."""
    with suppress(Failure, OSError):
        Folder().update(lambda before: without(before, cluster, gone))


def without(before: list[Task], cluster: Cluster, gone: Iterable[str]) -> list[Task]:
    gone = set(gone)
    return [task for task in before if task.name not in gone or not is_in(task, cluster)]


def advice(cluster: Cluster, name: str) -> str:
    """How to get a shell, for the end of a launch."""
    if Folder().installed():
        return f"ssh {name}"
    plain = cluster.connection.command("ssh-config")
    return f"{cluster.connection.command('ssh', name)} (plain `ssh {name}` too, after: {plain})"


def _task(cluster: Cluster, name: str, public: str, pods: list[str]) -> Task:
    environment, flags = program.kubeconfig(cluster), program.flags(cluster)
    return Task(name, cluster.namespace, cluster.context, environment, flags, public, pods, time.time())


def _check_secrets(cluster: Cluster) -> None:
    for flag in ("token", "password"):
        if getattr(cluster.connection, flag):
            raise UsageError(f"--{flag} would stand in a file of ssh's", "put it into a kubeconfig")
