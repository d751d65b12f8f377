"""A managed job: the supervisor and the agent as real processes, one node, no cluster."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from kubectl_sky.remote import gang, wire
from tests.unit.test_pod_programs import AT_ONCE, Pod, frames


def managed(
    root: Path, run: str, max_restarts: int = 0, exit_codes: tuple[int, ...] = (), excused: bool = False, **spec: Any
) -> Pod:
    told: dict[str, Any] = {"task_id": "sky-managed-x_t_1-0", "env": {"SKYPILOT_MANAGED_JOB_ID": "1"}}
    told.update(max_restarts=max_restarts, exit_codes=list(exit_codes), files="0")
    jobs = [{"name": "t", "run": run, "managed": told, **spec}]
    fan = {"jobs": jobs, "count": 1, "serial": False, "excused": excused}
    return Pod(root, autostop=AT_ONCE, managed=fan, environ={"SKY_MANAGED": "1"})


def one_of(root: Path, index: int, serial: bool, *runs: str) -> Pod:
    """The pod of an index: of a pipeline's tasks, or of three ranks."""
    root.mkdir()
    specs = []
    for number, run in enumerate(runs):
        told = {"task_id": f"id-{number}", "env": {}, "max_restarts": 0, "exit_codes": [], "files": str(number)}
        specs.append({"name": "t", "run": run, "managed": told})
    fan = {"jobs": specs, "count": len(runs) if serial else 3, "serial": serial}
    return Pod(root, autostop=AT_ONCE, managed=fan, environ={"SKY_MANAGED": "1", "JOB_COMPLETION_INDEX": str(index)})


def test_the_pod_of_an_index_runs_its_own(tmp_path: Path) -> None:
    second = one_of(tmp_path / "serial", 1, True, "echo first", "echo second $SKYPILOT_TASK_ID")
    rank = one_of(tmp_path / "ranks", 2, False, "echo $SKYPILOT_JOB_RANK of $SKYPILOT_NUM_JOBS $SKYPILOT_TASK_ID")
    assert [follow(pod)[0] for pod in (second, rank)] == [b"second id-1\n", b"2 of 3 id-0-2\n"]
    assert [pod.supervisor.wait(10) for pod in (second, rank)] == [0, 0]


def follow(pod: Pod) -> tuple[bytes, dict[str, Any]]:
    return frames(pod.ask({"op": "follow", "job": 1, "follow": True}))


def last_words(pod: Pod) -> dict[str, Any]:
    words: dict[str, Any] = json.loads((pod.root / "last-words").read_text())
    return words


def test_its_own_failures_are_tried_again_as_often_as_asked(tmp_path: Path) -> None:
    pod = managed(tmp_path, "echo $SKYPILOT_TASK_ID; exit 7", max_restarts=1, setup="echo setup")
    out, state = follow(pod)
    again = "kubectl-sky: FAILED with exit code 7: it begins again (restart 1)"
    once = ["setup", "sky-managed-x_t_1-0"]
    assert out.decode().splitlines() == [*once, again, *once]
    assert (state["status"], state["exit"], state["restarts"]) == ("FAILED", 7, 1)
    assert pod.supervisor.wait(10) == 7
    assert (pod.root / "stdout").read_bytes() == out
    assert {**last_words(pod), "started": 0, "ended": 0} == {
        "status": "FAILED", "exit": 7, "reason": None, "rank": 0, "restarts": 1, "started": 0, "ended": 0,
    }  # fmt: skip


def test_a_failure_that_its_job_would_make_good_is_only_noted(tmp_path: Path) -> None:
    pod = managed(tmp_path, "exit 7", excused=True)
    assert follow(pod)[1]["exit"] == 7
    assert pod.supervisor.wait(10) == 0
    assert (last_words(pod)["status"], last_words(pod)["exit"]) == ("FAILED", 7)


def test_what_is_said_of_an_attempt_has_a_line_of_its_own(tmp_path: Path) -> None:
    out, _ = follow(managed(tmp_path, "printf 'no end'; exit 7", max_restarts=1))
    assert out == b"no end\nkubectl-sky: FAILED with exit code 7: it begins again (restart 1)\nno end"


