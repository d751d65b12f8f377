"""A connection to the pods that is always ready: to start the programs there takes longer than to send a change."""

from __future__ import annotations

from collections.abc import Callable

from kubectl_sky.files.stream import Stream


class Ready:
    """Each connection is for one upload; the next one waits already. `connect` makes one."""

    def __init__(self, connect: Callable[[], Stream]):
        self.connect = connect
        self._next: Stream | None = None

    def take(self) -> Stream:
        """One to use and close."""
        found, self._next = self._next, None
        if found and found.alive:
            return found
        if found:
            found.close()
        return self.connect()

    def prepare(self) -> None:
        """Have one ready."""
        if self._next and not self._next.alive:
            self.close()
        if not self._next:
            self._next = self.connect()
            self._next.open()

    def close(self) -> None:
        if self._next:
            self._next.close()
            self._next = None
