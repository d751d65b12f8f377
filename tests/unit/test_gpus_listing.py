"""`gpus`: kinds, nodes, what is free, and how it looks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gpu_nodes import GFD, GPU, SHARING, TYPE, held, node

from kubectl_sky import gpus
from kubectl_sky.capacity import nodes
from kubectl_sky.capacity.inventory import Inventory
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.capacity.usage import Usage
from kubectl_sky.commands.gpus import text
from kubectl_sky.errors import UsageError
from kubectl_sky.gpus import Listing

H100, PCIE = "NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe"
L4 = {
    "cloud.google.com/gke-accelerator": "nvidia-l4",
    SHARING: "mps",
    "cloud.google.com/gke-max-shared-clients-per-gpu": "4",
}
THERE = (
    node("a", {GFD: H100, TYPE: "p5.48xlarge"}, 8, taints=[(GPU, "present", "NoSchedule")]),
    node("b", {GFD: PCIE}, 6), node("c", {GFD: H100}, 8, cordoned=True), node("d", {GFD: H100}, 8, ready="Unknown"),
    node("e", L4, 8), node("f", {GFD: H100}, devices={GPU: 0, "nvidia.com/mig-1g.10gb": 7}), node("g", devices={}),
)  # fmt: skip
USED = Usage([held("a", "x", gpu=3, cpu=60), held("a", "y", gpu=1), held("e", gpu=8), held("c", gpu=1)])


def listing(*there: Node, usage: Usage | None = USED, **more: Any) -> Listing:
    return gpus.listing("ctx", Inventory(there, usage, **more))


def test_how_it_looks() -> None:
    assert (
        text(listing(*THERE), wide=False, heading=True)
        == """\
Context ctx
GPU                REQUESTABLE PER NODE   FREE       MEMORY   NODES
H100               1, 2, 4, 8             10 of 30   80 GB    4
L4                 0.25                   0 of 8     24 GB    1
H100-MIG-1g.10gb   1, 2, 4, 7             7 of 7     10 GB    1

NODE   GPU                FREE     STATE                      TAINTS
a      H100               4 of 8   Ready                      nvidia.com/gpu=present:NoSchedule
b      H100               6 of 6   Ready                      -
c      H100               0 of 8   Ready,SchedulingDisabled   -
d      H100               0 of 8   NotReady                   -
e      L4                 0 of 8   Ready                      -
f      H100-MIG-1g.10gb   7 of 7   Ready                      -
"""
    )


def test_wide() -> None:
    lines = text(listing(THERE[0]), wide=True, heading=False).splitlines()
    assert [line.split("   ")[-1].strip() for line in lines] == ["RESOURCE", GPU, "", "TOLD BY", GFD]
    assert re.split(r" {2,}", lines[3])[5:] == ["CPUS FREE", "MEMORY FREE", "TYPE", "TOLD BY"]
    assert lines[4].split()[-5:] == ["4", "256", "GiB", "p5.48xlarge", GFD]


def test_what_is_free_may_be_unknown() -> None:
    one = listing(THERE[0], usage=None, why_not="user 'ann' may not list pods in the whole cluster")
    assert "? of 8" in text(one, wide=True, heading=False)
    assert one.notes == ("what is free is unknown: user 'ann' may not list pods in the whole cluster",)
    assert (one.kinds[0].free, one.nodes[0].free, one.nodes[0].cpus) == (None, None, "64")


def test_nodes_that_may_not_be_read() -> None:
    one = gpus.listing("ctx", Inventory(None, USED, "no"))
    assert one.notes == ("nodes may not be read (no); `launch --gpus` still works, without a look at what is there",)
    assert text(one, wide=False, heading=False) == ""
    assert text(listing(THERE[-1]), wide=False, heading=False) == "No accelerators.\n"


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("a", "1 node has no label that tells the GPU (a): kubectl sky label-gpus"),
        ("abcde", "5 nodes have no label that tells the GPU (a, b, c ...): kubectl sky label-gpus"),
    ],
)
def test_gpus_that_nothing_names(names: str, note: str) -> None:
    one = listing(*(node(name) for name in names))
    assert one.notes == (note,)
    assert [row[:2] for row in (line.split()[:2] for line in text(one, False, False).splitlines()[:2])] == [
        ["GPU", "REQUESTABLE"],
        ["<unknown>", "1,"],
    ]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([], ["H100", "L4", "H100-MIG-1g.10gb"]), (["h100"], ["H100"]), (["H*"], ["H100", "H100-MIG-1g.10gb"]),
        (["80GB+"], ["H100"]), (["24GB"], ["L4"]), (["MIG-1g.10gb"], ["H100-MIG-1g.10gb"]), (["L40"], []),
        (["*mig*", "L4"], ["L4", "H100-MIG-1g.10gb"]), (["nvidia:80GB"], ["H100"]), (["H100:8"], ["H100"]),
    ],
)  # fmt: skip
def test_only_some(wanted: list[str], names: list[str]) -> None:
    one = gpus.only(listing(*THERE), wanted)
    assert [kind.name for kind in one.kinds] == names
    assert {row.gpu for row in one.nodes} == set(names)


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match='the count in "H100:x" should be a number'):
        gpus.only(listing(*THERE), ["H100:x"])


def test_holders_and_json() -> None:
    claimed = Device("H200", "gpu.nvidia.com", 4, 141.0, claim=True)
    one = listing(
        THERE[0], nodes.with_devices(THERE[-1], [claimed]), usage=Usage([held("a", "x", gpu=3)], {("g", "H200"): 1})
    )
    made = gpus.document(one)
    assert [row["holders"] for row in made["nodes"]] == [("ml/x (3)",), ()]
    assert [(row["gpu"], row["free"], row["total"], row["told_by"]) for row in made["nodes"]] == [
        ("H100", 5, 8, GFD),
        ("H200", 3, 4, ""),
    ]
    assert (made["context"], made["answered"], made["notes"], made["kinds"][1]["claim"]) == ("ctx", True, [], True)
