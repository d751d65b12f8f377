"""Linux and macOS. windows.py has the same names."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import queue

assert sys.platform != "win32"  # for mypy

__all__ = [
    "APART",
    "ENDED_BY",
    "GIVEN_MODE",
    "KEPT_MODE",
    "SHELL",
    "Pipe",
    "account_home",
    "begin",
    "bind",
    "command_line",
    "end",
    "environment",
    "held_by_children",
    "leave_terminal",
    "link_target",
    "open_lock",
    "program",
    "reader_gone",
    "script",
    "set_mode",
    "touch",
    "try_lock",
    "under",
    "user_id",
    "wait_for",
    "with_slashes",
    "write",
]
T = TypeVar("T")

# -- programs that we start -----------------------------------------------------------------------------------------
APART: dict[str, Any] = {"start_new_session": True}  # of Popen: Ctrl-C is for us to see, not for what we start
SHELL: str | None = "/bin/sh"  # for scripts of ours that other programs start
ENDED_BY = (signal.SIGHUP, signal.SIGTERM)  # ssh's ways to end its ProxyCommand
# A line on stdin, or its end, ends the program: our death does too.
BOUND = """\
exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ read -r line <&3; kill "$child"; } 2>/dev/null & reader=$!
wait "$child" 2>/dev/null; code=$?
kill "$reader" 2>/dev/null
exit "$code"
"""


def bind(argv: Sequence[str]) -> subprocess.Popen[str]:
    """Starts a program that ends with this process, however that ends. Its words on stdout; stdin is ours to hold."""
    return subprocess.Popen(
        [str(SHELL), "-c", BOUND, "kubectl-sky", *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **APART,
    )


def end(process: subprocess.Popen[str]) -> None:
    """Ends what bind() started, and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def program(name: str) -> str:
    """A program's name as it can be started."""
    return name


def environment(name: str, value: str) -> list[str]:
    """Words that give a variable to a program of ours: see under()."""
    return ["/usr/bin/env", f"{name}={value}"]


def under(words: Sequence[str], argv: Sequence[str]) -> list[str]:
    """argv with the variables of environment()."""
    return [*words, *argv]


def command_line(argv: Sequence[str]) -> str:
    """As one text, for programs that split it themselves."""
    return shlex.join(argv)


def touch(path: str) -> str:
    """A command that makes a file."""
    return f"touch {shlex.quote(path)}"


def script(name: str, argv: Sequence[str], note: str) -> tuple[str, str]:
    """File name and text of a script that starts argv with the words that it gets; `note` says what it is for."""
    return name, f'#!/bin/sh\n# {note}\nexec {shlex.join(argv)} "$@"\n'


def leave_terminal() -> None:
    """Ctrl-C is no longer for this process."""
    with contextlib.suppress(OSError):
        os.setsid()


# -- this process ---------------------------------------------------------------------------------------------------
def begin() -> None:
    """At the start of the program."""


def reader_gone(error: BaseException) -> bool:
    """Whether a write failed because nobody reads any more."""
    return isinstance(error, BrokenPipeError)


def wait_for(events: queue.Queue[T], seconds: float | None) -> T:
    """The next of them; Ctrl-C ends the wait. Raises queue.Empty."""
    return events.get(timeout=seconds)


def user_id() -> str:
    """The user's number, where there is no name."""
    return str(os.getuid())


def account_home() -> str:
    """The home that ssh takes `~` for, whatever $HOME says."""
    return pwd.getpwuid(os.getuid()).pw_dir


# -- pipes ----------------------------------------------------------------------------------------------------------
class Pipe:
    """A process's stdout as wire.Reader wants it; `silence` s without a word count as its end."""

    def __init__(self, fd: int, silence: float):
        self.fd, self.silence = fd, silence

    def recv(self, size: int) -> bytes:
        ready, _, _ = select.select([self.fd], [], [], self.silence)
        return os.read(self.fd, size) if ready else b""


write = os.writev  # (descriptor, parts) -> how many bytes of them were written


# -- files ----------------------------------------------------------------------------------------------------------
KEPT_MODE, GIVEN_MODE = 0o777, 0  # of a file's permissions: what goes along, and what its copy in a pod gets anyway
link_target = os.readlink  # as it is to be in a pod
set_mode = os.fchmod


def open_lock(path: Path) -> int:
    """A descriptor for try_lock(): of a folder that is there, or of a file that is made if it is not."""
    return os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(descriptor: int) -> bool:
    """Whether the lock is ours now: until the descriptor is closed, or we are dead."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def held_by_children(descriptor: int) -> dict[str, Any]:
    """For Popen: a program that outlives us holds our lock."""
    return {"pass_fds": (descriptor,)}


def with_slashes(word: str) -> str:
    """A path that the user typed, with slashes."""
    return word
