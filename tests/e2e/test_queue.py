"""The queue inside a cluster, and its end when it is idle."""

from __future__ import annotations

import json
import subprocess

from tests.e2e.conftest import Sky, eventually

KILL_AGENT = """
for p in /proc/[0-9]*; do
  if grep -qs 'agent[.]py' $p/cmdline && [ ${p#/proc/} != 1 ] && [ ${p#/proc/} != $$ ]; then kill -9 ${p#/proc/}; fi
done
"""


def jobs(sky: Sky, name: str) -> dict[int, dict[str, object]]:
    found = json.loads(sky.ok("queue", name, "-o", "json").out)
    return {job["id"]: job for job in found["items"]}


def processes(sky: Sky, name: str) -> str:
    """The command lines in the task's container, but for the one that asks."""
    return sky.ok("ssh", name, "for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || tr '\\0' ' ' <$p/cmdline; done").out


def test_jobs_side_by_side_in_order_after_others_and_over_a_killed_agent(sky: Sky) -> None:
    sky.ok("launch", "-c", "q", "--cpus", "1", "--", "true")
    sky.ok("exec", "-d", "q", "--", "until [ -e ~/go ]; do sleep 0.1; done; exit 3")
    sky.ok("exec", "-d", "--cpus", "1", "q", "--", "echo whole")
    sky.ok("exec", "-d", "--after", "2", "q", "--", "echo never")
    sky.ok("exec", "-d", "--after", "any:2", "q", "--", "echo after")
    now = jobs(sky, "q")
    assert (now[2]["status"], now[3]["status"]) == ("RUNNING", "PENDING"), now
    assert now[3]["reason"] == "waiting for CPUs in use by earlier jobs"
    pod = sky.kubectl("get", "pods", "-o", "name").split()[0]
    sky.kubectl("exec", pod, "-c", "ssh", "--", "sh", "-c", KILL_AGENT)
    sky.ok("ssh", "q", "touch ~/go")
    assert sky.ok("logs", "q", "3").out == "whole\n"
    assert sky.run("logs", "q", "2").code == 3
    assert sky.ok("logs", "q", "5").out == "after\n"
    assert jobs(sky, "q")[4]["status"] == "CANCELLED"
    assert "it asks for 1 GPU a node; each has 0" in sky.run("exec", "--gpus", "H100:1", "q", "true").err
    assert "FAILED (3)" in sky.ok("queue", "q").out


def test_cancel_reaches_what_a_job_left_behind(sky: Sky) -> None:
    sky.ok("launch", "-c", "c", "-d", "--", "trap '' TERM; sleep 77 & sleep 78")
    eventually("the job runs", lambda: jobs(sky, "c")[1]["status"] == "RUNNING")
    assert sky.ok("cancel", "c", "1").out == "job 1 is cancelled\n"
    assert sky.run("cancel", "c", "9").code == 1
    eventually("its processes are gone", lambda: "sleep 7" not in processes(sky, "c"), 15)


def test_an_idle_cluster_waits_for_sessions_then_ends_by_itself(sky: Sky) -> None:
    sky.ok("launch", "-c", "i", "--", "true")
    session = subprocess.Popen(sky.argv("ssh", "i", "sleep 10"), env=sky.environment())
    eventually("the session is there", lambda: "sleep 10" in processes(sky, "i"), 10)
    sky.ok("autostop", "i", "-i", "0", "--down")
    assert session.wait(30) == 0  # nobody ended it
    ended = ("get", "job", "i", "-o", "jsonpath={.status.succeeded}")
    eventually("its pod has ended", lambda: sky.kubectl(*ended) == "1", 40)


def test_what_needs_pods_says_that_there_are_none(sky: Sky) -> None:
    sky.run("launch", "-d", "-c", "big", "--cpus", "50", "--config", "kubernetes.autoscaler=gke",
            "--provision-timeout", "2s", "--", "true")  # fmt: skip
    for words in (("autostop", "big", "-i", "5"), ("cancel", "big", "1")):
        result = sky.run(*words)
        assert result.code == 1 and "error: big is Pending: none of " in result.err, result
        assert "--cpus" in result.err, result
