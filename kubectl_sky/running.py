"""A job on a task that is up: handing it over, following it, and what its end means."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, gang
from kubectl_sky.conversation import Away, Broken, away_is_broken
from kubectl_sky.diagnosis import containers, kueue, why
from kubectl_sky.diagnosis.hints import located
from kubectl_sky.diagnosis.state import COMPLETED, FAILED, QUEUED, REPLACED, STOPPED, TERMINATING, UP, State
from kubectl_sky.errors import EXIT_FAILURE, EXIT_INTERRUPT, ClusterFailure, Failure
from kubectl_sky.follow import Follower, Printer
from kubectl_sky.output import Progress, colour, duration

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

KILLED, TERMINATED = 128 + 9, 128 + 15  # exit codes of Linux, wherever we are
SIGNALS = (KILLED, TERMINATED)
OVER = (FAILED, COMPLETED, STOPPED, TERMINATING)
UNREACHED_SECONDS = 60.0  # of a node whose containers run
RENEWED = "the new pod gets its files and its setup, then what waits runs"


class Head:
    """Finds node 0's pod, and says why when there is none. `first` is believed without a look."""

    def __init__(self, cluster: Cluster, name: str, first: str | None = None):
        self.cluster, self.name, self.first = cluster, name, first

    def __call__(self) -> str:
        if self.first:
            pod, self.first = self.first, None
            return pod
        with away_is_broken():
            found = cluster_objects.pods(self.cluster, self.name)
        if found and gang.rank(found[0]) == 0 and task_up(found[0]):
            return str(found[0]["metadata"]["name"])
        state = explain(self.cluster, self.name)
        if state.phase in OVER:
            why = state.message or state.reason or state.phase
            raise ClusterFailure(f"{self.name} is over: {why}", state.hint, exit_code(state, EXIT_FAILURE))
        if state.reason == QUEUED:
            raise Away(state.message)
        raise Broken(state.message or f"{self.name} is {state.phase}")


def task_up(pod: dict[str, Any]) -> bool:
    """Whether both of its containers run and it is not on its way out."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    running = [s["name"] for s in statuses if s.get("state", {}).get("running")]
    return not pod["metadata"].get("deletionTimestamp") and {"task", "ssh"} <= set(running)


def begins(pod: dict[str, Any]) -> bool:
    """Whether it has its node, and nothing keeps its containers from starting, so far as is known."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    waits = {one["state"]["waiting"].get("reason") for one in statuses if "waiting" in one.get("state", {})}
    over = any("terminated" in one.get("state", {}) for one in statuses)
    leaves = over or pod["metadata"].get("deletionTimestamp")
    return "nodeName" in pod["spec"] and not leaves and waits <= {"ContainerCreating", "PodInitializing"}


def explain(cluster: Cluster, name: str) -> State:
    """How a task is and why, events included. Raises Failure when there is no such task."""
    found = why.read(cluster, name)
    if found.job is None and not found.pods:
        raise unknown(cluster, name)
    state = found.state
    if state.reason == QUEUED and found.job:
        state = kueue.refined(kueue.Queues(cluster), state, found.job)
    return _located(state, cluster)


def _located(state: State, cluster: Cluster) -> State:
    return replace(state, hint=located(cluster.connection, state.hint)) if state.hint else state


def unknown(cluster: Cluster, name: str) -> Failure:
    """What to raise when there is no such task. Raises ApiError itself when there is no such namespace."""
    cluster_objects.check_namespace(cluster)
    return Failure(
        f"there is no cluster {name!r} in namespace {cluster.namespace} of context {cluster.context}",
        f"{cluster.connection.command('status')} lists what there is",
    )


class Talk:
    """Tells a person how the job is, on stderr."""

    def __init__(self, progress: Progress, nodes: int, leave: str = "Ctrl-C"):
        self.progress, self.nodes, self.leave, self.status, self.told = progress, nodes, leave, "", ""

    def state(self, state: dict[str, Any]) -> None:
        status = state.get("status", "")
        if status == "PENDING":
            self.progress.update(f"Job {state['id']}: {state['reason'] or 'starting'}")
        elif status != self.status:
            where = f"{self.nodes} node{'s' * (self.nodes != 1)}"
            self.progress.close()
            if status == "SETTING_UP":
                self.progress.phase("setup")
                self.progress.line(f"Setting up on {where}")
            elif status == "RUNNING":
                self.progress.phase("run")
                self.progress.line(f"Job {state['id']} runs on {where} ({self.leave} detaches, it runs on)")
        self.status = status

    def away(self, text: str) -> None:
        """Its pods are gone, and come again."""
        self.progress.update(text)
        self.status = ""

    def trouble(self, text: str) -> None:
        if text != self.told:  # once, not at every attempt
            self.progress.line(f"reconnecting: {text}")
        self.told = text


