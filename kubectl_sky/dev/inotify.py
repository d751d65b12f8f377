"""Linux' inotify: tells that something in some folders has changed.

By ctypes, as the packages that are there either hold compiled files or ask gcc and ldconfig where the C library is.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
from collections.abc import Iterable

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_MOVED = 0x2, 0x4, 0x8, 0xC0
IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF, IN_ONLYDIR = 0x100, 0x200, 0x400, 0x800, 0x01000000
WRITTEN = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF


class Inotify:
    """Raises OSError where the kernel has none, or no more of it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise _error()
        self._watched: set[int] = set()

    def watch(self, folders: Iterable[bytes]) -> bool:
        """These from now on; whether there are new ones, in which something may have changed unseen."""
        # all of them, each time: a folder that was renamed takes its watch along
        found = {self._add(folder) for folder in folders} - {-1}
        new = found - self._watched
        for old in self._watched - found:
            self._libc.inotify_rm_watch(self._fd, old)
        self._watched = found
        return bool(new)

    def wait(self, seconds: float) -> bool:
        """Whether something changed, as soon as it did; False after `seconds`."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        try:
            while os.read(self._fd, 1 << 16):
                pass
        except BlockingIOError:
            pass
        return True

    def close(self) -> None:
        os.close(self._fd)

    def _add(self, folder: bytes) -> int:
        watch: int = self._libc.inotify_add_watch(self._fd, folder, WRITTEN | IN_ONLYDIR)
        if watch < 0 and ctypes.get_errno() not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            raise _error()
        return watch


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
