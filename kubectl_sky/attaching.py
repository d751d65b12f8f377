"""This terminal on that of a job: `attach`, and what `exec` and `launch` do with --tty."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, conversation, running, terminals
from kubectl_sky.errors import Failure
from kubectl_sky.follow import Follower, Printer
from kubectl_sky.output import Progress, colour
from kubectl_sky.remote import wire

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


class _Runs(Exception):
    """The job with that state runs: its terminal is there."""

    def __init__(self, state: dict[str, Any]):
        super().__init__()
        self.state = state


def attach(cluster: Cluster, name: str, number: int | None, keys: str) -> int:
    """Shows the terminal of a job (None: the newest that runs) here; returns its exit code, 0 when detached.

    Of a job without one, its log. Raises Failure: no such job, or it is over.
    """
    terminals.key_sequence(keys)  # before anything else is done
    head = running.Head(cluster, name)
    head.first = head()
    jobs = conversation.ask(cluster, head.first, {"op": "queue"})["jobs"]
    job = _choose(cluster, name, jobs, number)
    nodes = len(cluster_objects.pods(cluster, name))
    request = {"op": "follow", "job": job["id"], "follow": True}
    with Progress() as progress:
        if job.get("tty") and job["status"] == "RUNNING" and terminals.here():
            return _hold(cluster, name, job, nodes, head, keys)
        if not job.get("tty"):
            again = cluster.connection.command("exec", f"-it {name} COMMAND")
            print(f"Job {job['id']} has no terminal; this is its log. One with a terminal: {again}", file=sys.stderr)
        elif not terminals.here():
            print(f"This is no terminal; the log of job {job['id']}:", file=sys.stderr)
        attached = keys if job.get("tty") and terminals.here() else None
        return follow(cluster, name, request, nodes, head, progress, attached)


def _choose(cluster: Cluster, name: str, jobs: list[dict[str, Any]], number: int | None) -> dict[str, Any]:
    live = [job for job in jobs if job["status"] not in wire.FINAL]
    if number is None:
        if not live:
            raise Failure(f"no job of {name} runs", cluster.connection.command("exec", f"-it {name} COMMAND"))
        return max(live, key=lambda job: (job["status"] == "RUNNING", job["id"]))
    for job in jobs:
        if job["id"] == number and job in live:
            return job
        if job["id"] == number:
            text = f"job {number} of {name} is over: {job['status']}"
            raise Failure(text, f"what it said: {cluster.connection.command('logs', f'{name} {number}')}")
    raise running.no_job(name, number, (job["id"] for job in jobs))


def follow(
    cluster: Cluster,
    name: str,
    request: dict[str, Any],
    nodes: int,
    head: running.Head,
    progress: Progress,
    keys: str | None,
) -> int:
    """As running.follow, and with `keys` (those that detach) attached to the job's terminal as soon as it runs."""
    if keys is None:
        return running.follow(cluster, name, request, nodes, head, progress)

    def watch(state: dict[str, Any]) -> None:
        if state.get("status") == "RUNNING":
            raise _Runs(state)

    try:
        return running.follow(cluster, name, request, nodes, head, progress, leave=_words(keys), watch=watch)
    except _Runs as runs:
        return _hold(cluster, name, runs.state, nodes, head, keys)


def _hold(cluster: Cluster, name: str, job: dict[str, Any], nodes: int, head: running.Head, keys: str) -> int:
    number = job["id"]
    back = cluster.connection.command("attach", f"{name} {number}")
    node = (job.get("places") or [[0]])[0][0]
    code = terminals.hold(terminals.Kept(cluster, name, node, f"{number}.run", back, keys=keys))
    if code == terminals.DETACHED:
        print(f"\nDetached; the job runs on. Come back: {back}", file=sys.stderr)
        return 0
    # the agent knows how it ended, and why
    request = {"op": "follow", "job": number, "follow": True, "tail": 0}
    state = Follower(cluster, request, Printer(nodes, colour(sys.stdout)), head).run()
    return running.conclude(cluster, name, state, nodes)


def _words(keys: str) -> str:
    """`ctrl-p,ctrl-q` -> `Ctrl-P Ctrl-Q`"""
    return " ".join(f"Ctrl-{key[5:].upper()}" if key.lower().startswith("ctrl-") else key for key in keys.split(","))
