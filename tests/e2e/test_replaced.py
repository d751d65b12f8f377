"""A node of a running cluster that goes away: another takes its place, what waited runs, and the user is told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

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


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A task `p` with files, and a setup that looks at them; it runs for $LASTS seconds."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/data").write_text("sent\n")
    task = {
        "name": "p",
        "workdir": str(tmp_path / "src"),
        "envs": {"LASTS": "300"},
        "setup": "grep -q sent data || { echo data is bad; exit 3; }\n"
        'echo set up on $SKYPILOT_SETUP_NODE_RANK of $(echo "$SKYPILOT_SETUP_NODE_IPS" | wc -l) >> ~/setups',
        "run": "echo up; sleep $LASTS",
    }
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    return tmp_path


def lines(text: str) -> set[str]:
    """Of two nodes, each with its rank in the text."""
    return {
        "(head, rank=0) " + text.replace("RANK", "0") + "\n",
        "(worker1, rank=1) " + text.replace("RANK", "1") + "\n",
    }


def finish(client: subprocess.Popen[str], seconds: float = 90) -> Result:
    out, err = client.communicate(timeout=seconds)
    return Result(client.returncode or 0, out, err)


def test_pods_that_are_deleted_are_replaced_and_the_queue_lives(sky: Sky, work: Path) -> None:
    """First a worker, under a job; then node 0, whose queue the other node knows. The new ones have files and setup."""
    client = sky.start("launch", *PAIR, str(work / "task.yaml"))
    assert client.stdout and {client.stdout.readline() for _ in range(2)} == lines("up")
    sky.ok("exec", "-d", "p", "--num-nodes", "2", "--", "echo second $(cat data ../setups)")
    take(sky, "p", 1)
    result = finish(client)
    assert result.code not in (0, 130) and "on node 1" in result.err, result
    assert re.search(r"taken away|another (pod takes|has taken) its place", result.err), result
    assert "gets its files and its setup" in result.err
    assert set(sky.ok("logs", "p", "2").out.splitlines(keepends=True)) == lines("second sent set up on RANK of 2")
    sky.ok("exec", "-d", "p", "--num-nodes", "2", "--cpus", "1", "--", "sleep 300")
    sky.ok("exec", "-d", "p", "--num-nodes", "2", "--cpus", "1", "--", "echo fourth $(cat data ../setups); date +%N")
    eventually("the third runs", lambda: jobs(sky, "p")[3]["status"] == "RUNNING")
    client = sky.start("logs", "p", "3")
    take(sky, "p", 0)
    told = finish(client)
    assert told.code not in (0, 130) and "node 0" in told.err, told
    fourth = sky.ok("logs", "p", "4").out
    assert lines("fourth sent set up on RANK of 2") < set(fourth.splitlines(keepends=True)), fourth
    found = jobs(sky, "p")
    states = {number: job["status"] for number, job in found.items()}
    assert states == {1: "FAILED", 2: "SUCCEEDED", 3: "FAILED", 4: "SUCCEEDED"}, found
    eventually("all are there", lambda: whole(sky, "p"))
    processes = sky.ok("exec", "p", "--num-nodes", "2", "--", "pgrep -x sleep || echo none").out
    assert processes.count("none") == 2, processes  # of the third, on the node that stayed


def test_a_new_pod_whose_setup_fails_runs_nothing_until_the_next_launch(sky: Sky, work: Path) -> None:
    task = str(work / "task.yaml")
    sky.ok("launch", *PAIR, "--env", "LASTS=0", task)
    sky.ok("exec", "p", "--num-nodes", "2", "--", "echo bad > data")  # which the setup does not like
    take(sky, "p", 1)
    failed = sky.run("exec", "p", "--num-nodes", "2", "--", "echo never")
    assert failed.code == 3 and failed.out == "", failed
    assert "on node 1: its pod is new, and the setup failed with exit code 3 (data is bad)" in failed.err
    assert jobs(sky, "p")[3]["status"] == "FAILED_SETUP"
    assert sky.ok("exec", "p", "--", "cat data").out == "bad\n"  # node 0 has all that it needs
    sky.ok("launch", *PAIR, "--env", "LASTS=0", task)
    assert set(sky.ok("exec", "p", "--num-nodes", "2", "--", "cat data").out.splitlines(keepends=True)) == lines("sent")


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
