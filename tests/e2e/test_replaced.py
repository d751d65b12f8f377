"""A node of a running cluster that goes away: another takes its place, what waited runs, and the user is told."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import OwnCluster, Result, Sky, eventually, namespace
from tests.e2e.test_queue import KILL_AGENT, jobs
from tests.e2e.test_reasons import kubelet

PAIR = ("--cpus", "0.1", "--memory", "0.2", "--num-nodes", "2")
FINAL = ("SUCCEEDED", "FAILED", "FAILED_SETUP", "FAILED_DRIVER", "CANCELLED")


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


# -- chaos ----------------------------------------------------------------------------------------------------------

COUNT = int(os.environ.get("SKY_TEST_JOBS", "100"))


def recording(folder: Path, name: str) -> str:
    """A task whose pods write into a folder of this machine, which all of its nodes are."""
    volume = {"name": "record", "hostPath": {"path": str(folder), "type": "Directory"}}
    container = {"name": "task", "volumeMounts": [{"name": "record", "mountPath": "/record"}]}
    config = {"kubernetes": {"pod_config": {"spec": {"volumes": [volume], "containers": [container]}}}}
    file = folder / "task.yaml"
    resources = {"cpus": 0.5, "memory": 0.2}
    file.write_text(yaml.safe_dump({"name": name, "num_nodes": 2, "resources": resources, "config": config,
                                    "run": "echo up"}))  # fmt: skip
    return str(file)


class Chaos:
    """What goes wrong, at random times, until it is ended. `blows`: how often, by what."""

    def __init__(self, cluster: OwnCluster, sky: Sky, name: str, seed: int):
        self.cluster, self.sky, self.name = cluster, sky, name
        self.random, self.blows = random.Random(seed), Counter[str]()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> Chaos:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def run(self) -> None:
        while not self.over.wait(self.random.uniform(5, 12)):
            blow = self.random.choice([self.worker, self.head, self.agent, self.outage, self.pause])
            self.blows[blow.__name__] += 1
            try:
                blow()
            except (subprocess.CalledProcessError, AssertionError, ValueError) as error:
                print(f"{blow.__name__}: {error}")

    def worker(self) -> None:
        take(self.sky, self.name, 1)

    def head(self) -> None:
        take(self.sky, self.name, 0)

    def agent(self) -> None:
        self.sky.kubectl("exec", pod(self.sky, self.name, 0), "-c", "ssh", "--", "sh", "-c", KILL_AGENT)

    def outage(self) -> None:
        self.cluster.do("block-apiserver", "5")

    def pause(self) -> None:
        """A kubelet that hangs for a while."""
        pid = kubelet(self.cluster, self.random.choice(["node-1", "node-2", "node-3"]))
        os.kill(pid, signal.SIGSTOP)
        time.sleep(6)
        os.kill(pid, signal.SIGCONT)


@pytest.mark.heavy
def test_chaos_over_a_hundred_queued_jobs(turn: OwnCluster, tmp_path: Path) -> None:
    """Each ends in the right state; none is lost, and none runs twice."""
    turn.do("up", "3")
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    script = 'echo "$SKYPILOT_INTERNAL_JOB_ID $SKYPILOT_NODE_RANK" >> /record/{}; sleep 1; echo "{}" >> /record/{}'
    began, ended = f"began-{uuid.uuid4().hex[:6]}", f"ended-{uuid.uuid4().hex[:6]}"
    line = "$SKYPILOT_INTERNAL_JOB_ID $SKYPILOT_NODE_RANK"
    script = script.format(began, line, ended)
    with namespace(turn.kubeconfig) as sky:
        sky.ok("launch", "-c", "c", recording(tmp_path, "c"))
        for _ in range(COUNT):
            sky.ok("exec", "-d", "c", "--num-nodes", "2", "--cpus", "0.5", "--", script)
        with Chaos(turn, sky, "c", seed=int(os.environ.get("SKY_TEST_SEED", "1"))) as chaos:
            eventually("all have ended", lambda: over(sky, "c"), 30 * COUNT)
        print(chaos.blows)
        eventually("all nodes are there", lambda: whole(sky, "c"), 120)
        found = jobs(sky, "c")
    assert sorted(found) == list(range(1, COUNT + 2)), sorted(found)
    began_lines, ended_lines = (Counter((tmp_path / name).read_text().splitlines()) for name in (began, ended))
    assert max(began_lines.values()) == 1, [line for line, count in began_lines.items() if count > 1]
    failed = [job for number, job in found.items() if number > 1 and job["status"] != "SUCCEEDED"]
    print(f"{len(failed)} of {COUNT} failed: {Counter((job['status'], job['reason'], job['exit']) for job in failed)}")
    for number, job in found.items():
        both = all(ended_lines[f"{number} {rank}"] for rank in (0, 1))
        assert number == 1 or both or job["status"] == "FAILED", job
    blows = chaos.blows["head"] + chaos.blows["worker"]
    assert len(failed) <= 2 * blows, chaos.blows  # two run side by side


def over(sky: Sky, name: str) -> bool:
    """Whether no job waits or runs; while nobody can be asked, some may."""
    answer = sky.run("queue", name, "-o", "json")
    if answer.code or not answer.out:
        return False
    found: list[dict[str, Any]] = json.loads(answer.out)["items"]
    return bool(found) and all(job["status"] in FINAL for job in found)
