"""The job that `dev` follows, and starts again."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from kubectl_sky import queues, running
from kubectl_sky.errors import Failure
from kubectl_sky.follow import Follower, Printer
from kubectl_sky.output import Progress, colour

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

STEP = 0.2  # s between two looks at whether it has ended: Ctrl-C is heard in between


class Run:
    """One job after the other; its output comes here, from a thread. `spec` is of those after the first."""

    def __init__(self, cluster: Cluster, name: str, nodes: int, spec: dict[str, Any]):
        self.cluster, self.name, self.nodes, self.spec = cluster, name, nodes, spec
        self._follower: Follower | None = None
        self._thread: threading.Thread | None = None
        self._cancelled = False

    def start(self, request: dict[str, Any] | None = None) -> None:
        """`request` submits or follows the job; default: a new one."""
        request = {**(request or {"op": "submit", "spec": dict(self.spec)}), "follow": True}
        printer = Printer(self.nodes, colour(sys.stdout))
        head = running.Head(self.cluster, self.name)
        talk = running.Talk(Progress(), self.nodes)
        self._follower = Follower(self.cluster, request, printer, head, talk.state, talk.trouble)
        self._cancelled = False
        self._thread = threading.Thread(target=self._follow, args=(self._follower,), daemon=True)
        self._thread.start()

    def again(self) -> None:
        """Ends the job, if it has not ended, and starts another. Raises Failure: neither can be asked for."""
        follower, thread = self._follower, self._thread
        assert follower and thread
        while follower.job is None and thread.is_alive():
            thread.join(STEP)
        if thread.is_alive() and follower.job is not None:
            self._cancelled = True
            queues.cancel(self.cluster, self.name, [follower.job])
            while thread.is_alive():
                thread.join(STEP)
        self.start()

    def stop(self) -> None:
        """No longer follows it; the job runs on."""
        self._cancelled = True
        if self._follower:
            self._follower.stop()

    def _follow(self, follower: Follower) -> None:
        try:
            state = follower.run()
            if not self._cancelled:
                running.conclude(self.cluster, self.name, state, self.nodes)
        except Failure as failure:
            if not self._cancelled:
                tell(failure.message)


def tell(text: str) -> None:
    """A line for the person who looks on."""
    print(text, file=sys.stderr, flush=True)
