"""The jobs of tasks as they change, told by their agents over a connection each that stays open."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky import live, running
from kubectl_sky.conversation import Conversation
from kubectl_sky.diagnosis.state import UP
from kubectl_sky.errors import Failure
from kubectl_sky.queues import Queue, told
from kubectl_sky.remote import wire

if TYPE_CHECKING:
    from kubectl_sky.overview import Board

PAUSE = 2.0  # seconds before an agent that was away is asked again


class Queues:
    """Of the tasks of a board whose names match. A thread for each that is up, and one for the board."""

    def __init__(self, board: Board, wanted: Sequence[str]):
        self.board, self.wanted = board, wanted
        self.events: queue.Queue[Queue | Failure | None] = queue.Queue()
        self.found: dict[str, Queue] = {}
        self.followed: set[str] = set()

    def changes(self, tick: float | None) -> Iterator[list[Queue]]:
        """After each change, for ever; also when nothing changed for a `tick`."""
        threading.Thread(target=self._board, daemon=True).start()
        for news in itertools.chain([[]], live.settled(self.events, tick)):
            for one in news:
                if isinstance(one, Failure):
                    raise one
                if one is not None:
                    self.found[one.task] = one
            up = [row.name for row in self.board.rows(self.wanted) if row.state.phase == UP]
            for name in up:
                if name not in self.followed:
                    self.followed.add(name)
                    threading.Thread(target=self._agent, args=(name,), daemon=True).start()
            yield [self.found[name] for name in up if name in self.found]

    def _board(self) -> None:
        try:
            for _ in self.board.changes():
                self.events.put(None)
        except Failure as failure:
            self.events.put(failure)

    def _agent(self, name: str) -> None:
        """As long as the task is there; an agent that knows no `watch` answers once, and is asked again."""
        head = running.Head(self.board.cluster, name)
        request: dict[str, Any] = {"op": "queue", "watch": True}
        while any(row.name == name and row.state.phase not in running.OVER for row in self.board.rows()):
            try:
                with Conversation(self.board.cluster, head(), request) as conversation:
                    while True:
                        answer = conversation.reader.line()
                        self.events.put(told(name, answer))
            except (Failure, wire.Cut):
                time.sleep(PAUSE)
        self.followed.discard(name)