def follow(
    cluster: Cluster,
    name: str,
    request: dict[str, Any],
    nodes: int,
    head: Head,
    progress: Progress,
    only: int | None = None,
    leave: str = "Ctrl-C",
    watch: Callable[[dict[str, Any]], None] = lambda state: None,
) -> int:
    """Sends `request` (submit or follow) and prints what comes; returns the job's exit code. Raises Failure.

    `nodes` is how many speak, if the agent does not say it; `only` the one of them to be heard; `leave`: the keys that
    detach, in words; `watch` is told each change of the job's state, and what it raises ends this.
    """
    talk = Talk(progress, nodes, leave)

    known = False

    def told(state: dict[str, Any]) -> None:
        nonlocal known
        if "missing" in state and known:
            return
        known = known or "id" in state
        talk.nodes = state.get("nodes", talk.nodes)
        printer.speak(talk.nodes)
        talk.state(state)
        watch(state)

    printer = Printer(nodes, colour(sys.stdout), only)
    follower = Follower(cluster, request, printer, head, told, talk.trouble, Waiting(cluster, name), talk.away)
    try:
        state = follower.run()
        while _queued_again(cluster, name, state):
            state = follower.run()
    except KeyboardInterrupt:
        printer.close()
        progress.close()
        back = cluster.connection.command("logs", f"{name} {follower.job or ''}".rstrip())
        print(f"\nDetached; the job runs on. Come back: {back}", file=sys.stderr)
        return EXIT_INTERRUPT
    finally:
        progress.close()
    if "missing" in state and known:
        text = f"{name} was taken away and came again, and job {follower.job} and the files that it had went with it"
        raise Anew(text, f"{cluster.connection.command('launch')} again sends them, and runs it")
    return conclude(cluster, name, state, talk.nodes, followed=request.get("follow", True))


class Anew(Failure):
    """The task was away, and its pods know nothing of the job any more: what was sent to them is lost."""


def _queued_again(cluster: Cluster, name: str, state: dict[str, Any]) -> bool:
    """Whether a job ended because the task's pods had to go, and will come again."""
    signalled = state.get("exit") in SIGNALS and not state.get("reason")
    if state.get("status") not in ("FAILED", "FAILED_SETUP") or not (signalled or state.get("reason") == "lost"):
        return False
    return explain(cluster, name).reason == QUEUED


class Waiting:
    """Looks after a job that waits for a node, which may be for ever. Raises ClusterFailure when it is."""

    def __init__(self, cluster: Cluster, name: str):
        self.cluster, self.name, self.since = cluster, name, math.inf

    def __call__(self, state: dict[str, Any]) -> None:
        if state.get("status") != "PENDING" or "waiting for node" not in (state.get("reason") or ""):
            self.since = math.inf
            return
        found = why.read(self.cluster, self.name)
        if found.job and found.state.phase in OVER:
            now = _located(why.explain(self.cluster, found).state, self.cluster)
            text = f"{self.name} is over: {now.message or now.reason}"
            raise ClusterFailure(text, now.hint, exit_code(now, EXIT_FAILURE))
        there = bool(found.pods) and found.state.phase == UP and all(map(task_up, found.pods))
        self.since = min(self.since, time.monotonic()) if there else math.inf
        if time.monotonic() - self.since > UNREACHED_SECONDS:
            raise _unreached(self.cluster, self.name, state)


def _unreached(cluster: Cluster, name: str, state: dict[str, Any]) -> ClusterFailure:
    nodes = state["reason"].rpartition("waiting for ")[2]
    text = f"job {state['id']} is waiting for {nodes}, which is up, but node 0 of {name} does not reach it"
    hint = "node 0 needs the others' names and their port 2222 (network policies, DNS: docs/admin.md);"
    return ClusterFailure(text, f"{hint}\nthen {cluster.connection.command('down', name)}, and launch it again")


