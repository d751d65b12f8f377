"""Node 0's queue: takes jobs in order, starts each on its nodes, tells whoever asks how they are.

Requests over /sky/run/agent.sock, one a connection, a line of JSON with "op":
  submit {spec, down, follow}           answers frames: STATE {id, ...}, and with `follow` all that follow says
  follow {job, offset, tail, follow}    frames: STATE, DATA (rank, bytes), END {state}; job null is the newest
  queue  {}                             {"jobs": [state, ...]}
  cancel {jobs}                         {"jobs": [state, ...]}; null is all
"""

import json
import os
import signal
import sys
import threading
import time

import wire
from job import LOGS, Job, contract
from nodes import Node

TASK = wire.ETC + "/task.json"
IDLE_SECONDS = 3600.0  # without a first job: whoever launched this went away before saying what to run
LINGER_SECONDS = 15.0  # for somebody to see the end of the last job before the pods go


class Agent:
    def __init__(self, task):
        self.task = task
        self.nodes = [Node(rank, task["name"]) for rank in range(task["num_nodes"])]
        self.jobs = {}
        self.running = set()
        self.changed = threading.Condition()
        self.seen = set()  # jobs whose end somebody was told

    def submit(self, spec):
        with self.changed:
            for job in self.jobs.values():
                if spec.get("key") and job.spec.get("key") == spec["key"]:
                    return job  # asked a second time after a broken connection
            number = len(self.jobs) + 1
            job = self.jobs[number] = Job(number, spec, self.nodes, self.task)
            self.schedule()
        return job

    def schedule(self):
        """Starts what fits, in order; a job that waits for GPUs holds back only those that want some too."""
        with self.changed:
            blocked = set()
            for job in self.jobs.values():
                if job.final or job in self.running:
                    continue
                kind, wanted, total = self.demand(job)
                used = sum(n for k, n, _ in map(self.demand, self.running) if k == kind)
                if kind in blocked or (used and used + wanted > total):
                    blocked.add(kind)
                    job.set(reason="waiting for %s in use by earlier jobs" % kind)
                    continue
                self.running.add(job)
                threading.Thread(target=self._run, args=(job,), daemon=True).start()
            self.changed.notify_all()

    def demand(self, job):
        """(what it takes, how much a node, how much there is a node)"""
        if job.spec.get("gpus"):
            return "GPUs", job.spec["gpus"], self.task["gpus"]
        return "CPUs", job.spec.get("cpus") or 0.5, max(self.task["cpus"], 1)

    def _run(self, job):
        job.run()
        with self.changed:
            self.running.discard(job)
        self.schedule()

    def serve(self, conn):
        try:
            reader = wire.Reader(conn)
            request = reader.line()
            getattr(self, "op_" + request["op"])(conn, request)
        except (OSError, wire.Cut):
            pass  # whoever asked went away
        finally:
            conn.close()

    def op_submit(self, conn, request):
        self.task["down"] = self.task["down"] or bool(request.get("down"))
        job = self.submit(request["spec"])
        self._follow(conn, job, {"follow": request.get("follow")})

    def op_follow(self, conn, request):
        number = request.get("job") or len(self.jobs)
        if number not in self.jobs:
            return conn.sendall(wire.json_frame(wire.END, {"missing": number, "jobs": list(self.jobs)}))
        self._follow(conn, self.jobs[number], request)

    def _follow(self, conn, job, request):
        job.follow(conn, request.get("offset") or 0, request.get("tail"), request.get("follow"))
        with self.changed:
            self.seen.add(job)
            self.changed.notify_all()

    def op_queue(self, conn, request):
        wire.send_line(conn, {"jobs": [job.state for job in self.jobs.values()]})

    def op_cancel(self, conn, request):
        wanted = self.jobs if request.get("jobs") is None else request["jobs"]
        chosen = [self.jobs[n] for n in wanted if n in self.jobs and not self.jobs[n].final]
        for job in chosen:
            job.cancel()
        wire.send_line(conn, {"jobs": [job.state for job in chosen]})
        self.schedule()

    def wait_for_the_end(self):
        """The exit code of the task: its last job's, when it is to go down after it; 1 when it cannot go on."""
        threading.Thread(target=self._watch_own_container, daemon=True).start()
        with self.changed:
            if not self.changed.wait_for(lambda: self.jobs, IDLE_SECONDS):
                print("kubectl-sky: no job came within an hour; ending", flush=True)
                return 1
            self.changed.wait_for(lambda: self.task["down"] and all(job.final for job in self.jobs.values()))
            last = self.jobs[len(self.jobs)]
            self.changed.wait_for(lambda: last in self.seen, LINGER_SECONDS)
            return last.state["exit"] or 0

    def tell_variables(self):
        """To each node, once all are up: ssh sessions have them before there is a job."""
        for node in self.nodes:
            node.up.wait()
        for node in self.nodes:
            try:
                node.ask({"op": "environment", "env": contract(self.task, self.nodes, node.rank)})
            except (OSError, wire.Cut):
                pass  # its next job brings them

    def _watch_own_container(self):
        """The task's container ended, by itself or killed: the jobs are told so, and this container follows it."""
        with wire.connect(wire.SUPERVISOR, patience=120) as conn:
            wire.send_line(conn, {"op": "hold"})
            conn.recv(1)
        time.sleep(2)  # let the jobs' own threads find out, and say it
        with self.changed:
            self.changed.wait_for(lambda: not self.running and self.seen.issuperset(self.jobs.values()), 5)
        os._exit(1)

    def leave(self, code):
        for node in reversed(self.nodes):
            try:
                node.ask({"op": "exit", "code": code})
            except (OSError, wire.Cut):
                pass


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # sshd leaves a child behind for PID 1: the kernel reaps it for us
    threading.stack_size(256 << 10)
    os.makedirs(LOGS, exist_ok=True)
    with open(TASK) as f:
        agent = Agent(json.load(f))
    if agent.task.get("job"):
        agent.submit(agent.task["job"])
    listener = wire.listen(wire.AGENT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=agent.tell_variables, daemon=True).start()

    def accept():
        while True:
            threading.Thread(target=agent.serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    agent.leave(agent.wait_for_the_end())
    os._exit(0)  # at once, whatever its threads wait for


if __name__ == "__main__":
    main()
