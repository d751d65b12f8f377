"""The job of a managed task: begun again after its own failures, as often as was asked, and when a node was lost.

A pod that was taken away is made again by the Job; its agent begins anew. What is left of the attempt before on the
nodes that stayed is ended first, and the files that came with the task are put where they belong.
"""

import json
import os
import time

import deliver
import gang
import neighbours
import wire
from job import Job, contract
from nodes import resolves

# exit codes of a pod that mean something else to its Job; what a signal or a lost container leaves is among them
RESERVED = (gang.LET_GO, gang.TAKEN, 137, 255)
LONGEST_PAUSE = 60.0  # s between two attempts; the first are 1, 2, 4... s apart
LOST = "lost"
PEERS_SECONDS = 300.0  # until the others of a job group have their names; then it begins without them
INDEX = "JOB_COMPLETION_INDEX"  # variable of all containers of the Job's pods
NOTED = ("status", "exit", "reason", "rank", "restarts", "started", "ended")


def last_words(state):
    """How it ended, for the pod's status: at most 4096 bytes."""
    kept = {name: state.get(name) for name in NOTED}
    return json.dumps(dict(kept, reason=(kept["reason"] or "")[:1000] or None))


def brought(told):
    """The job of this pod, of those that the task brings along: jobs (specs), count, serial.

    More than one job is a pod each, by their index: the tasks of a pipeline one after the other (`serial`), or `count`
    times the same one, each with its rank.
    """
    index = int(os.environ.get(INDEX, "0")) if told["count"] > 1 else 0
    spec = told["jobs"][index if told["serial"] else 0]
    managed = dict(spec["managed"])
    if told["count"] > 1 and not told["serial"]:
        ranked = {"SKYPILOT_JOB_RANK": str(index), "SKYPILOT_NUM_JOBS": str(told["count"])}
        managed.update(env=dict(managed["env"], **ranked), task_id="%s-%d" % (managed["task_id"], index))
    return dict(spec, managed=managed)


class ManagedJob(Job):
    """Its state has also `restarts`, after failures of its own, and `attempt`, which no other has on these nodes."""

    def __init__(self, number, spec, task, state=None):
        super().__init__(number, spec, task, state)
        self.again = False
        self.lost = None  # rank of a node that went away during this attempt
        self.managed = spec.get("managed")
        # a pod that was made again: others may have ended meanwhile
        self.alone = os.environ.get(gang.BEFORE, "") not in ("", "0")
        if state is None:
            self.set(restarts=0, attempt=None)

    def run(self):
        try:
            while not self._attempt():
                pass
        except Exception as e:  # a fault of ours must end the job, not the agent
            self.finish("FAILED_DRIVER", 1, "%s: %s" % (type(e).__name__, e))

    def _attempt(self):
        """Whether it was the last one."""
        self.again, self.lost = False, None
        status = self.state["status"]
        if not self._nodes_are_up() or (status == "PENDING" and not self._prepare()):
            return self.final
        if status == "RUNNING" or self._phase("setup", "SETTING_UP", "FAILED_SETUP"):
            self._phase("run", "RUNNING", "FAILED")
        if not self.again:
            self.finish("SUCCEEDED", 0)
        return self.final

    def _nodes_are_up(self):
        """Waits for them: nothing is known of a node before, also by an agent that goes on with an attempt."""
        for node, _ in self.places:
            while not node.up.wait(1.0):
                self.set(reason="waiting for node %d" % node.rank)
                if self.final:
                    return False
        if self.state["status"] != "PENDING":
            self.set(reason=None)
        return True

    def _prepare(self):
        """Ends what is left on the nodes, brings the files. False: once more, or it is over."""
        self._meet()
        self.ending = None
        nodes = [node for node, _ in self.places]
        # one that begins here knows nothing of what an agent before it had started on nodes that stayed
        attempt = os.urandom(4).hex()
        prefix = "" if self.state["attempt"] is None else "%d." % self.number
        try:
            ssh = neighbours.described(nodes)
            for node in nodes:
                env = contract(self.task, nodes, node.rank)
                node.ask({"op": "environment", "env": env, "ssh": ssh})
                node.ask({"op": "clear", "prefix": prefix, "attempt": attempt, "say": ""})
            self.set(attempt=attempt)
            deliver.deliver(self.managed["files"], len(nodes))
        except deliver.Refused as e:
            self.finish("FAILED_SETUP", 1, "its files: %s" % e)
            return False
        except (OSError, wire.Cut, deliver.Broken):
            self._pause(1.0)
            return False
        return not self.final

    def _meet(self):
        """Waits, once, until the others of its job group are found by their names."""
        until = time.monotonic() + PEERS_SECONDS
        for host in [] if self.alone else self.managed.get("peers", ()):
            while not (resolves(host) or self.final or time.monotonic() > until):
                self.set(reason="waiting for %s of its job group" % host)
                self._pause(0.5)
        self.alone = True

    def part_name(self, phase):
        return "%d.%s@%s" % (self.number, phase, self.state["attempt"])

    def _part(self, rank, *args):
        code, reason = super()._part(rank, *args)
        if reason == LOST:
            self.lost = rank  # the others may fail for want of it, and earlier
        return code, reason

    def judged(self, result):
        return (255, LOST) if result.get("taken") else super().judged(result)

    def _failed(self, status, code, reason, rank):
        if self.final:
            return
        if self.lost is not None:
            self.again = True
            self.set(status="PENDING", reason="node %d went away: it begins again when it is back" % self.lost)
            self._pause(1.0)
            return
        restarts = self.state["restarts"]
        if code not in self.managed["exit_codes"]:
            spent = self.state.get("spent", 0)
            if spent >= self.managed["max_restarts"]:
                self.finish(status, code, reason, rank)
                return
            self.set(spent=spent + 1)
        self.again = True
        text = "%s with exit code %d: it begins again (restart %d)" % (status, code, restarts + 1)
        self.set(status="PENDING", restarts=restarts + 1, reason=text)
        self._say("kubectl-sky: %s\n" % text)
        self._pause(min(2.0**restarts, LONGEST_PAUSE))

    def _say(self, text):
        """In its log, and in that of node 0's container; on a line of its own."""
        if self.log.last.get(0, b"\n") != b"\n":
            text = "\n" + text
        self.log.append(0, text.encode())
        try:
            self.places[0][0].ask({"op": "clear", "prefix": "%d." % self.number, "attempt": None, "say": text})
        except (OSError, wire.Cut):
            pass  # then it is lost, too

    def _pause(self, seconds):
        with self.changed:
            self.changed.wait_for(lambda: self.final, seconds)

    def task_id(self):
        return self.managed["task_id"]

    def environment(self, rank, phase):
        return dict(super().environment(rank, phase), **self.managed["env"])
