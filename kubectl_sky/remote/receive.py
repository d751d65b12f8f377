"""Receives a sync in the task's container, as the task's user: stdin and stdout speak frames.py.

Files in the pod that the client never had are left alone. Memory does not grow with the number of files.
Arguments: the stall limit in seconds; how many nodes receive the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kubectl_sky.remote import frames
    from kubectl_sky.remote.frames import Record
    from kubectl_sky.remote.sent import Sent
    from kubectl_sky.remote.tree import Journal, Refused, Tree, refused
else:
    import frames
    from sent import Sent
    from tree import Journal, Refused, Tree, refused

BEAT_SECONDS = 0.5
LAST_SECONDS = 5.0
RANGES = 1000  # that one NEED carries
SMALL = 64 * 1024  # bytes: such a file is held until all of it is there
RUN = os.environ.get("SKY_RUN", "/sky/run")


class Gone(Exception):
    """The other side went away; there is nobody to tell."""


class Link:
    """Frames on stdin and stdout. A thread beats, for as long as the main one is not stuck."""

    def __init__(self, stall: float) -> None:
        self.stall = stall
        self.arrived = 0  # bytes of content
        self._busy_since = time.monotonic()
        self._parser = frames.Parser()
        self._lock = threading.Lock()
        threading.Thread(target=self._beat, daemon=True).start()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        data = memoryview(frames.frame(kind, payload))
        with self._lock:
            while data:
                data = data[os.write(1, data) :]

    def next(self) -> tuple[bytes, memoryview]:
        """(type, payload) of the next frame, good until the one after it. Raises Gone, and Refused when none comes."""
        while True:
            # whatever blocks (a dead disk, a reader that reads no more): the kernel ends this process then
            signal.setitimer(signal.ITIMER_REAL, self.stall * 1.5)
            self._busy_since = time.monotonic()
            while (whole := self._parser.next()) is not None:
                if whole[:1] != frames.BEAT:
                    return bytes(whole[:1]), whole[frames.HEADER.size :]
            if not select.select([0], [], [], self.stall)[0]:
                raise Refused("nothing came from the client for %g s" % self.stall)
            if not self._parser.read(0):
                raise Gone()

    def say_last(self, kind: bytes, payload: bytes) -> None:
        """Sends, then reads on until the other side has gone: else the frame might not reach it."""
        end = time.monotonic() + LAST_SECONDS
        try:
            self.send(kind, payload)
            while select.select([0], [], [], max(0.0, end - time.monotonic()))[0] and os.read(0, frames.LIMIT):
                pass
        except OSError:
            pass

    def _beat(self) -> None:
        while time.monotonic() - self._busy_since < self.stall:
            time.sleep(BEAT_SECONDS)
            try:
                self.send(frames.BEAT, frames.COUNT.pack(self.arrived))
            except OSError:
                return


class Body:
    """The DATA of a sync as one stream of bytes, digested."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.digest = hashlib.sha256()
        self.end: dict[str, str] | None = None
        self._data = memoryview(b"")

    def more(self) -> bool:
        """Whether there is another byte."""
        while not self._data and self.end is None:
            kind, payload = self.link.next()
            if kind == frames.END:
                self.end = json.loads(bytes(payload))
            elif kind in (frames.DATA, frames.PACKED):
                data = memoryview(unpack(payload, frames.LIMIT)) if kind == frames.PACKED else payload
                self.digest.update(data)
                self._data = data
            else:
                raise Refused("an unexpected frame %r came" % kind)
        return bool(self._data)

    def pieces(self, size: int) -> Iterator[memoryview]:
        """The next bytes; each piece is good until the next one."""
        while size:
            if not self.more():
                raise Refused("the data ends too early")
            piece = self._data[:size]
            self._data = self._data[len(piece) :]
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        if size <= len(self._data):
            found, self._data = self._data[:size], self._data[size:]
            return bytes(found)
        return b"".join([bytes(piece) for piece in self.pieces(size)])


