"""Node groups without a node now, as the user's settings list them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gpu_nodes import A100, H100, held, node, place, task

from kubectl_sky import optimizer, settings
from kubectl_sky.capacity import node_groups
from kubectl_sky.errors import ClusterFailure, UsageError

POOL: dict[str, Any] = {
    "name": "h100-pool",
    "instance_type": "a3-highgpu-8g",
    "labels": {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"},
    "taints": ["nvidia.com/gpu=present:NoSchedule"],
    "allocatable": {"cpu": 200, "memory": "1800Gi", "nvidia.com/gpu": 8},
    "max": 2,
    "price": 80,
}


def group(**other: Any) -> node_groups.Group:
    [found] = node_groups.read({"ctx": [{**POOL, **other}]}, "ctx", "f")
    return found


def test_what_only_a_group_has_is_possible_there() -> None:
    one, now = task("H100:4", nodes=3), place(node("a", A100))
    with pytest.raises(ClusterFailure, match="no node has H100"):
        optimizer.choose(optimizer.candidates(one, [now]), False)
    best = optimizer.choose(optimizer.candidates(one, [now, now.with_group(group(), 3)]), False)
    assert best.place.group and not best.fits_now and best.ever == 4
    assert best.request and best.request.key == "nvidia.com/gpu"
    assert best.price == pytest.approx(80 * 2 / 3), "two nodes for three pods"


def test_what_fits_now_goes_before_new_nodes() -> None:
    now = place(node("h", H100))
    found = optimizer.candidates(task("H100"), [now, now.with_group(group(price=0), 1)])
    best = optimizer.choose(found, False)
    assert best.place.group is None
    assert [one.why_not(best) for one in found if one is not best] == ["needs new nodes of h100-pool"]
    full = place(node("h", H100), held=[held("h", gpu=8)])
    assert optimizer.choose(optimizer.candidates(task("H100"), [full.with_group(group(), 1)]), False).place.group


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        (task("H100:16"), {}),
        (task("A100"), {}),
        (task("H100:8", nodes=3), {}),
        (task("H100:8", cpus=300.0), {}),
        (task("H100:8"), {"max": 0}),
        (task(cpus=64.0), {}),  # its taint keeps other tasks off
    ],
)
def test_a_group_that_does_not_do_is_no_candidate(wanted: Any, other: dict[str, Any]) -> None:
    there = place(node("a", A100)).with_group(group(**other), wanted.num_nodes)
    assert not [one for one in optimizer.candidates(wanted, [there]) if one.place.group and one.ever]


def test_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    monkeypatch.setenv("KUBECTL_SKY_CONFIG", str(file))
    assert settings.groups("prod-east") == ()
    file.write_text("node_groups:\n  prod-*: [{name: cpu, allocatable: {cpu: 8, memory: 32Gi}}]\n")
    [found] = settings.groups("prod-east")
    assert (found.name, found.node.allocatable["cpu"], found.node.usable) == ("cpu", 8.0, True)
    assert settings.groups("dev") == () and settings.load().expose == "none"
    assert settings.sources()["node_groups"][1] == f"{file}:1"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "should be a map of contexts to lists"),
        ({"c": {}}, "node_groups.c: should be a list"),
        ({"c": [{"name": "x"}]}, r"c\[0\]: should have a name and allocatable"),
        ({"c": [{**POOL, "size": 3}]}, "unknown: size"),
        ({"c": [{**POOL, "max": "many"}]}, "max: should be a number, not 'many'"),
        ({"c": [{**POOL, "taints": ["dedicated"]}]}, "cannot be read"),
        ({"c": [{**POOL, "allocatable": {"cpu": "lots"}}]}, "cannot be read"),
    ],
)
def test_what_is_wrong_with_it(values: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        node_groups.read(values, "other", "f")
