"""Managed jobs: they go on without a client, survive the loss of pods, and end once."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Sky, eventually, image, touch, until

SMALL = ("--cpus", "0.1", "--memory", "0.2")
STEPS = 12
# a step each half second; what is on the volume is all that a new pod knows
CHECKPOINTS = f"""\
echo $SKYPILOT_TASK_ID >> /ckpt/ids
step=$(cat /ckpt/step 2>/dev/null || echo 0)
echo begins at $step
while [ $step -lt {STEPS} ]; do
  step=$((step + 1)); echo $step > /ckpt/new; mv /ckpt/new /ckpt/step
  sleep 0.5
done
echo ended >> /ckpt/ends
"""


def rows(sky: Sky, *names: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(sky.ok("jobs", "queue", "-o", "json", *names).out)["items"]}


def status(sky: Sky, name: str) -> str:
    return str(rows(sky).get(name, {}).get("status"))


@pytest.fixture(scope="module")
def storage(kubeconfig: str) -> None:
    if not kubeconfig.startswith("/var/lib/kubectl-sky-cluster"):
        pytest.skip("the storage classes are those of the project's own cluster")
    from tests import cluster

    cluster.provision_storage()


def checkpointing(folder: Path, claim: str, nodes: int = 1) -> str:
    file = folder / "checkpointing.yaml"
    run = json.dumps(CHECKPOINTS)
    file.write_text(
        f"name: ck\nnum_nodes: {nodes}\nvolumes: {{/ckpt: {claim}}}\nrun: {run}\n"
        f"resources: {{cpus: 0.1, memory: 0.2, image_id: {image('busybox')}}}\n"
    )
    return str(file)


def test_a_client_killed_right_after_the_launch(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("from the laptop\n")
    (tmp_path / "task.yaml").write_text(
        "name: alone\nworkdir: .\nenvs: {A: x}\nsecrets: {B: y}\nsetup: echo setup; sleep 1\n"
        "run: cat data; echo $A $B $SKYPILOT_NUM_NODES; ls /sky/files 2>&1; test $SKYPILOT_MANAGED_JOB_ID -gt 0\n"
    )
    here = replace(sky, cwd=tmp_path)
    client = here.start("jobs", "launch", *SMALL, "--num-nodes", "2", "task.yaml")
    eventually("its Job is there", lambda: "alone" in sky.kubectl("get", "jobs", "-o", "name"))
    client.send_signal(signal.SIGKILL)
    client.communicate()
    (tmp_path / "data").unlink()
    eventually("it has ended", lambda: status(sky, "alone") == "SUCCEEDED")
    out = sky.ok("jobs", "logs", "alone").out
    for node in ("head, rank=0", "worker1, rank=1"):
        assert f"({node}) from the laptop\n({node}) x y 2\n" in out
    assert out.count("/sky/files': No such file") == 2  # only our own container sees the Secrets
    assert rows(sky)["alone"]["recoveries"] == 0
    sky.ok("down", "alone")
    assert "alone" not in sky.kubectl("get", "secrets,configmaps,services,jobs", "-o", "name")


@pytest.mark.parametrize("how", ["deleted", pytest.param("evicted", marks=pytest.mark.heavy)])
def test_a_lost_pod_is_replaced_and_the_job_resumes_and_ends_once(
    sky: Sky, storage: None, tmp_path: Path, how: str
) -> None:
    sky.ok("volumes", "apply", "--name", "ck", "--size", "1Gi", "--storage-class", "local")
    follower = sky.start("jobs", "launch", checkpointing(tmp_path, "ck"))
    eventually("it runs", lambda: status(sky, "ck") == "RUNNING")
    time.sleep(2)
    (pod,) = sky.pods("ck")
    name = pod["metadata"]["name"]
    if how == "deleted":
        sky.kubectl("delete", "pod", name, "--wait=false")
    else:
        about = {"name": name, "namespace": sky.namespace}
        eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": about})
        path = f"/api/v1/namespaces/{sky.namespace}/pods/{name}/eviction"
        sky.kubectl("create", "--raw", path, "-f", "-", stdin=eviction)
    out, err = follower.communicate(timeout=90)
    assert follower.returncode == 0 and "recovered 1 time" in err, err
    begins = [int(line.split()[-1]) for line in out.splitlines() if line.startswith("begins at")]
    assert begins[0] == 0 and 1 < begins[1] < STEPS, out
    eventually("its pod says so", lambda: status(sky, "ck") != "RUNNING")
    shown = rows(sky)["ck"]
    assert (shown["status"], shown["recoveries"], shown["exitCode"]) == ("SUCCEEDED", 1, 0)
    look = "cat /ckpt/ends; sort /ckpt/ids | uniq | wc -l"
    (tmp_path / "look.yaml").write_text(
        f"volumes: {{/ckpt: ck}}\nrun: {look}\nresources: {{cpus: 0.1, image_id: {image('busybox')}}}\n"
    )
    assert sky.ok("launch", "-c", "look", "--down", str(tmp_path / "look.yaml")).out.split() == ["ended", "1"]


def test_errors_are_tried_again_as_asked_then_it_has_failed(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(
        "name: bad\nrun: echo tried; exit 7\nresources: {cpus: 0.1, job_recovery: {max_restarts_on_errors: 1}}\n"
    )
    failed = sky.run("jobs", "launch", str(tmp_path / "task.yaml"))
    assert failed.code == 7 and failed.out.split("\n").count("tried") == 2, failed
    assert "bad failed, recovered 1 time: exit code 7" in failed.err
    eventually("the Job has", lambda: "Failed" in sky.kubectl("get", "job", "bad", "-o", "jsonpath={.status}"))
    shown = rows(sky)["bad"]
    assert (shown["status"], shown["exitCode"], shown["recoveries"]) == ("FAILED", 7, 1)
    again = sky.run("jobs", "logs", "bad")
    assert again.code == 7 and again.out == failed.out
    assert [pod["status"]["phase"] for pod in sky.pods("bad")] == ["Failed"]  # and no other was made
    # the name is taken: the next one has another
    assert "bad-2" in sky.run("jobs", "launch", "-d", str(tmp_path / "task.yaml")).err


def test_its_last_lines_come_though_the_client_was_cut_off_until_it_was_over(sky: Sky) -> None:
    nodes = ("--num-nodes", "2")
    script = f"echo one; {until('go')}; echo two; {until('end')}; exit 7"

    def has_said_it(pod: dict[str, Any]) -> bool:
        return "two" in sky.kubectl("logs", pod["metadata"]["name"], "-c", "task").split()

    with sky.start("jobs", "launch", "--name", "cut", *nodes, *SMALL, "--", script) as client:
        try:
            first = [client.stdout.readline() for _ in nodes] if client.stdout else []
            client.send_signal(signal.SIGSTOP)
            children = Path(f"/proc/{client.pid}/task/{client.pid}/children").read_text().split()
            for child in children:  # its `kubectl exec`
                os.kill(int(child), signal.SIGKILL)
            touch(sky, "go", *sky.pods("cut"))
            eventually("both have said it", lambda: all(map(has_said_it, sky.pods("cut"))))
            touch(sky, "end", sky.pods("cut")[0])  # which ends the other too
            eventually("it is over", lambda: all(pod["status"]["phase"] == "Failed" for pod in sky.pods("cut")))
        finally:
            client.send_signal(signal.SIGCONT)
        out, err = client.communicate(timeout=60)
    ranks = "(head, rank=0) ", "(worker1, rank=1) "
    assert children and client.returncode == 7 and sorted(first) == [f"{rank}one\n" for rank in ranks]
    lines = [line for line in out.splitlines() if not line.endswith("Terminated")]  # says the other's shell, or not
    assert sorted(lines) == [f"{rank}two" for rank in ranks], err


def test_cancel(sky: Sky) -> None:
    sky.ok("jobs", "launch", "-d", "--name", "runs", *SMALL, "--", "trap 'echo ends' TERM; echo up; sleep 600")
    nobody = ("--config", "kubernetes.pod_config.spec.schedulerName=nobody")
    sky.ok("jobs", "launch", "-d", "--name", "waits", *SMALL, *nobody, "--", "sleep 600")
    eventually("it runs", lambda: status(sky, "runs") == "RUNNING")
    done = sky.ok("jobs", "cancel", "runs", "waits")
    assert done.out == "runs is cancelled\nwaits is cancelled\n"
    eventually("both are", lambda: {one["status"] for one in rows(sky).values()} == {"CANCELLED"})
    logs = sky.run("jobs", "logs", "runs")
    assert logs.code == 143 and "up" in logs.out and "runs was cancelled" in logs.err, logs
    assert "had ended already: CANCELLED" in sky.ok("jobs", "cancel", "runs").err
    assert "no managed job 'rums'" in sky.run("jobs", "cancel", "rums").err


def test_what_is_too_large_is_refused_before_anything_is_made(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "random").write_bytes(Path("/dev/urandom").open("rb").read(8_100_000))
    refused = sky.run("jobs", "launch", "--workdir", str(tmp_path), *SMALL, "--", "true")
    assert refused.code == 2 and "at most 8 MB" in refused.err and "bucket" in refused.err
    assert "sky-files" not in sky.kubectl("get", "secrets", "-o", "name")


PIPELINE = """\
name: pipe
---
name: prepare
workdir: work
run: cat data; echo one > /shared/state; exit $CODE
envs: {CODE: 0}
resources: {cpus: 0.1, memory: 0.2}
volumes: {/shared: ck}
---
run: echo two after $(cat /shared/state); ls ~/sky_workdir/data 2>/dev/null | wc -l
resources: {cpus: 0.1, memory: 0.2}
volumes: {/shared: ck}
"""


def test_a_pipeline_goes_on_without_a_client(sky: Sky, storage: None, tmp_path: Path) -> None:
    sky.ok("volumes", "apply", "--name", "ck", "--size", "1Gi", "--storage-class", "local")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "data").write_text("carried\n")
    (tmp_path / "pipe.yaml").write_text(PIPELINE)
    here = replace(sky, cwd=tmp_path)
    here.ok("jobs", "launch", "-d", "pipe.yaml")
    eventually("all has ended", lambda: [one["status"] for one in rows(sky).values()] == ["SUCCEEDED", "SUCCEEDED"])
    assert sky.ok("jobs", "logs", "pipe").out == "carried\ntwo after one\n0\n"
    assert sky.ok("jobs", "logs", "pipe/1").out.startswith("two")
    failed = here.run("jobs", "launch", "--env", "CODE=3", "pipe.yaml")
    assert failed.code == 3 and "pipe-2/0 failed: exit code 3" in failed.err, failed
    eventually("what comes after is shown so", lambda: status(sky, "pipe-2/1") == "CANCELLED")


GROUP = """\
name: talk
execution: parallel
---
name: server
resources: {cpus: 0.1, memory: 0.2}
run: |
  echo asked > page; python3 -m http.server 8000 >/dev/null 2>&1 & pid=$!
  while ! [ -e /tmp/stop ]; do sleep 0.2; done; kill $pid; exit 3
