"""Node 0's agent: takes jobs, tells whoever asks how they are, ends the pods when there is nothing left to do.

Requests over /sky/run/agent.sock, one a connection, a line of JSON with "op":
  submit   {spec, autostop, follow}       answers frames: STATE {id, ...}, and with `follow` all that follow says
  follow   {job, offset, tail, follow}    frames: STATE, DATA (rank, bytes), END {state}; job null is the newest;
           {submitted}                    from the start of its log, if it was submitted at another time than that
  queue    {watch}                        {"jobs": [state, ...], "idle": {policy, left, sessions}}; with `watch`, again
                                          at each change, and now and then without one
  cancel   {jobs}                         {"jobs": [state, ...]}; null is all
  autostop {policy}                       {"idle": ...}; see idle.py; null is never
  hooks    {event}                        frames: DATA, END {"failed": [name, ...]}; see hooks.py
"""

import json
import os
import signal
import sys
import threading
import time

import copies
import gang
import hooks
import managed
import neighbours
import records
import wire
from idle import LOOK_SECONDS, Idle
from job import KILL_SECONDS, LOGS, contract
from jobqueue import Queue
from nodes import Lost, Node
from renewal import Renewal

TASK = wire.ETC + "/task.json"
# without the job that was announced, and without files on their way: whoever launched this went away before sending
# them, or these pods have the place of others, which had them
ORPHAN_SECONDS = float(os.environ.get("SKY_ORPHAN_SECONDS", "600"))
ORPHAN = "no files and no job came for %g minutes: who launched it went away, or the pods that had them did; "
ORPHAN += "launch it again"
NODE_SECONDS = 5.0  # for a node that is only about to be up
WATCH_SECONDS = 0.3  # between two looks at the jobs, each of which has a lock of its own
LEAVE_SECONDS = 120.0  # for a node that is away to come again, at the end
LINGER_SECONDS = 15.0  # for somebody to see the end of the last job before the pods go
# a job that may have begun does not begin again unasked
ALL_GONE = "all of its nodes went away at the same time, and with them what was known of it; launch runs it again"
SHORT_LINGER_SECONDS = 3.0  # of a managed job, whose end is noted in its pod


