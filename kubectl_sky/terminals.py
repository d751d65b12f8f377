"""This terminal on one that stays in the task's container: over ssh, and again after each broken connection."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubectl_sky import system
from kubectl_sky.errors import EXIT_INTERRUPT, ClusterFailure, UsageError
from kubectl_sky.jobspec import Tty
from kubectl_sky.ssh import client

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

BROKEN, DETACHED = 255, 254  # ssh's exit code: see remote/attach.py
DETACH_KEYS = "ctrl-p,ctrl-q"
PATIENCE = 600.0  # s without a way to the pod before this gives up; what runs there runs on
# a full-screen program was cut off: its modes go, and the cursor stays where it is
RESET = "\x1b[?1047l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b[?25h\x1b[m"


@dataclass(frozen=True)
class Kept:
    """A terminal in a task. `start` is what runs in it should it not be there: {"argv", "login"}; None: it must be."""

    cluster: Cluster
    name: str
    node: int | None
    id: str
    back: str  # the command that comes back to it
    start: dict[str, Any] | None = None
    keys: str = DETACH_KEYS


def here() -> bool:
    """Whether this process has a terminal to attach."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def mine() -> Tty:
    """The terminal that a job should get: as this one, if there is one."""
    columns, rows = shutil.get_terminal_size((80, 24))
    return Tty(rows, columns, os.environ.get("TERM") or "xterm")


def key_sequence(text: str) -> bytes:
    """`ctrl-p,ctrl-q` -> b"\\x10\\x11"; empty: none. Raises UsageError."""
    keys = []
    for word in text.split(",") if text else []:
        letter = word[5:].upper() if word.lower().startswith("ctrl-") else ""
        if len(letter) == 1 and "@" <= letter <= "_":
            keys.append(ord(letter) & 31)
        elif len(word) == 1 and word.isascii():
            keys.append(ord(word))
        else:
            raise UsageError(
                f"--detach-keys: {word!r} is no key", f"as in {DETACH_KEYS}: letters, or ctrl- and a letter"
            )
    return bytes(keys)


def hold(kept: Kept) -> int:
    """Shows it here until the program ends, or the person detaches; returns its exit code, or DETACHED.

    Comes back by itself when the connection breaks. Raises Failure: no terminal here, no way to the task.
    """
    if not here():
        raise UsageError("this needs a terminal, and stdin or stdout is none")
    with client.way(kept.cluster, kept.name, kept.node) as way:
        connected = Path(way.config).with_name("connected")
        code, said = _once(kept, way, connected, kept.start)
        if code == BROKEN and not connected.exists():
            raise ClusterFailure(said or f"the connection to {kept.name} was cut")
        try:
            while code == BROKEN:
                _wait_for(kept, way, said)
                code, said = _once(kept, way, connected, None)
        except KeyboardInterrupt:
            print(f"\nDetached. Come back: {kept.back}", file=sys.stderr)
            return EXIT_INTERRUPT
    return code


def _wait_for(kept: Kept, way: client.Way, said: str) -> None:
    """Waits until the task can be reached again. Raises Failure when it is over, or out of reach for too long."""
    print(f"{RESET}\r\n{said or 'The connection broke'}\nReconnecting (Ctrl-C ends that) …", file=sys.stderr)
    deadline, pause = time.monotonic() + PATIENCE, 0.3
    while True:
        time.sleep(pause)
        pause = min(pause * 1.7, 5.0)
        try:
            client.find(kept.cluster, way.name, way.node)
            return
        except ClusterFailure as error:
            if time.monotonic() > deadline:
                raise ClusterFailure(error.message, f"what runs there runs on; come back: {kept.back}") from None


def _once(kept: Kept, way: client.Way, connected: Path, start: dict[str, Any] | None) -> tuple[int, str]:
    """(ssh's exit code, what the connection's end was said to be)"""
    request = {"id": kept.id, "keys": list(key_sequence(kept.keys)), "start": start}
    wanted = base64.urlsafe_b64encode(json.dumps(request).encode()).decode()
    settings = {
        "SetEnv": f"SKY_TERMINAL={wanted}",  # for remote/session.py
        "PermitLocalCommand": "yes",
        "LocalCommand": system.touch(str(connected)).replace("%", "%%"),
        "ServerAliveInterval": "5",  # a connection that went silent is noticed within 15 s
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as told:
        code = subprocess.run(way.ssh(flags=("-t", *options)), stderr=told).returncode
        told.seek(0)
        lines = [line.strip() for line in told.read().splitlines() if line.strip()]
    return code, lines[0].removeprefix("error: ").rstrip(".") if lines else ""
