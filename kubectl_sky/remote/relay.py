"""On a node other than 0: what a sync brings goes to the receiver here and on to the next node, and so to all.

Each node sends everything once, however many there are. What the receivers answer goes straight to node 0.

Arguments: the sync's name, "head" for the first of these nodes, the next node's host ("" on the last), and those of
receive.py. On stdin the head gets the data from node 0; the others nothing, until it ends with the sync. stdout is the
receiver's.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kubectl_sky.remote import frames, neighbours, wire
else:
    import frames
    import neighbours
    import wire

SSH = os.environ.get("SKY_SYNC_SSH", neighbours.OWN_SSH)
PATIENCE = float(os.environ.get("SKY_SYNC_PATIENCE", "60")) / 3  # s for the next node to answer
SIZE = 1 << 18
HERE = b"+"  # what a relay says to the one before it, once it is connected


def place(sync: str) -> str:
    """Where a node listens for the one before it."""
    return "%s/relay-%s.sock" % (wire.RUN, sync)


class Unreachable(Exception):
    pass


class Next:
    """The way to the next node's relay: ssh, which forwards its socket to here."""

    def __init__(self, sync: str, host: str) -> None:
        self.path = "%s/relay-%s-next.sock" % (wire.RUN, sync)
        self._way = ["-L", "%s:%s" % (self.path, place(sync)), host]
        self._ssh: subprocess.Popen[bytes] | None = None

    def connect(self) -> socket.socket:
        """Raises Unreachable."""
        deadline = time.monotonic() + PATIENCE
        config = neighbours.FOLDER + "/config"
        while time.monotonic() < deadline:
            if (self._ssh is None or self._ssh.poll() is not None) and os.path.exists(config):
                options = ["-F", config, "-N", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes"]
                self._ssh = subprocess.Popen([SSH, *options, *self._way], stdin=subprocess.DEVNULL)
            with contextlib.suppress(OSError):
                sock = wire.connect(self.path)
                if sock.recv(1) == HERE:
                    return sock
                sock.close()
            time.sleep(0.05)
        raise Unreachable()

    def close(self) -> None:
        if self._ssh:
            self._ssh.kill()
        forget(self.path)


def forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def watch() -> None:
    """Ends this process with node 0's connection."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def before(listener: socket.socket) -> int:
    """The connection of the node before this one."""
    conn, _ = listener.accept()
    conn.sendall(HERE)
    return conn.detach()


def copy(source: int, here: int, there: socket.socket | None) -> None:
    """All that comes, to both."""
    while True:
        data = os.read(source, SIZE)
        if not data:
            return
        view = memoryview(data)
        while view:
            view = view[os.write(here, view) :]
        if there:
            there.sendall(data)


def say(message: str) -> None:
    error = {"message": message, "again": True, "code": 0}
    with contextlib.suppress(OSError):
        os.write(1, frames.frame(frames.ERROR, json.dumps(error).encode()))


def main() -> int:
    sync, head, host, *rest = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    listener = None if head else wire.listen(place(sync))
    receiver = [sys.executable, "-SE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "receive.py"), *rest]
    following = Next(sync, host) if host else None
    # not in a `finally`, which SIGTERM could leave halfway
    if listener:
        atexit.register(forget, place(sync))
    if following:
        atexit.register(following.close)
    with subprocess.Popen(receiver, stdin=subprocess.PIPE) as child:
        assert child.stdin
        frames.widen(child.stdin.fileno())
        try:
            if listener:
                threading.Thread(target=watch, daemon=True).start()
            there = following.connect() if following else None
            copy(before(listener) if listener else 0, child.stdin.fileno(), there)
            return 0
        except Unreachable:
            say("it cannot reach %s" % host)
        except OSError:
            pass  # one of the ends went away: node 0 sees it, and begins anew
    return 1


if __name__ == "__main__":
    sys.exit(main())