---
name: client
num_nodes: 2
resources: {cpus: 0.1, memory: 0.2}
run: |
  [ $SKYPILOT_NODE_RANK = 1 ] || getent hosts client-1.$SKYPILOT_JOBGROUP_NAME | wc -l
  ask="import urllib.request as u; print(u.urlopen('http://server-0.$SKYPILOT_JOBGROUP_NAME:8000/page').read())"
  until python3 -c "$ask" 2>/dev/null; do sleep 0.3; done
"""


def test_a_group_runs_side_by_side_and_finds_itself_by_names(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text(GROUP)
    follower = sky.start("jobs", "launch", str(tmp_path / "group.yaml"))
    eventually("the client has ended", lambda: status(sky, "client") == "SUCCEEDED")
    shown = rows(sky, "talk")
    assert shown["server"]["status"] == "RUNNING", "one that ended leaves the others alone"
    assert {one["group"] for one in shown.values()} == {"talk"}
    # the names are taken as long as it goes on
    again = sky.run("jobs", "launch", "-d", str(tmp_path / "group.yaml"))
    assert again.code == 2 and "talk is there already: server goes on" in again.err, again
    sky.ok("ssh", "server", "touch", "/tmp/stop")
    out, err = follower.communicate(timeout=60)
    assert follower.returncode == 3 and "1 of the 2 jobs of talk did not succeed" in err, err
    assert sorted(out.split("\n")) == sorted(
        [
            "",
            "(client, head, rank=0) 1",
            *[f"(client, {node}) b'asked\\n'" for node in ("head, rank=0", "worker1, rank=1")],
        ]
    )
    later = sky.run("jobs", "logs", "talk")
    assert later.code == 3 and sorted(later.out.split("\n")) == sorted(out.split("\n")), later
    assert "talk is down" in sky.ok("down", "talk").out
    assert not [one for one in sky.objects() if "server" in one or "client" in one or "talk" in one]


def test_a_group_is_made_as_a_whole_or_not_at_all(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "group.yaml").write_text(GROUP)
    sky.kubectl("create", "quota", "one", "--hard=count/jobs.batch=1")
    refused = sky.run("jobs", "launch", str(tmp_path / "group.yaml"))
    assert refused.code == 1 and "quota" in refused.err, refused
    eventually("nothing is left", lambda: not [one for one in sky.objects() if "server" in one or "client" in one], 20)
    assert "service/talk" not in sky.objects()
    # a client that is killed before all is there
    sky.kubectl("delete", "quota", "one")
    client = sky.start("jobs", "launch", "-d", str(tmp_path / "group.yaml"))
    eventually("one Job is there", lambda: "server" in sky.kubectl("get", "jobs", "-o", "name"))
    client.send_signal(signal.SIGKILL)
    client.communicate()
    if not begun(sky):  # it was killed in time: the next launch makes it anew
        sky.ok("jobs", "launch", "-d", str(tmp_path / "group.yaml"))
    eventually("it runs", lambda: status(sky, "server") == "RUNNING")
    assert "there already" in sky.run("jobs", "launch", "-d", str(tmp_path / "group.yaml")).err
    before = sky.kubectl("get", "jobs", "-o", "jsonpath={.items[*].metadata.uid}")
    sky.kubectl("patch", "job", "server", "-p", '{"spec": {"suspend": true}}')  # as if one of them had begun
    sky.ok("jobs", "launch", "-d", str(tmp_path / "group.yaml"))
    assert not set(before.split()) & set(sky.kubectl("get", "jobs", "-o", "jsonpath={.items[*].metadata.uid}").split())
    eventually("it runs", lambda: status(sky, "server") == "RUNNING")


def begun(sky: Sky) -> bool:
    return all(not job["spec"]["suspend"] for job in json.loads(sky.kubectl("get", "jobs", "-o", "json"))["items"])


@pytest.mark.heavy
def test_ranks(sky: Sky) -> None:
    run = "echo rank $SKYPILOT_JOB_RANK of $SKYPILOT_NUM_JOBS; [ $SKYPILOT_JOB_RANK != 1 ]"
    sky.ok("jobs", "launch", "--name", "sweep", "--num-jobs", "3", *SMALL, "--", run)
    eventually("all have ended", lambda: all(one["status"] in ("SUCCEEDED", "FAILED") for one in rows(sky).values()))
    assert {one["name"]: one["exitCode"] for one in rows(sky).values()} == {"sweep/0": 0, "sweep/1": 1, "sweep/2": 0}
    assert sky.run("jobs", "logs", "sweep/2").out == "rank 2 of 3\n"
