"""On node 0: carries one client's sync (stdin, stdout; see frames.py) to the receivers of all nodes.

What the client sends goes to everyone, at the pace of the slowest; what they answer is merged. From three nodes on it
goes from node to node (relay.py), so that node 0 sends it once; where that fails, the next sync goes to each from here.
Arguments: the number of nodes, and the stall limit in seconds.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import selectors
import socket
import sys
import time
import uuid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kubectl_sky.remote import frames, wire
else:
    import frames
    import wire

PYTHON = ["/sky/tools/bin/python3", "-SE"]
RECEIVER, RELAY = [*PYTHON, "/sky/code/receive.py"], [*PYTHON, "/sky/code/relay.py"]
CHAIN = 3  # nodes, from which on it goes from node to node
NO_CHAIN = wire.RUN + "/no-relays"  # a file: they could not reach each other
PATIENCE = float(os.environ.get("SKY_SYNC_PATIENCE", "60"))  # s for a node to answer
BEAT_SECONDS = 0.5
QUEUE = 4  # frames that may wait for a node before the client has to


class Ended(Exception):
    """Why the sync ends before its time; `again`: whether a new one could succeed."""

    def __init__(self, message: str, again: bool = False, code: int = 0) -> None:
        super().__init__(message)
        self.error = {"message": message, "again": again, "code": code}


def taken(parser: frames.Parser) -> list[bytes]:
    """The whole frames that were read: they wait here for others."""
    return [bytes(whole) for whole in iter(parser.next, None)]


class Node:
    """The connection to one node's receiver, non-blocking."""

    def __init__(self, rank: int, request: bytes) -> None:
        self.rank, self._request = rank, request
        self.sock: socket.socket | None = None
        self.ready = self.knows = False  # its receiver runs; it has said all that it needs
        self.done: dict[str, object] | None = None
        self.arrived = 0
        self.heard = time.monotonic()
        self.spoke = 0.0
        self.queue: collections.deque[memoryview] = collections.deque()
        self._parser = frames.Parser()

    def connect(self) -> bool:
        """Whether somebody listens there."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(wire.node_socket(self.rank))
            sock.sendall(self._request)
        except OSError:
            sock.close()
            return False
        sock.setblocking(False)
        self.sock, self._parser = sock, frames.Parser()
        return True

    def write(self) -> None:
        """Sends as much of the queue as goes."""
        assert self.sock
        try:
            while self.queue:
                sent = self.sock.send(self.queue[0])
                if sent < len(self.queue[0]):
                    self.queue[0] = self.queue[0][sent:]
                    return
                self.queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.queue.clear()  # its last words, if any, are still to be read

    def read(self) -> list[bytes] | None:
        """The frames that came; None at the end of the stream."""
        assert self.sock
        try:
            if not self._parser.read(self.sock.fileno()):
                return None
        except BlockingIOError:
            return []
        except OSError:
            return None
        try:
            return taken(self._parser)
        except frames.BadFrame as e:
            text = e.rest.split(b"\n")[0][:500].decode("utf-8", "replace")
            raise Ended("node %d answered: %s" % (self.rank, text)) from e


def pipe(argv: list[str]) -> bytes:
    """What a supervisor is asked to start such a program."""
    return json.dumps({"op": "pipe", "argv": argv}).encode() + b"\n"


def chain(count: int, rest: list[str]) -> list[list[str]]:
    """The programs of all nodes, of which each relay hands on to the next; `rest`: the receivers' arguments."""
    with open(wire.ETC + "/task.json") as f:
        task = json.load(f)["name"]
    sync = uuid.uuid4().hex[:12]
    hosts = ["%s-%d" % (task, rank + 1) for rank in range(1, count - 1)]
    relays = [[*RELAY, sync, "head" * (not at), host, *rest] for at, host in enumerate([*hosts, ""])]
    return [[*RECEIVER, *rest], *relays]


