"""What a pod that is made anew gets, decided from what the nodes say; with real pods in tests/e2e/test_replaced.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_pod_programs import REMOTE

SCRIPT = """
import json, os, sys, threading
sys.path.insert(0, sys.argv[1])
import records, renewal, wire

class Node:
    def __init__(self, rank, sent, up=True):
        self.rank, self.sent, self.boot, self.whole, self.info = rank, sent, "new" if rank == 1 else "old", None, {}
        self.up, self.says, self.failure, self.busy = threading.Event(), None, None, False
        if up:
            self.up.set()

    def ask(self, request):
        return {"sent": self.sent}

    def run(self, name, *args, **options):
        ran.append(name)
        return {"exit": 3}

case = json.loads(sys.argv[2])
copied, ran = [], []

class Job:
    number, state = 1, {"places": [[0, []], [1, []]]}

    def environment(self, rank, phase):
        return {}

    def judged(self, result):
        return result["exit"], None

def hand_over(donor, node):
    copied.append(donor.rank)
    node.sent = not case.get("error")
    return case.get("error")

renewal.hand_over = hand_over
os.makedirs(records.FOLDER)
if "record" in case:
    records.save("setup", 0, case["record"])
nodes = [Node(0, case["donor"], case.get("up", True)), Node(1, case.get("own", False))]

class Queue:
    pass

Queue.nodes, Queue.jobs, Queue.task = nodes, {1: Job()}, {"num_nodes": 2, "cpus": 1}
for node in nodes:
    node.info = {"ip": "10.0.0.1"}
renewed = renewal.Renewal(Queue)
for _ in range(5):
    renewed._renew(nodes[1], "new")
record = records.read("setup", 0)
print(json.dumps([nodes[1].whole, nodes[1].says, nodes[1].failure, copied, record and record["boots"], ran]))
"""
KNOWN = {"number": 1, "spec": {"setup": None}, "boots": ["old", "old"], "files": True}
ANEW = "node 1 was made anew"


def renewed(tmp_path: Path, case: dict[str, Any]) -> list[Any]:
    env = {**os.environ, "SKY_RECORDS": str(tmp_path / "records"), "SKY_RUN": str(tmp_path)}
    argv = [sys.executable, "-SE", "-c", SCRIPT, str(REMOTE), json.dumps(case)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("case", "whole", "says", "failure", "copied"),
    [
        ({"donor": True}, "new", f"{ANEW}: it gets its files from node 0", "", [0]),
        ({"donor": True, "own": True}, "new", None, "", []),  # a launch has brought them
        ({"donor": False}, "new", None, "", []),  # there never were any
        ({"donor": False, "record": {**KNOWN, "files": False}}, "new", None, "", []),
        ({"donor": False, "record": KNOWN}, None, None, "no node has the files any more", []),
        ({"donor": True, "record": KNOWN, "up": False}, None, f"{ANEW}: it gets its files when node 0 is up", "", []),
        (
            {"donor": True, "record": KNOWN, "error": "No space left"},
            None, f"{ANEW}: it gets its files from node 0", "the files could not be copied (No space left)", [0, 0, 0],
        ),
    ],
)  # fmt: skip
def test_what_it_gets(
    tmp_path: Path, case: dict[str, Any], whole: str | None, says: str | None, failure: str, copied: list[int]
) -> None:
    found = renewed(tmp_path, case)
    assert found[:2] == [whole, says] and found[3] == copied
    if failure:
        assert found[2] == [1, f"its pod is new, and {failure}: launch it again, which brings both"]
    else:
        assert found[2] is None
    if "record" in case:
        assert found[4] == ["old", "new" if whole else "old"]


def test_it_takes_none_while_a_client_brings_some(tmp_path: Path) -> None:
    (tmp_path / "syncing").touch()
    assert renewed(tmp_path, {"donor": True, "record": KNOWN})[:4] == [None, None, None, []]
    os.utime(tmp_path / "syncing", (time.time() - 60,) * 2)
    (tmp_path / "records").rename(tmp_path / "before")
    assert renewed(tmp_path, {"donor": True, "record": KNOWN})[0] == "new"


def test_a_setup_that_fails_runs_once(tmp_path: Path) -> None:
    found = renewed(tmp_path, {"donor": False, "record": {**KNOWN, "files": False, "spec": {"setup": "exit 3"}}})
    assert found[0] is None and found[5] == ["1.again"]
    assert found[2] == [3, "its pod is new, and the setup failed with exit code 3: launch it again, which brings both"]
