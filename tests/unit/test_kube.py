"""The client against a small API server: requests, credentials, retries, watches that break."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kubectl_sky import kube
from kubectl_sky.api import watching
from kubectl_sky.api.connection import Connection
from kubectl_sky.errors import ApiError, Expired, Unreachable, UsageError
from kubectl_sky.kube import Cluster

PROJECT = Path(__file__).parents[2]
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the server's next script, the last one again and again."""

    protocol_version = "HTTP/1.1"
    server: "ApiServer"
    body: bytes = b""

    def answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.requests.append((self.command, self.path, self.headers, self.body))
            script = self.server.scripts.pop(0) if len(self.server.scripts) > 1 else self.server.scripts[0]
        script(self)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        pass

    def send(self, status: int, body: Any, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


class ApiServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.scripts: list[Answer] = [json_answer({})]
        self.requests: list[tuple[str, str, Any, bytes]] = []

    def handle_error(self, *args: Any) -> None:
        pass

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def json_answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return lambda handler: handler.send(status, body, **headers)


def failure(status: int, reason: str = "", **headers: str) -> Answer:
    return json_answer({"kind": "Status", "message": f"it is {reason}", "reason": reason}, status, **headers)


def events(*sent: Any, broken: bool = False) -> Answer:
    """A watch that sends these and then ends (`broken`: in the middle of a chunk)."""

    def script(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        data = b"".join(json.dumps(one).encode() + b"\n" for one in sent)
        # the first event comes in two pieces
        for piece in (data[:7], data[7:]):
            if piece:
                handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                handler.wfile.flush()
        if not broken:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return script


def reset(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(2)


def thing(version: str, kind: str = "ADDED") -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {"name": f"a{version}", "resourceVersion": version}}}


@pytest.fixture
def server() -> Iterator[ApiServer]:
    made = ApiServer()
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def cluster(server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cluster:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return kube.connect(Connection(server=server.url, token="t0ken"))


def test_verbs(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [json_answer({"kind": "Job"})]
    assert cluster.get("/a", labelSelector="x=y", limit=None, watch=False) == {"kind": "Job"}
    cluster.create("/a", {"n": 1}, dryRun="All")
    cluster.patch("/a/1", {"n": 2})
    cluster.apply("/a/1", {"n": 3})
    cluster.delete("/a/1", {"propagationPolicy": "Foreground"})
    lines = [(method, path, headers["Content-Type"], body) for method, path, headers, body in server.requests]
    assert lines == [
        ("GET", "/a?labelSelector=x%3Dy&watch=false", None, b""),
        ("POST", "/a?fieldManager=kubectl-sky&dryRun=All", "application/json", b'{"n": 1}'),
        ("PATCH", "/a/1?fieldManager=kubectl-sky", "application/merge-patch+json", b'{"n": 2}'),
        ("PATCH", "/a/1?fieldManager=kubectl-sky&force=true", "application/apply-patch+yaml", b'{"n": 3}'),
        ("DELETE", "/a/1", "application/json", b'{"propagationPolicy": "Foreground"}'),
    ]


def test_headers(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/none")
    groups = ("system:masters", "x")
    kube.connect(Connection(server=server.url, token="t", as_user="ann", as_uid="7", as_group=groups)).get("/a")
    headers = server.requests[0][2]
    assert headers["Authorization"] == "Bearer t"
    assert headers["User-Agent"].startswith("kubectl-sky/")
    assert " python/3." in headers["User-Agent"]
    assert (headers["Impersonate-User"], headers["Impersonate-Uid"]) == ("ann", "7")
    assert headers.get_all("Impersonate-Group") == ["system:masters", "x"]
    assert headers["Accept-Encoding"] == "gzip"
    kube.connect(Connection(server=server.url, disable_compression=True)).get("/a")
    assert "gzip" not in server.requests[1][2].get("Accept-Encoding", "")


def test_errors_carry_status_and_reason(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [failure(409, "AlreadyExists")]
    with pytest.raises(ApiError) as caught:
        cluster.create("/a", {})
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")
    assert len(server.requests) == 1


def test_something_else_than_kubernetes(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [lambda handler: handler.send(302, "moved", Location="/login")]
    with pytest.raises(ApiError, match="HTTP 302"):
        cluster.get("/a")


def test_overload_is_waited_for(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [failure(429, "TooManyRequests", Retry_After="1"), json_answer({"ok": 1})]
    began = time.monotonic()
    assert cluster.create("/a", {}) == {"ok": 1}
    assert time.monotonic() - began >= 1


def test_no_longer_than_the_patience(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [failure(429, "TooManyRequests", Retry_After="60")]
    with pytest.raises(ApiError, match="overloaded"):
        cluster.get("/a")


def test_broken_connection(server: ApiServer, cluster: Cluster) -> None:
    cluster.get("/a")
    server.scripts = [reset, reset, json_answer({"ok": 1})]
    assert cluster.get("/a") == {"ok": 1}
    # a create may have been done: it is not sent again
    server.scripts = [reset, json_answer({"ok": 1})]
    with pytest.raises(Unreachable):
        cluster.create("/a", {})


def test_server_that_never_answered_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/none")
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"https://127\.0\.0\.1:1: connection refused") as caught:
        kube.connect(Connection(server="https://127.0.0.1:1")).get("/version")
    assert time.monotonic() - began < 1
    assert caught.value.never_sent
    assert caught.value.hint and "kubectl cluster-info" in caught.value.hint


def test_request_timeout(server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/none")
    server.scripts = [lambda handler: time.sleep(3)]
    cluster = kube.connect(Connection(server=server.url, request_timeout="200ms"))
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer in time"):
        cluster.get("/a")
    assert time.monotonic() - began < 1
    with pytest.raises(UsageError, match="--request-timeout"):
        kube.connect(Connection(server=server.url, request_timeout="soon"))


def test_many_threads(server: ApiServer, cluster: Cluster) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda n: cluster.get(f"/{n}"), range(100))) == [{}] * 100


def test_verbose_shows_requests_without_secrets(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/none")
    cluster = kube.connect(Connection(server=server.url, token="t0ken", verbosity=9))
    cluster.create("/api/v1/secrets", {"data": "s3cret"})
    shown = capsys.readouterr().err
    assert f"POST {server.url}/api/v1/secrets?fieldManager=kubectl-sky 200 in " in shown
    assert "t0ken" not in shown
    assert "s3cret" not in shown


def test_kubectl_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setenv("KUBECONFIG", "/none")
    argv = kube.connect(Connection(server="http://x", namespace="ml")).kubectl("exec", "-i")
    assert argv == ["kubectl", "--namespace=ml", "--server=http://x", "exec", "-i"]


# -- watches --------------------------------------------------------------------------------------------------------


def versions(watch: Iterator[dict[str, Any]], count: int) -> list[str]:
    return [next(watch)["object"]["metadata"]["resourceVersion"] for _ in range(count)]


def test_watch_goes_on_where_it_broke(server: ApiServer, cluster: Cluster) -> None:
    bookmark = thing("5", "BOOKMARK")
    server.scripts = [events(thing("1"), thing("2"), bookmark, broken=True), events(thing("6")), events()]
    assert versions(cluster.watch("/pods", resourceVersion="0"), 3) == ["1", "2", "6"]
    asked = [path for _, path, _, _ in server.requests]
    assert "resourceVersion=0" in asked[0]
    assert "resourceVersion=5" in asked[1]
    assert "allowWatchBookmarks=true" in asked[0]


def test_watch_survives_refusals_and_tells(server: ApiServer, cluster: Cluster) -> None:
    told: list[str] = []
    server.scripts = [events(thing("1")), reset, failure(503, "ServiceUnavailable"), events(thing("2")), events()]
    assert versions(cluster.watch("/pods", on_trouble=told.append), 2) == ["1", "2"]
    assert len(told) == 1


def test_watch_gives_up_after_its_patience(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [reset]
    with pytest.raises(Unreachable):
        next(cluster.watch("/pods", patience=0.3))


def test_watch_ends_at_its_timeout(server: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    server.scripts = [lambda handler: time.sleep(2)]
    began = time.monotonic()
    assert list(cluster.watch("/pods", timeout=0.4)) == []
    assert 0.3 < time.monotonic() - began < 1.5


def test_silent_watch_is_opened_again(server: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SILENCE", 0.2)
    told: list[str] = []
    server.scripts = [events(thing("1")), lambda handler: time.sleep(1), events(thing("2")), events()]
    assert versions(cluster.watch("/pods", on_trouble=told.append), 2) == ["1", "2"]
    assert told == []


@pytest.mark.parametrize("inside", [True, False])
def test_expired_watch(server: ApiServer, cluster: Cluster, inside: bool) -> None:
    status = {"kind": "Status", "code": 410, "message": "too old resource version", "reason": "Expired"}
    server.scripts = [events({"type": "ERROR", "object": status}) if inside else json_answer(status, 410)]
    with pytest.raises(Expired):
        next(cluster.watch("/pods", resourceVersion="1"))


def test_forbidden_watch(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [failure(403, "Forbidden")]
    with pytest.raises(ApiError):
        next(cluster.watch("/pods"))


def test_stream_ends_with_unreachable(server: ApiServer, cluster: Cluster) -> None:
    server.scripts = [events({"line": 1}, broken=True)]
    stream = cluster.stream("/log", follow=True)
    got = b""
    with pytest.raises(Unreachable):
        for piece in stream:
            got += piece
    assert json.loads(got) == {"line": 1}


# -- import guard ---------------------------------------------------------------------------------------------------


def test_the_big_client_is_never_imported() -> None:
    code = (
        "import sys\nfrom kubectl_sky import kube\nfrom kubectl_sky.api import kubeconfig\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('kubernetes', 'requests', 'oauthlib', 'rich')]\n"
        "module = kubeconfig.official('kubernetes.config.kube_config')\nassert module.KubeConfigLoader\n"
        "bad = [m for m in sys.modules if m.startswith(('kubernetes.client.api.', 'kubernetes.client.models.'))]\n"
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