def conclude(cluster: Cluster, name: str, state: dict[str, Any], nodes: int, followed: bool = True) -> int:
    """Says how the job ended; its exit code. Raises Failure with the reason when it failed."""
    if "missing" in state:
        raise no_job(name, state["missing"] or "", state["jobs"])
    status, number = state["status"], state["id"]
    if status == "SUCCEEDED":
        took = duration(state["ended"] - (state["started"] or state["submitted"]))
        if followed:
            print(f"✓ Job {number} succeeded ({took})", file=sys.stderr)
        return 0
    if status not in ("FAILED", "FAILED_SETUP", "FAILED_DRIVER", "CANCELLED"):
        return 0  # it goes on; only its log so far was asked for
    lost = _lost(cluster, name, state) if state.get("reason") == "lost" else None
    if status != "CANCELLED" and not state.get("reason") and state["exit"] in SIGNALS:
        lost = _taken_away(cluster, name, state)
    code = exit_code(lost, state["exit"]) if lost else state["exit"] or 1
    raise Failure(f"job {number} {_why(state, lost, nodes)}", _next_step(cluster, name, state, lost), code)


def no_job(name: str, wanted: object, jobs: Iterable[int]) -> Failure:
    """What to raise when a task does not have the job (or jobs) `wanted`; `jobs` are those that it has."""
    known = ", ".join(map(str, jobs)) or "none yet"
    return Failure(f"{name} has no job {wanted}".rstrip() + f"; jobs: {known}")


def exit_code(over: State, otherwise: int) -> int:
    """Of a task that is over. With cgroups v2 the kernel ends the whole container for one process's memory."""
    return KILLED if over.reason == "OOMKilled" else otherwise


def _why(state: dict[str, Any], lost: State | None, nodes: int) -> str:
    reason = state.get("reason") or ""
    where = f" on node {state['rank']}" if nodes > 1 and state.get("rank") is not None else ""
    what = "failed in setup" if state["status"] == "FAILED_SETUP" else "failed"
    if state["status"] == "CANCELLED":
        return "was cancelled" + (f": {reason}" if reason != "cancelled" else "")
    if reason.startswith("oom:"):
        limit = int(reason[4:])
        text = f"its memory limit of {_size(limit)}" if limit else "the memory of its node"
        return f"{what}{where}: it ran out of memory and was killed at {text} (OOM)"
    if lost:
        return f"{what}{where}: {lost.message or lost.reason or 'its node went away'}"
    return f"{what}{where}" + (
        f": {reason}" if reason else f" with exit code {state['exit']}{containers.SIGNALS.get(state['exit'], '')}"
    )


def _lost(cluster: Cluster, name: str, job: dict[str, Any]) -> State:
    """Why a node's container ended under the job; kubelet needs a moment to say so."""
    for _ in range(20):
        found = why.read(cluster, name)
        if found.state.phase in OVER or found.state.reason in REPLACED:
            break
        if there := _replaced(found, job):
            return there
        time.sleep(0.3)
    return _located(found.state, cluster)


def _replaced(found: why.Found, job: dict[str, Any]) -> State | None:
    """Whether another pod has the place of the one under which the job ended."""
    since = datetime.fromtimestamp(job.get("started") or job["submitted"], timezone.utc).isoformat()[:19]
    for pod in found.pods:
        about = pod["metadata"]
        if gang.replacement(pod) and gang.rank(pod) == job.get("rank") and about["creationTimestamp"] > since:
            text = "its pod went away (its node, or somebody deleted it); another has taken its place"
            return State(UP, REPLACED[0], text, f"{found.job and found.job['metadata']['name']} goes on: {RENEWED}")
    return None


def _taken_away(cluster: Cluster, name: str, job: dict[str, Any]) -> State | None:
    """Why the cluster ended the pod, if it was the cluster that sent the signal by which the job ended."""
    found = why.read(cluster, name)
    if there := _replaced(found, job):
        return there
    state = _located(found.state, cluster)
    away = state.phase in (FAILED, TERMINATING) or state.reason in REPLACED
    return state if away and state.reason != "Error" and state.message else None


def _next_step(cluster: Cluster, name: str, state: dict[str, Any], lost: State | None) -> str | None:
    if lost:
        return lost.hint
    if (state.get("reason") or "").startswith("oom:"):
        return f"ask for more: {cluster.connection.command('down', name)}, then launch with --memory GIB"
    return None


def _size(count: int) -> str:
    for unit, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if count >= size and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count} bytes"
