"""The idle clock: when a task has had nothing to do for so long that its pods end."""

import time

import records
import wire

LOOK_SECONDS = 5.0  # between two looks at who is logged in


class Idle:
    """`policy` is {"minutes", "wait_for", "down"} or None: never.

    wait_for: "jobs_and_ssh", the clock stands while a job or a session is there; "jobs", sessions do not count;
    "none", it runs from when it was set, whatever happens.
    """

    def __init__(self, nodes, policy=None):
        self.nodes = nodes
        self.sessions = 0
        self.session_ended = 0.0
        # an agent before this one may have been told otherwise than the task says
        saved = records.read("idle", 0) or {"policy": policy, "since": time.time()}
        self.policy, self.since = saved["policy"], saved["since"]

    def set(self, policy):
        self.policy, self.since = policy, time.time()
        self.sessions = 0
        self.session_ended = 0.0
        records.save("idle", 0, {"policy": policy, "since": self.since})

    def left(self, busy, job_ended):
        """Seconds until the end, or None while the clock stands.

        `busy`: there are jobs; `job_ended`: when one last did.
        """
        if self.policy is None:
            return None
        begin = self.since
        if self.policy["wait_for"] != "none":
            if busy or self.sessions:
                return None
            begin = max(begin, job_ended, self.session_ended)
        return begin + self.policy["minutes"] * 60 - time.time()

    def look(self):
        """Who is logged in, on all nodes, if that matters."""
        if self.policy is None or self.policy["wait_for"] != "jobs_and_ssh":
            return
        sessions = 0
        for node in self.nodes:
            try:
                info = node.ask({"op": "info"})
            except (OSError, wire.Cut):
                continue  # a node that cannot be asked keeps nothing alive
            sessions += info.get("sessions", 0)
            self.session_ended = max(self.session_ended, info.get("session_ended") or 0.0)
        if self.sessions and not sessions:
            self.session_ended = max(self.session_ended, time.time() - LOOK_SECONDS)
        self.sessions = sessions
