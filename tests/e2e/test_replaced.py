"""A node of a running cluster that goes away: another takes its place, what waited runs, and the user is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Result, Sky, eventually, namespace
from tests.e2e.test_queue import jobs
from tests.e2e.test_reasons import kubelet

PAIR = ("--cpus", "0.1", "--memory", "0.2", "--num-nodes", "2")


def pod(sky: Sky, name: str, rank: int) -> str:
    """The newest of that rank."""
    index = "batch.kubernetes.io/job-completion-index"
    found = [one for one in sky.pods(name) if one["metadata"]["annotations"][index] == str(rank)]
    return max(found, key=lambda one: one["metadata"]["creationTimestamp"])["metadata"]["name"]


def take(sky: Sky, name: str, rank: int) -> None:
    sky.kubectl("delete", "pod", pod(sky, name, rank), "--wait=false", "--grace-period=2")


def whole(sky: Sky, name: str) -> bool:
    rows = json.loads(sky.ok("status", name, "-o", "json").out)["items"]
    return bool(rows[0]["status"]["phase"] == "Up" and rows[0]["readyNodes"] == rows[0]["nodes"])


def started(sky: Sky, name: str, script: str, *flags: str) -> subprocess.Popen[str]:
    """A launch whose job has said something on both nodes."""
    client = sky.start("launch", "-c", name, *PAIR, *flags, "--", f"echo up; {script}")
    assert client.stdout and {client.stdout.readline(), client.stdout.readline()} == {
        "(head, rank=0) up\n", "(worker1, rank=1) up\n"
    }  # fmt: skip
    return client


def finish(client: subprocess.Popen[str], seconds: float = 90) -> Result:
    out, err = client.communicate(timeout=seconds)
    return Result(client.returncode or 0, out, err)


def test_pods_that_are_deleted_are_replaced_and_the_queue_lives(sky: Sky) -> None:
    """First a worker, under a job; then node 0, whose queue the other node knows."""
    client = started(sky, "p", "sleep 300")
    sky.ok("exec", "-d", "p", "--num-nodes", "2", "--", "echo second")
    take(sky, "p", 1)
    result = finish(client)
    assert result.code not in (0, 130) and "on node 1" in result.err, result
    assert re.search(r"taken away|another (pod takes|has taken) its place", result.err), result
    assert sorted(sky.ok("logs", "p", "2").out.splitlines()) == ["(head, rank=0) second", "(worker1, rank=1) second"]
    sky.ok("exec", "-d", "p", "--num-nodes", "2", "--cpus", "1", "--", "sleep 300")
    sky.ok("exec", "-d", "p", "--num-nodes", "2", "--cpus", "1", "--", "echo fourth; date +%N")
    eventually("the third runs", lambda: jobs(sky, "p")[3]["status"] == "RUNNING")
    client = sky.start("logs", "p", "3")
    take(sky, "p", 0)
    told = finish(client)
    assert told.code not in (0, 130) and "node 0" in told.err, told
    fourth = sky.ok("logs", "p", "4").out
    assert fourth.count("fourth") == 2, fourth
    found = jobs(sky, "p")
    states = {number: job["status"] for number, job in found.items()}
    assert states == {1: "FAILED", 2: "SUCCEEDED", 3: "FAILED", 4: "SUCCEEDED"}, found
    eventually("all are there", lambda: whole(sky, "p"))
    processes = sky.ok("exec", "p", "--num-nodes", "2", "--", "pgrep -x sleep || echo none").out
    assert processes.count("none") == 2, processes  # of the third, on the node that stayed


def test_a_job_does_not_run_twice_when_all_nodes_go_at_the_same_time(sky: Sky) -> None:
    """Nobody is left that knows how far it was: it has failed, and the next one runs."""
    client = started(sky, "all", "sleep 300")
    sky.kubectl("delete", "pods", "-l", "app.kubernetes.io/instance=all", "--wait=false", "--grace-period=1")
    told = finish(client)
    assert told.code not in (0, 130) and told.out == "" and "at the same time" in told.err, told
    again = sky.ok("exec", "all", "--num-nodes", "2", "--", "echo next")
    assert again.out.count("next") == 2
    assert {number: job["status"] for number, job in jobs(sky, "all").items()} == {1: "FAILED", 2: "SUCCEEDED"}


@pytest.mark.heavy
def test_a_node_that_dies(turn: OwnCluster) -> None:
    """Its kubelet and all of its pods end; somebody takes it away. The cluster is made anew after it."""
    turn.do("up", "3")
    with namespace(turn.kubeconfig) as sky:
        client = started(sky, "lost", "sleep 600")
        node = sky.kubectl("get", "pod", pod(sky, "lost", 1), "-o", "jsonpath={.spec.nodeName}")
        os.kill(kubelet(turn, node), signal.SIGKILL)
        for pid in processes_of(turn.number, node):
            os.kill(pid, signal.SIGKILL)
        eventually("it is told", lambda: "went away" in sky.run("status", "lost").err, 60)
        sky.kubectl("delete", "node", node)
        result = finish(client, 120)
        assert result.code not in (0, 130) and "on node 1" in result.err, result
        eventually("another has its place", lambda: whole(sky, "lost"), 120)
        assert sky.ok("exec", "lost", "--num-nodes", "2", "--", "echo again").out.count("again") == 2
        assert jobs(sky, "lost")[1]["status"] == "FAILED"


def processes_of(number: str, node: str) -> list[int]:
    """All that run in the node's pods."""
    found = []
    for top in [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*")]:
        for file in (top / f"ksky{number}" / node).rglob("cgroup.procs"):
            found += [int(pid) for pid in file.read_text().split()]
    return sorted(set(found))
