"""The log of a job: what its nodes print, as frames of (rank, bytes), in a file that many may follow."""

import os
import threading

import wire

CHUNK = 1 << 18


class JobLog:
    """`size` is in bytes of the file; `sizes` in bytes of output, by rank, and `last` the last byte of each.

    `changed` is notified of each addition.
    """

    def __init__(self, path):
        self.path = path
        self.changed = threading.Condition()
        self.size = 0
        self.sizes = {}
        self.last = {}
        self._file = None  # opened at the first output: a thousand waiting jobs need no thousand files
        if os.path.exists(path):
            self._recover()

    def append(self, rank, data):
        frame = wire.frame(wire.DATA, wire.RANK.pack(rank) + data)
        with self.changed:
            if not self._write(frame):
                return  # the disk is full: the job goes on, and the container's own output has it
            self.size += len(frame)
            self.sizes[rank] = self.sizes.get(rank, 0) + len(data)
            self.last[rank] = data[-1:]
            self.changed.notify_all()

    def _write(self, frame):
        try:
            if self._file is None:
                self._file = open(self.path, "ab", buffering=0)
            if self._file.write(frame) == len(frame):
                return True
        except OSError:
            pass
        if self._file is not None:
            self._file.truncate(self.size)  # never half a frame
        return False

    def _recover(self):
        """What an agent before this one wrote, up to its last whole frame."""
        end = os.path.getsize(self.path)
        with open(self.path, "rb") as log:
            while self.size + wire.HEADER.size <= end:
                _, length = wire.HEADER.unpack(log.read(wire.HEADER.size))
                if self.size + wire.HEADER.size + length > end:
                    break
                (rank,) = wire.RANK.unpack(log.read(wire.RANK.size))
                self.sizes[rank] = self.sizes.get(rank, 0) + length - wire.RANK.size
                self.size += wire.HEADER.size + length
                log.seek(self.size - 1)
                self.last[rank] = log.read(1)
        os.truncate(self.path, self.size)

    def read(self, offset, end):
        """Yields the file's bytes between the two."""
        if offset >= end:
            return
        with open(self.path, "rb") as log:
            log.seek(offset)
            while offset < end:
                data = log.read(min(end - offset, CHUNK))
                offset += len(data)
                yield data

    def tail(self, count):
        """(the size now, its last `count` lines as (rank, bytes))."""
        from collections import deque

        with self.changed:
            size = self.size
        lines: deque = deque(maxlen=count)
        rest: dict = {}
        if not size:
            return 0, lines
        with open(self.path, "rb") as log:
            while log.tell() < size:
                _, length = wire.HEADER.unpack(log.read(wire.HEADER.size))
                payload = log.read(length)
                (rank,) = wire.RANK.unpack_from(payload)
                whole, newline, part = (rest.pop(rank, b"") + payload[wire.RANK.size :]).rpartition(b"\n")
                lines.extend((rank, line + b"\n") for line in whole.split(b"\n") if newline)
                if part:
                    rest[rank] = part
        lines.extend(rest.items())
        return size, lines
