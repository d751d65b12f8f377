"""A managed job's output, over all pods that it has one after the other, to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, gang, managed, reading, running
from kubectl_sky.conversation import Broken, away_is_broken
from kubectl_sky.diagnosis import why
from kubectl_sky.errors import EXIT_FAILURE, EXIT_INTERRUPT, ClusterFailure, Failure
from kubectl_sky.follow import Follower
from kubectl_sky.jobs.remainder import CountingPrinter, print_rest
from kubectl_sky.output import Progress, colour, duration

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

SHORT, LONG = 0.3, 2.0  # s between two looks while there is nothing to follow


class _Gone(Exception):
    """The pod that was followed is there no more. `printer`: what has printed as much of it as came."""

    def __init__(self, printer: CountingPrinter):
        super().__init__()
        self.printer = printer


@dataclass(frozen=True)
class Place:
    """A job: by its Job's name, and which of its pods it is where each is one of its own; and what to print of it."""

    name: str
    index: int = 0
    of: int = 1
    tail: int | None = None
    only: int | None = None  # rank of the one node to be heard
    label: str = ""  # what its lines begin with, where there are others beside it
    wait: bool = True  # for what comes yet

    def __str__(self) -> str:
        return f"{self.name}/{self.index}" if self.of > 1 else self.name


def follow(cluster: Cluster, place: Place, progress: Progress) -> int:
    """Prints what it prints until it is over; its exit code, or that of Ctrl-C. Raises Failure when it fails."""
    try:
        return to_the_end(cluster, place, progress)
    except KeyboardInterrupt:
        progress.close()
        back = cluster.connection.command("jobs logs", str(place))
        print(f"\nDetached; the job goes on by itself. Come back: {back}", file=sys.stderr)
        return EXIT_INTERRUPT


def follow_all(cluster: Cluster, places: Sequence[Place], progress: Progress) -> int:
    """The tasks of a pipeline, one after the other, while they succeed."""
    for place in places:
        if place.of > 1:
            print(f"{place}:", file=sys.stderr)
        if code := follow(cluster, place, progress):
            return code
    return 0


def to_the_end(cluster: Cluster, place: Place, progress: Progress) -> int:
    """The same, where Ctrl-C is somebody else's."""
    heard: set[str] = set()  # pods, by uid
    last: CountingPrinter | None = None
    while True:
        found, now, head = _await(cluster, place, heard, progress)
        nodes = found.job["spec"].get("completions", 1) if found.job and place.of == 1 else 1
        progress.close()
        if now.over or head is None:
            if last:  # the other nodes' pods were there for longer
                print_rest(cluster, {gang.rank(pod): pod for pod in found.pods if nodes > 1 and gang.rank(pod)}, last)
                last.close()
            left = _unheard(found.pods, place, nodes, heard)
            reading.print_containers(cluster, left, nodes, place.tail, place.only, place.label)
            return conclude(cluster, place, now)
        heard.add(head["metadata"]["uid"])
        try:
            state = _one_pod(cluster, place, head, nodes, progress)
        except _Gone as gone:
            last = gone.printer if gone.printer.heard and place.tail is None else None
            if not gone.printer.heard:  # a short job is over before it is followed
                heard.remove(head["metadata"]["uid"])
            continue
        if not place.wait and state["status"] not in managed.ENDED:
            return 0
        if state["status"] in managed.ENDED:
            lost = managed.losses(cluster_objects.pods(cluster, place.name), place.index if place.of > 1 else None)
            return conclude(cluster, place, of_state(state, lost))


def _unheard(pods: Sequence[dict[str, Any]], place: Place, nodes: int, heard: set[str]) -> list[dict[str, Any]]:
    """The pods of which nothing was printed; what others printed came by node 0, which is the one in `heard`."""
    own = [pod for pod in pods if place.of == 1 or gang.rank(pod) == place.index]
    if place.of == 1 and nodes > 1:
        return [] if heard else own
    return [pod for pod in own if pod["metadata"]["uid"] not in heard]


def _await(
    cluster: Cluster, place: Place, heard: set[str], progress: Progress
) -> tuple[why.Found, managed.Outcome, dict[str, Any] | None]:
    """Until it is over, or node 0 has a pod that was not heard yet."""
    pause = SHORT
    while True:
        found = why.read(cluster, place.name)
        if found.job is None:
            raise running.unknown(cluster, place.name)
        now = managed.outcome(found.job, found.pods, found.events, place.index)
        if now.over:
            return found, now, None
        up = managed.is_up(found.pods, place.index)
        for pod in found.pods:
            if pod["metadata"]["name"] == up and pod["metadata"]["uid"] not in heard:
                return found, now, pod
        if now.status == "CANCELLING" and found.job["metadata"].get("deletionTimestamp"):
            raise ClusterFailure(f"{place} is being taken down")
        progress.update(f"{place}: {now.status}" + (f": {now.reason}" if now.reason else ""))
        time.sleep(pause)
        pause = min(pause * 1.3, LONG)


def _one_pod(cluster: Cluster, place: Place, head: dict[str, Any], nodes: int, progress: Progress) -> dict[str, Any]:
    """The job's state when its log by this pod has ended. Raises _Gone when the pod has."""
    talk, pod = running.Talk(progress, nodes), head["metadata"]["name"]

    def there() -> str:
        with away_is_broken():
            if managed.is_up(cluster_objects.pods(cluster, place.name), place.index) != pod:
                raise _Gone(printer)
        return str(pod)

    request: dict[str, Any] = {"op": "follow", "job": 1, "follow": place.wait, "tail": place.tail}
    printer = CountingPrinter(nodes, colour(sys.stdout), place.only, label=place.label)
    follower = Follower(cluster, request, printer, there, talk.state, talk.trouble)
    try:
        return follower.run()
    except (Broken, _Gone):
        if printer.heard and place.tail is None:
            print_rest(cluster, {0: head}, printer)
        raise _Gone(printer) from None
    finally:
        printer.close()
        progress.close()


def of_state(state: dict[str, Any], lost: int) -> managed.Outcome:
    """Of the agent's state of the job."""
    restarts = state.get("restarts") or 0
    times = state["started"], state["ended"]
    return managed.Outcome(state["status"], lost + restarts, state["exit"], state.get("reason") or "", *times)


def conclude(cluster: Cluster, name: Place, now: managed.Outcome) -> int:
    """Says how it ended; its exit code. Raises Failure with the reason."""
    again = f", recovered {now.recoveries} time{'s' * (now.recoveries != 1)}" if now.recoveries else ""
    if now.status == "SUCCEEDED":
        took = f" ({duration(now.ended - now.started)}{again})" if now.ended and now.started else ""
        print(f"✓ {name} succeeded{took}", file=sys.stderr)
        return 0
    if now.status == "CANCELLED":
        reason = f": {now.reason}" if now.reason and now.reason != "cancelled" else ""
        raise Failure(f"{name} was cancelled{reason}", exit_code=now.exit or EXIT_FAILURE)
    what = "failed in setup" if now.status == "FAILED_SETUP" else "failed"
    why_ = now.reason or f"exit code {now.exit}"
    if why_.startswith("oom:"):
        why_ = "it ran out of memory and was killed (OOM)"
    hint = f"what it said: {cluster.connection.command('jobs logs', str(name))}"
    raise Failure(f"{name} {what}{again}: {why_}", hint, now.exit or EXIT_FAILURE)
