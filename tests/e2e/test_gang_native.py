"""Kubernetes' own gang scheduling, on a cluster of its own that has it switched on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import OWN_NUMBER, OwnCluster, Sky, eventually, namespace

pytestmark = pytest.mark.heavy
CLUSTER = OwnCluster(str(int(OWN_NUMBER) + 2))
ROUNDS = int(os.environ.get("SKY_TEST_ROUNDS", "5"))
NODES, CPUS = 4, "0.7"  # of three nodes with two CPUs each: six such pods have a place


@pytest.fixture(scope="module")
def sky() -> Iterator[Sky]:
    CLUSTER.do("up", "3", "--version", "1.37-gang")
    with namespace(CLUSTER.kubeconfig) as sky:
        yield sky
    if not os.environ.get("SKY_TEST_KEEP"):
        CLUSTER.do("down")


def test_two_that_need_most_of_the_cluster_never_wait_for_each_other(sky: Sky) -> None:
    for _ in range(ROUNDS):
        argv = ("--num-nodes", str(NODES), "--cpus", CPUS, "--down", "--", "echo ran")
        clients = [sky.start("launch", "-c", name, *argv) for name in ("a", "b")]
        for client in clients:
            out, err = client.communicate(timeout=120)
            assert client.returncode == 0 and out.count("ran\n") == NODES, err
            assert "start together or not at all: Kubernetes' own gang scheduling" in err
            assert "make room" not in err  # nobody held a part


def test_the_group_goes_with_the_cluster(sky: Sky) -> None:
    sky.ok("launch", "-c", "g", "--num-nodes", "2", "--cpus", "0.1", "--", "true")
    (group,) = json.loads(sky.kubectl("get", "podgroups.scheduling.k8s.io", "-o", "json"))["items"]
    assert group["metadata"]["name"] == "g" and group["spec"]["schedulingPolicy"]["gang"]["minCount"] == 2
    sky.ok("down", "g")
    assert sky.kubectl("get", "podgroups.scheduling.k8s.io", "-o", "name") == ""


@pytest.mark.parametrize("verb", (("gc", "-y", "--older-than", "0s"), ("down", "-y", "g")))
def test_a_group_without_its_cluster_is_found(sky: Sky, verb: tuple[str, ...]) -> None:
    def groups(how: str) -> str:
        return sky.kubectl("get", "podgroups.scheduling.k8s.io", "-o", how)

    sky.ok("launch", "-d", "-c", "g", "--num-nodes", "2", "--cpus", "0.1", "--", "true")
    sky.kubectl("delete", "job", "g", "--cascade=orphan")
    eventually("nobody owns it", lambda: "ownerReferences" not in groups("json"))
    sky.ok(*verb)
    eventually("it is gone with its pods", lambda: groups("name") == "")
