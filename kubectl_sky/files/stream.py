"""The client's end of a sync's connection: frames over a program's stdin and stdout, watched so that it cannot hang."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import threading
import time
from array import array
from collections.abc import Callable
from typing import Any

from kubectl_sky import system
from kubectl_sky.errors import Failure
from kubectl_sky.remote import frames

BEAT_SECONDS = 5.0
# what kubectl says (in lower case) when another attempt would end the same way
FINAL = ("forbidden", "unauthorized", "must be logged in", 'pods "', "executable file not found")

BELOW_HOME = (
    "choose a destination below ~, which the image's user can write to; or mount a volume there (volumes:), "
    "or run as root (config.kubernetes.pod_config.spec.securityContext.runAsUser: 0)"
)
MORE_DISK = "ask for more disk (resources.disk_size), or mount a volume at the destination"
HINTS = {
    errno.EACCES: BELOW_HOME, errno.EPERM: BELOW_HOME, errno.EROFS: BELOW_HOME,
    errno.ENOSPC: MORE_DISK, errno.EDQUOT: MORE_DISK,
}  # fmt: skip


class SyncFailure(Failure):
    """Files did not get into the pods."""


class Broken(Exception):
    """This attempt ended early; another one may succeed."""


class Stream:
    """One attempt. All methods raise Broken or SyncFailure as soon as it has ended, with the reason."""

    def __init__(self, process: subprocess.Popen[bytes], stall: float):
        assert process.stdin and process.stdout
        self.warnings: list[str] = []
        self.on_arrived: Callable[[int], object] = int  # told how many bytes of content are there
        self._process, self._stall = process, stall
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        frames.widen(self._in)
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._needed = array("Q")
        self._knows = False
        self._done: dict[str, Any] | None = None
        self._error: Exception | None = None
        self._heard = self._sent = time.monotonic()
        self._stderr = b""
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._read_errors, self._read, self._watch)
        ]

    def __enter__(self) -> Stream:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as is known."""
        return self._error is None and self._process.poll() is None

    def open(self) -> None:
        """Begins to listen; until something is sent, this keeps the connection in use."""
        if self._threads[0].ident is None:
            for thread in self._threads:
                thread.start()

    def close(self) -> None:
        """Ends the program; it gets a moment to end by itself after a success."""
        self._closed.set()
        with contextlib.suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        if self._done:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join(1)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe and not any(thread.is_alive() for thread in self._threads):
                pipe.close()

    def send(self, kind: bytes, payload: bytes | memoryview = b"") -> None:
        try:
            with self._sending:
                self._write(frames.HEADER.pack(kind, len(payload)), payload)
        except OSError as e:
            self._end()
            raise Broken(str(e)) from e

    def needed(self) -> list[int]:
        """The indices of the records that the pods need, sorted; waits for them."""
        self._wait(lambda: self._knows)
        return self._needed.tolist()

    def done(self) -> dict[str, Any]:
        """What the pods say when all has arrived; waits for it."""
        self._wait(lambda: self._done is not None)
        assert self._done
        return self._done

    def _write(self, header: bytes, payload: bytes | memoryview) -> None:
        done = system.write(self._in, (header, payload))
        for part in (header, payload):
            view = memoryview(part)[min(done, len(part)) :]
            done -= len(part) - len(view)
            while view:
                view = view[os.write(self._in, view) :]
        self._sent = time.monotonic()

    def _wait(self, what: Callable[[], bool]) -> None:
        with self._changed:
            while not what() and not self._error:
                self._changed.wait(1)
            if self._error:
                raise self._error

    def _end(self) -> None:
        """After a failed write: the reader knows the reason, or soon will."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None, 2)
            if self._error:
                raise self._error

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
        self._process.kill()  # whoever is blocked in a write gets out of it

    def _read(self) -> None:
        parser = frames.Parser()
        try:
            while parser.read(self._out):
                self._heard = time.monotonic()
                while (whole := parser.next()) is not None:
                    self._hear(bytes(whole[:1]), bytes(whole[frames.HEADER.size :]))
            if not self._done and not self._closed.is_set():
                self._fail(self._ended())
        except frames.BadFrame as e:
            self._fail(SyncFailure(f"the pod answered: {frames.show(e.rest[:500])}"))
        except (OSError, ValueError, KeyError) as e:
            self._fail(Broken(str(e)))

    def _hear(self, kind: bytes, payload: bytes) -> None:
        with self._changed:
            if kind == frames.NEED:
                for first, count in frames.RANGE.iter_unpack(payload):
                    self._needed.extend(range(first, first + count))
            elif kind == frames.NEED_END:
                self._knows = True
            elif kind == frames.WARNING:
                self.warnings.append(payload.decode("utf-8", "replace"))
            elif kind == frames.DONE:
                self._done = json.loads(payload)
            self._changed.notify_all()
        if kind == frames.BEAT:
            self.on_arrived(frames.COUNT.unpack(payload)[0])
        elif kind == frames.ERROR:
            error = json.loads(payload)
            if error.get("again"):
                self._fail(Broken(error["message"]))
            else:
                self._fail(SyncFailure(f"sync: {error['message']}", HINTS.get(error.get("code", 0))))

    def _ended(self) -> Exception:
        """Why the program's output ended."""
        if self._process.stderr:
            self._threads[0].join(2)
        text = self._stderr.decode("utf-8", "replace").strip()
        if any(word in text.lower() for word in FINAL):
            return SyncFailure(f"cannot reach the pod to sync files: {text}")
        return Broken(text.splitlines()[-1] if text else "the connection to the pod was lost")

    def _read_errors(self) -> None:
        if self._process.stderr:
            with contextlib.suppress(OSError, ValueError):
                while data := os.read(self._process.stderr.fileno(), 1 << 16):
                    self._stderr = (self._stderr + data)[-4000:]

    def _watch(self) -> None:
        """Keeps the other side assured that we live, and ends the attempt when nothing is heard from there."""
        while not self._closed.wait(min(1.0, self._stall / 8)):
            now = time.monotonic()
            if now - self._heard > self._stall:
                self._fail(Broken(f"nothing came from the pod for {self._stall:g} s"))
                return
            if now - self._sent > min(BEAT_SECONDS, self._stall / 4) and self._sending.acquire(blocking=False):
                try:
                    self._write(frames.frame(frames.BEAT), b"")
                except OSError:
                    return  # the reader learns why
                finally:
                    self._sending.release()