def test_some_exit_codes_are_always_tried_again(tmp_path: Path) -> None:
    run = "echo x >> count; n=$(wc -l < count); test $n -ge 3 || exit 29; echo done"
    pod = managed(tmp_path, f"cd; {run}", exit_codes=(29,))
    out, state = follow(pod)
    assert out.endswith(b"done\n") and (state["status"], state["restarts"]) == ("SUCCEEDED", 2)
    assert pod.supervisor.wait(10) == 0 and last_words(pod)["status"] == "SUCCEEDED"


def test_a_pod_that_is_taken_away_says_so_whatever_its_job_makes_of_it(tmp_path: Path) -> None:
    pod = managed(tmp_path, "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done", max_restarts=5)
    reader = pod.ask({"op": "follow", "job": 1, "follow": True})
    while reader.frame()[1][2:] != b"up\n":
        pass
    pod.supervisor.send_signal(signal.SIGTERM)
    assert pod.supervisor.wait(10) == gang.TAKEN
    assert not (pod.root / "last-words").exists()


def test_exit_codes_that_mean_something_to_the_job_are_told_otherwise(tmp_path: Path) -> None:
    pod = managed(tmp_path, "kill -9 $$")
    assert pod.supervisor.wait(15) == 1 and last_words(pod)["exit"] == 137


def test_it_can_be_cancelled_while_it_waits_to_begin_again(tmp_path: Path) -> None:
    pod = managed(tmp_path, "exit 3", exit_codes=(3,))
    deadline = time.monotonic() + 15
    while pod.ask({"op": "queue"}).line()["jobs"][0]["restarts"] < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    pod.ask({"op": "cancel", "jobs": None}).line()
    assert pod.supervisor.wait(10) == 143 and last_words(pod)["status"] == "CANCELLED"


def test_a_killed_agent_goes_on_with_the_attempt_that_runs(tmp_path: Path) -> None:
    pod = managed(tmp_path, "for i in 1 2 3 4 5; do echo $i; sleep 0.3; done; exit 4", max_restarts=1)
    time.sleep(1)
    pod.agent.kill()
    pod.agent.wait()
    pod.start_agent()
    out, state = follow(pod)
    assert [line for line in out.decode().split("\n") if line.isdigit()] == [*"12345", *"12345"]
    assert (state["exit"], state["restarts"]) == (4, 1)


def test_an_agent_that_is_back_before_its_node_answers_waits_for_it(tmp_path: Path) -> None:
    pod = managed(tmp_path, "for i in 1 2 3; do echo $i; sleep 0.3; done; exit 4", max_restarts=0)
    eventually_runs(pod)
    pod.agent.kill()
    pod.agent.wait()
    pod.supervisor.send_signal(signal.SIGSTOP)
    pod.start_agent()
    time.sleep(1)
    pod.supervisor.send_signal(signal.SIGCONT)
    out, state = follow(pod)
    assert out.decode().split() == [*"123"] and (state["exit"], state["restarts"]) == (4, 0)


def eventually_runs(pod: Pod) -> None:
    deadline, state = time.monotonic() + 10, pod.root / "records" / "1.state"
    while not state.exists() or '"RUNNING"' not in state.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_an_agent_before_had_started_on_a_node_is_ended_first(tmp_path: Path) -> None:
    """As when node 0 is made again, and this node stayed: the new agent has no records."""
    pod = managed(tmp_path, "echo $$ >> ~/pids; sleep 600")
    deadline = time.monotonic() + 10
    pids = pod.root / "home" / "pids"
    while not pids.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    pod.agent.kill()
    pod.agent.wait()
    for file in (pod.root / "records").iterdir():
        file.unlink()
    pod.start_agent()
    while len(pids.read_text().split()) < 2 and time.monotonic() < deadline + 10:
        time.sleep(0.05)
    first, second = pids.read_text().split()
    assert not Path("/proc", first).exists() and Path("/proc", second).exists()
    pod.close()


def test_a_pod_that_came_later_takes_no_part_in_an_attempt(tmp_path: Path) -> None:
    """The other nodes are in the midst of it: all begin again together."""
    pod = managed(tmp_path, "sleep 600")
    wait = time.monotonic() + 10
    while pod.ask({"op": "queue"}).line()["jobs"][0]["status"] != "RUNNING" and time.monotonic() < wait:
        time.sleep(0.05)
    with wire.connect(str(pod.root / "supervisor.sock")) as conn:
        wire.send_line(conn, {"op": "start", "id": "1.run@other", "script": "echo no", "env": {}, "tty": None})
        assert wire.Reader(conn).line()["taken"]
    pod.close()
