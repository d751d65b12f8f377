"""A node that waits for the others of its task: it holds its place for a while, then lets go of it, as they all do.

The Job makes a pod again that ended with LET_GO or TAKEN; see kubectl_sky/gang.py. Nobody has to tell the nodes of a
task: they let go at the same times, which follow from the clock and the task's name. The times differ from round to
round, so that two tasks that wait for each other do not let go at once each time.
"""

import os
import random
import signal
import socket
import threading
import time

ENV = "SKY_GANG_SECONDS"  # of the task's container, where there are others: from one time to the next, on average
NODES = "SKY_GANG_NODES"
REPLACED = "SKY_REPLACED"  # how many pods before this one were in its place when all nodes had been there; or ""
BEFORE = "SKY_BEFORE"  # of our own container in a job group: how many pods were in this one's place before it; or ""
LET_GO = 217
TAKEN = 218  # of a pod that was taken away (deleted, evicted, its node drained): its Job makes it again
SOON_SECONDS = 5.0
MANAGED = "SKY_MANAGED"  # of the task's container, where it is a managed job's


def next_time(task, seconds, now):
    """When the nodes of the task let go next, in s since 1970: seconds / 2 to seconds * 1.5 after the last time."""
    number = int(now // seconds)
    while True:
        at = (number + random.Random("%s %d" % (task, number)).random() / 2) * seconds
        if at > now:
            return at
        number += 1


def replaced():
    """Whether this pod has the place of one that may have run a job."""
    return os.environ.get(REPLACED, "") not in ("", "0")


def domain():
    """The namespace's, which tells tasks of the same name apart; "" where it cannot be read."""
    try:
        with open("/etc/resolv.conf") as f:
            return next((line.split()[1] for line in f if line.startswith("search ")), "")
    except (OSError, IndexError):
        return ""


class Gang:
    """Whether all nodes have been there once, as node 0 tells."""

    def __init__(self):
        self._formed = threading.Event()
        if ENV not in os.environ:
            self._formed.set()

    @property
    def formed(self):
        return self._formed.is_set()

    def form(self):
        self._formed.set()

    def watch(self):
        task = socket.gethostname().rpartition("-")[0]
        whole_name = "%s.%s" % (task, domain())
        while not self.formed:
            at = next_time(whole_name, float(os.environ[ENV]), time.time())
            if self._formed.wait(max(0.0, at - time.time())) or self._all_come(task):
                continue
            print("kubectl-sky: not all nodes have a place: this one makes room, and comes again", flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            return

    def _all_come(self, task):
        """Whether they are all there, or very soon: a pod that has just started is not in the cluster's DNS yet."""
        deadline = time.monotonic() + SOON_SECONDS
        while not (self.formed or self._all_there(task)):
            if time.monotonic() > deadline:
                return False
            self._formed.wait(0.3)
        return True

    @staticmethod
    def _all_there(task):
        """Whether all have their addresses: they only start."""
        try:
            return len({found[4][0] for found in socket.getaddrinfo(task, None)}) >= int(os.environ[NODES])
        except OSError:
            return False

    def exit_code(self):
        """Of a container that is ended from outside."""
        if not self.formed:
            return LET_GO
        return TAKEN if ENV in os.environ or MANAGED in os.environ else 143