class Receiver:
    def __init__(self, link: Link, home: bytes, alone: bool) -> None:
        self.link, self.home = link, home
        self.alone = alone  # then all that comes was asked for here
        self.journal = Journal(RUN)
        self.tree: Tree | None = None
        self.files = 0
        self.sent = Sent(False)

    def run(self) -> None:
        kind, payload = self.link.next()
        hello = json.loads(bytes(payload)) if kind == frames.HELLO else {}
        if hello.get("version") != frames.VERSION:
            raise Refused("the client speaks another version of the protocol than this pod")
        self.sent = Sent(bool(hello.get("whole")))
        self.compare()
        self.store()

    def abandon(self) -> None:
        if self.tree:
            self.tree.abandon()

    def close(self) -> None:
        self.abandon()
        self.journal.close()

    def compare(self) -> None:
        """Reads the manifest and answers which of its records are not as they should be."""
        index = 0
        need = Ranges(self.link)
        problems: list[Refused] = []
        tree: Tree | None = None
        while True:
            kind, payload = self.link.next()
            if kind == frames.MANIFEST_END:
                break
            for record in frames.decode_all(unpack(payload, frames.LIMIT)):
                if record.kind in frames.ROOTS:
                    tree = self.try_to_enter(record, problems)
                    self.sent.enter(tree)
                elif tree and record.kind in frames.GONE:
                    if tree.may_remove(record):
                        need.add(index)
                elif tree:
                    self.sent.add(record)
                    if not tree.has(record):
                        need.add(index)
                index += 1
        self.sent.close()
        if problems:
            raise Refused("\n".join(map(str, problems)), problems[0].code)
        need.flush()
        self.link.send(frames.NEED_END)

    def try_to_enter(self, root: Record, problems: list[Refused]) -> Tree | None:
        try:
            return self.enter(root)
        except Refused as e:
            problems.append(e)
            return None

    def store(self) -> None:
        body = Body(self.link)
        while body.more():
            (length,) = frames.LENGTH.unpack(body.exactly(frames.LENGTH.size))
            if length > frames.LIMIT:
                raise Refused("the data is damaged")
            self.put(frames.decode(body.exactly(length)), body)
        digest = body.digest.hexdigest()
        if body.end is None or body.end["sha256"] != digest:
            raise Refused("the data arrived damaged: its digest differs")
        self.tell_warnings()
        self.sent.commit()
        done = {"files": self.files, "bytes": self.link.arrived, "digest": digest}
        self.link.send(frames.DONE, json.dumps(done).encode())

    def put(self, record: Record, body: Body) -> None:
        if record.kind in frames.ROOTS:
            self.enter(record)
        elif self.tree is None:
            raise Refused("a file without a destination was sent")
        elif record.kind in frames.GONE:
            self.tree.remove(record)
        elif record.kind == frames.FOLDER:
            self.tree.put_folder(record)
        elif record.kind == frames.LINK:
            if self.alone or not self.tree.has(record):
                self.tree.put_link(record)
                self.files += 1
        else:
            self.put_file(self.tree, record, body)

    def put_file(self, tree: Tree, record: Record, body: Body) -> None:
        wanted = self.alone or not tree.has(record)  # another node may have asked for it
        if record.size <= SMALL:
            content = body.exactly(record.size + 1)
            self.link.arrived += record.size
            if wanted and content[-1:] == frames.INTACT:
                tree.put_small(record, memoryview(content)[:-1])
                self.files += 1
            return
        fd = tree.begin(record) if wanted else -1
        for piece in body.pieces(record.size):
            self.link.arrived += len(piece)
            while fd >= 0 and piece:
                try:
                    piece = piece[os.write(fd, piece) :]
                except OSError as e:
                    raise refused(os.path.join(tree.root, record.path), e) from e
        intact = body.exactly(1) == frames.INTACT
        if fd >= 0 and intact:
            tree.commit(fd, record)
            self.files += 1
        elif fd >= 0:
            tree.discard(fd)

    def enter(self, root: Record) -> Tree:
        if self.tree:
            self.tell_warnings()
            self.tree.close()
        self.tree = None
        self.tree = Tree(root, self.home, self.journal)
        return self.tree

    def tell_warnings(self) -> None:
        for text in self.tree.warnings if self.tree else ():
            self.link.send(frames.WARNING, text.encode())


class Ranges:
    """The indices that are needed, sent as ranges while they are found."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._packed: list[bytes] = []
        self._first = self._count = 0

    def add(self, index: int) -> None:
        if self._count and index == self._first + self._count:
            self._count += 1
            return
        self._close()
        if len(self._packed) == RANGES:
            self.flush()
        self._first, self._count = index, 1

    def flush(self) -> None:
        self._close()
        self.link.send(frames.NEED, b"".join(self._packed))
        self._packed = []

    def _close(self) -> None:
        if self._count:
            self._packed.append(frames.RANGE.pack(self._first, self._count))
        self._count = 0


def unpack(data: memoryview, limit: int) -> bytes:
    """Decompressed, but never to more than the sender may have put in."""
    unpacker = zlib.decompressobj()
    try:
        out = unpacker.decompress(data, limit + 1)
    except zlib.error as e:
        raise Refused("the data arrived damaged: %s" % e) from e
    if len(out) > limit:
        raise Refused("the data is damaged")
    return out


def main() -> int:
    os.umask(0)
    link = Link(float(sys.argv[1]) if len(sys.argv) > 1 else frames.STALL)
    home = os.fsencode(os.environ.get("HOME") or "/")
    receiver = Receiver(link, home, sys.argv[2:] == ["1"])
    try:
        link.send(frames.READY)
        receiver.run()
    except (Gone, BrokenPipeError, ConnectionResetError):
        return 1
    except Exception as e:  # whatever it is: the user learns of it
        text = str(e) if isinstance(e, (Refused, OSError)) else "%s: %s" % (type(e).__name__, e)
        receiver.abandon()  # before the user hears of it, and looks
        error = {"message": text, "code": getattr(e, "code", 0)}
        link.say_last(frames.ERROR, json.dumps(error).encode())
        return 1
    finally:
        receiver.close()
    return 0


if __name__ == "__main__":
    code = main()
    # the beating thread must not hold the exit up
    os._exit(code)
