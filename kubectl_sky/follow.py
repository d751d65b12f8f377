"""Following a job to its end: its output as it comes, each byte once, across broken connections."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from kubectl_sky.conversation import Away, Broken, Conversation
from kubectl_sky.remote import wire

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

PATIENCE = 600.0  # s without a way to the pod before following ends; the job itself runs on
COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)


class Printer:
    """Writes job output: as it is from one node, in whole lines with a prefix from many.

    `label`: of a job beside others, which has a prefix in any case.
    """

    def __init__(
        self, nodes: int, colour: bool = False, only: int | None = None, out: BinaryIO | None = None, label: str = ""
    ):
        self.colour, self.only, self.label = colour, only, label
        self.speak(nodes)
        self.out = out or sys.stdout.buffer
        self.rest: dict[int, bytes] = {}

    def speak(self, nodes: int) -> None:
        """So many nodes from now on."""
        self.ranked = nodes > 1 and self.only is None
        self.prefixed = self.ranked or bool(self.label)

    def write(self, rank: int, data: bytes) -> None:
        if self.only is not None and rank != self.only:
            return
        if not self.prefixed:
            self.out.write(data)
        else:
            *lines, self.rest[rank] = (self.rest.get(rank, b"") + data).split(b"\n")
            self.out.writelines(self._prefix(rank) + line + b"\n" for line in lines)
        self.out.flush()

    def close(self) -> None:
        """Writes the last lines that had no end."""
        for rank, line in self.rest.items():
            if line:
                self.out.write(self._prefix(rank) + line + b"\n")
        self.rest.clear()
        self.out.flush()

    def _prefix(self, rank: int) -> bytes:
        name = f"{'head' if rank == 0 else f'worker{rank}'}, rank={rank}" if self.ranked else ""
        text = f"({', '.join(filter(None, (self.label, name)))}) "
        return (f"\x1b[{COLOURS[rank % len(COLOURS)]}m{text}\x1b[0m" if self.colour else text).encode()


@dataclass
class Follower:
    """One job being followed.

    `request` is the agent's `follow` or `submit`; `pod` finds node 0's pod, and raises Failure with the reason when
    there is none any more; `on_state` is told each change of the job's state, `on_trouble` of a broken connection;
    `on_away` of a pod that is gone and comes back; `on_silence` gets the state whenever the agent has nothing new to
    say, and may raise Failure.
    """

    cluster: Cluster
    request: dict[str, Any]
    printer: Printer
    pod: Callable[[], str]
    on_state: Callable[[dict[str, Any]], None] = lambda state: None
    on_trouble: Callable[[str], None] = lambda text: None
    on_silence: Callable[[dict[str, Any]], None] = lambda state: None
    on_away: Callable[[str], None] = lambda text: None
    offset: int = 0
    job: int | None = None
    stopped: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    _conversation: Conversation | None = None

    def run(self) -> dict[str, Any]:
        """To the job's end (or its log's, without "follow"); returns its state. Raises Failure."""
        if self.request["op"] == "submit":
            # sent again after a break, the agent knows it by this
            self.request["spec"].setdefault("key", uuid.uuid4().hex)
        deadline, pause = None, 0.05
        while True:
            before = self.offset
            try:
                return self._once()
            except Broken as error:
                if self.stopped:
                    return self.state
                now = time.monotonic()
                if isinstance(error, Away):
                    self.on_away(error.message)
                    deadline, pause = None, max(pause, 1.0)
                elif deadline is None or self.offset > before:
                    deadline, pause = now + PATIENCE, 0.05
                if deadline and now > deadline:
                    raise
                if deadline and pause > 1:
                    self.on_trouble(error.message)
                time.sleep(pause)
                pause = min(pause * 1.7, 3.0)
            finally:
                self.printer.out.flush()

    def stop(self) -> None:
        """From another thread: `run` returns soon."""
        self.stopped = True
        if self._conversation:
            self._conversation.process.kill()

    def _once(self) -> dict[str, Any]:
        with Conversation(self.cluster, self.pod(), self._request()) as conversation:
            self._conversation = conversation
            for kind, payload in conversation.frames():
                if kind == wire.DATA:
                    (rank,) = wire.RANK.unpack_from(payload)
                    self.offset += wire.HEADER.size + len(payload)
                    self.printer.write(rank, payload[wire.RANK.size :])
                elif kind == wire.BEAT:
                    self.on_silence(self.state)
                else:
                    self._told(json.loads(payload))
        self.printer.close()
        return self.state

    def _request(self) -> dict[str, Any]:
        if self.job is None:
            return self.request
        known = {"job": self.job, "offset": self.offset, "submitted": self.state.get("submitted")}
        return {"op": "follow", **known, "follow": self.request.get("follow", True)}

    def _told(self, state: dict[str, Any]) -> None:
        # with a tail, the lines sent before the first state are not counted by the log's own offset
        self.offset = state.pop("offset", self.offset)
        self.job = state.get("id", self.job)
        if state != self.state:
            self.state = state
            self.on_state(state)
        else:
            self.on_silence(state)
