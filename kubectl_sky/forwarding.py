"""Ports of this machine to ports of a node of a task, kept up by watching kubectl, the task and its pods."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from kubectl_sky import cluster_objects, gang, names, portmap, running, system
from kubectl_sky.api import watching
from kubectl_sky.diagnosis.state import COMPLETED, STOPPED
from kubectl_sky.errors import (
    EXIT_FAILURE,
    EXIT_INTERRUPT,
    EXIT_TIMEOUT,
    ApiError,
    ClusterFailure,
    Failure,
    Unreachable,
)
from kubectl_sky.output import Progress, duration
from kubectl_sky.parts import ports
from kubectl_sky.portmap import Forward
from kubectl_sky.tunnel import GONE, SAID, UP, Tunnel

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

LIMIT = 600.0  # s without a pod to forward to, or without the API server
PAUSES = (0.0, 0.3, 1.0, 2.0, 3.0)  # s before the first, second, ... attempt to start kubectl again
STEADY = 5.0  # s after which a tunnel counts as one that was well
MOMENT = 2.0  # s between the end of a pod and what the Job says of it
QUIET = 10.0  # s in which the same trouble is not told twice


class Over(Exception):
    """The task has ended as it should."""


def forward(cluster: Cluster, name: str, words: Sequence[str], rank: int, addresses: Sequence[str]) -> int:
    """Until the task ends (0; Failure unless it ended well), or Ctrl-C (130)."""
    job = cluster_objects.get_job(cluster, name)
    if job is None:
        raise running.unknown(cluster, name)
    nodes = job["spec"].get("parallelism", 1)
    if rank >= nodes:
        raise Failure(f"{name} has no node {rank}: its nodes are 0 to {nodes - 1}")
    named = (job["metadata"].get("annotations") or {}).get(ports.ANNOTATION, "")
    wanted = portmap.parse(words, ports.numbers(named.split(",")) if named else [])
    if not wanted:
        hint = f"name them: {cluster.connection.command('port-forward', f'{name} PORT...')}; any port will do"
        raise Failure(f"{name} declares no ports", hint)
    cluster.kubectl()
    wanted = portmap.bound(wanted, addresses)
    with Progress() as progress:
        forwarding = Forwarding(cluster, name, wanted, rank, addresses, progress)
        try:
            forwarding.run()
        except Over as end:
            progress.line(str(end))
            return 0
        except KeyboardInterrupt:
            return EXIT_INTERRUPT
        finally:
            forwarding.stop()


class Forwarding:
    """A tunnel for each of the forwards to the pod that is the node now. Each is started again when it ends:
    kubectl ends at the first connection that nothing in the pod takes, with all the others of that process."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        forwards: Sequence[Forward],
        rank: int,
        addresses: Sequence[str],
        progress: Progress,
    ):
        self.cluster, self.name, self.rank, self.addresses, self.progress = cluster, name, rank, addresses, progress
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.pod: str | None = None
        self.away_since: float | None = time.monotonic()
        self.look_at = 0.0
        self.tunnels: dict[Forward, Tunnel] = {}
        self.due: dict[Forward, float] = dict.fromkeys(forwards, 0.0)  # when to start those that have no tunnel
        self.failed = dict.fromkeys(forwards, 0)  # attempts in a row
        self.down_since: dict[Forward, float] = {}
        self.refused: set[Forward] = set()  # those whose tunnel was well until the pod took no connection
        self.news = set(forwards)  # those whose being up is to be told
        self.told: dict[str, float] = {}

    # -- the loop ---------------------------------------------------------------------------------------------

    def run(self) -> NoReturn:
        """Raises Over, or Failure with the reason."""
        collection, selector = cluster_objects.collection, names.selector(self.name)
        keep = {"patience": LIMIT, "labelSelector": selector}
        paths = [(kind.lower(), collection(self.cluster, kind), keep) for kind in ("Pod", "Job")]
        watching.start(self.cluster, paths, self.events)
        while True:
            if time.monotonic() >= self.look_at:
                self._look()
            self._start_due()
            try:
                self._take(*system.wait_for(self.events, self._rest()))
            except queue.Empty:
                continue

    def stop(self) -> None:
        for tunnel in self.tunnels.values():
            tunnel.stop()
        self.tunnels.clear()

    def _rest(self) -> float:
        times = [self.look_at, *(self.due.values() if self.pod else ())]
        return max(0.01, min(times) - time.monotonic())

    def _take(self, kind: str, what: Any) -> None:
        if kind == "tunnel":
            self._hear(*what)
        elif kind == "failure":
            raise what
        else:
            self.look_at = min(self.look_at, time.monotonic() + 0.1)  # one look for all that comes at once

    # -- the pod ----------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """What the cluster says of the pod; a new one gets new tunnels."""
        self.look_at = time.monotonic() + (2.0 if self.pod is None else 30.0)
        try:
            pod = self._target()
        except (Unreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500 and error.status != 429:
                raise
            self.look_at = time.monotonic() + 2.0
            self._trouble(error.message)
            return
        if pod == self.pod:
            self.away_since = None if pod else self.away_since
            return
        if self.pod:
            if self.away_since is None:
                self.away_since = time.monotonic()
            if pod is None and time.monotonic() - self.away_since < MOMENT:
                self.look_at = time.monotonic() + MOMENT / 4
                return
            self._trouble(f"pod {self.pod} is gone")
        self.due = dict.fromkeys([*self.due, *self.tunnels], 0.0)
        self.news |= set(self.due)
        self.failed = dict.fromkeys(self.due, 0)
        self.down_since.clear()
        self.stop()
        self.pod = pod
        self.away_since = None if pod else self.away_since
        self.look_at = min(self.look_at, time.monotonic() + 2.0)

    def _target(self) -> str | None:
        """The pod that is the node, if it is up. Raises Over and Failure when there will be none any more."""
        job = cluster_objects.get_job(self.cluster, self.name)
        if job is None or job["metadata"].get("deletionTimestamp"):
            raise ClusterFailure(f"{self.name} was taken down")
        if not cluster_objects.finished(job):
            for pod in cluster_objects.pods(self.cluster, self.name):
                if gang.rank(pod) == self.rank and running.task_up(pod):
                    return str(pod["metadata"]["name"])
        state = running.explain(self.cluster, self.name)
        if state.phase in (COMPLETED, STOPPED):
            raise Over(f"{self.name} has ended: {state.message or 'completed'}")
        reason = state.message or state.reason or state.phase
        if state.phase in running.OVER:
            raise ClusterFailure(f"{self.name} is over: {reason}", state.hint, running.exit_code(state, EXIT_FAILURE))
        if self.pod is None:
            self._wait(f"Waiting for node {self.rank} of {self.name}: {reason}")
        return None

    def _wait(self, text: str) -> None:
        lasted = time.monotonic() - (self.away_since or time.monotonic())
        if lasted > LIMIT:
            raise ClusterFailure(f"{text}, for {duration(lasted)}", None, EXIT_TIMEOUT)
        self.progress.update(text)

    # -- the tunnels ------------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        if self.pod is None:
            return
        for one in [one for one, when in self.due.items() if when <= time.monotonic()]:
            del self.due[one]
            address = f"--address={','.join(self.addresses)}"
            argv = self.cluster.kubectl("port-forward", address, f"pod/{self.pod}", f"{one.local}:{one.remote}")
            self.tunnels[one] = Tunnel(argv, self.events)

    def _hear(self, tunnel: Tunnel, what: str, text: str) -> None:
        one = next((one for one, mine in self.tunnels.items() if mine is tunnel), None)
        if one is None:
            return
        if what == UP:
            self._up(one)
        elif what == SAID:
            if "forwarding" in text and "connection refused" in text:
                self.refused.add(one)
                self._say(f"nothing listens on port {one.remote} of node {self.rank} of {self.name} (yet)")
        elif what == GONE:
            del self.tunnels[one]
            tunnel.stop()
            if one in self.refused or tunnel.lasted() > STEADY:
                self.failed[one] = 0
            self._ended(one, text)

    def _up(self, one: Forward) -> None:
        self.down_since.pop(one, None)
        if one in self.news:
            self.news.discard(one)
            self.progress.close()
            where = portmap.url(self.addresses[0], one.local)
            print(f"Forwarding {where} -> {one.remote} (node {self.rank} of {self.name})", flush=True)

    def _ended(self, one: Forward, last: str) -> None:
        """kubectl ended: why, and when it is started again. Raises Failure where that would not help."""
        if "unable to listen on" in last.lower():
            raise Failure(f"port {one.local} of {', '.join(self.addresses)} cannot be listened on: {last}")
        if "forbidden" in last:  # a 401 is told by our own look at the pods
            hint = "it needs the verbs get and create on pods/portforward, as the role `edit` has them"
            raise ClusterFailure(re.sub(r'^.*?(?=pods? ")', "", last), hint)
        now = time.monotonic()
        why = last.removeprefix("error: ") or "kubectl was ended"
        if now - self.down_since.setdefault(one, now) > LIMIT:
            raise ClusterFailure(f"no way to port {one.remote} for {duration(LIMIT)}: {why}", None, EXIT_TIMEOUT)
        self.due[one] = now + PAUSES[min(self.failed[one], len(PAUSES) - 1)]
        self.failed[one] += 1
        if one in self.refused:
            self.refused.discard(one)
        else:
            self.news.add(one)
            self._trouble(why)
            self.look_at = min(self.look_at, now + 0.5)

    # -- telling ----------------------------------------------------------------------------------------------

    def _trouble(self, text: str) -> None:
        self._say(f"reconnecting: {text}")

    def _say(self, text: str) -> None:
        """On stderr, but not at every attempt."""
        now = time.monotonic()
        if now - self.told.get(text, -QUIET) >= QUIET:
            self.told[text] = now
            self.progress.line(text)
