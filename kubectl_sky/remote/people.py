"""Who is connected over ssh: the `ssh` container tells it to the supervisor through the fifo /sky/run/people.

The shell around each `sshd -i` holds the fifo open, and writes `+` when its connection begins and `-` when it ends.
A connection counts whatever it is for: a shell, sftp, rsync, or forwarded ports alone. When the last shell is gone,
however it ended, nobody has the fifo open, and the count is zero again.
"""

import os
import time

import wire

FIFO = wire.RUN + "/people"


class Connections:
    """The part of the supervisor's `info` that an idle clock asks for."""

    def __init__(self):
        self.count = 0
        self.ended = None  # s since the epoch: when the last connection that ended did so

    def info(self):
        """{"sessions": connections that are open, "session_ended": s since the epoch, or null if none has ended}"""
        return {"sessions": self.count, "session_ended": self.ended}

    def watch(self):
        """Never returns."""
        try:
            os.mkfifo(FIFO)
            os.chmod(FIFO, 0o666)  # the containers run as different users
        except FileExistsError:
            pass
        while True:
            with open(FIFO, "rb", buffering=0) as fifo:  # waits for a connection
                while True:
                    told = fifo.read(64)
                    if not told:
                        break
                    self.count += told.count(b"+") - told.count(b"-")
                    if b"-" in told:
                        self.ended = time.time()
            if self.count:  # one of them ended without a word
                self.count, self.ended = 0, time.time()
