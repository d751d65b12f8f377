"""The Kubernetes client: raw paths and dicts in, dicts out. Safe to call from several threads."""

from __future__ import annotations

import email.utils
import json
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import urllib3

from kubectl_sky import __version__
from kubectl_sky.api import answers, no_answer, transport
from kubectl_sky.api.connection import Connection
from kubectl_sky.api.kubeconfig import Access, load
from kubectl_sky.api.watching import Watch
from kubectl_sky.errors import ApiError, Expired, Failure, Unreachable, UsageError
from kubectl_sky.output import parse_duration

__all__ = ["ApiError", "Cluster", "Connection", "Expired", "Unreachable", "connect"]

FIELD_MANAGER = "kubectl-sky"
CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
MERGE, APPLY = "application/merge-patch+json", "application/apply-patch+yaml"
_SAFE_TO_REPEAT = ("GET", "PUT", "PATCH", "DELETE")
_RETRY_CODES = (429, 502, 503, 504)


def connect(connection: Connection) -> Cluster:
    """The cluster of `connection`, without asking it anything. Failure: no kubeconfig, no such context, several."""
    if connection.contexts:
        raise UsageError("this works in one context at a time", "give --context once, without wildcards")
    access = load(connection)
    if access.any_namespace:
        from kubectl_sky.config import sources  # 20 ms that most verbs need not spend

        access.namespace = sources.namespace(access.context) or access.namespace
    return Cluster(access, connection)


