"""A node that waits for the others of its task: it holds its place for so long, then lets go of it.

The Job makes a pod again that ended with LET_GO; see kubectl_sky/gang.py.
"""

import os
import random
import signal
import threading

ENV = "SKY_GANG_SECONDS"  # of the task's container, where there are others
LET_GO = 217
SPREAD = 1.5  # times the seconds at most: two tasks that wait for each other do not let go at once


def seconds():
    """For which others are waited for, or None: there are none."""
    given = os.environ.get(ENV)
    return random.uniform(1, SPREAD) * float(given) if given else None


class Gang:
    """Whether all nodes have been there once, as node 0 tells."""

    def __init__(self):
        self._seconds = seconds()
        self._formed = threading.Event()
        if self._seconds is None:
            self._formed.set()

    @property
    def formed(self):
        return self._formed.is_set()

    def form(self):
        self._formed.set()

    def watch(self):
        if not self._formed.wait(self._seconds):
            print("kubectl-sky: not all nodes came within %d s; this one makes room" % self._seconds, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)

    def exit_code(self):
        """Of a container that is ended from outside."""
        return 143 if self.formed else LET_GO
