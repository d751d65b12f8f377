"""All managed jobs of a namespace: two lists, and a question to those that may have begun again by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, conversation, managed, names, queues
from kubectl_sky.api import pages
from kubectl_sky.errors import Failure
from kubectl_sky.jobs.following import Place
from kubectl_sky.overview import by_job, matches

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
SELECTOR = f"{names.OURS},{names.MANAGED}=true"


@dataclass(frozen=True)
class Row:
    """One job. `name` is its Job's, with /INDEX where the pods of the Job are jobs of their own.

    `submitted`: when it was, a Kubernetes timestamp; `pod`: that of node 0, when it is up.
    """

    name: str
    place: Place
    task: str
    resources: str
    submitted: str
    now: managed.Outcome
    job: Object
    pod: str | None = None
    context: str = ""

    def is_one_of(self, patterns: Sequence[str]) -> bool:
        """Whether a name or glob means it: NAME all of its Job or of its job group, NAME/INDEX one."""
        return any(matches(name, patterns) for name in (self.place.name, self.name, self.group))

    @property
    def group(self) -> str:
        """The job group that it belongs to, or ""."""
        return str(self.job["metadata"]["labels"].get(names.GROUP, ""))

    def document(self) -> dict[str, Any]:
        now = self.now
        return {
            "name": self.name, "namespace": self.job["metadata"]["namespace"], "context": self.context,
            "group": self.group or None, "task": self.task or None, "resources": self.resources,
            "submitted": self.submitted, "status": now.status, "recoveries": now.recoveries, "exitCode": now.exit,
            "reason": now.reason or None,
            "started": now.started, "ended": now.ended,
        }  # fmt: skip


def _states(cluster: Cluster, pods: Sequence[str]) -> dict[str, Object]:
    """By pod, what its agent says of its job; nothing of those that cannot be asked."""

    def ask(pod: str) -> Object:
        try:
            return dict(conversation.ask(cluster, pod, {"op": "queue"})["jobs"][0])
        except (Failure, IndexError):
            return {}

    with ThreadPoolExecutor(queues.AT_ONCE) as pool:
        return dict(zip(pods, pool.map(ask, pods), strict=True))


def rows(cluster: Cluster, patterns: Sequence[str] = ()) -> list[Row]:
    """Newest last. Raises Failure."""
    jobs = _all(cluster, "Job", SELECTOR)
    wanted = [pattern.partition("/")[0] for pattern in patterns]
    found = [job for job in jobs if not wanted or any(matches(name, wanted) for name in _called(job))]
    pods = by_job(_all(cluster, "Pod", names.OURS)) if found else {}
    found.sort(key=lambda job: (job["metadata"].get("creationTimestamp", ""), job["metadata"]["name"]))
    listed = [one for job in found for one in of_job(job, pods.get(job["metadata"]["uid"], []), cluster.context)]
    return list(_asked(cluster, [one for one in listed if not patterns or one.is_one_of(patterns)]))


def _called(job: Object) -> tuple[str, str]:
    return job["metadata"]["name"], job["metadata"]["labels"].get(names.GROUP, "")


def _all(cluster: Cluster, kind: str, selector: str) -> list[Object]:
    return pages.everything(cluster, cluster_objects.collection(cluster, kind), labelSelector=selector)[0]


def of_job(job: Object, pods: Sequence[Object], context: str = "") -> list[Row]:
    """A row for each of its jobs."""
    metadata, annotations = job["metadata"], job["metadata"].get("annotations") or {}
    count, _, names_ = managed.fan(job)
    found = []
    for index in range(count):
        place = Place(metadata["name"], index, count)
        task = names_[index] if index < len(names_) else annotations.get("kubectl-sky/task-name", "")
        resources = annotations.get("kubectl-sky/resources", "")
        now, pod = managed.outcome(job, pods, (), index), managed.is_up(pods, index)
        submitted = metadata.get("creationTimestamp", "")
        found.append(Row(str(place), place, task, resources, submitted, now, job, pod, context))
    return found


def _asked(cluster: Cluster, listed: Sequence[Row]) -> Iterator[Row]:
    """With the restarts that only the agents know of yet."""
    live = [
        one.pod
        for one in listed
        if one.pod and one.now.status == "RUNNING" and managed.RETRIES in one.job["metadata"].get("annotations", {})
    ]
    told = _states(cluster, live) if live else {}
    for one in listed:
        state = told.get(one.pod or "", {})
        more = state.get("restarts") or 0
        status = "RECOVERING" if more and state.get("status") == "PENDING" else one.now.status
        yield replace(one, now=replace(one.now, recoveries=one.now.recoveries + more, status=status)) if more else one
