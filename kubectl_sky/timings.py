"""Where the time of a command goes: phases, one after the other (`launch --timings`)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


class Timings:
    """Seconds a phase; `before` is what has passed until now. A phase that comes again adds to what it had."""

    def __init__(self, before: float, clock: Callable[[], float] = time.monotonic):
        self.clock = clock
        self.seconds: dict[str, float] = {"start-up": before}
        self._phase, self._since = "start-up", clock()

    def phase(self, name: str) -> None:
        """The phase before has ended, this one begins."""
        now = self.clock()
        self.seconds[self._phase] = self.seconds.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = name, now

    def table(self) -> str:
        """All phases until now, and their sum."""
        self.phase(self._phase)
        rows = [*self.seconds.items(), ("in all", sum(self.seconds.values()))]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:{width}}  {seconds:7.2f} s" for name, seconds in rows)


def since_start() -> float:
    """Seconds that this process has lived; those of Python's own start are known on Linux alone, else 0."""
    try:
        ticks = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, up - ticks / os.sysconf("SC_CLK_TCK"))
