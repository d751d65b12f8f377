"""Views that go on (--watch): on a terminal drawn again in their place, else a line for each row that changed."""

from __future__ import annotations

import os
import queue
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO, TypeVar

from kubectl_sky import system
from kubectl_sky.output import table

Key = TypeVar("Key")
TICK = 1.0  # seconds after which ages are drawn anew


class Live:
    """A text on the terminal that takes the place of the one before. What was drawn last stays there at the end."""

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self.on = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.drawn: list[str] = []

    @property
    def tick(self) -> float | None:
        return TICK if self.on else None

    def draw(self, text: str) -> None:
        """Lines that are too long are cut off, lines that are too many are counted: the cursor must find back."""
        columns, rows = shutil.get_terminal_size()
        lines = [line[: columns - 1] for line in text.splitlines()]
        if len(lines) > rows - 1:
            lines[rows - 2 :] = [f"... {len(lines) - rows + 2} more lines"[: columns - 1]]
        if lines == self.drawn:
            return
        up = f"\x1b[{len(self.drawn)}A" if self.drawn else ""
        self.stream.write(f"{up}\r" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self.stream.flush()
        self.drawn = lines


class Rows:
    """Rows of a table of which only those are printed that changed; the columns stay where they were.

    `ages` are the columns that change by themselves, which is no news.
    """

    def __init__(self, headers: Sequence[str], ages: Sequence[str], with_headers: bool = True):
        self.headers, self.with_headers = list(headers), with_headers
        self.news = [index for index, header in enumerate(headers) if header not in ages]
        self.printed: dict[Any, list[str]] = {}

    def show(self, rows: Mapping[Any, list[str]]) -> None:
        changed = {key: row for key, row in rows.items() if self._told(self.printed.get(key)) != self._told(row)}
        if not changed:
            return
        titles = self.with_headers and not self.printed
        self.printed |= rows
        lines = table([*self.printed.values(), *changed.values()], self.headers).splitlines()
        print("\n".join([*lines[:titles], *lines[-len(changed) :]]), flush=True)

    def _told(self, row: list[str] | None) -> list[str] | None:
        return row and [row[index] for index in self.news]


class Objects:
    """The same for -o json and yaml."""

    def __init__(self) -> None:
        self.printed: dict[Any, Any] = {}

    def changed(self, things: Mapping[Key, Any]) -> list[Key]:
        """The keys of those that are not as they were the last time."""
        found = [key for key, thing in things.items() if self.printed.get(key) != thing]
        self.printed |= things
        return found


def settled(events: queue.Queue[Any], tick: float | None, quiet: float = 0.2, most: float = 2.0) -> Iterator[list[Any]]:
    """What came, in one piece once `quiet` (seconds), or after `most`; [] when nothing came for a `tick`."""
    while True:
        try:
            found = [system.wait_for(events, tick)]
        except queue.Empty:
            yield []
            continue
        end = time.monotonic() + most
        while (left := end - time.monotonic()) > 0:
            try:
                found.append(system.wait_for(events, min(quiet, left)))
            except queue.Empty:
                break
        yield found
