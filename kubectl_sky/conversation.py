"""Conversations with the agent of a task, over `kubectl exec`: a request goes in, frames come out."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubectl_sky import system
from kubectl_sky.errors import ApiError, ClusterFailure
from kubectl_sky.remote import wire

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

SILENT_SECONDS = 3.0 * wire.BEAT_SECONDS  # the agent beats three times as often
CTL = ["/sky/tools/bin/python3", "-SE", "/sky/code/ctl.py"]


class Broken(ClusterFailure):
    """The connection ended before the agent had said everything."""


class Away(Broken):
    """The pod is gone, and another comes by itself, maybe in hours: the task is in a queue again."""


@contextmanager
def away_is_broken() -> Iterator[None]:
    """An API server that does not answer is a broken connection, too: both are tried again."""
    try:
        yield
    except ClusterFailure as error:
        if isinstance(error, Broken) or (isinstance(error, ApiError) and error.status < 500):
            raise
        raise Broken(error.message) from None


def ask(cluster: Cluster, pod: str, request: dict[str, Any]) -> dict[str, Any]:
    """One request with one line as its answer (queue, cancel). Raises Broken."""
    with Conversation(cluster, pod, request) as conversation:
        try:
            answer: dict[str, Any] = conversation.reader.line()
            return answer
        except wire.Cut:
            raise conversation.broken() from None


class Conversation:
    """A running `kubectl exec` into node 0's `ssh` container. To be used as a context manager."""

    def __init__(self, cluster: Cluster, pod: str, request: dict[str, Any]):
        command = cluster.kubectl("exec", "-i", pod, "-c", "ssh", "--", *CTL)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **system.APART)
        assert self.process.stdin and self.process.stdout
        self.reader = wire.Reader(system.Pipe(self.process.stdout.fileno(), SILENT_SECONDS))
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # kubectl says on stderr what went wrong

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        # its pipes are closed by a thread: kubectl's end is not worth a wait
        threading.Thread(target=self.process.communicate, daemon=True).start()

    def frames(self) -> Iterator[tuple[bytes, bytes]]:
        """(kind, payload) up to and with the END. Raises Broken when the stream ends without it."""
        while True:
            try:
                kind, payload = self.reader.frame()
            except wire.Cut:
                raise self.broken() from None
            yield kind, payload
            if kind == wire.END:
                return

    def broken(self) -> Broken:
        """What kubectl said last."""
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return Broken("the connection to the pod went silent")
        assert self.process.stderr
        said = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        return Broken(said[-1] if said else "the connection to the pod was cut")
