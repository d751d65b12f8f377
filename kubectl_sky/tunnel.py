"""One `kubectl port-forward` process: started, listened to, ended; also when this program is killed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

from kubectl_sky import system

UP, SAID, GONE = "up", "said", "gone"
Told = tuple["Tunnel", str, str]


class Tunnel:
    """Puts (self, UP | SAID | GONE, text) into `events`: it listens; kubectl spoke; it ended, with its last words.

    After stop() nothing more comes that matters: the receiver compares tunnels.
    """

    def __init__(self, argv: Sequence[str], events: queue.Queue[tuple[str, Told]]):
        self.events, self.up, self.began = events, False, time.monotonic()
        self.process = system.bind(argv)
        threading.Thread(target=self._listen, daemon=True).start()

    def lasted(self) -> float:
        return time.monotonic() - self.began

    def stop(self) -> None:
        """End it at once; the port is free afterwards."""
        system.end(self.process)
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def _listen(self) -> None:
        assert self.process.stdout
        last = ""
        for line in self.process.stdout:
            text = line.strip()
            if text.startswith("Forwarding from"):
                if not self.up:
                    self.up = True
                    self._tell(UP, text)
            elif text and not text.startswith("Handling connection"):
                last = text
                self._tell(SAID, text)
        self.process.wait()
        self._tell(GONE, last)

    def _tell(self, what: str, text: str) -> None:
        self.events.put(("tunnel", (self, what, text)))
