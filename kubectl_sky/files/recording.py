"""A sync without anybody to receive it yet: what would be sent, all of it, compressed. remote/deliver.py plays it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator

from kubectl_sky import sync
from kubectl_sky.files.collect import Files
from kubectl_sky.files.stream import Stream, SyncFailure
from kubectl_sky.remote import frames


class TooLarge(SyncFailure):
    """They are more than the limit, compressed."""


class Tape(Stream):
    """Takes the place of a connection to pods that need everything."""

    def __init__(self, wanted: list[int], limit: int) -> None:
        self.warnings: list[str] = []
        self.on_arrived: Callable[[int], object] = int
        self.pieces: list[bytes] = []
        self._wanted, self._limit, self._size = wanted, limit, 0
        self._packer = zlib.compressobj(6)
        self._digest = ""

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def send(self, kind: bytes, payload: bytes | memoryview = b"") -> None:
        if kind == frames.PACKED:  # packed better here, with all that is around it
            kind, payload = frames.DATA, zlib.decompress(payload)
        if kind == frames.END:
            self._digest = str(json.loads(bytes(payload))["sha256"])
        self._put(self._packer.compress(frames.HEADER.pack(kind, len(payload))))
        self._put(self._packer.compress(payload))

    def _put(self, packed: bytes) -> None:
        self._size += len(packed)
        if self._size > self._limit:
            raise TooLarge("the files are too large to go along")
        self.pieces.append(packed)

    def needed(self) -> list[int]:
        return self._wanted

    def done(self) -> dict[str, str]:
        self._put(self._packer.flush())
        return {"digest": self._digest}


def record(files: Files, limit: int) -> tuple[bytes, list[str]]:
    """The files, and warnings about them. Raises TooLarge, and SyncFailure for what cannot be read."""
    wanted = [index for index, record in enumerate(files.records) if record[:1] not in frames.ROOTS]
    tape = Tape(wanted, limit)
    result = sync.send(lambda: tape, files, patience=0)
    return b"".join(tape.pieces), list(result.warnings)


def largest(files: Files, count: int = 3) -> Iterator[tuple[str, int]]:
    """The names and sizes of the largest of them."""
    found = [frames.decode(record) for record in files.records if record[:1] == frames.FILE]
    for one in sorted(found, key=lambda record: -record.size)[:count]:
        yield frames.show(one.path), one.size
