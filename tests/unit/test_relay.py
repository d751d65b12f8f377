"""Files to many nodes: each hands them on to the next; where they cannot reach each other, node 0 sends to all."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sync_pods
from sync_pods import Pods, picture

from kubectl_sky import sync

NODES = 5


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Callable[[], Pods]]:
    made: list[Pods] = []

    def make() -> Pods:
        made.append(Pods(tmp_path / f"pods{len(made)}", NODES))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    for number in range(300):
        (folder / f"inner/{number}").write_bytes(os.urandom(100))
    (folder / "big").write_bytes(os.urandom(30_000_000))
    return folder


def send(pods: Pods, source: Path) -> None:
    files = sync.collect([sync.Mount(source, "~/work")])
    sync.upload(pods.open, files, stall=pods.stall, patience=60)
    for node in pods.nodes:
        assert picture(node.home / "work") == picture(source)


def relays(pods: Pods) -> list[int]:
    """The pids of all that were started."""
    commands = {child.pid: child.args for node in pods.nodes for child in node.children}
    return [pid for pid, words in commands.items() if "relay.py" in str(words)]


def test_from_node_to_node(pods: Callable[[], Pods], source: Path) -> None:
    many = pods()
    send(many, source)
    assert len(relays(many)) == NODES - 1
    (source / "inner/7").write_bytes(b"new")
    (many.nodes[3].home / "work/big").unlink()  # one needs more than the others
    send(many, source)
    deadline = time.monotonic() + 20  # the relays end after node 0's has
    while left := list(many.folder.glob("run*/relay-*")):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_one_that_is_killed_meanwhile(pods: Callable[[], Pods], source: Path) -> None:
    many = pods()

    def kill() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if len(found := relays(many)) == NODES - 1 and (many.nodes[1].home / "work").exists():
                return os.kill(found[2], signal.SIGKILL)
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    send(many, source)
    killer.join()
    assert (many.folder / "no-relays").exists()


def test_nodes_that_cannot_reach_each_other(
    pods: Callable[[], Pods], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_pods, "NEAR_SSH", "/bin/false")
    many = pods()
    send(many, source)
    assert (many.folder / "no-relays").exists()
