"""A pod that takes the place of another gets what the launch brought: files, from a node that has them, and the setup.

Jobs wait for that; where it fails so do they, with the reason, until the next launch brings both.
"""

import copy
import socket
import threading
import time

import placement
import records
import wire
from nodes import Lost

LOOK_SECONDS = 0.3
QUIET_SECONDS = 3.0  # since files came last: else a client brings them just now
STALL_SECONDS = 60.0  # of files on their way
TRIES = 3  # to bring them
HANDOVER = ["/sky/tools/bin/python3", "-SE", "/sky/code/handover.py"]
LAUNCH = "launch it again, which brings both"
_lock = threading.Lock()  # of the record, and of who brings a node what it needs


class Failed(Exception):
    """It has not what it needs. `failure`: (exit code, why)"""

    def __init__(self, code, text):
        super().__init__(text)
        self.failure = code, "%s: %s" % (text, LAUNCH)


class Claimed(Exception):
    """A launch brings it all."""


def claim(nodes):
    """For a launch's job, which brings all itself. One that is just being renewed; else None, and none will be."""
    with _lock:
        busy = next((node for node in nodes if node.busy), None)
        for node in () if busy else nodes:
            node.whole = node.boot
        return busy


def note(job):
    """The setup of a launch's job is over on all nodes: that is what new ones will need, and these have it."""
    boots = [node.whole for node, _ in job.places]
    known = {"number": job.number, "spec": dict(job.spec, run=None), "boots": boots, "files": _has_files(job)}
    with _lock:
        records.save("setup", 0, known)


def _has_files(job):
    """Whether a launch has brought some: to all nodes alike."""
    try:
        return job.places[0][0].ask({"op": "info"})["sent"]
    except (OSError, wire.Cut):
        return False


class Renewal:
    def __init__(self, queue):
        self.queue = queue
        self._tries = {}  # boot -> how often it could not take the files
        self._not_set_up = set()  # boots whose setup has failed

    def start(self):
        for node in self.queue.nodes:
            threading.Thread(target=self._keep, args=(node,), daemon=True).start()

    def _keep(self, node):
        while True:
            node.anew.wait()
            node.anew.clear()
            while node.whole != node.boot:
                node.up.wait()
                try:
                    self._renew(node, node.boot)
                except (OSError, wire.Cut, Lost):
                    pass  # one of the two went away
                time.sleep(LOOK_SECONDS)

    def _renew(self, node, boot):
        failure = None
        try:
            if not self._bring_files(node, boot) or not self._set_up(node, boot):
                return
        except Claimed:
            return
        except Failed as e:
            failure = e.failure
        finally:
            node.busy = False
        if node.boot == boot:
            node.failure = failure
            if not failure:
                node.whole = boot

    @staticmethod
    def _begin(node, boot, text):
        with _lock:
            if node.whole == boot:
                raise Claimed()
            node.says, node.busy = "node %d was made anew: %s" % (node.rank, text), True

    def _bring_files(self, node, boot):
        """Whether it has all that there is; False: not yet."""
        others = [other for other in self.queue.nodes if other is not node]
        if time.time() - wire.modified(wire.SYNC) < QUIET_SECONDS:
            return False
        if node.ask({"op": "info"})["sent"]:  # by a launch
            return True
        for donor in others:
            if donor.up.is_set() and donor.ask({"op": "info"})["sent"]:
                self._copy(donor, node, boot)
                return False
        if not (records.read("setup", 0) or {}).get("files"):
            return True
        away = [str(other.rank) for other in others if not other.up.is_set()]
        if not away:
            raise Failed(1, "its pod is new, and no node has the files any more")
        node.says = "node %d was made anew: it gets its files when node %s is up" % (node.rank, " or ".join(away))
        return False

    def _copy(self, donor, node, boot):
        if self._tries.get(boot, 0) == TRIES:
            return  # it has failed, until a launch brings them
        self._begin(node, boot, "it gets its files from node %d" % donor.rank)
        error = hand_over(donor, node)
        if error:
            self._tries[boot] = self._tries.get(boot, 0) + 1
            raise Failed(1, "its pod is new, and the files could not be copied (%s)" % error)

    def _set_up(self, node, boot):
        """Whether it is as the launch's setup left the others; False: not yet."""
        told = records.read("setup", 0)
        if not told or told["boots"][node.rank] == boot:
            return True
        if boot in self._not_set_up:
            return False  # until a launch claims it
        if told["spec"].get("setup"):
            if not all(other.info for other in self.queue.nodes):  # whose addresses it is told
                return False
            self._begin(node, boot, "its setup runs")
            self._run_setup(node, boot, told)
        with _lock:
            now = records.read("setup", 0)
            if now and now["number"] == told["number"]:
                now["boots"][node.rank] = boot
                records.save("setup", 0, now)
        return True

    def _run_setup(self, node, boot, told):
        job, last = self._job(told), [b""]

        def hear(data):
            last[0] = (last[0] + data)[-1000:]

        env = job.environment(node.rank, "setup")
        result = node.run("%d.again" % job.number, told["spec"]["setup"], env, hear, boot=boot)
        code, _ = job.judged(result)
        if code:
            self._not_set_up.add(boot)
            said = result.get("error") or last[0].decode("utf-8", "replace").strip().rpartition("\n")[2]
            text = "its pod is new, and the setup failed with exit code %d" % code
            raise Failed(code, text + (" (%s)" % said if said else ""))

    def _job(self, told):
        """The launch's job as it was while its setup ran."""
        job = copy.copy(self.queue.jobs[told["number"]])
        job.spec = told["spec"]
        job.demand = placement.demand(job.spec, self.queue.task)
        job.places = [(self.queue.nodes[rank], gpus) for rank, gpus in job.state["places"]]
        return job


def hand_over(donor, node):
    """Copies what was sent to one node to the other; what went wrong there, or None. Raises OSError, wire.Cut."""
    with wire.connect(donor.path) as source, wire.connect(node.path) as target:
        for sock, what in ((source, "give"), (target, "take")):
            sock.settimeout(STALL_SECONDS)
            wire.send_line(sock, {"op": "pipe", "argv": [*HANDOVER, what]})
        while True:
            data = source.recv(1 << 18)
            if not data:
                break
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
        return wire.Reader(target).line().get("error")
