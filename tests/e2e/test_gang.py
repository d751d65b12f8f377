"""All nodes or none: launches that cannot all have a place at once let go of what they hold, and all end.

Places are an extended resource that only these tests ask for, so that they disturb nobody.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Sky, eventually, image, namespace

PLACES = 6


@dataclass
class Slot:
    """A resource that the nodes have."""

    sky: Sky
    name: str
    nodes: list[str]

    def set(self, count: int) -> None:
        """So many in all, as evenly as it goes."""
        for index, node in enumerate(self.nodes):
            here = count // len(self.nodes) + (index < count % len(self.nodes))
            self._patch(node, {"op": "add", "value": str(here)})

    def remove(self) -> None:
        for node in self.nodes:
            self._patch(node, {"op": "remove"})

    def _patch(self, node: str, operation: dict[str, str]) -> None:
        path = self.name.replace("/", "~1")
        patch = [{**operation, "path": f"/status/{what}/{path}"} for what in ("capacity", "allocatable")]
        self.sky.kubectl("patch", node, "--subresource=status", "--type=json", "-p", json.dumps(patch))


@pytest.fixture(scope="module")
def slot(kubeconfig: str) -> Iterator[Slot]:
    with namespace(kubeconfig) as sky:
        made = Slot(sky, f"example.com/slot-{uuid.uuid4().hex[:8]}", sky.kubectl("get", "nodes", "-o", "name").split())
        made.set(PLACES)
        yield made
        made.remove()


@pytest.fixture
def launch(sky: Sky, slot: Slot, tmp_path: Path) -> list[str]:
    """A launch whose pods take a place each."""
    limits = {"containers": [{"name": "task", "resources": {"limits": {slot.name: "1"}, "requests": {slot.name: "1"}}}]}
    task = {"resources": {"cpus": 0.05, "memory": 0.1}, "run": "echo node $SKYPILOT_NODE_RANK; sleep 1"}
    task["config"] = {"kubernetes": {"pod_config": {"spec": limits}}}
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    sky.env["KUBECTL_SKY_GANG_SECONDS"] = "3"
    return ["launch", str(tmp_path / "task.yaml")]


def placed(sky: Sky) -> int:
    pods = json.loads(sky.kubectl("get", "pods", "-o", "json"))["items"]
    return sum(bool(pod["spec"].get("nodeName")) and pod["status"]["phase"] in ("Pending", "Running") for pod in pods)


def test_two_that_need_most_of_the_places_both_end(sky: Sky, launch: list[str]) -> None:
    count = PLACES - 1
    clients = [sky.start(*launch, "--down", "-c", name, "--num-nodes", str(count)) for name in ("a", "b")]
    for client in clients:
        out, err = client.communicate(timeout=150)
        assert client.returncode == 0, err
        assert sorted(line.split(") ")[1] for line in out.splitlines()) == [f"node {rank}" for rank in range(count)]


def test_two_that_wait_for_each_other_without_a_client_both_end(sky: Sky, slot: Slot, launch: list[str]) -> None:
    """Their pods let go by themselves: each has half of the places, the first is the first to let go."""
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": sky.namespace}}
    sky.kubectl("create", "-f", "-", stdin=json.dumps({**urgent, "value": 9, "preemptionPolicy": "Never"}))
    try:
        first = manifests(sky, [*launch, "-c", "first", "--provision-timeout", "20s"], {})
        second = manifests(
            sky, [*launch, "-c", "second", "--provision-timeout", "10m"], {"priorityClassName": sky.namespace}
        )
        slot.set(PLACES // 2)
        sky.kubectl("apply", "-f", "-", stdin=first)
        eventually("the first has half of the places", lambda: placed(sky) == PLACES // 2)
        sky.kubectl("apply", "-f", "-", stdin=second)
        eventually("the second waits", lambda: len(sky.pods("second")) == PLACES - 1)
        slot.set(PLACES)
        eventually("each has half of them", lambda: placed(sky) == PLACES, 30)
        done = ("get", "jobs", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Complete')].status}")
        eventually("both have run", lambda: sky.kubectl(*done).split() == ["True", "True"], 240)
    finally:
        slot.set(PLACES)
        sky.kubectl("delete", "priorityclass", sky.namespace)


def manifests(sky: Sky, launch: list[str], pod: dict[str, str]) -> str:
    """The launch's objects, with more fields of the pod."""
    task = yaml.safe_load(Path(launch[1]).read_text())
    task["config"]["kubernetes"]["pod_config"]["spec"].update(pod)
    Path(launch[1]).write_text(yaml.safe_dump(task))
    flags = ("--num-nodes", str(PLACES - 1), "-i", "0")
    return sky.ok(*launch, *flags, "--dry-run=client", "--show-secrets", "-o", "yaml").out


def test_what_has_no_place_is_said_and_nothing_is_held(sky: Sky, slot: Slot, launch: list[str]) -> None:
    resources = {"limits": {slot.name: "1"}, "requests": {slot.name: "1"}}
    container = {"name": "other", "image": image("busybox"), "command": ["sleep", "600"], "resources": resources}
    other = {"metadata": {"name": "other"}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    sky.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", **other}))
    eventually("another holds one of the places", lambda: placed(sky) == 1)
    began = time.monotonic()
    result = sky.run(*launch, "-c", "big", "--num-nodes", str(PLACES), "--provision-timeout", "15s")
    assert result.code != 0 and time.monotonic() - began < 50, result
    assert re.search(r"of its 6 pods \(ranks? [0-9 ,and]+\) ha(s|ve) no place", result.err), result
    assert "is taken down" in result.err, result
    eventually("nothing is left", lambda: not [one for one in sky.objects() if "big" in one], 30)
