"""Stop and start, hooks, and what status says of the end that is to come."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Sky, eventually
from tests.e2e.test_queue import KILL_AGENT

HOOKED = """\
config:
  hooks:
    - {run: "echo stop hook of $SKYPILOT_NODE_RANK; exit 3", events: [stop]}
    - {run: "echo down hook", events: [down]}
    - {run: "sleep 60", events: [down], timeout: 1}
    - {run: "echo preemption hook in $PWD $WHAT", events: [preemption], timeout: 20}
envs: {WHAT: here}
run: sleep 600
"""


def pods(sky: Sky, name: str) -> list[str]:
    return [f"pod/{pod['metadata']['name']}" for pod in sky.pods(name)]


def test_stop_and_start(sky: Sky, tmp_path: Path) -> None:
    sky = replace(sky, cwd=tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "data").write_text("sent\n")
    (tmp_path / "task.yaml").write_text(
        "name: s\nworkdir: work\nenvs: {A: x}\nsecrets: {B: y}\n"
        "setup: echo setup $A $B; cat data\nrun: echo run\nresources: {cpus: 0.1}\n"
    )
    sky.ok("launch", "task.yaml", "--env", "A=z")
    stopped = sky.ok("stop", "s")
    assert "s is stopped. Back again: kubectl sky start" in stopped.out
    assert pods(sky, "s") == []
    assert "Stopped" in sky.ok("status", "s").out
    for argv in (("exec", "s", "true"), ("ssh", "s", "true")):
        refused = sky.run(*argv)
        assert refused.code and "it was stopped" in refused.err and "kubectl sky start" in refused.err
    started = sky.ok("start", "s")
    assert "setup z y\nsent\n" in started.out and "run" not in started.out.split()
    assert sky.ok("exec", "s", "cat data").out == "sent\n"
    assert "s was not stopped" in sky.ok("start", "s").out
    # elsewhere, without the files
    sky.ok("stop", "s")
    (tmp_path / "work").rename(tmp_path / "gone")
    missing = sky.run("start", "s")
    assert missing.code == 2 and str(tmp_path / "work") in missing.err and "--no-files" in missing.err
    assert "cat: data" in str(sky.run("start", "--no-files", "s"))
    # a launch brings it back, too
    sky.ok("stop", "s")
    assert sky.ok("launch", "-c", "s", "--cpus", "0.1", "--", "echo again").out == "again\n"
    sky.ok("down", "s")
    assert sky.kubectl("get", "secrets,configmaps,jobs", "-l", "app.kubernetes.io/instance=s", "-o", "name") == ""


def test_idle_clusters_stop_themselves_and_tell_when(sky: Sky) -> None:
    sky.ok("launch", "-c", "i", "--cpus", "0.1", "-i", "7", "--wait-for", "jobs", "--", "echo logged")
    assert "7m, 6m" in sky.ok("status", "i").out
    assert "7m " in sky.ok("status").out
    shown = json.loads(sky.ok("status", "i", "-o", "json").out)["items"][0]["autostop"]
    assert shown == {"idleMinutes": 7, "waitFor": "jobs", "down": False, "secondsLeft": shown["secondsLeft"]}
    assert 300 < shown["secondsLeft"] <= 420
    # an agent that is killed does not forget what it was told since
    sky.ok("autostop", "i", "-i", "9", "--wait-for", "jobs")
    sky.kubectl("exec", *pods(sky, "i"), "-c", "ssh", "--", "sh", "-c", KILL_AGENT)
    eventually("its new agent answers", lambda: "9m, 8m" in sky.run("status", "i").out, 20)
    sky.ok("autostop", "i", "-i", "0", "--wait-for", "jobs")
    eventually("it has stopped itself", lambda: "Stopped" in sky.ok("status", "i").out, 40)
    assert sky.ok("logs", "i").out == "logged\n"
    assert "i is up" in sky.ok("start", "i", "-i", "30").err
    assert sky.ok("exec", "i", "echo back").out == "back\n"


def test_hooks(sky: Sky, tmp_path: Path) -> None:
    sky = replace(sky, cwd=tmp_path)
    (tmp_path / "task.yaml").write_text(HOOKED)
    sky.ok("launch", "-d", "-c", "h", "--cpus", "0.1", "task.yaml")
    eventually("it runs", lambda: "RUNNING" in sky.ok("queue", "h").out)
    argv = ["kubectl", "-n", sky.namespace, "logs", "-f", *pods(sky, "h"), "-c", "task"]
    env = {**os.environ, "KUBECONFIG": sky.kubeconfig}
    follow = subprocess.Popen(argv, env=env, text=True, stdout=subprocess.PIPE)
    sky.kubectl("delete", *pods(sky, "h"), "--wait=false")
    assert "preemption hook in" in (follow.communicate(timeout=60)[0])
    sky.ok("down", "h")
    sky.ok("launch", "-d", "-c", "h", "--cpus", "0.1", "task.yaml")
    said = sky.ok("stop", "h").err
    assert "stop hook of 0\n" in said and "of its hooks failed: hook.stop.1" in said
    sky.ok("start", "h")
    said = sky.ok("down", "h").err
    assert "down hook\n" in said and "of its hooks failed: hook.down.3" in said


def test_what_another_hand_left_behind_is_found_and_removed(sky: Sky) -> None:
    for name in ("lost", "live"):
        sky.ok("launch", "-c", name, "--cpus", "0.1", "--", "true")
    assert "Nothing is left over" in sky.ok("gc", "-y", "--older-than", "0s").err
    sky.kubectl("delete", "job", "lost", "--cascade=orphan")
    assert "Nothing is left over" in sky.ok("gc", "-y").err  # it might be of a launch that is under way
    shown = sky.ok("gc", "--dry-run", "--older-than", "0s").out
    assert {line.split()[0] for line in shown.splitlines()[1:]} == {
        "configmap/lost-sky", "secret/lost-sky", f"pod/{sky.pods('lost')[0]['metadata']['name']}",
    }  # fmt: skip
    assert "there is no cluster lost" in shown
    refused = sky.run("gc", "--older-than", "0s")
    assert refused.code == 2 and "--yes" in refused.err
    assert "Removed 1 pod, 1 configmap, 1 secret." in sky.ok("gc", "-y", "--older-than", "0s").out
    assert "Nothing is left over" in sky.ok("gc", "-y", "--older-than", "0s").err  # its pod still ends
    eventually("they are gone", lambda: not sky.pods("lost"), 60)
    assert sky.ok("exec", "live", "echo alive").out == "alive\n"
    sky.kubectl("delete", "secret", "live-sky")
    assert "live has lost secret/live-sky" in sky.ok("gc").err


def test_cost_report(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("pricing: {cpu: 3600}\n")  # a dollar a second
    sky = replace(sky, env={"KUBECTL_SKY_CONFIG": str(tmp_path / "config.yaml")})
    sky.ok("launch", "-c", "c", "--cpus", "0.5", "--num-nodes", "2", "--", "sleep 3")
    (one,) = json.loads(sky.ok("cost-report", "-o", "json").out)["items"]
    assert (
        one["pricePerHour"] == 3600 and 3 <= one["seconds"] < 60 and one["cost"] == pytest.approx(one["seconds"], abs=1)
    )
    sky.ok("stop", "c")
    stopped = json.loads(sky.ok("cost-report", "-o", "json").out)["items"][0]["cost"]
    sky.ok("start", "c")
    assert json.loads(sky.ok("cost-report", "-o", "json").out)["items"][0]["cost"] >= stopped >= one["cost"]
    lines = [line.split() for line in sky.ok("cost-report").out.splitlines()]
    assert lines[0][:2] == ["NAME", "LAUNCHED"] and lines[1][-4:-2] == ["$", "3600.00"]


def test_the_name_of_what_has_just_ended(sky: Sky) -> None:
    """Its pods have ended, and its Job does not say so yet."""
    small = ("--cpus", "0.1", "--memory", "0.2", "--num-nodes", "2")
    sky.ok("jobs", "launch", "--name", "x", *small, "--", "true")
    assert sky.ok("launch", "--down", "-c", "x", *small, "--", "echo again").out.count("again\n") == 2
