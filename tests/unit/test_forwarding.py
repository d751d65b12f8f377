"""port-forward: what is done about a tunnel that ends, a pod that goes and a task that is over."""

from __future__ import annotations

import io
import queue
from typing import Any

import pytest

from kubectl_sky import forwarding
from kubectl_sky.diagnosis.state import COMPLETED, FAILED, State
from kubectl_sky.errors import ApiError, ClusterFailure, Failure, Unreachable
from kubectl_sky.forwarding import Forwarding, Over
from kubectl_sky.output import Progress
from kubectl_sky.portmap import Forward
from kubectl_sky.tunnel import GONE, SAID, UP, Tunnel

PORT = Forward(9000, 8080)
OTHER = Forward(9001, 8081)


def test_what_a_tunnel_tells() -> None:
    events: queue.Queue[Any] = queue.Queue()
    said = "echo Forwarding from 127.0.0.1:1; echo Handling connection for 1; echo error: lost >&2; exit 1"
    tunnel = Tunnel(["sh", "-c", said], events)
    told = [events.get(timeout=10)[1] for _ in range(3)]
    assert [one[1:] for one in told] == [
        (UP, "Forwarding from 127.0.0.1:1"), (SAID, "error: lost"), (GONE, "error: lost")
    ]  # fmt: skip
    tunnel.stop()


def test_a_tunnel_ends_with_the_program_that_made_it() -> None:
    events: queue.Queue[Any] = queue.Queue()
    tunnel = Tunnel(["sh", "-c", "echo Forwarding from x; exec sleep 60"], events)
    assert events.get(timeout=10)[1][1] == UP
    assert tunnel.process.stdin
    tunnel.process.stdin.close()  # as our end does
    assert events.get(timeout=10)[1][1] == GONE


class FakeTunnel:
    def __init__(self, argv: list[str], events: object):
        self.argv, self.stopped, self.age = argv, False, 0.0

    def stop(self) -> None:
        self.stopped = True

    def lasted(self) -> float:
        return self.age


class FakeCluster:
    namespace = "team"

    def kubectl(self, *args: str) -> list[str]:
        return ["kubectl", *args]


class Here:
    """A Forwarding whose cluster is what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now, self.pod, self.state = 100.0, {"metadata": {"name": "web-0-abc"}}, State(FAILED, "Error", "it broke")
        self.job: Any = {"metadata": {}}
        self.err = io.StringIO()
        monkeypatch.setattr(forwarding, "Tunnel", FakeTunnel)
        monkeypatch.setattr(forwarding.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(forwarding.cluster_objects, "get_job", self.get_job)
        monkeypatch.setattr(forwarding.cluster_objects, "pods", lambda *_: [self.pod] if self.pod else [])
        monkeypatch.setattr(forwarding.cluster_objects, "finished", lambda job: job.get("finished"))
        monkeypatch.setattr(forwarding.running, "task_up", lambda pod: True)
        monkeypatch.setattr(forwarding.running, "explain", lambda *_: self.state)
        progress = Progress(stream=self.err)
        self.it = Forwarding(FakeCluster(), "web", [PORT, OTHER], 0, ["127.0.0.1"], progress)  # type: ignore[arg-type]
        self.look()

    def get_job(self, *_: object) -> Any:
        if isinstance(self.job, Exception):
            raise self.job
        return self.job

    def look(self) -> None:
        self.it._look()
        self.it._start_due()

    def hear(self, what: str, text: str = "", one: Forward = PORT) -> None:
        self.it._hear(self.it.tunnels[one], what, text)

    def said(self) -> list[str]:
        return self.err.getvalue().splitlines()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(monkeypatch)


def test_a_process_for_each_port(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert [one.argv for one in here.it.tunnels.values()] == [  # type: ignore[attr-defined]
        ["kubectl", "port-forward", "--address=127.0.0.1", "pod/web-0-abc", "9000:8080"],
        ["kubectl", "port-forward", "--address=127.0.0.1", "pod/web-0-abc", "9001:8081"],
    ]
    here.hear(UP)
    assert capsys.readouterr().out == "Forwarding http://127.0.0.1:9000 -> 8080 (node 0 of web)\n"


def test_a_connection_that_the_pod_refuses(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """The next process starts at once, and is not told; the other port is left alone."""
    here.hear(UP)
    before = here.it.tunnels[OTHER]
    capsys.readouterr()
    for _ in range(3):
        here.hear(SAID, "an error occurred forwarding 9000 -> 8080: connect: connection refused")
        here.hear(GONE, "error: lost connection to pod")
        here.it._start_due()
        here.hear(UP)
    assert here.said() == ["nothing listens on port 8080 of node 0 of web (yet)"]
    assert capsys.readouterr().out == ""
    assert here.it.tunnels[OTHER] is before


def test_a_broken_connection_is_told_and_made_again(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.hear(UP)
    capsys.readouterr()
    here.hear(GONE, "error: lost connection to pod")
    assert here.said() == ["reconnecting: lost connection to pod"]
    here.it._start_due()  # the first time at once
    here.hear(GONE, "The connection to the server 10.0.0.1:6443 was refused")
    assert PORT not in here.it.tunnels
    here.it._start_due()
    assert PORT not in here.it.tunnels  # then after a pause
    here.now += 0.5
    here.it._start_due()
    here.hear(UP)
    assert capsys.readouterr().out == "Forwarding http://127.0.0.1:9000 -> 8080 (node 0 of web)\n"


def test_a_new_pod_gets_new_tunnels(here: Here) -> None:
    old = dict(here.it.tunnels)
    here.pod = {"metadata": {"name": "web-0-new"}}
    here.look()
    assert all(one.stopped for one in old.values())  # type: ignore[attr-defined]
    assert all("pod/web-0-new" in one.argv for one in here.it.tunnels.values())  # type: ignore[attr-defined]
    assert here.said() == ["reconnecting: pod web-0-abc is gone"]


def test_the_end_of_the_task(here: Here) -> None:
    here.pod = None
    with pytest.raises(ClusterFailure, match="web is over: it broke"):
        here.it._look()
    here.state = State(COMPLETED, "", "")
    with pytest.raises(Over, match="web has ended"):
        here.it._look()
    here.job = None
    with pytest.raises(ClusterFailure, match="web was taken down"):
        here.it._look()


def test_an_api_server_that_is_away_is_waited_for(here: Here) -> None:
    here.job = Unreachable("nobody answers")
    here.it._look()
    assert here.said() == ["reconnecting: nobody answers"]
    assert here.it.tunnels
    here.job = ApiError(403, "Forbidden", "you may not")
    with pytest.raises(ApiError):
        here.it._look()


def test_what_another_attempt_does_not_help(here: Here) -> None:
    with pytest.raises(Failure, match="cannot be listened on"):
        here.hear(GONE, "Unable to listen on port 9000: address already in use")
    with pytest.raises(ClusterFailure, match=r"^pods \"x\" is forbidden: cannot create resource") as told:
        here.hear(GONE, 'Error from server (Forbidden): pods "x" is forbidden: cannot create resource', OTHER)
    assert told.value.hint and "pods/portforward" in told.value.hint


def test_it_gives_up_after_the_limit(here: Here) -> None:
    here.hear(GONE, "error: no route to host")
    here.now += forwarding.LIMIT + 1
    here.it._start_due()
    with pytest.raises(ClusterFailure, match="no way to port 8080 for 10m: no route to host") as told:
        here.hear(GONE, "error: no route to host")
    assert told.value.exit_code == 124
