"""Reads local files into the data stream of a sync: digested, and compressed where that is faster."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zlib
from collections.abc import Callable

from kubectl_sky.errors import Failure
from kubectl_sky.files.collect import Mount, encode
from kubectl_sky.files.nested import path_of
from kubectl_sky.remote import frames

TRIES = 3  # to read a file that changes meanwhile
WINDOW, LONGEST = 16, 256  # blocks between two looks at whether to compress: more each time that it was in vain
WORTH = 0.9  # of the size, at most, that compressed data may have
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Squeezer:
    """Decides, block by block, whether compressing is worth it: the data shrinks, and the link is the slower part."""

    def __init__(self) -> None:
        self.on = True
        self._blocks, self._window = 0, WINDOW
        self._packing = self._sending = 0.0  # s spent in this window

    def pack(self, block: bytes | memoryview) -> bytes | None:
        """The compressed block, or None to send it as it is."""
        self._blocks += 1
        if self._blocks >= self._window:
            self._blocks = 0
            # while not compressing, a blocked link says that there is time to; one look at the data a window
            self.on = self._sending > (self._packing / 2 if self.on else 0.02)
            self._packing = self._sending = 0.0
        if not self.on:
            return None
        start = time.monotonic()
        packed = zlib.compress(block, 1)
        self._packing += time.monotonic() - start
        if len(packed) < len(block) * WORTH:
            self._window = WINDOW
            return packed
        self.on, self._window = False, min(2 * self._window, LONGEST)
        return None

    def sent(self, seconds: float) -> None:
        self._sending += seconds


class Packer:
    """Packs files into DATA and PACKED frames. Counts `files` (and links) and their `content` bytes."""

    def __init__(self, send: Callable[[bytes, bytes | memoryview], None]):
        self.files = self.content = 0
        self.warnings: list[str] = []
        self._send = send
        self._digest = hashlib.sha256()
        self._squeezer = Squeezer()
        self._block = memoryview(bytearray(frames.LIMIT))  # files are read into it, and it is sent as it is
        self._used = 0

    def put_record(self, encoded: bytes, mount: Mount) -> None:
        """Sends one file of the manifest, as it is now. Raises Failure if it may no longer be read."""
        kind = encoded[:1]
        if kind == frames.FILE:
            source, path = os.fsencode(mount.source), path_of(encoded)
            self._put_file(source + b"/" + path if path else source, path)
        else:
            self._put_header(encoded)
            self.files += kind == frames.LINK

    def finish(self) -> str:
        """Sends what is left; returns the digest of all."""
        self._flush()
        return self._digest.hexdigest()

    def _put_file(self, path: bytes, name: bytes) -> None:
        for left in reversed(range(TRIES)):
            try:
                fd = os.open(path, OPEN_FLAGS)
            except (FileNotFoundError, NotADirectoryError):
                self.warnings.append(f"{frames.show(path)} vanished before it was sent")
                return
            except OSError as e:
                raise Failure(f"cannot read {frames.show(path)}: {e.strerror}") from e
            try:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode):
                    self.warnings.append(f"{frames.show(path)} is no longer a file and was left out")
                    return
                self._put_header(encode(frames.FILE, found, name))
                whole = self._put_content(fd, found.st_size)
                after = os.fstat(fd)
            except OSError as e:
                raise Failure(f"cannot read {frames.show(path)}: {e.strerror}") from e
            finally:
                os.close(fd)
            steady = whole and (after.st_size, after.st_mtime_ns) == (found.st_size, found.st_mtime_ns)
            # one that always grows (a log) is sent as far as it went
            intact = steady or (whole and not left)
            self._put(frames.INTACT if intact else frames.DISCARD)
            if intact:
                self.files += 1
                self.content += found.st_size
            if steady:
                return
        state = "was sent as it was" if intact else "was left out"
        self.warnings.append(f"{frames.show(path)} changed while it was read, and {state}")

    def _put_header(self, encoded: bytes) -> None:
        self._put(frames.LENGTH.pack(len(encoded)) + encoded)

    def _put_content(self, fd: int, size: int) -> bool:
        """Puts exactly `size` bytes: the file's, or zeros (and False) when it has become shorter."""
        while size:
            count = frames.read_into(fd, self._block[self._used : self._used + size])
            if not count:
                break
            size -= count
            self._add(count)
        whole = not size
        while size:
            some = min(size, frames.LIMIT)
            self._put(bytes(some))
            size -= some
        return whole

    def _put(self, data: bytes) -> None:
        while data:
            some = data[: frames.LIMIT - self._used]
            self._block[self._used : self._used + len(some)] = some
            self._add(len(some))
            data = data[len(some) :]

    def _add(self, count: int) -> None:
        self._used += count
        if self._used == frames.LIMIT:
            self._flush()

    def _flush(self) -> None:
        block, self._used = self._block[: self._used], 0
        if not block:
            return
        self._digest.update(block)
        packed = self._squeezer.pack(block)
        start = time.monotonic()
        if packed is None:
            self._send(frames.DATA, block)
        else:
            self._send(frames.PACKED, packed)
        self._squeezer.sent(time.monotonic() - start)
