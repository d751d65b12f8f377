"""The oldest Kubernetes that is promised, and the oldest whose nodes can be several, each with its own kubectl."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.settings import VERSIONS, Version
from tests.e2e.conftest import OWN_NUMBER, OwnCluster, Sky, eventually, namespace

pytestmark = pytest.mark.heavy
CLUSTER = OwnCluster(OWN_NUMBER)
SMALL = ("--cpus", "0.1")


@pytest.fixture(scope="module", params=["1.20", "1.24"])
def old(request: pytest.FixtureRequest) -> Iterator[Version]:
    CLUSTER.do("up", "2", "--version", request.param)
    yield VERSIONS[request.param]
    if not os.environ.get("SKY_TEST_KEEP"):
        CLUSTER.do("down")


@pytest.fixture
def sky(old: Version, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sky]:
    monkeypatch.setenv("PATH", f"{old.bin}:{os.environ['PATH']}")
    with namespace(CLUSTER.kubeconfig) as sky:
        yield sky


def test_a_task_from_check_to_down(sky: Sky, old: Version, tmp_path: Path) -> None:
    before = sky.objects()
    assert f"version: Kubernetes {old.release[1:]}" in sky.ok("check").out
    (tmp_path / "data").write_text("sent\n")
    task = tmp_path / "task.yaml"
    task.write_text(
        "name: t\nresources: {cpus: 0.1}\nsecrets: {KEY: null}\nsetup: echo set up > done\n"
        "run: cat data done; echo $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES; exit 3\n"
    )
    sky.env["KEY"] = "0123456789"
    launched = sky.run("launch", str(task), "--workdir", str(tmp_path), "--secret", "KEY")
    assert (launched.code, launched.out) == (3, "sent\nset up\n0 of 1\n"), launched
    assert sky.run("logs", "t").out == launched.out
    assert sky.ok("exec", "t", "--", "cat data").out == "sent\n"
    assert sky.ok("ssh", "t", "echo $0; exit 0").out
    assert sky.ok("status", "--no-headers").out.split()[:2] == ["t", "1/1"]
    shown = sky.ok("queue", "t").out
    assert "FAILED" in shown and "SUCCEEDED" in shown
    sky.ok("cp", "t:sky_workdir/done", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "set up\n"
    sky.ok("down", "t")
    eventually("nothing is left", lambda: sky.objects() == before)


def test_a_lost_pod_is_told(sky: Sky) -> None:
    sky.ok("launch", "-c", "lost", *SMALL, "--", "true")
    sky.kubectl("delete", "pod", "-l", "app.kubernetes.io/instance=lost", "--now")
    assert "lost" in sky.ok("status", "lost").out


def test_what_it_ends_by_itself(sky: Sky) -> None:
    sky.ok("launch", "-c", "idle", "-i", "0", "--down", *SMALL, "--", "echo ran")

    def ended() -> bool:
        return all(pod["status"]["phase"] == "Succeeded" for pod in sky.pods("idle"))

    eventually("it has ended, and is gone maybe", ended, 60)


def test_what_is_rendered_is_applied_by_its_kubectl(sky: Sky) -> None:
    sky.kubectl(
        "apply",
        "-f",
        "-",
        stdin=sky.ok("launch", *SMALL, "-c", "r", "--dry-run=client", "-o", "yaml", "--", "echo x").out,
    )
    assert sky.ok("logs", "r").out == "x\n"


def test_managed_jobs(sky: Sky) -> None:
    sky.ok("jobs", "launch", "--name", "m", *SMALL, "--", "echo managed")
    eventually("it ended", lambda: "SUCCEEDED" in sky.ok("jobs", "queue").out, 60)
    assert "managed" in sky.ok("jobs", "logs", "m").out


def test_a_managed_job_that_fails_does_not_run_again(sky: Sky) -> None:
    failed = sky.run("jobs", "launch", "--name", "f", *SMALL, "--", "echo tried; exit 7")
    assert (failed.code, failed.out) == (7, "tried\n"), failed
    eventually("its Job ends", lambda: "Complete" in sky.kubectl("get", "job", "f", "-o", "jsonpath={.status}"))
    assert "FAILED (7)" in sky.ok("jobs", "queue").out
    assert len(sky.pods("f")) == 1


def test_what_needs_numbered_pods(sky: Sky, old: Version) -> None:
    before = sky.objects()
    pair = ("launch", "-c", "two", "--num-nodes", "2", *SMALL, "--", "getent hosts two-0.two | wc -l")
    sweep = ("jobs", "launch", "--name", "sweep", "--num-jobs", "2", *SMALL, "--", "exit $SKYPILOT_JOB_RANK")
    if not old.at_least(22):
        for words in (pair, sweep):
            refused = sky.run(*words)
            assert refused.code == 2 and "before 1.22" in refused.err, refused
        assert sky.objects() == before
        return
    assert sorted(sky.ok(*pair).out.splitlines()) == ["(head, rank=0) 1", "(worker1, rank=1) 1"]
    sky.ok("stop", "-y", "two")
    sky.ok("start", "two")
    names = sky.ok("exec", "two", "--num-nodes", "2", "--", "hostname").out
    assert sorted(names.splitlines()) == ["(head, rank=0) two-0", "(worker1, rank=1) two-1"]
    sky.ok(*sweep)

    def ended() -> bool:
        shown = sky.ok("jobs", "queue").out
        return "SUCCEEDED" in shown and "FAILED (1)" in shown

    eventually("both have", ended, 60)
