"""Devices of ResourceSlices, which DeviceClass asks for them, and how many are allocated."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_sky.capacity import dra
from kubectl_sky.errors import ApiError

NVIDIA = "gpu.nvidia.com"


def device(
    name: str, product: str = "NVIDIA H100 80GB HBM3", memory: str = "80Gi", **attributes: str
) -> dict[str, Any]:
    texts = {"type": "gpu", "productName": product, **attributes}
    made = {key: {"string": value} for key, value in texts.items() if value}
    return {"name": name, "attributes": made, **({"capacity": {"memory": {"value": memory}}} if memory else {})}


def resource_slice(*devices: dict[str, Any], node: str | None = "n", pool: str = "n", generation: int = 1,
                   driver: str = NVIDIA) -> dict[str, Any]:  # fmt: skip
    where = {"nodeName": node} if node else {"allNodes": True}
    return {
        "spec": {"driver": driver, "pool": {"name": pool, "generation": generation}, "devices": list(devices), **where}
    }


def device_class(name: str, *expressions: str) -> dict[str, Any]:
    selectors = [{"cel": {"expression": one}} for one in expressions]
    return {"metadata": {"name": name}, "spec": {"selectors": selectors} if selectors else {}}


def claim(*devices: str, pool: str = "n", driver: str = NVIDIA, **more: Any) -> dict[str, Any]:
    results = [{"driver": driver, "pool": pool, "device": one, **more} for one in devices]
    return {"status": {"allocation": {"devices": {"results": results}}}}


GPUS = device_class(NVIDIA, f"device.driver == '{NVIDIA}' && device.attributes['{NVIDIA}'].type == 'gpu'")
MIG = device_class("mig.nvidia.com", f"device.driver == '{NVIDIA}' && device.attributes['{NVIDIA}'].type == 'mig'")


def found(slices: list[Any], classes: list[Any], claims: list[Any] | None = None) -> list[tuple[Any, ...]]:
    there = dra.understand(slices, classes, claims or [])
    return [
        (node, one.name, one.key, one.total, one.memory) for node, devices in there.devices.items() for one in devices
    ]


def test_devices_are_counted_by_kind_and_node() -> None:
    a100 = device("gpu-2", "NVIDIA A100-SXM4-80GB", "81920Mi")
    slices = [resource_slice(device("gpu-0"), device("gpu-1"), a100), resource_slice(device("x"), node="m", pool="m")]
    assert found(slices, [GPUS]) == [
        ("n", "H100", NVIDIA, 2, 80.0), ("n", "A100-80GB", NVIDIA, 1, 80.0), ("m", "H100", NVIDIA, 1, 80.0),
    ]  # fmt: skip
    one = dra.understand(slices, [GPUS], []).devices["n"][0]
    assert (one.claim, one.product, one.driver, one.label) == (True, "NVIDIA H100 80GB HBM3", NVIDIA, None)


def test_a_slice_of_mig_has_its_own_class() -> None:
    slices = [resource_slice(device("gpu-0"), device("mig-0", memory="9984Mi", type="mig", profile="1g.10gb"))]
    assert found(slices, [GPUS, MIG]) == [
        ("n", "H100", NVIDIA, 1, 80.0), ("n", "H100-MIG-1g.10gb", "mig.nvidia.com", 1, 9.75),
    ]  # fmt: skip
    assert found(slices, [MIG]) == [("n", "H100-MIG-1g.10gb", "mig.nvidia.com", 1, 9.75)]


@pytest.mark.parametrize(
    ("classes", "key"),
    [
        ([device_class(NVIDIA)], NVIDIA),  # no expression: what it is called
        ([device_class("x", f'device.driver == "{NVIDIA}"')], "x"),
        ([device_class("x", f"device.driver=='{NVIDIA}'", 'device.attributes["a"].type=="gpu"')], "x"),
        ([device_class("x", "device.driver == 'gpu.amd.com'")], None),
        ([device_class("x")], None),
        ([], None),
        # one that asks for only some of the devices stands back, however it is called
        ([device_class("big", f"device.driver == '{NVIDIA}' && a.type == 'gpu' && a.memory > 40"), GPUS], NVIDIA),
    ],
)
def test_which_class_asks_for_a_device(classes: list[Any], key: str | None) -> None:
    assert [one[2] for one in found([resource_slice(device("gpu-0"))], classes)] == ([key] if key else [])


@pytest.mark.parametrize(
    ("driver", "one", "name", "memory"),
    [
        ("gpu.amd.com", device("a", "AMD_Instinct_MI300X_OAM", "192Gi", type="amdgpu"), "MI300X", 192),
        ("gpu.intel.com", device("a", "", "48Gi", model="Max 1100"), "Max1100", 48),
        (NVIDIA, device("a", memory=""), "H100", 80),
        (NVIDIA, device("a", "", "24Gi"), "", 24),
        ("nic.example.com", device("a", "", ""), None, None),
    ],
)
def test_other_drivers(driver: str, one: dict[str, Any], name: str | None, memory: float | None) -> None:
    slices, classes = [resource_slice(one, driver=driver)], [device_class(driver)]
    assert found(slices, classes) == ([("n", name, driver, 1, memory)] if name is not None else [])


def test_an_older_generation_of_a_pool_is_gone() -> None:
    old, new = resource_slice(device("gpu-0"), device("gpu-1")), resource_slice(device("gpu-0"), generation=2)
    other = resource_slice(device("x"), node="m", pool="m")
    assert found([old, new, other], [GPUS]) == [("n", "H100", NVIDIA, 1, 80.0), ("m", "H100", NVIDIA, 1, 80.0)]


def test_a_pool_may_have_several_slices() -> None:
    assert found([resource_slice(device("a")), resource_slice(device("b"))], [GPUS])[0][3] == 2


def test_devices_of_no_node_do_not_count() -> None:
    assert found([resource_slice(device("a"), node=None, pool="net")], [GPUS]) == []


def test_allocated_devices() -> None:
    slices = [resource_slice(*(device(f"gpu-{i}") for i in range(4)))]
    claims = [
        claim("gpu-0", "gpu-1"), {"status": {}}, {}, claim("gpu-9"), claim("gpu-2", pool="elsewhere"),
        claim("gpu-2", driver="gpu.amd.com"), claim("gpu-3", adminAccess=True),  # that only watches
    ]  # fmt: skip
    assert dra.understand(slices, [GPUS], claims).claimed == {("n", "H100"): 2}


class Cluster:
    def __init__(self, **answers: Any):
        self.answers = answers

    def get(self, path: str) -> Any:
        answer = self.answers.get(path.rpartition("/")[2], 404)
        if isinstance(answer, int):
            raise ApiError(answer, "", "")
        return {"items": answer}


def test_reading() -> None:
    slices = [resource_slice(device("a"))]
    there = dra.read(Cluster(resourceslices=slices, deviceclasses=[GPUS, MIG], resourceclaims=403))  # type: ignore
    assert (there.classes, there.claimed, len(there.devices["n"])) == ((NVIDIA, "mig.nvidia.com"), {}, 1)
    assert dra.read(Cluster()) == dra.read(Cluster(resourceslices=403)) == dra.NONE  # type: ignore
    assert dra.read(Cluster(resourceslices=[])) == dra.NONE  # type: ignore
    with pytest.raises(ApiError):
        dra.read(Cluster(resourceslices=500))  # type: ignore
