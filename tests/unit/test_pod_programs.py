"""The supervisor and the agent, as real processes on this machine: one node, no cluster."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sky import presence
from kubectl_sky.remote import wire

REMOTE = Path(wire.__file__).parent
AT_ONCE = {"minutes": 0, "wait_for": "jobs", "down": True}


class Pod:
    """Both programs, with the folders of a pod below `root`."""

    def __init__(self, root: Path, environ: dict[str, str] | None = None, **task: Any):
        self.root = root
        (root / "home").mkdir()
        (root / "etc").mkdir()
        task = {"name": "t", "num_nodes": 1, "gpus": 0, "cpus": 1, "context": "ctx", "user": "ann", **task}
        (root / "etc/task.json").write_text(json.dumps({"autostop": None, "job": None, **task}))
        env = {
            **os.environ, "SKY_RUN": str(root), "SKY_ETC": str(root / "etc"), "HOME": str(root / "home"),
            "SKY_POD_IP": "10.0.0.1", "SKY_GRACE": "2", "SKY_RECORDS": str(root / "records"),
            "SKY_LAST_WORDS": str(root / "last-words"), **(environ or {}),
        }  # fmt: skip
        self.env = env
        self.out = open(root / "stdout", "w+b")
        self.supervisor = subprocess.Popen([sys.executable, "-SE", REMOTE / "supervisor.py"], env=env, stdout=self.out)
        self.start_agent()

    def start_agent(self) -> None:
        self.agent = subprocess.Popen([sys.executable, "-SE", REMOTE / "agent.py"], env=self.env)

    def ask(self, request: dict[str, Any]) -> wire.Reader:
        conn = wire.connect(str(self.root / "agent.sock"), patience=10)
        conn.settimeout(20)
        wire.send_line(conn, request)
        return wire.Reader(conn)

    def submit(self, **spec: Any) -> tuple[bytes, dict[str, Any]]:
        """A job's output and its final state."""
        return frames(self.ask({"op": "submit", "spec": spec, "follow": True}))

    def close(self) -> None:
        for process in (self.agent, self.supervisor):
            process.terminate()
            process.wait(10)


def frames(reader: wire.Reader) -> tuple[bytes, dict[str, Any]]:
    out = b""
    while True:
        kind, payload = reader.frame()
        if kind == wire.DATA:
            out += payload[wire.RANK.size :]
        elif kind == wire.END:
            return out, json.loads(payload)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(tmp_path)
    yield pod
    pod.close()


def test_output_exit_code_and_container_stdout(pod: Pod) -> None:
    out, state = pod.submit(run="echo out; echo err >&2; exit 3")
    assert out == b"out\nerr\n"
    assert (state["status"], state["exit"], state["rank"]) == ("FAILED", 3, 0)
    assert (pod.root / "stdout").read_bytes() == b"out\nerr\n"


def test_setup_comes_first_and_its_failure_is_told(pod: Pod) -> None:
    out, state = pod.submit(setup="echo setup $SKYPILOT_SETUP_NODE_RANK", run="echo run")
    assert out == b"setup 0\nrun\n" and state["status"] == "SUCCEEDED"
    out, state = pod.submit(setup="exit 9", run="echo never")
    assert (out, state["status"], state["exit"]) == (b"", "FAILED_SETUP", 9)


def test_variables(pod: Pod) -> None:
    out, _ = pod.submit(run="env -0", envs={"A": "'; rm -rf /\n$(id) é", "SKYPILOT_NODE_RANK": "mine"})
    env = dict(pair.split("=", 1) for pair in out.decode().split("\0") if pair)
    assert env["A"] == "'; rm -rf /\n$(id) é"
    assert env["SKYPILOT_NODE_IPS"] == "10.0.0.1"
    assert (env["SKYPILOT_NODE_RANK"], env["SKYPILOT_NUM_NODES"]) == ("0", "1")
    assert json.loads(env["SKYPILOT_CLUSTER_INFO"])["region"] == "ctx"
    assert env["SKYPILOT_TASK_ID"].startswith("sky-20") and env["SKYPILOT_TASK_ID"].endswith("_t_1")


