"""Volcano and coscheduling for real: they are found and used, and place all pods of a task or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sky.names import VOLCANO_QUEUE
from tests.e2e.conftest import OWN_NUMBER, OwnCluster, Sky, eventually, namespace

pytestmark = pytest.mark.heavy
CLUSTER = OwnCluster(str(int(OWN_NUMBER) + 1))
NODES, CPUS = 4, "0.7"  # of three nodes with two CPUs each: six such pods have a place
CALLED = {"volcano": "Volcano", "coscheduling": "coscheduling"}


@pytest.fixture(scope="module", params=CALLED)
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    CLUSTER.do("up", "3")
    CLUSTER.do(request.param, seconds=1800)
    yield request.param
    if not os.environ.get("SKY_TEST_KEEP"):
        CLUSTER.do("down")


@pytest.fixture
def sky(kind: str) -> Iterator[Sky]:
    with namespace(CLUSTER.kubeconfig) as sky:
        yield sky


def test_what_does_not_fit_whole_holds_nothing(sky: Sky) -> None:
    """Two more pods have a place, and four are wanted."""
    first = sky.ok("launch", "-c", "a", "--num-nodes", str(NODES), "--cpus", CPUS, "--", "echo ran")
    assert first.out.count("ran\n") == NODES
    client = sky.start(
        "launch", "-c", "b", "--num-nodes", str(NODES), "--cpus", CPUS, "--provision-timeout", "15s", "--", "x"
    )
    while client.poll() is None:
        assert not any("nodeName" in pod["spec"] for pod in sky.pods("b"))
    assert client.stderr and "has not started within 15s" in client.stderr.read()


def test_the_group_goes_with_the_cluster(sky: Sky, kind: str) -> None:
    launched = sky.ok("launch", "-c", "g", "--num-nodes", "2", "--cpus", "0.1", "--", "true")
    assert f"start together or not at all: {CALLED[kind]}" in launched.err
    resource = {"volcano": "podgroups.scheduling.volcano.sh", "coscheduling": "podgroups.scheduling.x-k8s.io"}[kind]
    (group,) = json.loads(sky.kubectl("get", resource, "-o", "json"))["items"]
    assert group["metadata"]["name"] == "g" and group["spec"]["minMember"] == 2
    sky.ok("down", "g")
    eventually("the group is gone", lambda: sky.kubectl("get", resource, "-o", "name") == "", 20)


def test_a_queue_of_volcano(sky: Sky, kind: str, tmp_path: Path) -> None:
    if kind != "volcano":
        pytest.skip("coscheduling has no queues")
    name = f"team-{sky.namespace}"
    queue = {"apiVersion": "scheduling.volcano.sh/v1beta1", "kind": "Queue", "metadata": {"name": name}}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps({**queue, "spec": {"weight": 1, "capability": {"cpu": "1"}}}))
    eventually("it is open", lambda: "Open" in sky.kubectl("get", "queue.scheduling.volcano.sh", name, "-o", "yaml"))

    def task(queue: str) -> str:
        resources = {"cpus": 0.6, "memory": 0.2, "labels": {VOLCANO_QUEUE: queue}}
        (tmp_path / "task.yaml").write_text(json.dumps({"resources": resources, "run": "echo ran"}))
        return str(tmp_path / "task.yaml")

    wrong = sky.run("launch", "-c", "x", task(f"{name}x"))
    assert wrong.code and f"there is no Volcano queue '{name}x'" in wrong.err and f"did you mean `{name}`" in wrong.err
    assert sky.ok("launch", "-c", "one", task(name)).out == "ran\n"
    late = sky.run("launch", "-c", "two", "--provision-timeout", "6s", task(name))
    assert "its Volcano queue has no room for it" in late.err, late
    pair = sky.run("launch", "-c", "pair", "--num-nodes", "2", "--provision-timeout", "6s", task(name))
    assert f"start together or not at all: Volcano, queue '{name}'" in pair.err and "its Volcano queue has" in pair.err
    sky.ok("down", "one", "pair")
    assert sky.ok("logs", "two").out == "ran\n"
