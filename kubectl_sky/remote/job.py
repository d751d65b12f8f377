"""A job: setup, then run, started together on all of its nodes; its log and its state."""

import json
import os
import signal
import threading
import time

import wire
from nodes import Lost

LOGS = wire.RUN + "/logs"
NODES_SECONDS = 1800.0  # the longest wait for a task's nodes once node 0 runs
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
    """Its `state` is a dict: id, name, status, exit, reason, rank, submitted, started, ended (seconds since 1970)."""

    def __init__(self, number, spec, nodes, task):
        self.spec = spec
        self.nodes = nodes[: spec.get("num_nodes") or len(nodes)]
        self.task = task
        self.changed = threading.Condition()
        self.size = 0
        self.log = open("%s/%d" % (LOGS, number), "w+b", buffering=0)
        self.part = None  # the name of what runs on the nodes now
        self.cancelled = False
        self.state = {
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
        }

    @property
    def final(self):
        return self.state["status"] in wire.FINAL

    def set(self, **changes):
        with self.changed:
            if not self.final:
                self.state = dict(self.state, **changes)
                self.changed.notify_all()

    def append(self, rank, data):
        with self.changed:
            self.log.write(wire.frame(wire.DATA, wire.RANK.pack(rank) + data))
            self.size += wire.HEADER.size + wire.RANK.size + len(data)
            self.changed.notify_all()

    def run(self):
        """To its end; sets the final state."""
        try:
            if self._wait_for_nodes() and self._phase("setup", "SETTING_UP", "FAILED_SETUP"):
                self._phase("run", "RUNNING", "FAILED")
        except Exception as e:  # a fault of ours must end the job, not the agent
            self.finish("FAILED_DRIVER", 1, "%s: %s" % (type(e).__name__, e))
        self.finish("SUCCEEDED", 0)

    def finish(self, status, code, reason=None, rank=None):
        self.set(status=status, exit=code, reason=reason, rank=rank, ended=time.time())

    def cancel(self):
        self.cancelled = True
        self.finish("CANCELLED", 143, "cancelled")
        part = self.part
        if part:
            self._end_others(part, ())

    def _wait_for_nodes(self):
        deadline = time.monotonic() + NODES_SECONDS
        while True:
            missing = [n.rank for n in self.nodes if not n.up.is_set()]
            if not missing:
                return not self.cancelled
            self.set(
                status="PENDING",
                reason="waiting for node%s %s" % ("s" * (len(missing) > 1), ", ".join(map(str, missing))),
            )
            if time.monotonic() > deadline:
                self.finish("FAILED_DRIVER", 1, "nodes %s did not come up in %d min" % (missing, NODES_SECONDS // 60))
                return False
            self.nodes[missing[0]].up.wait(5)

    def _phase(self, phase, status, failure):
        """Runs one of the job's scripts on all nodes. True when the job goes on."""
        script = self.spec.get(phase)
        if self.cancelled or not script:
            return not self.cancelled
        self.set(status=status, reason=None, started=self.state["started"] or time.time())
        self.part = "%d.%s" % (self.state["id"], phase)
        first = self._gang(self.part, script, phase)
        if first:
            self.finish(failure, *first)
        return first is None and not self.cancelled

    def _gang(self, part, script, phase):
        """The parts run side by side; the first that fails ends the others.

        Returns (exit code, reason, rank) of that one, or None.
        """
        failed: list = []

        def drive(node):
            code, reason = self._part(node, part, script, self.environment(node.rank, phase))
            if code and not failed:
                failed.append((code, reason, node.rank))
                self._end_others(part, (node,))

        threads = [threading.Thread(target=drive, args=(node,)) for node in self.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.part = None
        return failed[0] if failed else None

    def _part(self, node, part, script, env):
        tty = self.spec.get("tty") if node.rank == 0 and part.endswith(".run") else None
        try:
            result = node.run(part, script, env, lambda data: self.append(node.rank, data), tty=tty)
        except Lost:
            return 255, "lost"
        if "error" in result:
            return 127, result["error"]
        return result["exit"], "oom:%d" % result["limit"] if result["oom"] else None

    def _end_others(self, part, but):
        others = [node for node in self.nodes if node not in but]

        def end():
            for number, seconds in ((signal.SIGTERM, KILL_SECONDS), (signal.SIGKILL, float("inf"))):
                left, deadline = others, time.monotonic() + seconds
                while self.part == part and time.monotonic() < deadline:
                    # again and again to those on which the part is only about to start
                    left = [node for node in left if not node.signal(part, number)]
                    time.sleep(0.05)

        threading.Thread(target=end, daemon=True).start()

    def environment(self, rank, phase):
        """The variables of SkyPilot's contract, after the task's own."""
        env = {"PYTHONUNBUFFERED": "1", **self.spec.get("envs", {}), **contract(self.task, self.nodes, rank)}
        env.update(SKYPILOT_TASK_ID=self.task_id(), SKYPILOT_INTERNAL_JOB_ID=str(self.state["id"]))
        if phase == "setup":
            env.update(
                SKYPILOT_SETUP_NODE_IPS=env["SKYPILOT_NODE_IPS"],
                SKYPILOT_SETUP_NODE_RANK=str(rank),
                SKYPILOT_SETUP_NUM_GPUS_PER_NODE=env["SKYPILOT_NUM_GPUS_PER_NODE"],
            )
        return env

    def task_id(self):
        at = self.state["submitted"]
        stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(at)) + "-%06d" % (at % 1 * 1e6)
        return "sky-%s_%s_%d" % (stamp, self.task["name"], self.state["id"])

    def follow(self, conn, offset, tail, wait):
        """Says its state, its log from that byte on (or its last `tail` lines), and its end if `wait`."""
        state = None
        if tail is not None:
            offset, lines = self._tail(tail)
            for rank, line in lines:
                conn.sendall(wire.frame(wire.DATA, wire.RANK.pack(rank) + line))
        conn.sendall(wire.json_frame(wire.STATE, dict(self.state, offset=offset)))
        fd = self.log.fileno()
        while True:
            with self.changed:
                if self.size == offset and self.state is state:
                    if self.final or not wait:
                        break
                    beat = not self.changed.wait(wire.BEAT_SECONDS)
                else:
                    beat = False
                size, new = self.size, self.state
            while offset < size:
                data = os.pread(fd, min(size - offset, 1 << 18), offset)
                conn.sendall(data)
                offset += len(data)
            if new is not state:
                conn.sendall(wire.json_frame(wire.STATE, new))
                state = new
            elif beat:
                conn.sendall(wire.frame(wire.BEAT))
        conn.sendall(wire.json_frame(wire.END, self.state))

    def _tail(self, count):
        """(the log's size now, its last `count` lines as (rank, bytes))."""
        from collections import deque

        with self.changed:
            size = self.size
        lines: deque = deque(maxlen=count)
        rest: dict = {}
        with open(self.log.name, "rb") as log:
            while log.tell() < size:
                _, length = wire.HEADER.unpack(log.read(wire.HEADER.size))
                payload = log.read(length)
                (rank,) = wire.RANK.unpack_from(payload)
                whole, newline, part = (rest.pop(rank, b"") + payload[wire.RANK.size :]).rpartition(b"\n")
                lines.extend((rank, line + b"\n") for line in whole.split(b"\n") if newline)
                if part:
                    rest[rank] = part
        lines.extend(rest.items())
        return size, lines
