"""What pods hold, as Kubernetes' scheduler counts it (resourcehelper.PodRequests)."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_nodes import GPU, held, node

from kubectl_sky import quantity
from kubectl_sky.capacity import usage
from kubectl_sky.capacity.nodes import Device
from kubectl_sky.capacity.usage import Holding, Usage


def c(cpu: str = "", gpu: int = 0, always: bool = False, limits: dict[str, str] | None = None) -> dict[str, Any]:
    """A container; `always`: a sidecar, among the init containers."""
    asked = {**({"cpu": cpu} if cpu else {}), **({GPU: str(gpu)} if gpu else {})}
    made = {"resources": {**({"requests": asked} if asked else {}), **({"limits": limits} if limits else {})}}
    return {**made, "restartPolicy": "Always"} if always else made


@pytest.mark.parametrize(
    ("containers", "before", "expected"),
    [
        ([c("1"), c("500m")], [], {"cpu": 1.5}),
        ([c("1", 1), c(gpu=2)], [], {"cpu": 1, GPU: 3}),
        ([{}, c("1")], [{}], {"cpu": 1}),
        # an init container counts when it needs more than what follows, for each resource by itself
        ([c("2", 1)], [c("3"), c("1")], {"cpu": 3, GPU: 1}),
        ([c("2")], [c("1", 4)], {"cpu": 2, GPU: 4}),
        # a sidecar runs with the containers, and with the init containers that come after it
        ([c("2")], [c("1", always=True)], {"cpu": 3}),
        ([c("1")], [c("1", always=True), c("4")], {"cpu": 5}),
        ([c("1")], [c("4"), c("1", always=True)], {"cpu": 4}),
        ([c("1")], [c("1", always=True), c("2", always=True), c("1")], {"cpu": 4}),
        ([c("1")], [c("1", always=True), c("5"), c("3", always=True)], {"cpu": 6}),
        # limits stand for requests that are missing
        ([c(limits={"cpu": "2", GPU: "1"})], [], {"cpu": 2, GPU: 1}),
        ([c("1", limits={"cpu": "2", "memory": "1Ki"})], [], {"cpu": 1, "memory": 1024}),
        ([{"resources": {"requests": None, "limits": None}}], [], {}),
    ],
)
def test_containers(containers: list[Any], before: list[Any], expected: dict[str, float]) -> None:
    assert usage.requests({"containers": containers, "initContainers": before}) == {**expected, "pods": 1}


def test_overhead_comes_on_top() -> None:
    spec = {"containers": [c("1")], "initContainers": [c("3")], "overhead": {"cpu": "250m", "memory": "1Ki"}}
    assert usage.requests(spec) == {"cpu": 3.25, "memory": 1024, "pods": 1}


def test_resources_of_a_pod_stand_for_those_of_its_containers() -> None:
    own = {"requests": {"cpu": "8"}, "limits": {"memory": "4Ki"}}
    spec = {"containers": [c("1", 2), c("1")], "initContainers": [c("9")], "resources": own, "overhead": {"cpu": "1"}}
    assert usage.requests(spec) == {"cpu": 9, "memory": 4096, GPU: 2, "pods": 1}


@pytest.mark.parametrize(
    ("where", "phase", "holds"),
    [
        ("n", "Running", True),
        ("n", "Pending", True),
        ("", "Pending", False),
        ("n", "Succeeded", False),
        ("n", "Failed", False),
    ],
)
def test_pods_that_hold_nothing(where: str, phase: str, holds: bool) -> None:
    metadata = {"namespace": "ml", "name": "p"}
    spec = {"containers": [c("1")], **({"nodeName": where} if where else {})}
    found = usage.read({"metadata": metadata, "spec": spec, "status": {"phase": phase}})
    assert found == (Holding("ml", "p", "n", {"cpu": 1, "pods": 1}) if holds else None)
    assert usage.read({"metadata": metadata, "spec": {**spec, "nodeName": "n"}}) is not None


def test_what_is_free() -> None:
    found = Usage([held("a", "x", gpu=2, cpu=60), held("a", "y", gpu=5), held("b", gpu=1), held("gone", gpu=8)])
    a, b, c = node("a"), node("b"), node("c")
    gpus = a.devices[0]
    assert [found.free(one, GPU) for one in (a, b, c)] == [1, 7, 8]
    assert (found.free_devices(a, gpus), found.used(a, "cpu"), found.free(a, "cpu")) == (1, 60, 4)
    assert (found.free(a, "none"), Usage([held("a", gpu=9)]).free(a, GPU)) == (0, 0)


def test_holders_begin_with_those_that_hold_most() -> None:
    found = Usage([held("a", "y", gpu=1), held("a", "x", gpu=1), held("a", "z", gpu=4), held("a", "cpus", cpu=1)])
    assert [one.pod for one in found.holders(node("a"), GPU)] == ["z", "x", "y"]
    assert found.holders(node("b"), GPU) == []


def test_claimed_devices_are_counted_by_their_name() -> None:
    h100 = Device("H100", "gpu.nvidia.com", 4, claim=True)
    found = Usage([], {("n", "H100"): 3, ("m", "H100"): 9})
    assert (found.free_devices(node("n"), h100), found.free_devices(node("m"), h100)) == (1, 0)
    assert found.free_devices(node("x"), h100) == 4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1500m", 1.5), ("16Gi", 16 * 2**30), ("1e3", 1000), ("1k", 1000), ("2M", 2e6), ("100u", 1e-4), (4, 4),
        (0.5, 0.5), ("1E", 1e18), ("1Ei", 2**60), ("0", 0), ("12E2", 1200),
    ],
)  # fmt: skip
def test_quantities(text: str | float, value: float) -> None:
    assert quantity.parse(text) == pytest.approx(value)


def test_quantities_for_people_and_pods() -> None:
    assert [quantity.number(x) for x in (4.0, 1.5, 0.0001)] == ["4", "1500m", "1m"]
    assert [quantity.gibibytes(x) for x in (16.0, 1.5)] == ["16Gi", "1536Mi"]
    shown = [
        ("memory", 2000 * 2**30),
        ("memory", 15.5 * 2**30),
        ("memory", 32 * 2**20),
        ("cpu", 3.94),
        ("cpu", 4.0),
        (GPU, 8.0),
    ]
    assert [quantity.shown(*one) for one in shown] == ["2000 GiB", "15.5 GiB", "32 MiB", "3.94", "4", "8"]


@pytest.mark.parametrize("text", ["", "x", "1Zi", "Gi"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError):
        quantity.parse(text)
