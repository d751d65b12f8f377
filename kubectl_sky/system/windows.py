"""Windows 10 and later. posix.py has the same names, and says what each is for."""

from __future__ import annotations

import ctypes
import errno
import io
import msvcrt
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from ctypes import wintypes
from pathlib import Path
from typing import Any, TypeVar

assert sys.platform == "win32"  # for mypy

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
SLICE = 0.1  # s: Python sees Ctrl-C between two waits only

# -- programs that we start -----------------------------------------------------------------------------------------
APART: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
SHELL: str | None = None
ENDED_BY = (signal.SIGTERM, signal.SIGBREAK)
KILL_ON_CLOSE, EXTENDED_LIMITS = 0x2000, 9  # of a job object


def bind(argv: Sequence[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [program(argv[0]), *argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        **APART,
    )
    _join_job(int(process._handle))  # type: ignore[attr-defined]
    return process


def _join_job(process: int) -> None:
    """Windows ends the processes of such a job object with the last handle to it, which is ours."""
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateJobObjectW.restype = wintypes.HANDLE
    job = wintypes.HANDLE(kernel.CreateJobObjectW(None, None))
    limits = (ctypes.c_uint32 * 36)()  # JOBOBJECT_EXTENDED_LIMIT_INFORMATION, 144 bytes
    limits[4] = KILL_ON_CLOSE  # BasicLimitInformation.LimitFlags, after two times of 8 bytes
    kernel.SetInformationJobObject(job, EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
    kernel.AssignProcessToJobObject(job, wintypes.HANDLE(process))


def end(process: subprocess.Popen[str]) -> None:
    process.kill()


def program(name: str) -> str:
    """With its path: CreateProcess alone finds no .cmd, such as gcloud's and VS Code's."""
    return shutil.which(name) or name


def environment(name: str, value: str) -> list[str]:
    return [f"--env={name}={value}"]  # there is no `env` here: ssh-proxy does it


def under(words: Sequence[str], argv: Sequence[str]) -> list[str]:
    return [*argv, *words]


def command_line(argv: Sequence[str]) -> str:
    return subprocess.list2cmdline(argv)


def touch(path: str) -> str:
    return f'type nul > "{path}"'


def script(name: str, argv: Sequence[str], note: str) -> tuple[str, str]:
    return f"{name}.cmd", f"@rem {note}\r\n@{subprocess.list2cmdline(argv)} %*\r\n"


def leave_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# -- this process ---------------------------------------------------------------------------------------------------
def begin() -> None:
    """UTF-8 with plain line ends, whatever the code page is; and a console that knows colours."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace", newline=None if stream is sys.stdin else "\n")
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.GetStdHandle.restype = wintypes.HANDLE
    for number in (-11, -12):  # stdout, stderr
        handle, mode = wintypes.HANDLE(kernel.GetStdHandle(number)), wintypes.DWORD()
        if kernel.GetConsoleMode(handle, ctypes.byref(mode)):
            kernel.SetConsoleMode(handle, mode.value | 4)  # ENABLE_VIRTUAL_TERMINAL_PROCESSING


def reader_gone(error: BaseException) -> bool:
    return isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EINVAL)


def wait_for(events: queue.Queue[T], seconds: float | None) -> T:
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = SLICE if until is None else min(SLICE, until - time.monotonic())
        try:
            return events.get(timeout=max(left, 0))
        except queue.Empty:
            if until is not None and time.monotonic() >= until:
                raise


def user_id() -> str:
    return "user"


def account_home() -> str:
    return os.path.expanduser("~")


# -- pipes ----------------------------------------------------------------------------------------------------------
class Pipe:
    """Read by a thread: there is no select() for pipes."""

    def __init__(self, fd: int, silence: float):
        self.silence = silence
        self._heard: queue.Queue[bytes] = queue.Queue(16)
        threading.Thread(target=self._read, args=(fd,), daemon=True).start()

    def _read(self, fd: int) -> None:
        data = b"."
        while data:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:  # closed here
                data = b""
            self._heard.put(data)

    def recv(self, size: int) -> bytes:
        try:
            return wait_for(self._heard, self.silence)
        except queue.Empty:
            return b""


def write(fd: int, parts: Sequence[bytes | memoryview]) -> int:
    return os.write(fd, b"".join(parts))


# -- files ----------------------------------------------------------------------------------------------------------
KEPT_MODE, GIVEN_MODE = 0, 0o755  # files have no modes here; a script that could not be run would be worse


def link_target(path: bytes) -> bytes:
    return os.readlink(path).removeprefix(b"\\\\?\\").replace(b"\\", b"/")


def set_mode(descriptor: int, mode: int) -> None:
    """Who may read a file is inherited from its folder, which is the user's."""


def open_lock(path: Path) -> int:
    """A folder cannot be opened: it is a file beside it."""
    file = path.with_name(f"{path.name}.lock") if path.is_dir() else path
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOINHERIT, 0o600)


def try_lock(descriptor: int) -> bool:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def held_by_children(descriptor: int) -> dict[str, Any]:  # noqa: ARG001
    return {}


def with_slashes(word: str) -> str:
    return word.replace("\\", "/")
