"""A job: setup, then run, started together on all of its nodes; its log and its state."""

import json
import threading
import time

import placement
import records
import renewal
import wire
from joblog import JobLog
from nodes import Lost

LOGS = wire.RUN + "/logs"
NODES_SECONDS = 1800.0  # the longest wait for a task's nodes once node 0 runs
TOLD_SECONDS = 3.0  # the longest wait for nodes that are up to be told of each other
LOOK_SECONDS = 0.2  # between two looks at nodes that are made anew
KILL_SECONDS = 5.0  # between asking a part to end and ending it


def contract(task, nodes, rank):
    """The variables of SkyPilot's contract that every job on these nodes gets."""
    info = {"cluster_name": task["name"], "cloud": "Kubernetes", "region": task["context"], "zone": None}
    return {
        "SKYPILOT_NODE_IPS": "\n".join(node.info["ip"] for node in nodes),
        "SKYPILOT_NUM_NODES": str(len(nodes)),
        "SKYPILOT_NODE_RANK": str(rank),
        "SKYPILOT_NUM_GPUS_PER_NODE": str(task["gpus"]),
        "SKYPILOT_CLUSTER_INFO": json.dumps(info),
        "SKYPILOT_USER": task["user"],
    }


class Job:
    """Its `state` is a dict, shown to whoever asks and kept for the next agent:

    id, name, tty (whether it has a terminal), status, exit, reason, rank (that failed), submitted, started, ended
    (seconds since 1970), nodes (how many), resources (in words), priority, key (of the submission), places ([node,
    GPU numbers] each, once it has some), marks (bytes of output of each rank when its present phase began), boots
    (which pods it is on).
    """

    def __init__(self, number, spec, task, state=None):
        self.number = number
        self.spec = spec
        self.task = task
        self.demand = placement.demand(spec, task)
        self.places = []  # (Node, GPU numbers): once it has its turn
        self.log = JobLog("%s/%d" % (LOGS, number))
        self.changed = self.log.changed
        self.part = None  # the name of what runs on the nodes now
        self.ending = None  # the threads that end it there
        self.state = state or {
            "id": number,
            "name": spec.get("name"),
            "tty": bool(spec.get("tty")),
            "status": "PENDING",
            "exit": None,
            "reason": None,
            "rank": None,
            "submitted": time.time(),
            "started": None,
            "ended": None,
            "nodes": self.demand.nodes,
            "resources": words(self.demand),
            "priority": spec.get("priority") or 0,
            "key": spec.get("key"),
            "places": None,
            "marks": None,
            "boots": None,
        }
        records.save("state", number, self.state)

    @property
    def final(self):
        return self.state["status"] in wire.FINAL

    @property
    def priority(self):
        return self.state["priority"]

    def set(self, **changes):
        with self.changed:
            new = dict(self.state, **changes)
            if self.final or new == self.state:
                return
            self.state = new
            records.save("state", self.number, new)
            if self.final:
                records.forget_spec(self.number)
            self.changed.notify_all()

    def run(self):
        """To its end, from where an agent before this one left it; sets the final state."""
        try:
            if not self._wait_for_nodes():
                return
            if self.state["status"] == "RUNNING" or self._set_up():
                self._phase("run", "RUNNING", "FAILED")
        except Exception as e:  # a fault of ours must end the job, not the agent
            self.finish("FAILED_DRIVER", 1, "%s: %s" % (type(e).__name__, e))
        self.finish("SUCCEEDED", 0)

    def finish(self, status, code, reason=None, rank=None):
        self.set(status=status, exit=code, reason=reason, rank=rank, ended=time.time())

    def cancel(self, why):
        self.finish("CANCELLED", 143, why)
        part = self.part
        if part:
            self._end(part)

    def _wait_for_nodes(self):
        deadline = time.monotonic() + NODES_SECONDS
        while not self.final:
            missing = [node for node, _ in self.places if not node.up.is_set()]
            if missing:
                ranks = ", ".join(str(node.rank) for node in missing)
                self.set(reason="waiting for node%s %s" % ("s" * (len(missing) > 1), ranks))
                if time.monotonic() > deadline:
                    self.finish("FAILED_DRIVER", 1, "nodes %s did not come up in %d min" % (ranks, NODES_SECONDS // 60))
                missing[0].up.wait(5)
            elif self.state["status"] != "PENDING" or self._are_whole():
                for node, _ in self.places:
                    node.told.wait(TOLD_SECONDS)
                return True
            else:
                deadline = time.monotonic() + NODES_SECONDS
                time.sleep(LOOK_SECONDS)
        return False

    def _are_whole(self):
        """Whether the nodes have what the launch brought; this may be the launch that does. See renewal.py."""
        nodes = [node for node, _ in self.places]
        if self.spec.get("launch"):
            waits_for = renewal.claim(nodes)
        else:
            lacking = [node for node in nodes if node.whole != node.boot]
            for node in lacking:
                if node.failure:
                    code, why = node.failure
                    self.finish("FAILED_SETUP", code, why, node.rank)
            waits_for = lacking[0] if lacking else None
        if waits_for:
            self.set(reason=waits_for.says or "node %d was made anew" % waits_for.rank)
        return not waits_for

    def _phase(self, phase, status, failure):
        """Runs one of the job's scripts on all nodes. True when the job goes on to what comes after it."""
        script = self.spec.get(phase)
        if self.final or not script:
            return not self.final
        if self.state["status"] != status:
            marks = [self.log.sizes.get(rank, 0) for rank in range(len(self.places))]
            boots = self.state["boots"] or [node.boot for node, _ in self.places]
            self.set(status=status, reason=None, marks=marks, boots=boots, started=self.state["started"] or time.time())
        self.part = self.part_name(phase)
        if self.final:  # cancelled meanwhile, by somebody who may not have seen the part
            return False
        first = self._gang(self.part, script, phase)
        if first:
            self._failed(failure, *first)
        return not self.final and not first

    def _set_up(self):
        """True when the job goes on to its run; by then a launch's has made all nodes whole."""
        done = self._phase("setup", "SETTING_UP", "FAILED_SETUP")
        if done and self.spec.get("launch") and len(self.places) == self.task["num_nodes"]:
            renewal.note(self)
        return done

    def part_name(self, phase):
        """What a part is called on the nodes: asked to start one of a name that they know, they do nothing."""
        return "%d.%s" % (self.number, phase)

    def _failed(self, status, code, reason, rank):
        self.finish(status, code, reason, rank)

    def _gang(self, part, script, phase):
        """The parts run side by side; the first that fails ends the others.

        Returns (exit code, reason, rank) of that one, or None.
        """
        failed: list = []

        def drive(rank, node):
            try:
                code, reason = self._part(rank, node, part, script, phase)
            except Exception as e:  # a fault of ours is no success
                code, reason = 1, "%s: %s" % (type(e).__name__, e)
            if code and not failed:
                failed.append((code, reason, rank))
                self._end(part)

        threads = [threading.Thread(target=drive, args=(rank, node)) for rank, (node, _) in enumerate(self.places)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.part = None
        for thread in self.ending or ():
            thread.join()  # until nothing of it is left that would be in the way of others
        return failed[0] if failed else None

    def _part(self, rank, node, part, script, phase):
        seen = self.log.sizes.get(rank, 0) - self.state["marks"][rank]
        env, tty = self.environment(rank, phase), self.spec.get("tty") if rank == 0 and phase == "run" else None
        # a managed job begins again on whatever pods there are
        boot = None if self.task.get("managed") else self.state["boots"][rank]
        try:
            result = node.run(part, script, env, lambda data: self.log.append(rank, data), seen, tty, boot)
        except Lost:
            return 255, "lost"
        return self.judged(result)

    def judged(self, result):
        """(exit code, reason) of what a node says of its part."""
        if "error" in result:
            return 127, result["error"]
        return result["exit"], "oom:%d" % result["limit"] if result["oom"] else None

    def _end(self, part):
        """Ends the part on all nodes, also what it left behind on one where it has ended."""
        with self.changed:
            if self.ending is not None:
                return
            ends = [threading.Thread(target=node.end, args=(part, KILL_SECONDS)) for node, _ in self.places]
            for thread in ends:
                thread.start()
            self.ending = ends

    def environment(self, rank, phase):
        """The variables of SkyPilot's contract, after the task's own."""
        nodes = [node for node, _ in self.places]
        env = {"PYTHONUNBUFFERED": "1", **self._visible(rank), **self.spec.get("envs", {})}
        env.update(contract(self.task, nodes, rank))
        env.update(
            SKYPILOT_NUM_GPUS_PER_NODE="%d" % -(-self.demand.gpus // 1),  # a part of a GPU is one to the program
            SKYPILOT_TASK_ID=self.task_id(),
            SKYPILOT_INTERNAL_JOB_ID=str(self.number),
        )
        # marks all its processes, and is nobody else's: they may be seen side by side (hostPID)
        env[wire.PART] = "%s.%s" % (env["SKYPILOT_TASK_ID"], phase)
        if phase == "setup":
            env.update(
                SKYPILOT_SETUP_NODE_IPS=env["SKYPILOT_NODE_IPS"],
                SKYPILOT_SETUP_NODE_RANK=str(rank),
                SKYPILOT_SETUP_NUM_GPUS_PER_NODE=env["SKYPILOT_NUM_GPUS_PER_NODE"],
            )
        return env

    def _visible(self, rank):
        """Which GPUs the job's programs see, when it has only some of the node's."""
        gpus = self.places[rank][1]
        if not gpus or (len(gpus) == self.task["gpus"] and self.demand.gpus >= 1):
            return {}
        return {name: ",".join(map(str, gpus)) for name in self.task.get("visible") or ("CUDA_VISIBLE_DEVICES",)}

    def task_id(self):
        at = self.state["submitted"]
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(at)) + "-%06d" % (at % 1 * 1e6)
        return "sky-%s_%s_%d" % (stamp, self.task["name"], self.number)

    def follow(self, conn, offset, tail, wait):
        """Says its state, its log from that byte on (or its last `tail` lines), and its end if `wait`."""
        state, log = None, self.log
        offset = min(offset, log.size)  # more was known of a log that is gone with its pod
        if tail is not None:
            offset, lines = log.tail(tail)
            conn.sendall(wire.json_frame(wire.STATE, self.state))  # how many nodes they are from, before them
            for rank, line in lines:
                conn.sendall(wire.frame(wire.DATA, wire.RANK.pack(rank) + line))
        conn.sendall(wire.json_frame(wire.STATE, dict(self.state, offset=offset)))
        while True:
            beat = False
            with self.changed:
                if log.size == offset and self.state is state:
                    if self.final or not wait:
                        break
                    beat = not self.changed.wait(wire.BEAT_SECONDS)
                size, new = log.size, self.state
            for data in log.read(offset, size):
                conn.sendall(data)
            offset = max(offset, size)
            if new is not state:
                conn.sendall(wire.json_frame(wire.STATE, new))
                state = new
            elif beat:
                conn.sendall(wire.frame(wire.BEAT))
        conn.sendall(wire.json_frame(wire.END, self.state))


def words(demand):
    """`2x(4 CPUs, 16 GiB, 1 GPU)`"""
    parts = ["%g CPU%s" % (demand.cpus, "s" * (demand.cpus != 1))]
    parts += ["%g GiB" % demand.memory] * bool(demand.memory)
    parts += ["%g GPU%s" % (demand.gpus, "s" * (demand.gpus > 1))] * bool(demand.gpus)
    return "%dx(%s)" % (demand.nodes, ", ".join(parts))
