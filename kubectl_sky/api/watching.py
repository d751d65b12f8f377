"""Watches that survive: bookmarks, silence, broken connections and restarts of the API server."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kubectl_sky.api import answers
from kubectl_sky.errors import ApiError, Expired, Failure, Unreachable

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

# A watch without an event for this long is opened again: a cut connection makes no noise.
SILENCE = 20.0
Watched = tuple[str, str, dict[str, Any]]
Events = queue.Queue[tuple[str, Any]]


def start(cluster: Cluster, watches: Iterable[Watched], into: Events) -> None:
    """Watches several collections side by side: (kind, path, params of each); puts (kind, event) into the queue.

    What ends a watch comes as ("failure", error); but events only explain: without the right to read them we know less.
    """
    for kind, path, params in watches:
        threading.Thread(target=_follow, args=(cluster, kind, path, dict(params), into), daemon=True).start()


def _follow(cluster: Cluster, kind: str, path: str, params: dict[str, Any], into: Events) -> None:
    while True:
        try:
            for event in cluster.watch(path, **params):
                into.put((kind, event))
        except Expired:
            params.pop("resourceVersion", None)  # from what there is now
        except Failure as error:
            if kind != "event":
                into.put(("failure", error))
            return


class Watch:
    """One watch of a collection; see Cluster.watch."""

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        timeout: float | None,
        patience: float,
        on_trouble: Callable[[str], None] | None,
        params: dict[str, Any],
    ):
        self.cluster, self.path, self.params = cluster, path, params
        self.patience, self.on_trouble = patience, on_trouble
        self.version = params.get("resourceVersion")
        self.end = None if timeout is None else time.monotonic() + timeout
        self.trouble_since: float | None = None

    def events(self) -> Iterator[dict[str, Any]]:
        while self._left() > 0:
            try:
                for event in self._one_connection():
                    self.trouble_since = None
                    yield event
                    if self._left() <= 0:
                        return
                self.trouble_since = None
            except Unreachable as error:
                if not error.silent:
                    self._trouble(error)
            except ApiError as error:
                # A server that starts up or is overloaded says so with 429 and 5xx.
                if error.status != 429 and error.status < 500:
                    raise
                self._trouble(error)

    def _left(self) -> float:
        return float("inf") if self.end is None else self.end - time.monotonic()

    def _trouble(self, error: Unreachable | ApiError) -> None:
        """Pause before the next connection; gives up when `patience` is over."""
        now = time.monotonic()
        if self.trouble_since is None:
            self.trouble_since = now
            if self.on_trouble:
                self.on_trouble(error.message)
        lasted = now - self.trouble_since
        if lasted > self.patience:
            raise error
        time.sleep(max(0.0, min(0.2 + lasted / 4, 3.0, self._left())))

    def _one_connection(self) -> Iterator[dict[str, Any]]:
        silence = max(0.05, min(SILENCE, self._left()))
        params = {
            **self.params,
            "watch": True,
            "allowWatchBookmarks": True,
            "resourceVersion": self.version,
            "timeoutSeconds": max(1, int(min(300.0, self._left()) + 1)),
        }
        rest = b""
        for piece in self.cluster.stream(self.path, silence, **params):
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            for line in lines:
                event = self._event(line)
                if event:
                    yield event

    def _event(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return None
        event = json.loads(line)
        thing = event.get("object") or {}
        if event.get("type") == "ERROR":
            code = int(thing.get("code") or 500)
            raise answers.api_error(code, json.dumps(thing).encode(), "GET", self.path, self.cluster.context)
        self.version = thing.get("metadata", {}).get("resourceVersion") or self.version
        return None if event.get("type") == "BOOKMARK" else event
