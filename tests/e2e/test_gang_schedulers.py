"""Volcano and coscheduling for real: they are found and used, and place all pods of a task or none."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

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