class Cluster:
    """One API server, seen through one context.

    `patience`: seconds for which a request is repeated when the server, having answered before, is away.
    """

    def __init__(self, access: Access, connection: Connection):
        self.context, self.namespace, self.server = access.context, access.namespace, access.server
        self.connection, self.patience = connection, 5.0
        self.in_cluster = access.in_cluster
        self._access, self._verbosity = access, connection.verbosity
        self._timeout = _timeout(connection.request_timeout)
        self._lock = threading.Lock()
        self._pool: urllib3.PoolManager | None = None
        self._headers = urllib3.HTTPHeaderDict()
        self._answered = False

    def limit(self, request_timeout: str | None) -> None:
        """From now on each request has this time."""
        self.connection = replace(self.connection, request_timeout=request_timeout)
        self._timeout = _timeout(request_timeout)

    # -- verbs ------------------------------------------------------------------------------------------------

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET of an object or a list."""
        return self._json("GET", path, params=params)

    def greet(self, seconds: float) -> tuple[dict[str, Any], float | None]:
        """The server's version, waited for at most `seconds`; and by how many seconds its clock is ahead of ours."""
        asked = time.time()
        response = self._send("GET", "/version", timeout=urllib3.Timeout(total=seconds))
        middle = (asked + time.time()) / 2
        date = email.utils.parsedate_tz(response.headers.get("Date", ""))
        # the header has whole seconds, cut off
        ahead = email.utils.mktime_tz(date) + 0.5 - middle if date else None
        return json.loads(response.data or b"{}"), ahead

    def get_bytes(self, path: str, **params: Any) -> bytes:
        """The same, as the JSON text of the answer."""
        return self._request("GET", path, params=params)

    def create(self, path: str, body: dict[str, Any], **params: Any) -> dict[str, Any]:
        """POST of `body` to the collection `path`. ApiError with reason AlreadyExists if it is there."""
        return self._json("POST", path, body, params={"fieldManager": FIELD_MANAGER, **params})

    def patch(self, path: str, body: Any, content_type: str = MERGE, **params: Any) -> dict[str, Any]:
        """PATCH of the object `path`, by default a merge patch."""
        return self._json("PATCH", path, body, content_type, {"fieldManager": FIELD_MANAGER, **params})

    def apply(self, path: str, body: dict[str, Any], **params: Any) -> dict[str, Any]:
        """Server-side apply of `body` to the object `path`; we win conflicts over fields."""
        return self._json("PATCH", path, body, APPLY, {"fieldManager": FIELD_MANAGER, "force": True, **params})

    def delete(self, path: str, body: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
        """DELETE of the object or collection `path`; `body` is a DeleteOptions."""
        return self._json("DELETE", path, body, params=params)

    def stream(self, path: str, silence: float | None = READ_TIMEOUT, **params: Any) -> Iterator[bytes]:
        """The body of a GET in the pieces in which it arrives (e.g. a pod's log with follow=True).

        Ends with Unreachable when the connection breaks, or is silent for `silence` seconds (None: for ever).
        """
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=silence)
        response = self._send("GET", path, params=params, timeout=timeout, stream=True)
        try:
            yield from response.stream(65536)
        except urllib3.exceptions.HTTPError as error:
            raise no_answer.unreachable(error, self.server) from None
        finally:
            response.close()

    def watch(
        self,
        path: str,
        timeout: float | None = None,
        patience: float = 60.0,
        on_trouble: Callable[[str], None] | None = None,
        **params: Any,
    ) -> Iterator[dict[str, Any]]:
        """Events ({"type", "object"}) of the collection `path`, ended after `timeout` seconds (None: never).

        A broken connection is opened again where it broke, for up to `patience` seconds, after telling
        `on_trouble`; then Unreachable. Expired (410): list again, watch from the list's resourceVersion.
        """
        return Watch(self, path, timeout, patience, on_trouble, params).events()

    def kubectl(self, *args: str) -> list[str]:
        """argv of a `kubectl` subprocess on this cluster, context and namespace (pinned: others may switch them)."""
        if not shutil.which("kubectl"):
            raise Failure("kubectl was not found on PATH", "https://kubernetes.io/docs/tasks/tools/")
        argv = ["kubectl", *self.connection.kubectl_flags()]
        if not self.connection.context and self.context and not self.in_cluster:
            argv.append(f"--context={self.context}")
        if not self.connection.namespace:
            argv.append(f"--namespace={self.namespace}")
        return [*argv, *args]

    # -- one request ------------------------------------------------------------------------------------------

    def _json(self, method: str, path: str, *request: Any, **more: Any) -> dict[str, Any]:
        return json.loads(self._request(method, path, *request, **more) or b"{}")

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        params: dict[str, Any] | None = None,
    ) -> bytes:
        """One request, its answer. ApiError: the server said no; Unreachable: nobody answered."""
        give_up = time.monotonic() + self.patience
        while True:
            try:
                return self._send(method, path, body, content_type, params, self._timeout).data
            except (Unreachable, ApiError) as error:
                wait = self._pause(error, method)
                if wait is None or time.monotonic() + wait > give_up:
                    raise
                time.sleep(wait)

    def _pause(self, error: Failure, method: str) -> float | None:
        """Seconds to wait before the request is sent again; None: it must not be."""
        if isinstance(error, ApiError):
            if error.status == 429 or (error.status in _RETRY_CODES and method in _SAFE_TO_REPEAT):
                return error.retry_after or 0.5
            return None
        perhaps_done = isinstance(error, Unreachable) and not error.never_sent
        if not self._answered or (perhaps_done and method not in _SAFE_TO_REPEAT):
            return None
        return 0.3

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        params: dict[str, Any] | None = None,
        timeout: urllib3.Timeout | None = None,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """One request on the wire; once more after a broken TLS handshake, or a 401 with fresh credentials."""
        url = self.server + path + transport.query(params or {})
        data = None if body is None else json.dumps(body).encode()
        refresh = False
        for attempt in (0, 1):
            pool, headers = self._ready(refresh)
            if data is not None:
                headers["Content-Type"] = content_type
            if not stream and not self.connection.disable_compression:
                headers["Accept-Encoding"] = "gzip"
            began = time.monotonic()
            try:
                response = pool.request(
                    method,
                    url,
                    body=data,
                    headers=headers,
                    timeout=timeout or self._timeout,
                    preload_content=not stream,
                )
            except urllib3.exceptions.HTTPError as error:
                self._log(method, url, type(error).__name__, began)
                if attempt == 0 and no_answer.handshake_broke(error):
                    continue
                raise no_answer.unreachable(error, self.server) from None
            self._log(method, url, str(response.status), began)
            if response.status == 401 and attempt == 0 and transport.can_refresh(self._access):
                response.drain_conn()
                refresh = True
                continue
            break
        self._answered = True
        if response.status >= 300:
            raise answers.api_error(response.status, response.data, method, path, self.context, response.headers)
        return response

    def _ready(self, refresh: bool) -> tuple[urllib3.PoolManager, urllib3.HTTPHeaderDict]:
        """The connection pool and the headers; made at the first request, and anew with fresh credentials."""
        with self._lock:
            if self._pool is None or refresh:
                authorization = self._access.authorization(refresh)
                self._headers = transport.headers(self._access.user, authorization, user_agent())
                self._pool = transport.pool(self._access)
            return self._pool, self._headers.copy()

    def _log(self, method: str, url: str, result: str, began: float) -> None:
        if self._verbosity >= 6:
            print(f"{method} {url} {result} in {(time.monotonic() - began) * 1000:.0f} ms", file=sys.stderr)


def user_agent() -> str:
    """What audit logs show, e.g. `kubectl-sky/0.1.0 (linux/amd64) python/3.11`."""
    machine = platform.machine().lower()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"kubectl-sky/{__version__} ({sys.platform}/{arch}) python/{sys.version_info[0]}.{sys.version_info[1]}"


def _timeout(text: str | None) -> urllib3.Timeout:
    if text is None:
        return urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise UsageError(
            f"--request-timeout: {text!r} is no time", "e.g. --request-timeout 30s; 0 = no limit"
        ) from None
    return urllib3.Timeout(total=seconds) if seconds else urllib3.Timeout(connect=None, read=None)
