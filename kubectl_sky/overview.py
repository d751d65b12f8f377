"""All tasks of a namespace, or of all: what `status` shows."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import autostop, globs, live, names
from kubectl_sky.api import pages
from kubectl_sky.diagnosis import state
from kubectl_sky.errors import ApiError, Expired, Failure

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]


def job_of(thing: Object) -> str:
    """uid of the Job that owns a pod, or another object; "" where none does. Labels tell it from Kubernetes 1.27 on."""
    owners = thing["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner["kind"] == "Job"), "")


def by_job(pods: Iterable[Object]) -> dict[str, list[Object]]:
    """By the uid of the Job that owns them."""
    found: dict[str, list[Object]] = {}
    for pod in pods:
        found.setdefault(job_of(pod), []).append(pod)
    return found


@dataclass(frozen=True)
class Row:
    """One task. `wanted` nodes, of which `ready` are up; `left`: seconds to its end, if its agent was asked."""

    name: str
    namespace: str
    user: str
    image: str
    resources: str
    wanted: int
    ready: int
    state: state.State
    created: str
    pods: tuple[Object, ...]
    job: Object
    autostop: autostop.Policy | None = None
    left: float | None = None
    context: str = ""

    def nodes(self) -> list[str]:
        return [str(pod.get("spec", {}).get("nodeName") or "<none>") for pod in self.pods]

    def addresses(self) -> list[str]:
        return [str(pod.get("status", {}).get("podIP") or "<none>") for pod in self.pods]


def row(job: Object, pods: Sequence[Object], events: Sequence[Object] = (), context: str = "") -> Row:
    """What a Job and its pods say about a task."""
    metadata, spec = job["metadata"], job.get("spec", {})
    annotations = metadata.get("annotations") or {}
    containers = spec.get("template", {}).get("spec", {}).get("containers") or [{}]
    main = next((one for one in containers if one.get("name") == "task"), containers[0])
    return Row(
        name=metadata["name"],
        namespace=metadata["namespace"],
        user=annotations.get("kubectl-sky/user", ""),
        image=main.get("image", ""),
        resources=annotations.get("kubectl-sky/resources", ""),
        wanted=spec.get("parallelism") or 1,
        ready=state.ready(pods),
        state=state.task_state(job, pods, events),
        created=metadata.get("creationTimestamp", ""),
        pods=tuple(sorted(state.newest(pods), key=lambda pod: pod["metadata"]["name"])),
        job=job,
        autostop=autostop.read(job),
        context=context,
    )


def since(job: Object | None, pods: Sequence[Object]) -> str:
    """Since when a task is as it is, by its Job's end, else by what its worst pod says last; "" when unknown."""
    ends = [c for c in (job or {}).get("status", {}).get("conditions") or [] if c.get("status") == "True"]
    if ends:
        return str(ends[-1].get("lastTransitionTime") or "")
    pod = state.worst(pods)
    if pod is None:
        return str(job["metadata"].get("creationTimestamp") or "") if job else ""
    status = pod.get("status") or {}
    ended = [
        ((one.get("state") or {}).get("terminated") or {}).get("finishedAt")
        for one in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        if ((one.get("state") or {}).get("terminated") or {}).get("exitCode")
    ]
    kinds = ("PodScheduled", "Ready")
    times = [c.get("lastTransitionTime") for c in status.get("conditions") or [] if c["type"] in kinds]
    return str(next(filter(None, [*ended, *times]), pod["metadata"].get("creationTimestamp") or ""))


class Board:
    """The Jobs and pods of all tasks, kept up to date by watch events. `namespace` None: all namespaces.

    `reasons`: read the namespace's events too, which tell more about what is not up.
    """

    def __init__(self, cluster: Cluster, namespace: str | None, selector: str | None = None, reasons: bool = False):
        where = f"/namespaces/{namespace}" if namespace else ""
        self.cluster = cluster
        self.events_path = f"/api/v1{where}/events" if reasons else None
        self.events: list[Object] = []
        self.paths = {"Job": f"/apis/batch/v1{where}/jobs", "Pod": f"/api/v1{where}/pods"}
        self.selectors = {"Job": f"{names.OURS},{selector}" if selector else names.OURS, "Pod": names.OURS}
        self.things: dict[str, dict[str, Object]] = {}
        self.versions: dict[str, str] = {}

    def load(self) -> None:
        """List both kinds, side by side."""
        with ThreadPoolExecutor(3) as pool:
            events = pool.submit(self._events)
            found = {kind: pool.submit(pages.everything, self.cluster, path, labelSelector=self.selectors[kind])
                     for kind, path in self.paths.items()}  # fmt: skip
        for kind, answer in found.items():
            items, self.versions[kind] = answer.result()
            self.things[kind] = {item["metadata"]["uid"]: item for item in items}
        self.events = events.result()

    def _events(self) -> list[Object]:
        if not self.events_path:
            return []
        try:
            return list(self.cluster.get(self.events_path)["items"])
        except ApiError:
            return []  # without the right to read events less is explained

    def rows(self, patterns: Sequence[str] = ()) -> list[Row]:
        """The tasks whose names match one of the globs (none: all), by namespace and name."""
        of_job = self.pods()
        jobs = sorted(self.things["Job"].items(), key=lambda one: _place(one[1]))
        chosen = [(uid, job) for uid, job in jobs if not patterns or matches(job["metadata"]["name"], patterns)]
        return [row(job, of_job.get(uid, []), self.events, self.cluster.context) for uid, job in chosen]

    def pods(self) -> dict[str, list[Object]]:
        """By their Job's uid."""
        return by_job(list(self.things["Pod"].values()))  # another thread may be taking news

    def jobs(self, patterns: Sequence[str] = ()) -> list[Object]:
        """The Jobs whose names match one of the globs (none: all)."""
        found = self.things["Job"].values()
        return [job for job in found if not patterns or matches(job["metadata"]["name"], patterns)]

    def job_names(self) -> list[str]:
        return sorted({job["metadata"]["name"] for job in self.things["Job"].values()})

    def changes(self, tick: float | None = None) -> Iterator[None]:
        """Yields after each change in the cluster, for ever; also when nothing changed for a `tick`."""
        while True:
            events: queue.Queue[tuple[str, Any]] = queue.Queue()
            for kind in self.paths:
                threading.Thread(target=self._follow, args=(kind, events), daemon=True).start()
            for news in live.settled(events, tick, quiet=0.2 if tick else 0):
                expired = any(isinstance(event, Expired) for _, event in news)
                if expired:
                    self.load()
                else:
                    self._take(news)
                yield
                if expired:
                    break

    def _take(self, news: Sequence[tuple[str, Any]]) -> None:
        for kind, event in news:
            if isinstance(event, Exception):
                raise event
            uid = event["object"]["metadata"]["uid"]
            if event["type"] == "DELETED":
                self.things[kind].pop(uid, None)
            else:
                self.things[kind][uid] = event["object"]

    def _follow(self, kind: str, events: queue.Queue[tuple[str, Any]]) -> None:
        labels, version = self.selectors[kind], self.versions[kind]
        try:
            for event in self.cluster.watch(self.paths[kind], labelSelector=labels, resourceVersion=version):
                events.put((kind, event))
        except Failure as error:
            events.put((kind, error))


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether `name` is one of the names or matches one of the globs."""
    return any(globs.matches(name, pattern) for pattern in patterns)


def _place(job: Object) -> tuple[str, str]:
    return job["metadata"]["namespace"], job["metadata"]["name"]
