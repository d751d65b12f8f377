"""Where a pod may go and would rather go."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_nodes import GFD, GPU, TYPE, node

from kubectl_sky import scheduling
from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.capacity.nodes import Node

H100 = DeviceRequest("H100", 1, GPU, (((GFD, ("NVIDIA-H100-PCIe",)),), (("skypilot.co/accelerator", ("h100",)),)))
ANY = DeviceRequest("Gaudi", 1, "habana.ai/gaudi")
CLAIM = DeviceRequest("H100", 1, "gpu.nvidia.com", claim=True)
SPOTS = [
    ("cloud.google.com/gke-spot", "true"), ("cloud.google.com/gke-preemptible", "true"),
    ("karpenter.sh/capacity-type", "spot"), ("eks.amazonaws.com/capacityType", "SPOT"),
    ("kubernetes.azure.com/scalesetpriority", "spot"),
]  # fmt: skip


def where(
    request: DeviceRequest | None = None, spot: bool | None = None, nodes: list[Node] | None = None, count: int = 1,
    classes: tuple[str, ...] = (),
) -> dict[str, Any]:  # fmt: skip
    return scheduling.fields("t", count, request, spot, nodes, classes)


def required(fields: dict[str, Any]) -> list[list[str]]:
    """The terms, each as `key In a b`."""
    affinity = fields.get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": []})
    return [
        [" ".join([one["key"], one["operator"], *one.get("values", ())]) for one in term["matchExpressions"]]
        for term in terms["nodeSelectorTerms"]
    ]


def tolerated(fields: dict[str, Any]) -> list[str]:
    assert all(one["operator"] == "Exists" for one in fields.get("tolerations", ()))
    return [one["key"] for one in fields.get("tolerations", ())]


@pytest.mark.parametrize(("key", "value"), SPOTS)
def test_spot_on_every_cloud(key: str, value: str) -> None:
    spot, other = node("s", {key: value}), node("o", {key: "ON_DEMAND"})
    assert scheduling.is_spot(spot) and not scheduling.is_spot(other)
    only = where(spot=True, nodes=[spot, other])
    assert required(only) == [[f"{key} In {value}"]]
    assert f"{key}" in tolerated(only)
    assert required(where(spot=False, nodes=[spot, other])) == [[f"{key} NotIn {value}"]]
    assert required(where(nodes=[spot, other])) == []
    assert required(where(spot=False, nodes=[other])) == []


def test_spot_goes_with_each_way_to_have_the_device() -> None:
    nodes = [node("a", dict(SPOTS[:1])), node("b", dict(SPOTS[2:3]))]
    product, sky = f"{GFD} In NVIDIA-H100-PCIe", "skypilot.co/accelerator In h100"
    gke, karpenter = "cloud.google.com/gke-spot In true", "karpenter.sh/capacity-type In spot"
    assert required(where(H100, True, nodes)) == [[product, gke], [product, karpenter], [sky, gke], [sky, karpenter]]
    neither = ["cloud.google.com/gke-spot NotIn true", "karpenter.sh/capacity-type NotIn spot"]
    assert required(where(H100, False, nodes)) == [[product, *neither], [sky, *neither]]


def test_spot_where_nodes_may_not_be_read() -> None:
    assert [term[0].split()[0] for term in required(where(spot=True))] == [key for key, _ in scheduling.SPOT]
    assert [one.split()[1] for one in required(where(spot=False))[0]] == ["NotIn"] * 5


def test_taints_of_devices_are_tolerated_and_no_others() -> None:
    there = [
        node("a", taints=[(GPU, "present", "NoSchedule"), ("sku", "gpu", "NoSchedule")]),
        node("b", taints=[("nvidia.com/mig-1g.10gb", "", "NoSchedule")]),
    ]
    assert tolerated(where(H100, nodes=there)) == [f"{GPU}", "nvidia.com/mig-1g.10gb"]
    assert tolerated(where(ANY, nodes=[])) == ["habana.ai/gaudi"]
    assert tolerated(where(CLAIM, nodes=[])) == [f"{GPU}"]
    assert tolerated(where(nodes=there)) == []


def test_a_slice_is_tolerated_on_nodes_that_are_tainted_for_gpus() -> None:
    slice_ = DeviceRequest("MIG-1g.10gb", 1, "nvidia.com/mig-1g.10gb")
    assert tolerated(where(slice_)) == [f"{GPU}", "nvidia.com/mig-1g.10gb"]


def test_tasks_without_accelerators_keep_off_nodes_that_have_some() -> None:
    there = [
        node("a", {GFD: "Tesla-T4"}), node("b", {"skypilot.co/accelerator": "h100"}), node("c", {TYPE: "p3.2xlarge"}),
        node("d", {"cloud.google.com/gke-accelerator": "nvidia-l4"}, gpus=0), node("e", devices={}),
    ]  # fmt: skip
    affinity = where(nodes=there)["affinity"]["nodeAffinity"]
    keys = [{"key": key, "operator": "DoesNotExist"} for key in (GFD, "skypilot.co/accelerator")]
    assert affinity == {
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchExpressions": keys}}]
    }
    assert where(nodes=[node("e", devices={})]) == {}
    blind = where()["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert len(blind[0]["preference"]["matchExpressions"]) == 3


def test_accelerators_need_no_labels_where_the_resource_says_it() -> None:
    assert "nodeAffinity" not in where(ANY, nodes=[])["affinity"]


def test_a_single_node_goes_where_other_gpu_pods_are_and_several_spread() -> None:
    packed = where(H100, nodes=[])["affinity"]
    assert packed["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == [
        {
            "weight": 10,
            "podAffinityTerm": {
                "labelSelector": {"matchLabels": {"kubectl-sky/gpu": "true"}},
                "topologyKey": "kubernetes.io/hostname",
            },
        }
    ]
    spread = where(H100, nodes=[], count=2)["affinity"]
    assert "podAffinity" not in spread
    (term,) = spread["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert (term["weight"], term["podAffinityTerm"]["labelSelector"]) == (
        100,
        {"matchLabels": {"app.kubernetes.io/instance": "t"}},
    )
    assert "podAffinity" not in where(nodes=[]).get("affinity", {})


@pytest.mark.parametrize(
    ("request_", "classes", "named"),
    [
        (H100, ("nvidia",), "nvidia"), (H100, ("gvisor",), None), (None, ("nvidia",), None), (ANY, ("nvidia",), None),
        (DeviceRequest("x", 1, "nvidia.com/mig-1g.10gb"), ("nvidia", "nvidia-cdi"), "nvidia"),
        (CLAIM, ("nvidia",), None),  # its driver gives devices to any runtime
    ],
)  # fmt: skip
def test_runtime_class(request_: DeviceRequest | None, classes: tuple[str, ...], named: str | None) -> None:
    assert where(request_, nodes=[], classes=classes).get("runtimeClassName") == named
