"""The KAI scheduler for real: it is found and used, its queues and limits hold and are told, and it takes back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubectl_sky.names import KAI_QUEUE
from tests.e2e.conftest import OWN_NUMBER, OwnCluster, Sky, eventually, namespace

pytestmark = pytest.mark.heavy
CLUSTER = OwnCluster(str(int(OWN_NUMBER) + 1))
NODES, CPUS = 4, "0.7"  # of three nodes with two CPUs each: six such pods have a place
GROUPS = "podgroups.scheduling.run.ai"
FREE = {"quota": 0, "limit": -1, "overQuotaWeight": 1}
HOLD = "until [ -e /tmp/go ]; do sleep 0.2; done"


@pytest.fixture(scope="module")
def cluster() -> Iterator[OwnCluster]:
    CLUSTER.do("up", "3")
    CLUSTER.do("kai", seconds=1800)
    yield CLUSTER
    if not os.environ.get("SKY_TEST_KEEP"):
        CLUSTER.do("down")


@pytest.fixture
def sky(cluster: OwnCluster) -> Iterator[Sky]:
    with namespace(cluster.kubeconfig) as sky:
        yield sky


def queue(sky: Sky, memory: int = 0, **cpu: int) -> str:
    """Made for the test; in thousandths of a CPU, `memory` as its quota in MB."""
    name = f"team-{sky.namespace}"
    resources = {"cpu": {**FREE, **cpu}, "gpu": FREE, "memory": {**FREE, "quota": memory}}
    spec = {"parentQueue": "default-parent-queue", "resources": resources}
    made = {"apiVersion": "scheduling.run.ai/v2", "kind": "Queue", "metadata": {"name": name}, "spec": spec}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    return name


def in_queue(tmp_path: Path, name: str, run: str, cpus: float, nodes: int = 1) -> str:
    file = tmp_path / "task.yaml"
    labels = {KAI_QUEUE: name}
    resources = {"cpus": cpus, "memory": 0.2, "labels": labels}
    file.write_text(json.dumps({"num_nodes": nodes, "resources": resources, "run": run}))
    return str(file)


def groups(sky: Sky) -> list[dict[str, Any]]:
    return list(json.loads(sky.kubectl("get", GROUPS, "-o", "json"))["items"])


def placed(sky: Sky, name: str) -> int:
    return sum("nodeName" in pod["spec"] for pod in sky.pods(name))


def test_all_have_a_place_or_none(sky: Sky) -> None:
    """Two more pods have a place, and four are wanted; they come when there is room."""
    first = sky.ok("launch", "-c", "a", "--num-nodes", str(NODES), "--cpus", CPUS, "--", "echo ran")
    assert first.out.count("ran\n") == NODES and "start together or not at all: the KAI scheduler" in first.err
    [group] = groups(sky)
    assert group["spec"]["minMember"] == NODES and group["spec"]["queue"] == "default-queue"
    client = sky.start(
        "launch", "-c", "b", "--num-nodes", str(NODES), "--cpus", CPUS, "--provision-timeout", "15s", "--", "echo ran"
    )
    while client.poll() is None:
        assert not placed(sky, "b")
    assert client.stderr
    said = client.stderr.read()
    assert (
        "b has not started within 15s: 4 of its 4 pods have no place: all get a place or none, and there is room for"
        in said
    )
    assert "room for only 2: of 3 nodes 2 have too little CPU free" in said
    sky.ok("down", "a")
    eventually("it starts", lambda: placed(sky, "b") == NODES, 20)
    assert sky.ok("logs", "b").out.count("ran\n") == NODES
    sky.ok("down", "b")
    eventually("no group is left", lambda: not groups(sky), 20)


def test_a_queue_and_its_limit(sky: Sky, tmp_path: Path) -> None:
    name = queue(sky, limit=1000)
    sky.ok("launch", "-c", "one", "-d", in_queue(tmp_path, name, "echo ran", 0.8))
    [group] = groups(sky)
    assert group["spec"]["queue"] == name
    late = sky.run("launch", "-c", "two", "--provision-timeout", "8s", in_queue(tmp_path, name, "echo ran", 0.8))
    assert (
        f"the KAI queue '{name}' is at its limit of CPUs: it can have 1, 0.8 are in use, and the task asks for 0.8"
        in late.err
    )
    never = sky.run("launch", "-c", "big", "--provision-timeout", "8s", in_queue(tmp_path, name, "x", 0.7, 2))
    assert (
        f"the KAI queue '{name}' never has room for it: of CPUs it can have 1, and the task asks for 1.4" in never.err
    )
    assert "2 of its 2 pods have no place" in never.err and "take another queue" in never.err
    sky.ok("down", "one", "big")
    eventually("the other starts", lambda: placed(sky, "two") == 1, 20)
    assert "ran\n" in sky.ok("logs", "two").out


def test_a_queue_that_takes_no_tasks(sky: Sky, tmp_path: Path) -> None:
    """Nothing is made."""
    name = queue(sky)
    wrong = sky.run("launch", "-c", "x", in_queue(tmp_path, f"{name}x", "x", 0.1))
    assert f"there is no KAI queue '{name}x'" in wrong.err and f"did you mean `{name}`" in wrong.err
    parent = sky.run("launch", "-c", "x", in_queue(tmp_path, "default-parent-queue", "x", 0.1, 2))
    assert "the KAI queue 'default-parent-queue' takes no tasks itself" in parent.err and name in parent.err
    assert wrong.code == parent.code != 0 and "job.batch/x" not in sky.objects()


def test_a_team_takes_back_what_is_its_own(sky: Sky, tmp_path: Path) -> None:
    """All pods of the other task go together, its user is told for whom, and they come again together."""
    name = queue(sky, quota=4000, memory=4000)
    every = {"spec": {"resources": {"cpu": {"quota": -1}, "memory": {"quota": -1}}}}
    sky.kubectl("patch", "queue.scheduling.run.ai", "default-parent-queue", "--type=merge", "-p", json.dumps(every))
    sky.ok("launch", "-c", "guest", "-d", "--num-nodes", "3", "--cpus", "1.5", "--", HOLD)
    guest = sky.start("logs", "guest")
    sky.ok("launch", "-c", "owner", "-d", in_queue(tmp_path, name, HOLD, 1.5, 2))
    eventually("the guest has no place", lambda: not placed(sky, "guest"), 60)
    sky.ok("down", "owner")
    _, said = guest.communicate(timeout=60)
    assert "the KAI scheduler took it away: owner took its place" in said
    eventually("the guest is back", lambda: placed(sky, "guest") == 3, 60)