def test_following_resumes_at_every_offset(pod: Pod) -> None:
    whole, _ = pod.submit(run="for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done")
    reader = pod.ask({"op": "follow", "job": 1, "offset": 0, "follow": True})
    offset = 0
    while True:
        kind, payload = reader.frame()
        if kind == wire.END:
            break
        if kind == wire.DATA:
            offset += wire.HEADER.size + len(payload)
            seen = len(payload) - wire.RANK.size
            rest, _ = frames(pod.ask({"op": "follow", "job": 1, "offset": offset, "follow": True}))
            assert whole.endswith(rest) and len(rest) <= len(whole) - seen
    assert frames(pod.ask({"op": "follow", "job": 1, "offset": offset, "follow": True}))[0] == b""


def test_tail_gives_the_last_lines_then_goes_on(pod: Pod) -> None:
    pod.submit(run="seq 1000; printf end")
    out, state = frames(pod.ask({"op": "follow", "job": 1, "tail": 2, "follow": True}))
    assert out == b"1000\nend" and state["status"] == "SUCCEEDED"


def test_a_job_sent_twice_runs_once(pod: Pod) -> None:
    for _ in range(2):
        assert pod.submit(key="k", run="echo once")[0] == b"once\n"
    assert len(pod.ask({"op": "queue"}).line()["jobs"]) == 1


def test_an_unknown_job_is_told(pod: Pod) -> None:
    assert frames(pod.ask({"op": "follow", "job": 7}))[1]["missing"] == 7


def test_the_queue_is_told_again_at_each_change(pod: Pod) -> None:
    watch = pod.ask({"op": "queue", "watch": True})
    assert watch.line()["jobs"] == []
    pod.submit(run="exit 3")
    statuses: list[str] = []
    while not statuses or statuses[-1] not in wire.FINAL:
        statuses += [job["status"] for job in watch.line()["jobs"]]
    assert statuses[-1] == "FAILED" and len(statuses) == len(set(statuses))  # nothing is said twice
    asked = pod.ask({"op": "queue"})
    assert [job["exit"] for job in asked.line()["jobs"]] == [3]
    with pytest.raises(wire.Cut):
        asked.line()  # without `watch`, once


def test_cancel_ends_all_processes_of_the_job(pod: Pod) -> None:
    reader = pod.ask(
        {"op": "submit", "spec": {"run": "sleep 77 & (setsid sleep 78 &) ; echo up; sleep 79"}, "follow": True}
    )
    while reader.frame()[0] != wire.DATA:
        pass
    assert [job["id"] for job in pod.ask({"op": "cancel", "jobs": None}).line()["jobs"]] == [1]
    _, state = frames(reader)
    assert state["status"] == "CANCELLED"


ESCAPE = """python3 -c '
import os, signal, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(os.environ["HOME"] + "/escaped", "w").write(str(os.getpid()))
        time.sleep(300)
    os._exit(0)
'; while [ ! -s ~/escaped ]; do sleep 0.05; done; """


def escaped(pod: Pod) -> bool:
    """Whether the process that left its session and its parent still runs."""
    pid = (pod.root / "home/escaped").read_text()
    return Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_cancel_reaches_a_process_that_left_its_session_and_will_not_end(pod: Pod) -> None:
    pod.ask({"op": "submit", "spec": {"run": ESCAPE + "sleep 300"}})
    wait_until(lambda: (pod.root / "home/escaped").exists() and (pod.root / "home/escaped").read_text() != "")
    assert escaped(pod)
    pod.ask({"op": "cancel", "jobs": [1]}).line()
    wait_until(lambda: not escaped(pod), seconds=20)


def test_what_a_failed_job_left_behind_is_ended_before_the_next_starts(pod: Pod) -> None:
    assert pod.submit(run=ESCAPE + "exit 4", cpus=1)[1]["exit"] == 4
    pod.submit(run="true", cpus=1)
    assert not escaped(pod)


def test_a_job_cancelled_as_it_starts_never_runs(pod: Pod) -> None:
    pod.submit(run="true")
    assert ask_supervisor(pod, {"op": "end", "id": "9.run", "grace": 1}) == {"left": False}
    assert "error" in ask_supervisor(pod, {"op": "start", "id": "9.run", "script": "touch ~/ran", "env": {}})
    assert not (pod.root / "home/ran").exists()


