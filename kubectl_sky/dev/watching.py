"""The files of a task here, watched: a wait for the next change, and what it was."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from kubectl_sky.dev import changes
from kubectl_sky.dev.inotify import Inotify
from kubectl_sky.dev.polling import Polling
from kubectl_sky.files.collect import Files, Mount, collect

QUIET, LONGEST = 0.05, 0.5  # s without a change until one is over; s that a long one (git checkout) is waited for
LOOK = 10.0  # s until all is looked at anyway: network file systems tell nobody of other machines' changes
SHARE = 20.0  # of the time that such a look takes


class Watch:
    """To be closed. `sent` is what the pods were last sent; None: nothing yet."""

    def __init__(self, mounts: Sequence[Mount], sent: Files | None = None):
        self.mounts, self.sent = mounts, sent
        self.everything = False  # the pods may have lost what they were sent
        self._teller = _teller()
        self._due = 0.0  # when to look although nothing was told: at once, as nobody has since the watches began

    def wait(self, seconds: float) -> bool:
        """Whether it is time to look, at the latest after `seconds`: something changed, and no more does."""
        left = self._due - time.monotonic()
        if left <= 0:
            return True
        if not self._teller.wait(min(seconds, left)):
            return left <= seconds
        end = time.monotonic() + LONGEST
        while time.monotonic() < end and self._teller.wait(QUIET):
            pass
        return True

    def look(self) -> tuple[Files, changes.Change | None]:
        """All files as they are, and how the pods' differ from them. Raises NotReadable."""
        began = time.monotonic()
        while True:
            found = collect(self.mounts)
            if not self._watch(found):
                break
        now = time.monotonic()
        self._due = now + max(LOOK, SHARE * (now - began))
        if self.sent is None:
            return found, changes.Change(found, (), False)
        return found, changes.between(self.sent, found, is_gone, self.everything)

    def again(self) -> None:
        """The last look led to nothing: the next wait ends at once."""
        self._due = 0.0

    def close(self) -> None:
        self._teller.close()

    def _watch(self, found: Files) -> bool:
        try:
            return self._teller.watch(changes.folders(found))
        except OSError as error:
            print(f"inotify: {error.strerror}; looking at the files every now and then instead", file=sys.stderr)
            self._teller.close()
            self._teller = Polling()
            return self._teller.watch(changes.folders(found))


def is_gone(mount: Mount, path: bytes) -> bool:
    """Whether a file is no more, and not only left out."""
    return not os.path.lexists(os.path.join(bytes(mount.source), path))


def _teller() -> Inotify | Polling:
    if sys.platform == "linux":
        try:
            return Inotify()
        except OSError:
            pass
    return Polling()
