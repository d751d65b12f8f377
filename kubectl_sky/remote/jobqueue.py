"""Node 0's queue: jobs start in the order of priority and number, as far as the nodes' CPUs, memory and GPUs go."""

import threading

import placement
import records
from job import Job
from managed import ManagedJob


class Queue:
    """`jobs` by number. `changed` is notified whenever one comes, starts or ends.

    `task` says what each node has: num_nodes, cpus, memory (GiB), gpus.
    """

    def __init__(self, nodes, task):
        self.nodes, self.task = nodes, task
        self.jobs = {}
        self.waiting = {}  # those of `jobs` that have not started, by number
        self.running = {}  # number -> the places of those that have
        self.changed = threading.Condition()

    def restore(self):
        """Takes up what an agent before this one was doing."""
        records.mirror_all()
        with self.changed:
            for number, spec, state in records.load():
                job = self.jobs[number] = self._job(number, spec or {}, state)
                if spec is None:  # it would succeed without having run
                    job.finish("FAILED_DRIVER", 1, "what it was to run is not known any more")
                if job.final:
                    continue
                places = state and state["places"]
                if places:
                    self._start(job, [placement.Place(*place) for place in places])
                else:
                    self.waiting[number] = job
            self.schedule()

    def submit(self, spec):
        """The new job, or the one that was submitted with the same `key` before a connection broke."""
        with self.changed:
            for job in self.jobs.values():
                if spec.get("key") and job.state["key"] == spec["key"]:
                    return job
            number = max(self.jobs, default=0) + 1
            records.save("spec", number, spec)
            job = self.jobs[number] = self.waiting[number] = self._job(number, spec)
            reason = placement.impossible(job.demand, len(self.nodes), self._whole(self.nodes[0]))
            if reason:
                job.finish("FAILED", 1, reason)
            self.schedule()
        return job

    def lose(self, spec, reason):
        """A job that failed in pods that are gone."""
        with self.changed:
            job = self.jobs[1] = self._job(1, spec)
            job.finish("FAILED", 255, reason)

    def _job(self, number, spec, state=None):
        return (ManagedJob if spec.get("managed") else Job)(number, spec, self.task, state)

    def cancel(self, numbers, why="cancelled"):
        """Those of `numbers` (None: all) that had not ended."""
        with self.changed:
            wanted = self.jobs if numbers is None else numbers
            chosen = [self.jobs[n] for n in wanted if n in self.jobs and not self.jobs[n].final]
            for job in chosen:
                job.cancel(why)
            self.schedule()
        return chosen

    @property
    def idle(self):
        return not self.waiting and not self.running

    @property
    def ended(self):
        """When the last job that ended did so (seconds since 1970), or 0."""
        return max((job.state["ended"] or 0.0 for job in self.jobs.values()), default=0.0)

    def schedule(self):
        """Starts what can start."""
        with self.changed:
            ready = [job for job in list(self.waiting.values()) if self._ready(job)]
            ready.sort(key=lambda job: (-job.priority, job.number))
            starts, reasons = placement.decide([(job.number, job.demand) for job in ready], self._free())
            for number, reason in reasons.items():
                self.jobs[number].set(reason=reason)
            for number, places in starts:
                self._start(self.waiting.pop(number), places)
            self.changed.notify_all()

    def _ready(self, job):
        """Whether its turn may come; one that can never run any more ends here."""
        if job.final:
            del self.waiting[job.number]
            return False
        for number, kind in job.spec.get("after") or ():
            before = self.jobs.get(number)
            if before and not before.final:
                job.set(reason="waiting for job %d to end" % number)
                return False
            if kind == "ok" and not (before and before.state["status"] == "SUCCEEDED"):
                job.finish("CANCELLED", 143, "job %d, after which it was to run, did not succeed" % number)
                return self._ready(job)
        return True

    def _free(self):
        free = {node.rank: self._whole(node) for node in self.nodes}
        for number, places in self.running.items():
            for rank, gpus in places:
                free[rank] = placement.take(free[rank], self.jobs[number].demand, gpus)
        return list(free.values())

    def _whole(self, node):
        task = self.task
        memory = task.get("memory") or float("inf")
        return placement.Free(node.rank, node.up.is_set(), placement.node_cpus(task), memory, [1.0] * int(task["gpus"]))

    def _start(self, job, places):
        self.running[job.number] = places
        job.places = [(self.nodes[rank], gpus) for rank, gpus in places]
        job.set(places=places)
        threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def _run(self, job):
        job.run()
        with self.changed:
            del self.running[job.number]
            self.schedule()
