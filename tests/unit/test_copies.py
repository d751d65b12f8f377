"""What node 0 remembers, in the memory of another node: real supervisors on this machine, no cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_pod_programs import REMOTE, Pod

# a node that needs no ssh; argv: its supervisor's socket
NEAR = """
import sys, threading
import copies, wire
from nodes import Lost, Node

class Near(Node):
    def __init__(self):
        self.rank, self.path, self.boot = 1, sys.argv[1], None
        self.up, self.told = threading.Event(), threading.Event()
        assert self._greet(20)

    def recalled(self):
        return [one for one in copies.recall([self]) if one is not None][0]

node = Near()
"""


@pytest.fixture
def other(tmp_path: Path) -> Any:
    (tmp_path / "other").mkdir()
    pod = Pod(tmp_path / "other")
    yield pod
    pod.close()


def told(pod: Pod, script: str) -> Any:
    """What a program on node 0 prints, as JSON."""
    argv = [sys.executable, "-SE", "-c", f"import sys; sys.path.insert(0, {str(REMOTE)!r})\n{NEAR}{script}"]
    done = subprocess.run([*argv, pod.root / "supervisor.sock"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_next_agent_knows_what_the_one_before_it_knew(other: Pod) -> None:
    keep = """
kept = copies.Copies([node])
kept.keep("spec", 1, {"run": "true"}, wait=True)
kept.keep("state", 1, {"status": "RUNNING"})
kept.keep("spec", 2, {"run": "echo"})
kept.keep("spec", 1, None, wait=True)
print("null")
"""
    assert told(other, "print(wire.json.dumps(node.recalled()))") == []
    told(other, keep)
    assert told(other, "print(wire.json.dumps(node.recalled()))") == [
        ["state", 1, {"status": "RUNNING"}], ["spec", 2, {"run": "echo"}]
    ]  # fmt: skip


def test_node_0_is_asked_again_when_its_supervisor_only_starts(tmp_path: Path) -> None:
    script = """
import wire
from nodes import Node
listener = wire.listen(wire.SUPERVISOR)
node = Node(0, "t", "")
listener.accept()[0].close()
conn, _ = listener.accept()
wire.Reader(conn).line()
wire.send_line(conn, {"boot": "x", "replaced": False})
print(wire.json.dumps([node.up.wait(5), node.boot]))
"""
    argv = [sys.executable, "-SE", "-c", f"import sys; sys.path.insert(0, {str(REMOTE)!r})\n{script}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, env={"SKY_RUN": str(tmp_path)})
    assert json.loads(done.stdout) == [True, "x"], done.stderr


def test_the_way_to_the_others_is_made_by_two_at_the_same_time(tmp_path: Path) -> None:
    """By the agent, which tells all nodes, and by a managed job, which tells its own."""
    script = """
import threading
import neighbours
told = {"hosts": [["a", "b"]], "files": {"id_ed25519": "x" * 100000, "known_hosts": "y"}}
threads = [threading.Thread(target=lambda: [neighbours.make(told) for _ in range(100)]) for _ in range(4)]
for thread in threads:
    thread.start()
"""
    argv = [sys.executable, "-SE", "-c", f"import sys; sys.path.insert(0, {str(REMOTE)!r})\n{script}"]
    env = {"SKY_RUN": str(tmp_path), "SKY_SSH": str(tmp_path / "ssh")}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, env=env)
    assert done.stderr == ""


def test_the_newest_of_what_the_nodes_know_counts(other: Pod, tmp_path: Path) -> None:
    """Also when that node is there a moment later."""
    (tmp_path / "third").mkdir()
    third = Pod(tmp_path / "third")
    script = f"""
import threading, time
late = Near()
late.rank, late.path = 2, "{third.root}/supervisor.sock"
for one, at, status in ((node, 1, "PENDING"), (late, 2, "RUNNING")):
    one.ask({{"op": "keep", "at": at, "values": {{"state 1": {{"status": status}}}}}}, 20)
late.up.clear()
threading.Timer(1, late.up.set).start()
print(wire.json.dumps([x for x in copies.recall([node, late]) if x is not None or time.sleep(0.1)][0]))
"""
    try:
        assert told(other, script) == [["state", 1, {"status": "RUNNING"}]]
    finally:
        third.close()


def test_an_agent_that_is_started_again_has_others_know_what_waits(other: Pod, tmp_path: Path) -> None:
    """Also a node that is new since then."""
    script = f"""
import records, time
from jobqueue import Queue
records.FOLDER = "{tmp_path}/records"
records.save("spec", 1, {{"run": "echo waits"}})
Queue([], {{"num_nodes": 1, "cpus": 1, "gpus": 0}})._job(1, {{}})
records.mirror = copies.Copies([node]).keep
Queue([], {{"num_nodes": 1, "cpus": 1, "gpus": 0}}).restore()
known, until = {{}}, time.monotonic() + 10
while len(known) < 2 and time.monotonic() < until:
    known = {{(what, number): value for what, number, value in node.recalled()}}
print(wire.json.dumps([known["spec", 1], known["state", 1]["status"]]))
"""
    assert told(other, script) == [{"run": "echo waits"}, "PENDING"]


def test_a_part_that_began_on_another_pod_is_lost(other: Pod) -> None:
    script = """
def run(boot):
    try:
        return node.run("1.run", "true", {}, lambda data: None, boot=boot)["exit"]
    except Lost:
        return "lost"
print(wire.json.dumps([run("another"), run(node.boot)]))
"""
    assert told(other, script) == ["lost", 0]


def test_what_was_begun_is_lost_and_what_waited_waits(other: Pod) -> None:
    script = """
states = [{"status": s, "places": [[0, []]], "reason": "x", "exit": 0} for s in ("PENDING", "RUNNING", "SUCCEEDED")]
print(wire.json.dumps([[one["status"], one["places"], one["reason"]] for one in map(copies.after_loss, states)]))
"""
    assert told(other, script) == [["PENDING", None, None], ["FAILED", [[0, []]], "lost"],
                                   ["SUCCEEDED", [[0, []]], "x"]]  # fmt: skip
