"""Which files were sent to this node: a list for each destination, from which a pod made anew gets them (handover.py).

A launch begins the list of a destination anew; what comes in between (dev) is added. What is gone since is skipped
when the list is read. In the pod's own folder, as absolute paths, each ended by a NUL.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO  # noqa: F401

    from kubectl_sky.remote.frames import Record
    from kubectl_sky.remote.tree import Tree

FOLDER = os.path.join(os.environ.get("SKY_RUN", "/sky/run"), "sent")
NEW = ".new"


class Sent:
    """Writes them, one after the other. Without one (a full disk) the sync itself goes on."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._tree, self._file = None, None  # type: Tree | None, BinaryIO | None
        self._made: list[str] = []

    def enter(self, tree: Tree | None) -> None:
        """`add` is about this destination from now on; None: about none."""
        self.close()
        self._tree = tree
        if tree is None:
            return
        place = os.path.join(tree.root, tree.single)
        path = os.path.join(FOLDER, hashlib.sha256(place).hexdigest()[:16])
        with contextlib.suppress(OSError):
            if self._whole:
                os.makedirs(FOLDER, exist_ok=True)
                self._file = open(path + NEW, "wb")
                self._made.append(path)
            elif os.path.exists(path):
                self._file = open(path, "ab")
        if not tree.single:
            self._write(tree.root)

    def add(self, record: Record) -> None:
        if self._tree:
            self._write(os.path.join(self._tree.root, record.path or self._tree.single))

    def _write(self, path: bytes) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.write(path + b"\0")

    def close(self) -> None:
        if self._file:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def commit(self) -> None:
        """All is there: the lists hold from now on."""
        for path in self._made:
            with contextlib.suppress(OSError):
                os.rename(path + NEW, path)


def lists() -> list[str]:
    """The paths of all lists; none where nothing was ever sent."""
    try:
        names = sorted(os.listdir(FOLDER))
    except OSError:
        return []
    return [os.path.join(FOLDER, name) for name in names if not name.endswith(NEW)]


def paths() -> Iterator[str]:
    """All files, folders and links that were sent, each once."""
    known: set[str] = set()
    for one in lists():
        with open(one, "rb") as f:
            for path in f.read().split(b"\0"):
                name = os.fsdecode(path)
                if path and name not in known:
                    known.add(name)
                    yield name
