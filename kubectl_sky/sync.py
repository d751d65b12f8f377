"""Brings local files into pods: sends what differs, and begins again where a broken connection stopped.

One stream (kubectl exec) is one attempt; remote/frames.py says what goes over it.
"""

from __future__ import annotations

import bisect
import itertools
import json
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubectl_sky.files.collect import Files, Mount, collect
from kubectl_sky.files.nested import path_of
from kubectl_sky.files.sending import Packer
from kubectl_sky.files.stream import Broken, Stream, SyncFailure
from kubectl_sky.remote import frames

__all__ = ["Files", "Mount", "Result", "Stalled", "SyncFailure", "collect", "upload"]

MANIFEST_CHUNK = 192 * 1024  # compressed, even what cannot be compressed is below frames.LIMIT


class Stalled(SyncFailure):
    """Connections broke, or could not be made, for too long."""


@dataclass(frozen=True)
class Result:
    """What one upload did; bytes are those of the files' contents."""

    files_sent: int
    bytes_sent: int
    files_total: int
    warnings: tuple[str, ...] = ()


class _Progress:
    """Bytes that are in the pods, over all attempts; only a new best counts as progress."""

    def __init__(self, callback: Callable[[int, int], None] | None):
        self.callback = callback
        self.total = -1
        self.best = -1
        self.moved = time.monotonic()
        self.tries = 0  # since then

    def begin(self, missing: int) -> None:
        self.total = max(self.total, missing)
        self.update(missing, 0)

    def update(self, missing: int, done: int) -> None:
        now = self.total - missing + min(done, missing)
        if now > self.best:
            self.best, self.moved, self.tries = now, time.monotonic(), 0
            if self.callback and self.total:
                self.callback(now, self.total)


def upload(
    open_stream: Callable[[], subprocess.Popen[bytes]],
    files: Files,
    on_progress: Callable[[int, int], None] | None = None,
    patience: float = 60.0,
    stall: float = frames.STALL,
) -> Result:
    """Makes the pods' files as `files` are; those that only the pods have stay, but for records of what is gone.

    `open_stream` starts the program whose stdin and stdout reach remote/distribute.py or receive.py (stderr may be a
    pipe); `on_progress(done, total)` counts bytes and is called from another thread. A broken connection is opened
    again until nothing has moved for `patience` seconds. Raises SyncFailure.
    """
    return send(lambda: Stream(open_stream(), stall), files, on_progress, patience)


def send(
    connect: Callable[[], Stream],
    files: Files,
    on_progress: Callable[[int, int], None] | None = None,
    patience: float = 60.0,
    whole: bool = False,
) -> Result:
    """As `upload`, over streams that `connect` makes, or has ready.

    `whole`: `files` are all that there is of their destinations, which a pod that is made anew shall have, too.
    """
    progress = _Progress(on_progress)
    while True:
        try:
            with connect() as stream:
                return _send(stream, files, progress, whole)
        except (Broken, OSError) as e:
            progress.tries += 1
            if time.monotonic() - progress.moved > patience and progress.tries > 1:
                text = f"the upload made no progress for {patience:g} s: {e}" if patience else str(e)
                raise Stalled(text, "run the same command again: it goes on where this one stopped") from e
        time.sleep(min(0.2 * 2**progress.tries, 3.0))


def _send(stream: Stream, files: Files, progress: _Progress, whole: bool) -> Result:
    stream.send(frames.HELLO, json.dumps({"version": frames.VERSION, "whole": whole}).encode())
    for chunk in _manifest(files):
        stream.send(frames.MANIFEST, zlib.compress(chunk, 1))
    stream.send(frames.MANIFEST_END)
    order = _with_folders(files, stream.needed())
    missing = sum(_size(files.records[index]) for index in order)
    progress.begin(missing)
    stream.on_arrived = lambda arrived: progress.update(missing, arrived)
    packer = Packer(stream.send)
    for index, mount in _with_mounts(files, order):
        packer.put_record(files.records[index], mount)
    digest = packer.finish()
    stream.send(frames.END, json.dumps({"sha256": digest}).encode())
    if stream.done()["digest"] != digest:
        raise Broken("the data arrived damaged")
    progress.update(0, 0)
    total = sum(record[:1] in (frames.FILE, frames.LINK) for record in files.records)
    return Result(packer.files, packer.content, total, (*files.warnings, *stream.warnings, *packer.warnings))


def _manifest(files: Files) -> Iterator[bytes]:
    chunk: list[bytes] = []
    size = 0
    for record in files.records:
        if size + len(record) > MANIFEST_CHUNK:
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(record)
        size += len(record)
    yield b"".join(chunk)


def _with_folders(files: Files, needed: list[int]) -> list[int]:
    """The records to send: those that are needed, and the folders that hold them, whose times change by it."""
    starts = [*(start for start, _ in files.mounts), len(files.records)]
    order: set[int] = set(needed)
    for start, end in itertools.pairwise(starts):
        inside = needed[bisect.bisect_left(needed, start) : bisect.bisect_left(needed, end)]
        wanted: set[bytes] = set()
        for index in inside:
            folder = path_of(files.records[index]).rpartition(b"/")[0]
            while folder and folder not in wanted:
                wanted.add(folder)
                folder = folder.rpartition(b"/")[0]
        if wanted:
            folders = (i for i in range(start, end) if files.records[i].startswith(frames.FOLDER))
            order.update(index for index in folders if path_of(files.records[index]) in wanted)
    return sorted(order)


def _with_mounts(files: Files, order: list[int]) -> Iterator[tuple[int, Mount]]:
    """Each index with its mount; a destination's own record goes before the first of its files."""
    position = -1
    for index in order:
        while position + 1 < len(files.mounts) and files.mounts[position + 1][0] < index:
            position += 1
            following = files.mounts[position + 1][0] if position + 1 < len(files.mounts) else len(files.records)
            if following > index:
                yield files.mounts[position]
        yield index, files.mounts[position][1]


def _size(record: bytes) -> int:
    return int(record.split(b" ", 2)[1]) if record.startswith(frames.FILE) else 0
