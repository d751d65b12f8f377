"""What the agent remembers, in the memory of the other nodes too: node 0 may go away, and another takes its place."""

import threading
import time

import wire

OTHERS_SECONDS = 3.0  # for those that may know something newer than what is known already
PATIENCE = 1.0  # s for one of the nodes to have it, where somebody waits for that


class Copies:
    """`keep` sends records to the nodes (those but node 0); one that is replaced gets them all."""

    def __init__(self, nodes):
        self._values = {}  # "what number" -> value
        self._number = 0  # of the last change
        self._changed = threading.Condition()
        self._has = {node.rank: 0 for node in nodes}  # the last change that it has
        self._nodes = nodes
        for node in nodes:
            threading.Thread(target=self._send, args=(node,), daemon=True).start()

    def keep(self, what, number, value, wait=False):
        """`value` None: it is forgotten. With `wait`, returns when one of the nodes that are up has it."""
        with self._changed:
            key = "%s %d" % (what, number)
            self._values.pop(key, None)  # the newest last
            self._number += 1
            self._values[key] = (self._number, value)
            mine = self._number
            self._changed.notify_all()
            if wait and any(node.up.is_set() for node in self._nodes):
                self._changed.wait_for(lambda: max(self._has.values()) >= mine, PATIENCE)

    def _send(self, node):
        boot = None  # of the pod that has what _has says
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has[node.rank] < self._number, 1)
                if node.boot != boot:  # another pod, which has nothing
                    boot, self._has[node.rank] = node.boot, 0
                has, last = self._has[node.rank], self._number
                new = {key: value for key, (number, value) in self._values.items() if number > has}
            if not new or not node.up.is_set():
                node.up.wait(1)
                continue
            try:
                node.ask({"op": "keep", "at": time.time(), "values": new})
            except (OSError, wire.Cut):
                time.sleep(0.2)
                continue
            with self._changed:
                if node.boot == boot:
                    self._has[node.rank] = last
                self._changed.notify_all()


def recall(nodes):
    """Yields None while it is not known; at last what the node with the newest records has: [(what, number, value)]."""
    answers: dict = {}
    until = None
    while len(answers) < len(nodes) and not (until and time.monotonic() > until):
        for node in nodes:
            if node.up.is_set() and node.rank not in answers:
                try:
                    answers[node.rank] = node.ask({"op": "recall"})
                except (OSError, wire.Cut):
                    pass
        if until is None and any(one["values"] for one in answers.values()):
            until = time.monotonic() + OTHERS_SECONDS
        yield None
    newest = max(answers.values(), key=lambda one: one["at"])
    found = ((key.split(), value) for key, value in newest["values"].items())
    yield [(what, int(number), value) for (what, number), value in found]


def after_loss(state):
    """A job's state as the next agent takes it up: what was begun is lost, what waited waits."""
    if state["status"] in wire.FINAL:
        return state
    if state["status"] == "PENDING":
        return dict(state, places=None, reason=None)
    return dict(state, status="FAILED", exit=255, reason="lost", rank=0, ended=time.time())
