"""A hundred queued jobs of two nodes, while pods, agents, kubelets and the API server go away and come again."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sky.remote.wire import FINAL
from tests.e2e.conftest import OwnCluster, Sky, eventually, namespace
from tests.e2e.test_queue import KILL_AGENT, jobs
from tests.e2e.test_replaced import pod, take, whole

pytestmark = pytest.mark.heavy
COUNT = int(os.environ.get("SKY_TEST_JOBS", "100"))
TAKES = 5  # of each rank: the pause before its Job makes it again doubles from 10 s
BESIDE = 2  # jobs that run side by side
SCRIPT = 'me="$SKYPILOT_INTERNAL_JOB_ID $SKYPILOT_NODE_RANK"; echo "$me" >> /record/began; sleep 5; '
SCRIPT += '[ -e ~/set-up ] && echo "$me" >> /record/ended'


def recording(folder: Path, name: str) -> str:
    """A task whose pods write into a folder of this machine, which all of its nodes are."""
    folder.chmod(0o777)
    for parent in list(folder.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    volume = {"name": "record", "hostPath": {"path": str(folder), "type": "Directory"}}
    container = {"name": "task", "volumeMounts": [{"name": "record", "mountPath": "/record"}]}
    config = {"kubernetes": {"pod_config": {"spec": {"volumes": [volume], "containers": [container]}}}}
    resources = {"cpus": 0.5, "memory": 0.2}
    task = {"name": name, "num_nodes": 2, "resources": resources, "config": config, "run": "echo up"}
    task["setup"] = "touch ~/set-up"  # in each pod, however it came
    (folder / "task.yaml").write_text(yaml.safe_dump(task))
    return str(folder / "task.yaml")


class Chaos:
    """What goes wrong, at random times, until it is ended. `blows`: how often, by what."""

    def __init__(self, cluster: OwnCluster, sky: Sky, name: str, seed: int):
        self.cluster, self.sky, self.name = cluster, sky, name
        self.random, self.blows = random.Random(seed), Counter[str]()
        self.takes: list[float] = []  # when pods were taken
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> Chaos:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def run(self) -> None:
        began, kinds = time.monotonic(), [self.worker, self.head, self.agent, self.outage, self.restart, self.kubelet]
        while not self.over.wait(self.random.uniform(4, 10)):
            blow = self.random.choice(kinds)
            try:
                done = blow()
            except (subprocess.CalledProcessError, AssertionError, ValueError) as error:
                print(f"{blow.__name__}: {error}")
                continue
            self.blows[blow.__name__] += done
            print(f"{time.monotonic() - began:.0f} s: {blow.__name__}{'' if done else ' (not now)'}", flush=True)

    def worker(self) -> bool:
        return self._take(1, "worker")

    def head(self) -> bool:
        return self._take(0, "head")

    def _take(self, rank: int, kind: str) -> bool:
        """Not while the other is away: with all nodes goes the queue, as the docs say."""
        if self.blows[kind] >= TAKES or not whole(self.sky, self.name):
            return False
        time.sleep(3)  # for the one that just came to have the records
        self.takes.append(time.time())
        take(self.sky, self.name, rank)
        return True

    def agent(self) -> bool:
        self.sky.kubectl("exec", pod(self.sky, self.name, 0), "-c", "ssh", "--", "sh", "-c", KILL_AGENT)
        return True

    def outage(self) -> bool:
        self.cluster.do("block-apiserver", "5")
        return True

    def restart(self) -> bool:
        self.cluster.do("restart-apiserver")
        return True

    def kubelet(self) -> bool:
        node = self.random.choice(["node-1", "node-2", "node-3"])
        self.cluster.do("stop-kubelet", node)
        time.sleep(8)
        self.cluster.do("start-kubelet", node)
        return True


def test_each_of_a_hundred_jobs_ends_in_the_right_state_and_none_runs_twice(turn: OwnCluster, tmp_path: Path) -> None:
    turn.do("up", "3")
    with namespace(turn.kubeconfig) as sky:
        sky.ok("launch", "-c", "c", recording(tmp_path, "c"))
        with Chaos(turn, sky, "c", seed=int(os.environ.get("SKY_TEST_SEED", "1"))) as chaos:
            numbers = [submitted(sky) for _ in range(COUNT)]
            eventually("all have ended", lambda: over(sky, "c"), 600 + 30 * COUNT)
        print(dict(chaos.blows))
        eventually("all nodes are there", lambda: whole(sky, "c"), 700)
        found = jobs(sky, "c")
    assert numbers == list(range(2, COUNT + 2)) and sorted(found) == [1, *numbers]  # none is lost
    began, ended = (Counter((tmp_path / name).read_text().splitlines()) for name in ("began", "ended"))
    assert max(began.values()) == 1, [line for line, count in began.items() if count > 1]
    failed = [number for number in numbers if found[number]["status"] == "FAILED"]
    print(f"{COUNT} jobs: {len(failed)} failed, for {len(chaos.takes)} pods that were taken")
    for number in numbers:
        both = all(ended[f"{number} {rank}"] for rank in (0, 1))
        assert found[number]["status"] == ("SUCCEEDED" if number not in failed else "FAILED"), found[number]
        assert both or number in failed, (found[number], began, ended)
    assert all(was_hit(found[number], chaos.takes) for number in failed), [found[number] for number in failed]
    assert len(failed) <= BESIDE * len(chaos.takes)


def submitted(sky: Sky) -> int:
    """A job of two nodes is queued, whatever is away just now; its number."""
    args = ("exec", "-d", "c", "--num-nodes", "2", "--cpus", "0.5", "--", SCRIPT)
    done = sky.run(*args, timeout=900)
    assert done.code == 0, done
    return int(done.err.partition("ob ")[2].split()[0].rstrip(":,"))


def was_hit(job: dict[str, Any], takes: list[float]) -> bool:
    """Whether a pod was taken while it ran; it ends some seconds later, if it is told to."""
    return any(job["started"] - 5 <= at <= job["ended"] for at in takes)


def over(sky: Sky, name: str) -> bool:
    """Whether no job waits or runs; while nobody can be asked, some may."""
    answer = sky.run("queue", name, "-o", "json")
    if answer.code or not answer.out:
        return False
    found: list[dict[str, Any]] = json.loads(answer.out)["items"]
    return bool(found) and all(job["status"] in FINAL for job in found)
