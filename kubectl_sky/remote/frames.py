"""What a sync says on the wire: frames, and in them the records that describe files. Shared by both ends.

A frame is one byte of type, four bytes of length (big endian), and at most LIMIT bytes of payload: no reader ever
has to trust the end of a stream. The talk, client on the left:

    HELLO, MANIFEST..., MANIFEST_END  ->
                                      <-  READY, NEED..., NEED_END
    DATA or PACKED..., END            ->
                                      <-  DONE, or ERROR at any time
    BEAT                             <->  when there is nothing else to say; from the pod with the bytes that arrived

HELLO's payload is JSON: {version, whole}; `whole`: of each destination it sends all that there is (see sent.py).
The payloads of DATA (and of PACKED, uncompressed) joined together are, for each file that was asked for, four bytes
of length and its record, then, for a regular file, its bytes and one verdict byte: INTACT or DISCARD.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

VERSION = 2
LIMIT = 256 * 1024
F_SETPIPE_SZ = 1031  # Python 3.9 has no name for it
STALL = 60.0  # s: who hears nothing from the other side for so long ends with a reason

HEADER = struct.Struct(">cI")
LENGTH = struct.Struct(">I")
RANGE = struct.Struct(">II")  # of a NEED: first record, how many
COUNT = struct.Struct(">Q")  # of a BEAT from the pod: bytes of content that arrived

HELLO, MANIFEST, MANIFEST_END, DATA, PACKED, END = b"H", b"M", b"m", b"D", b"Z", b"E"
READY, NEED, NEED_END, DONE, ERROR, WARNING, BEAT = b"R", b"N", b"n", b"O", b"X", b"W", b"B"
INTACT, DISCARD = b"+", b"-"

# kinds of records
FOLDER, FILE, LINK = b"d", b"f", b"l"
# what the client had, and has no more: the old record, with its kind in a capital. Before the others of its destination
GONE = (b"D", b"F", b"L")
# a destination: the records after it are below it. TREE: a folder; SINGLE: one file, whose record has an empty path
TREE, SINGLE = b"T", b"S"
ROOTS = (TREE, SINGLE)


class BadFrame(Exception):
    """The stream holds something that no sender of frames would write; `rest` is how it begins."""

    def __init__(self, rest: bytes) -> None:
        super().__init__("not a frame: %r" % rest[:200])
        self.rest = rest


def widen(fd: int) -> None:
    """Lets a pipe hold a whole frame: fewer turns between the programs at its ends. Linux; no matter elsewhere."""
    try:
        import fcntl

        fcntl.fcntl(fd, F_SETPIPE_SZ, LIMIT * 2)
    except (OSError, ImportError):
        pass  # no pipe, or the user has too many; or it is Windows


def read_into(fd: int, view: memoryview) -> int:
    """Reads what is there, at most the view's length; how much it was, 0 at the end."""
    if hasattr(os, "readv"):
        return os.readv(fd, [view])
    data = os.read(fd, len(view))  # Windows
    view[: len(data)] = data
    return len(data)


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


class Parser:
    """Reads a stream of frames into one buffer that stays: no memory is asked for, and nothing copied, for a frame."""

    def __init__(self) -> None:
        self._view = memoryview(bytearray(2 * (HEADER.size + LIMIT)))
        self._start = self._end = 0  # of what was read and not yet taken

    def read(self, fd: int) -> bool:
        """Reads what is there; False at the end of the stream. Overwrites the frames that next() gave."""
        if self._start:
            rest = bytes(self._view[self._start : self._end])  # part of a frame
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = read_into(fd, self._view[self._end :])
        self._end += count
        return count > 0

    def next(self) -> memoryview | None:
        """The next whole frame, header included, good until read(); None if more must be read. Raises BadFrame."""
        have = self._end - self._start
        if have < HEADER.size:
            return None
        length = HEADER.unpack_from(self._view, self._start)[1] + HEADER.size
        if length > LIMIT + HEADER.size:
            raise BadFrame(bytes(self._view[self._start : self._end]))
        if have < length:
            return None
        first, self._start = self._start, self._start + length
        return self._view[first : self._start]


class Record:
    """One file as it is to be: kind, mode (permission bits), size, mtime (ns), path (below the destination), target.

    For a destination (TREE, SINGLE) the path is what the user wrote, and the target the source's own name.
    """

    __slots__ = ("kind", "mode", "mtime", "path", "size", "target")

    def __init__(self, kind: bytes, mode: int, size: int, mtime: int, path: bytes, target: bytes = b"") -> None:
        self.kind, self.mode, self.size, self.mtime = kind, mode, size, mtime
        self.path, self.target = path, target

    def encode(self) -> bytes:
        return b"%b%o %d %d %b\0%b\0" % (self.kind, self.mode, self.size, self.mtime, self.path, self.target)


def gone(encoded: bytes) -> bytes:
    """The record of what is no more, from the (encoded) one that it had."""
    return encoded[:1].upper() + encoded[1:]


def was(record: Record) -> Record:
    """What the record of something gone tells of it."""
    return Record(record.kind.lower(), record.mode, record.size, record.mtime, record.path, record.target)


def decode(text: bytes, target: bytes = b"") -> Record:
    """The record of an encoded one; `text` without its NULs and target, or (with no `target`) all of it."""
    if b"\0" in text:
        text, target, _ = text.split(b"\0")
    head, size, mtime, path = text.split(b" ", 3)
    return Record(head[:1], int(head[1:], 8), int(size), int(mtime), path, target)


def decode_all(blob: bytes) -> Iterator[Record]:
    """The records of a MANIFEST's uncompressed payload."""
    parts = iter(blob.split(b"\0"))
    for text in parts:
        if text:
            yield decode(text, next(parts))


def show(path: bytes) -> str:
    """A path for people: no byte of it can break a line or a terminal."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