def test_a_job_goes_on_when_no_more_of_its_log_can_be_written(pod: Pod) -> None:
    """The limit on the size of a file stands for a full disk."""
    pod.submit(run="true")
    _, hard = resource.prlimit(pod.supervisor.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pod.supervisor.pid, resource.RLIMIT_FSIZE, (100_000, hard))
    out, state = pod.submit(run="head -c 300000 /dev/zero; echo end >~/done")
    assert state["status"] == "SUCCEEDED" and len(out) == 100_000
    assert (pod.root / "home/done").exists()


def ask_supervisor(pod: Pod, request: dict[str, Any]) -> Any:
    with wire.connect(str(pod.root / "supervisor.sock"), patience=10) as conn:
        wire.send_line(conn, request)
        return wire.Reader(conn).line()


def wait_until(check: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_background_process_does_not_hold_the_job(pod: Pod) -> None:
    began = time.monotonic()
    out, state = pod.submit(run="(sleep 30; echo late) & echo done")
    assert out == b"done\n" and state["status"] == "SUCCEEDED" and time.monotonic() - began < 5


def test_gpu_jobs_wait_in_order_others_do_not(tmp_path: Path) -> None:
    pod = Pod(tmp_path, gpus=1)
    try:
        first = pod.ask({"op": "submit", "spec": {"run": "sleep 1; echo 1", "gpus": 1}, "follow": True})
        first.frame()
        second = pod.ask({"op": "submit", "spec": {"run": "echo 2", "gpus": 1}, "follow": True})
        second.frame()
        assert pod.submit(run="echo beside")[1]["status"] == "SUCCEEDED"
        jobs = {job["id"]: job for job in pod.ask({"op": "queue"}).line()["jobs"]}
        assert jobs[2]["status"] == "PENDING" and "GPUs" in jobs[2]["reason"]
        ended = [frames(reader)[1] for reader in (first, second)]
        assert ended[1]["started"] >= ended[0]["ended"]
    finally:
        pod.close()


def test_down_ends_both_with_the_jobs_exit_code(tmp_path: Path) -> None:
    pod = Pod(tmp_path, autostop=AT_ONCE, job={"run": "exit 5"})
    assert frames(pod.ask({"op": "follow", "job": 1, "follow": True}))[1]["exit"] == 5
    assert pod.supervisor.wait(10) == 5
    assert pod.agent.wait(10) == 0


def test_the_agent_notices_that_the_container_was_killed(pod: Pod) -> None:
    reader = pod.ask({"op": "submit", "spec": {"run": "echo $$; exec sleep 60"}, "follow": True})
    kind, payload = reader.frame()
    while kind != wire.DATA:
        kind, payload = reader.frame()
    job = int(payload[wire.RANK.size :])
    pod.supervisor.send_signal(signal.SIGKILL)
    _, state = frames(reader)
    assert (state["status"], state["reason"]) == ("FAILED", "lost")
    assert pod.agent.wait(15) == 1
    with contextlib.suppress(ProcessLookupError):
        os.kill(job, signal.SIGKILL)


def test_connections_of_people_are_counted(pod: Pod) -> None:
    def info() -> dict[str, Any]:
        conn = wire.connect(str(pod.root / "supervisor.sock"), patience=10)
        wire.send_line(conn, {"op": "info"})
        return wire.Reader(conn).line()

    def until(count: int) -> Any:
        deadline = time.monotonic() + 10
        while info()["sessions"] != count:
            assert time.monotonic() < deadline, info()
            time.sleep(0.02)
        return info()["session_ended"]

    def connection() -> subprocess.Popen[bytes]:
        argv = [word.replace("/sky/run", str(pod.root)) for word in presence.counted(["cat"])]
        return subprocess.Popen(argv, stdin=subprocess.PIPE)

    assert until(0) is None
    first, second = connection(), connection()
    assert until(2) is None
    first.communicate()
    ended = until(1)
    assert abs(ended - time.time()) < 10
    second.kill()  # without a word
    second.communicate()
    assert until(0) > ended
