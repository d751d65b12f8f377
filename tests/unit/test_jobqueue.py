"""The queue of a task: the supervisor and the agent as real processes, one node, no cluster."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sky.remote import wire
from tests.unit.test_pod_programs import Pod, frames


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(tmp_path, gpus=4, cpus=4, memory=8)
    yield pod
    pod.close()


def send(pod: Pod, **spec: Any) -> wire.Reader:
    """Submits a job; its reader, from which its first state was taken."""
    reader = pod.ask({"op": "submit", "spec": spec, "follow": True})
    reader.frame()
    return reader


def jobs(pod: Pod) -> dict[int, dict[str, Any]]:
    return {job["id"]: job for job in pod.ask({"op": "queue"}).line()["jobs"]}


def test_jobs_see_their_own_gpus_only(pod: Pod) -> None:
    readers = [send(pod, run="echo $CUDA_VISIBLE_DEVICES $SKYPILOT_NUM_GPUS_PER_NODE; sleep 1", gpus=n) for n in (1, 2)]
    assert [frames(reader)[0] for reader in readers] == [b"0 1\n", b"1,2 2\n"]
    assert pod.submit(run="echo ${CUDA_VISIBLE_DEVICES-unset}", gpus=4)[0] == b"unset\n"
    assert pod.submit(run="echo ${CUDA_VISIBLE_DEVICES-unset}", gpus=0.5)[0] == b"0\n"


def test_priorities_and_order(pod: Pod) -> None:
    first = send(pod, run="sleep 1", gpus=4)
    low, high = send(pod, run="true", gpus=4), send(pod, run="true", gpus=4, priority=5)
    ended = [frames(reader)[1] for reader in (first, low, high)]
    assert ended[0]["ended"] <= ended[2]["started"] < ended[1]["started"]
    assert ended[1]["resources"] == "1x(0.5 CPUs, 4 GPUs)"


def test_dependencies(pod: Pod) -> None:
    bad = send(pod, run="sleep 0.3; exit 3")
    never, after = send(pod, run="true", after=[[1, "ok"]]), send(pod, run="true", after=[[1, "any"]])
    chained = send(pod, run="true", after=[[2, "ok"]])
    states = [frames(reader)[1] for reader in (bad, never, after, chained)]
    assert [state["status"] for state in states] == ["FAILED", "CANCELLED", "SUCCEEDED", "CANCELLED"]
    assert "job 1" in states[1]["reason"] and states[2]["started"] >= states[0]["ended"]
    assert pod.submit(run="true", after=[[99, "ok"]])[1]["status"] == "CANCELLED"


def test_what_can_never_run_fails_at_once(pod: Pod) -> None:
    _, state = pod.submit(run="true", gpus=5)
    assert (state["status"], state["reason"]) == ("FAILED", "it asks for 5 GPUs a node; each has 4")


def test_a_waiting_job_can_be_cancelled(pod: Pod) -> None:
    running, waiting = send(pod, run="sleep 30", gpus=4), send(pod, run="echo no", gpus=4)
    assert [job["id"] for job in pod.ask({"op": "cancel", "jobs": [2]}).line()["jobs"]] == [2]
    assert frames(waiting)[1]["status"] == "CANCELLED"
    pod.ask({"op": "cancel", "jobs": None}).line()
    assert frames(running)[1]["exit"] == 143


def test_a_killed_agent_takes_up_where_it_was(pod: Pod) -> None:
    """Each line is there once, no job runs twice, what waited runs; and what it remembers is for nobody else."""
    run = "for i in $(seq 30); do echo $i; sleep 0.1; done; exit 4"
    send(pod, run=run, gpus=4, setup="echo setup", envs={"TOKEN": "planted"})
    send(pod, run="echo two $TOKEN", gpus=4, envs={"TOKEN": "x"}, key="k2")
    pod.submit(run="exit 7")
    time.sleep(1)
    pod.agent.send_signal(signal.SIGKILL)
    pod.agent.wait()
    folder = pod.root / "records"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and not (folder / "3.spec").exists()
    time.sleep(0.5)
    pod.start_agent()
    out, state = frames(pod.ask({"op": "follow", "job": 1, "follow": True}))
    assert out.decode().split() == ["setup", *map(str, range(1, 31))]
    assert (state["status"], state["exit"]) == ("FAILED", 4)
    assert pod.submit(run="never", key="k2")[0] == b"two x\n"
    assert {job["id"]: job["status"] for job in jobs(pod).values()} == {1: "FAILED", 2: "SUCCEEDED", 3: "FAILED"}
    assert jobs(pod)[3]["exit"] == 7 and pod.submit(run="true")[1]["id"] == 4


def test_a_job_of_which_only_the_state_is_left_has_failed(pod: Pod) -> None:
    send(pod, run="sleep 3", gpus=4)
    waiting = send(pod, run="echo two", gpus=4)
    pod.agent.send_signal(signal.SIGKILL)
    pod.agent.wait()
    (pod.root / "records/2.spec").unlink()
    pod.start_agent()
    del waiting
    assert jobs(pod)[2]["status"] == "FAILED_DRIVER" and "not known" in str(jobs(pod)[2]["reason"])


def test_a_thousand_jobs_wait_without_slowing(pod: Pod) -> None:
    blocker = send(pod, run="sleep 60", gpus=4)
    began = time.monotonic()
    for _ in range(1000):
        reader = pod.ask({"op": "submit", "spec": {"run": "true", "gpus": 4}, "follow": False})
        while reader.frame()[0] != wire.END:
            pass
    took = time.monotonic() - began
    assert took < 20 and len(os.listdir(f"/proc/{pod.agent.pid}/fd")) < 50
    began = time.monotonic()
    assert pod.submit(run="echo beside")[0] == b"beside\n" and time.monotonic() - began < 2
    assert len(pod.ask({"op": "cancel", "jobs": None}).line()["jobs"]) == 1001
    assert frames(blocker)[1]["status"] == "CANCELLED"


def test_an_idle_task_ends_after_its_minutes(tmp_path: Path) -> None:
    pod = Pod(tmp_path, autostop={"minutes": 0.03, "wait_for": "jobs", "down": False}, expects=True)
    assert pod.submit(run="sleep 2.5; exit 3")[1]["exit"] == 3
    began = time.monotonic()
    assert pod.supervisor.wait(10) == 3 and 1 < time.monotonic() - began < 6
    assert pod.agent.wait(10) == 0


def test_pods_whose_files_and_job_never_come_end_and_say_it(tmp_path: Path) -> None:
    pod = Pod(tmp_path, {"SKY_ORPHAN_SECONDS": "3"}, expects=True)
    began = time.monotonic()
    while time.monotonic() - began < 6:  # files that come
        (pod.root / "syncing").touch()
        assert pod.agent.poll() is None
        time.sleep(0.5)
    assert pod.supervisor.wait(30) == 1 and time.monotonic() - began > 8
    assert "launch it again" in (pod.root / "last-words").read_text()


def test_autostop_can_be_changed_and_taken_back(pod: Pod) -> None:
    policy = {"minutes": 0.02, "wait_for": "none", "down": True}
    assert pod.ask({"op": "autostop", "policy": policy}).line()["idle"]["left"] < 2
    assert pod.ask({"op": "autostop", "policy": None}).line()["idle"]["left"] is None
    time.sleep(2)
    assert pod.submit(run="true")[1]["status"] == "SUCCEEDED"
    reader = send(pod, run="sleep 60")
    pod.ask({"op": "autostop", "policy": policy}).line()
    assert pod.agent.wait(20) == 0 and frames(reader)[1]["status"] in ("FAILED", "CANCELLED")