class Distributor:
    def __init__(self, count: int, stall: float) -> None:
        rest = ["%g" % stall, str(count)]
        chained = count >= CHAIN and not os.path.exists(NO_CHAIN)
        programs = chain(count, rest) if chained else [[*RECEIVER, *rest]] * count
        self.nodes = [Node(rank, pipe(argv)) for rank, argv in enumerate(programs)]
        self.fed = self.nodes[:2] if chained else self.nodes  # those that get the data from here
        self.chained = chained
        self.stall = stall
        self.selector = selectors.DefaultSelector()
        self.need = bytearray()  # one byte a record: somebody needs it
        self.answer = bytearray()  # what waits to be written to stdout
        self._parser = frames.Parser()
        self._waiting: collections.deque[bytes] = collections.deque()
        self._heard = self._started = time.monotonic()
        self._next_beat = 0.0
        self._reading = False
        frames.widen(0)
        os.set_blocking(1, False)

    def run(self) -> None:
        """Until all are done. Raises Ended."""
        while not all(node.done for node in self.nodes):
            self.connect()
            self.pull()
            self.watch_client()
            for node in self.nodes:
                self.watch_node(node)
            for key, events in self.selector.select(0.1):
                if key.data is None:
                    self.read_client()
                elif events & selectors.EVENT_WRITE:
                    key.data.write()
                if key.data is not None and events & selectors.EVENT_READ:
                    self.read_node(key.data)
            self.beat()
            self.flush()
        digests = {str(node.done["digest"]) for node in self.nodes if node.done}
        if len(digests) != 1:
            raise Ended("the nodes received different data", again=True)
        self.say(frames.DONE, json.dumps(self.nodes[0].done).encode())

    def connect(self) -> None:
        for node in self.nodes:
            if node.sock is None:
                if node.connect():
                    node.heard = time.monotonic()
                elif time.monotonic() - self._started > PATIENCE:
                    raise Ended("node %d did not answer within %g s" % (node.rank, PATIENCE), again=True)

    def pull(self) -> None:
        """Queues the client's frames for everyone, while no queue is long."""
        if not all(node.ready for node in self.nodes):
            return
        while self._waiting and max(len(node.queue) for node in self.fed) < QUEUE:
            whole = self._waiting.popleft()
            for node in self.fed:
                node.queue.append(memoryview(whole))
                node.spoke = time.monotonic()

    def watch_client(self) -> None:
        """Listens to the client only when its last frames have been passed on."""
        wanted = len(self._waiting) < QUEUE
        if wanted and not self._reading:
            self.selector.register(0, selectors.EVENT_READ, None)
            self._heard = time.monotonic()
        elif self._reading and not wanted:
            self.selector.unregister(0)
        self._reading = wanted
        if wanted and time.monotonic() - self._heard > self.stall:
            raise Ended("nothing came from the client for %g s" % self.stall, again=True)

    def read_client(self) -> None:
        if not self._parser.read(0):
            raise BrokenPipeError
        self._heard = time.monotonic()
        self._waiting.extend(whole for whole in taken(self._parser) if whole[:1] != frames.BEAT)

    def watch_node(self, node: Node) -> None:
        """What to wait for on a node's connection, and for how long."""
        if node.sock is None or node.sock.fileno() < 0:
            return
        now = time.monotonic()
        if now - node.heard > self.stall and not node.done:
            raise Ended("node %d said nothing for %g s" % (node.rank, self.stall), again=True)
        if node in self.fed and node.ready and not node.queue and now - node.spoke > self.stall / 4:
            node.queue.append(memoryview(frames.frame(frames.BEAT)))  # others may hold the client up
            node.spoke = now
        if node.queue:
            node.write()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if node.queue else 0)
        known = self.selector.get_map().get(node.sock)
        if known is None:
            if not node.done:
                self.selector.register(node.sock, events, node)
        elif known.events != events:
            self.selector.modify(node.sock, events, node)

    def read_node(self, node: Node) -> None:
        found = node.read()
        node.heard = time.monotonic()
        if found is not None:
            for whole in found:
                self.heard(node, whole[:1], whole[frames.HEADER.size :])
            return
        assert node.sock
        self.selector.unregister(node.sock)
        node.sock.close()
        if node.done:
            node.queue.clear()
            return
        node.sock = None
        if node.ready or time.monotonic() - self._started > PATIENCE:
            raise Ended("the connection to node %d broke" % node.rank, again=True)
        time.sleep(0.1)  # a tunnel whose other end does not listen yet

    def heard(self, node: Node, kind: bytes, payload: bytes) -> None:
        if kind == frames.READY:
            node.ready = True
            if all(node.ready for node in self.nodes):
                self.say(frames.READY)
        elif kind == frames.NEED:
            for first, count in frames.RANGE.iter_unpack(payload):
                if first + count > len(self.need):
                    self.need.extend(bytes(first + count - len(self.need)))
                self.need[first : first + count] = b"\1" * count
        elif kind == frames.NEED_END:
            node.knows = True
            if all(node.knows for node in self.nodes):
                self.say_need()
        elif kind == frames.BEAT:
            (node.arrived,) = frames.COUNT.unpack(payload)
        elif kind == frames.WARNING:
            self.say(frames.WARNING, self.of(node).encode() + payload)
        elif kind == frames.DONE:
            node.done = json.loads(payload)
        elif kind == frames.ERROR:
            error = json.loads(payload)
            raise Ended(self.of(node) + error["message"], error.get("again", False), error.get("code", 0))

    def of(self, node: Node) -> str:
        return "node %d: " % node.rank if len(self.nodes) > 1 else ""

    def say_need(self) -> None:
        ranges = []
        first = self.need.find(1)
        while first >= 0:
            end = self.need.find(0, first)
            end = end if end >= 0 else len(self.need)
            ranges.append(frames.RANGE.pack(first, end - first))
            first = self.need.find(1, end)
        step = frames.LIMIT // frames.RANGE.size
        for i in range(0, len(ranges), step):
            self.say(frames.NEED, b"".join(ranges[i : i + step]))
        self.say(frames.NEED_END)

    def beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_SECONDS
            with contextlib.suppress(OSError):  # a full disk
                open(wire.SYNC, "w").close()
            self.say(frames.BEAT, frames.COUNT.pack(min(node.arrived for node in self.nodes)))

    def say(self, kind: bytes, payload: bytes = b"") -> None:
        if kind != frames.BEAT or not self.answer:  # a client that does not read needs no beats
            self.answer += frames.frame(kind, payload)

    def flush(self) -> None:
        try:
            while self.answer:
                del self.answer[: os.write(1, self.answer)]
        except BlockingIOError:
            pass

    def finish(self, seconds: float) -> None:
        """Writes what is left to say, then waits for the client to go, so that it surely gets it."""
        end = time.monotonic() + seconds
        while self.answer and time.monotonic() < end:
            self.flush()
            time.sleep(0.01)
        waiting = selectors.DefaultSelector()
        waiting.register(0, selectors.EVENT_READ)
        while waiting.select(max(0.0, end - time.monotonic())) and os.read(0, frames.LIMIT):
            pass


def main() -> int:
    stall = float(sys.argv[2]) if len(sys.argv) > 2 else frames.STALL
    distributor = Distributor(int(sys.argv[1]), stall)
    try:
        distributor.run()
        distributor.finish(2)
        return 0
    except Ended as e:
        if distributor.chained and e.error["again"]:
            open(NO_CHAIN, "w").close()
        distributor.say(frames.ERROR, json.dumps(e.error).encode())
    except (BrokenPipeError, ConnectionResetError):
        return 1
    except (OSError, ValueError, KeyError, frames.BadFrame) as e:
        distributor.say(frames.ERROR, json.dumps({"message": str(e), "again": False, "code": 0}).encode())
    distributor.finish(2)
    return 1


if __name__ == "__main__":
    sys.exit(main())
