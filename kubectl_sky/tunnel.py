"""One `kubectl port-forward` process: started, listened to, ended; also when this program is killed."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

# A line on stdin, or its end, ends kubectl: our death does too.
SCRIPT = """\
exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ read -r line <&3; kill "$child"; } 2>/dev/null & reader=$!
wait "$child" 2>/dev/null; code=$?
kill "$reader" 2>/dev/null
exit "$code"
"""
UP, SAID, GONE = "up", "said", "gone"
Told = tuple["Tunnel", str, str]


class Tunnel:
    """Puts (self, UP | SAID | GONE, text) into `events`: it listens; kubectl spoke; it ended, with its last words.

    After stop() nothing more comes that matters: the receiver compares tunnels.
    """

    def __init__(self, argv: Sequence[str], events: queue.Queue[tuple[str, Told]]):
        self.events, self.up, self.began = events, False, time.monotonic()
        # a session of its own: Ctrl-C is for us to see, not for kubectl
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", SCRIPT, "kubectl-sky", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def lasted(self) -> float:
        return time.monotonic() - self.began

    def stop(self) -> None:
        """End it at once; the port is free afterwards."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
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
