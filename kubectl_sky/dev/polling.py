"""Looks at the files again and again: where there is no inotify."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

REST = 0.3  # s between two looks, at least
SHARE = 10.0  # of the time that a look takes: 100,000 files take 0.4 s of computing


class Polling:
    """As Inotify."""

    def __init__(self) -> None:
        self._folders: list[bytes] = []
        self._seen = 0
        self._rest = REST

    def watch(self, folders: Iterable[bytes]) -> bool:
        before = set(self._folders)
        self._folders = list(folders)
        new = not before.issuperset(self._folders)
        if new:
            self._seen = self._look()
        return new

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(self._rest, left))
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                return True
        return False

    def close(self) -> None:
        pass

    def _look(self) -> int:
        """A number that differs when any file does."""
        began, found = time.monotonic(), 0
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        state = entry.stat(follow_symlinks=False)
                        # added up: the order of a folder's entries is nobody's promise
                        found += hash((entry.path, state.st_mtime_ns, state.st_size, state.st_ino, state.st_mode))
            except OSError:
                found += 1  # it goes away just now
        self._rest = max(REST, SHARE * (time.monotonic() - began))
        return found