class Agent:
    def __init__(self, task):
        self.task = task
        domain = task.get("domain") or task["name"]
        nodes = [Node(rank, task["name"], domain) for rank in range(task["num_nodes"])]
        self.queue = Queue(nodes, task)
        self.idle = Idle(nodes, task.get("autostop"))
        self.changed = self.queue.changed
        self.seen = set()  # jobs whose end somebody was told
        self.leaving = False
        self.words = None  # why it ends, where no job tells
        self.ready = threading.Event()  # it knows the jobs
        if nodes[1:]:
            records.mirror = copies.Copies(nodes[1:]).keep

    def start(self):
        self.queue.restore()
        if self.task.get("managed") or self.queue.jobs or not (self.queue.nodes[1:] and gang.replaced()):
            self._begin()
        else:
            threading.Thread(target=self._take_over, daemon=True).start()

    def _take_over(self):
        """Goes on with what the agent of the pod before this one was doing, as the other nodes know it."""
        others = self.queue.nodes[1:]
        for known in copies.recall(others):  # noqa: B007
            time.sleep(0.1)
        for what, number, value in known:
            records.save(what, number, copies.after_loss(value) if what == "state" else value)
            if what == "state" and value["status"] in records.BEGUN:
                for node in others:
                    for phase in ("setup", "run"):
                        threading.Thread(target=node.end, args=("%d.%s" % (number, phase), KILL_SECONDS)).start()
        self.queue.restore()
        self.idle = Idle(self.queue.nodes, self.task.get("autostop"))  # as its users changed it
        job, again = self.task.get("job"), self.task.get("queued")  # by Kueue: its pods go and come, and it runs again
        if job and not again and not known and all(node.info["replaced"] for node in others):
            self.queue.lose(dict(job, key="launch"), ALL_GONE)
        self._begin()

    def _begin(self):
        told = self.task.get("managed")
        job = managed.brought(told) if told else self.task.get("job")
        if job and (told or not self.queue.jobs):
            self.queue.submit(dict(job, key="launch", launch=True))
        if not told:  # whose files come with each attempt
            Renewal(self.queue).start()
        self.ready.set()

    def serve(self, conn):
        try:
            reader = wire.Reader(conn)
            request = reader.line()
            while not self.ready.wait(wire.BEAT_SECONDS) and request["op"] in ("submit", "follow"):
                conn.sendall(wire.frame(wire.BEAT))
            getattr(self, "op_" + request["op"])(conn, request)
        except (OSError, wire.Cut):
            pass  # whoever asked went away
        finally:
            conn.close()

    def op_submit(self, conn, request):
        with self.changed:
            if self.leaving:
                return  # the client looks again, and sees the end
            if request.get("autostop"):
                self.idle.set(request["autostop"])
            job = self.queue.submit(request["spec"])
        self._follow(conn, job, {"follow": request.get("follow")})

    def op_follow(self, conn, request):
        jobs = self.queue.jobs
        number = request.get("job") or len(jobs)
        if number not in jobs:
            return conn.sendall(wire.json_frame(wire.END, {"missing": number, "jobs": list(jobs)}))
        self._follow(conn, jobs[number], request)

    def _follow(self, conn, job, request):
        same = request.get("submitted") in (None, job.state["submitted"])
        job.follow(conn, request.get("offset") or 0 if same else 0, request.get("tail"), request.get("follow"))
        with self.changed:
            self.seen.add(job)
            self.changed.notify_all()

    def op_queue(self, conn, request):
        said, beat = None, 0.0
        while True:
            jobs = [job.state for job in list(self.queue.jobs.values())]
            if jobs != said or time.monotonic() > beat:
                wire.send_line(conn, {"jobs": jobs, "idle": self._idle()})
                said, beat = jobs, time.monotonic() + wire.BEAT_SECONDS
            if not request.get("watch"):
                return
            time.sleep(WATCH_SECONDS)

    def op_cancel(self, conn, request):
        wire.send_line(conn, {"jobs": [job.state for job in self.queue.cancel(request.get("jobs"))]})

    def op_autostop(self, conn, request):
        with self.changed:
            self.idle.set(request["policy"])
            self.changed.notify_all()
        wire.send_line(conn, {"idle": self._idle()})

    def op_hooks(self, conn, request):
        failed = self.run_hooks(request["event"], lambda data: conn.sendall(wire.frame(wire.DATA, data)))
        conn.sendall(wire.json_frame(wire.END, {"failed": failed}))

    def run_hooks(self, event, on_output=lambda data: None):
        """On node 0, one after the other; the names of those that failed. No node runs any at its end then."""
        head, failed = self.queue.nodes[0], []
        for name, script, seconds in hooks.of(event):
            clock = threading.Timer(seconds, head.end, (name, 0))
            clock.start()
            try:
                result = head.run(name, script, self._environment(), on_output)
            except Lost:
                result = {"error": "lost"}
            clock.cancel()
            failed += [name] * bool(result.get("error") or result["exit"])
        for node in self.queue.nodes:
            tell(node, {"op": "hooked"})
        return failed

    def _environment(self):
        """The newest job's, or what sessions have; nothing where the nodes do not know each other yet."""
        if not all(node.up.wait(NODE_SECONDS) for node in self.queue.nodes):
            return {}
        jobs = [job for job in self.queue.jobs.values() if job.places]
        return jobs[-1].environment(0, "run") if jobs else self._first_variables(0)

    def _first_variables(self, rank):
        """Of a node that no job has been on."""
        return {**self.task.get("envs", {}), **contract(self.task, self.queue.nodes, rank)}

    def _idle(self):
        self.idle.look()
        return {"policy": self.idle.policy, "left": self._left(), "sessions": self.idle.sessions}

    def _left(self):
        return self.idle.left(not self.queue.idle, self.queue.ended)

    def wait_for_the_end(self):
        """The exit code of the task: its last job's, once it is idle for long enough; 1 when nobody gave it any."""
        threading.Thread(target=self._watch_own_container, daemon=True).start()
        with self.changed:
            if self.task.get("expects") and not self._first_job_comes():
                self.words = ORPHAN % (ORPHAN_SECONDS / 60)
                print("kubectl-sky: " + self.words, flush=True)
                return 1
        while not self._over():
            self.idle.look()
        self._say_end()
        self.run_hooks("down" if self.idle.policy["down"] else "stop")
        self.queue.cancel(None, "the cluster's time was over (autostop)")
        with self.changed:
            if not self.queue.jobs:
                return 0
            last = self._last()
            seconds = SHORT_LINGER_SECONDS if self.task.get("managed") else LINGER_SECONDS
            self.changed.wait_for(lambda: last in self.seen, seconds)
            return last.state["exit"] or 0

    def _first_job_comes(self):
        """Whether one does before nothing has come to the nodes for too long. Holds `changed`."""
        since = time.time()
        while not self.changed.wait_for(lambda: self.queue.jobs, LOOK_SECONDS):
            if not (self.ready.is_set() and all(node.up.is_set() for node in self.queue.nodes)):
                since = time.time()  # nobody can send anything yet
            if time.time() - max(since, wire.modified(wire.SYNC)) > ORPHAN_SECONDS:
                return False
        return True

    def _say_end(self):
        """Before anybody is waited for: a pod that is taken away meanwhile does not run a managed job again."""
        if self.task.get("managed"):
            last, words = self._last(), managed.last_words(self._last().state)
            code = self._exit_code(last.state["exit"] or 0)
            for node in self.queue.nodes:
                tell(node, {"op": "exit", "code": code, "message": None if node.rank else words, "stay": True})

    def _exit_code(self, code):
        """Of the pod, for its job's."""
        told = self.task.get("managed")
        if told and told.get("excused"):
            return 0  # else its Job would make the pod again
        return 1 if code in (managed.RESERVED if told else (gang.LET_GO, gang.TAKEN)) else code

    def _last(self):
        """The job whose end is the task's: of a managed one its own, else the newest."""
        jobs = self.queue.jobs
        return jobs[1] if self.task.get("managed") else jobs[max(jobs)]

    def _over(self):
        """Whether its time is over; looks again after some seconds, or when something changed."""
        with self.changed:
            left = self._left()
            self.leaving = left is not None and left <= 0
            if not self.leaving:
                self.changed.wait(LOOK_SECONDS if left is None else min(left, LOOK_SECONDS))
            return self.leaving

    def gather(self):
        """Waits for all nodes, and tells each the variables: ssh sessions have them before there is a job.

        Again when one of them is replaced.
        """
        told, nodes = None, self.queue.nodes
        while True:
            while not all(node.up.is_set() for node in nodes):  # at the same time
                for node in nodes:
                    node.up.wait()
            boots = [node.boot for node in nodes]
            if boots != told and self._introduce(nodes):
                told = boots
            time.sleep(0.5)

    def _introduce(self, nodes):
        """Whether each has heard it. Of those that have not the next job brings it, too."""
        ssh = neighbours.described(nodes)
        told = [
            tell(node, {"op": "environment", "env": self._first_variables(node.rank), "ssh": ssh}) for node in nodes
        ]
        for node in nodes:
            node.told.set()
        return all(told)

    def _watch_own_container(self):
        """The task's container ended, by itself or killed: the jobs are told so, and this container follows it."""
        with wire.connect(wire.SUPERVISOR, patience=120) as conn:
            wire.send_line(conn, {"op": "hold"})
            conn.recv(1)
        time.sleep(2)  # let the jobs' own threads find out, and say it
        with self.changed:
            self.changed.wait_for(lambda: not self.queue.running and self.seen.issuperset(self.queue.jobs.values()), 5)
        os._exit(1)

    def leave(self, code):
        """Ends all nodes, this one last: one that is just replaced would wait for it for ever."""
        request = {"op": "exit", "code": self._exit_code(code), "message": self.words}
        head, *left = self.queue.nodes
        deadline = time.monotonic() + LEAVE_SECONDS
        while left and time.monotonic() < deadline:
            left = [node for node in left if not tell(node, request)]
            if left:
                time.sleep(0.5)
        tell(head, request)


def tell(node, request):
    """Whether the node could be told."""
    try:
        node.ask(request)
    except (OSError, wire.Cut):
        return False
    return True


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what sshd leaves behind: the kernel reaps it
    threading.stack_size(256 << 10)
    os.makedirs(LOGS, exist_ok=True)
    with open(TASK) as f:
        agent = Agent(json.load(f))
    agent.start()
    listener = wire.listen(wire.AGENT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=agent.gather, daemon=True).start()

    def accept():
        while True:
            threading.Thread(target=agent.serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    code = agent.wait_for_the_end()
    agent.leave(code)
    os._exit(0)  # at once, whatever its threads wait for


if __name__ == "__main__":
    main()
