"""How a pod asks for accelerators: resource, count, and the labels of the nodes that have them."""

from __future__ import annotations

from typing import Any

import pytest
from gpu_nodes import GFD, GKE, GPU, HOSTNAME, KARPENTER, MEMORY, SHARING, TYPE, node

from kubectl_sky.capacity import device_request, nodes
from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.resources import accelerator

SXM, PCIE, NVL = "NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe", "NVIDIA-H100-NVL"
TPU, TOPOLOGY = "cloud.google.com/gke-tpu-accelerator", device_request.TPU_TOPOLOGY
SHARED = {SHARING: "time-sharing", "cloud.google.com/gke-max-shared-clients-per-gpu": "4"}


def ask(text: str, *there: Node) -> list[DeviceRequest]:
    return device_request.requests(accelerator(text), there)


def one(text: str, *there: Node) -> DeviceRequest:
    (found,) = ask(text, *there)
    return found


def test_all_products_and_label_families_in_one_affinity() -> None:
    there = [
        node("a", {GFD: SXM}), node("b", {GFD: PCIE}), node("c", {GKE: "nvidia-a100-80gb"}), node("d", {GFD: NVL}),
        node("e", {TYPE: "p4de.24xlarge"}), node("f", {"skypilot.co/accelerator": "a100-80gb"}),
    ]  # fmt: skip
    found = one("A100-80GB:2", *there)
    assert (found.name, found.count, found.key, str(found)) == ("A100-80GB", 2, GPU, "A100-80GB:2")
    assert found.terms == (
        ((GKE, ("nvidia-a100-80gb",)),),
        ((TYPE, ("p4de.24xlarge",)),),
        ((GFD, (PCIE, SXM)),),
        (("skypilot.co/accelerator", ("a100-80gb",)),),
    )
    assert found.node_selector_terms()[2] == {
        "matchExpressions": [{"key": GFD, "operator": "In", "values": [PCIE, SXM]}]
    }


def test_unlabelled_devices_are_asked_for_by_resource_or_by_node() -> None:
    gaudi = [node(name, devices={"habana.ai/gaudi": 8}) for name in ("a", "b")]
    assert one("Gaudi", *gaudi).terms == ()
    named = node("c", {"intel.feature.node.kubernetes.io/gaudi-type": "gaudi3"}, devices={"habana.ai/gaudi": 8})
    assert one("Gaudi", *gaudi, named).terms == (((HOSTNAME, ("a", "b")),),)


MEMORY_K = "karpenter.k8s.aws/instance-gpu-memory"


@pytest.mark.parametrize(
    ("text", "there", "terms"),
    [
        # Karpenter's a100 has 40 or 80 GB
        ("A100-80GB", [{KARPENTER: "a100", MEMORY_K: "81920"}, {KARPENTER: "a100", MEMORY_K: "40960"}],
         ((KARPENTER, ("a100",)), (MEMORY_K, ("81920",)))),
        ("A100", [{KARPENTER: "a100", MEMORY_K: "81920"}, {KARPENTER: "a100", MEMORY_K: "40960"}],
         ((KARPENTER, ("a100",)),)),
        # GKE's label says the same of whole GPUs and of parts
        ("L4", [{GKE: "nvidia-l4"}, {GKE: "nvidia-l4", **SHARED}], ((GKE, ("nvidia-l4",)), (SHARING, ()))),
        ("L4:0.25", [{GKE: "nvidia-l4", **SHARED}, {GKE: "nvidia-l4"}],
         ((GKE, ("nvidia-l4",)), (SHARING, ("time-sharing",)))),
        # whichever label of memory there is
        ("A100-80GB", [{GKE: "nvidia-tesla-a100", "amd.com/gpu.vram": "80G"}, {GKE: "nvidia-tesla-a100"}],
         ((GKE, ("nvidia-tesla-a100",)), ("amd.com/gpu.vram", ("80G",)))),
    ],
)  # fmt: skip
def test_a_label_that_others_have_too_is_not_enough(text: str, there: list[dict[str, str]], terms: Any) -> None:
    found = one(text, *(node(f"n{i}", labels) for i, labels in enumerate(there)))
    assert found.terms == (terms,)
    if (SHARING, ()) in terms:
        absent = {"key": SHARING, "operator": "DoesNotExist"}
        assert found.node_selector_terms()[0]["matchExpressions"][1] == absent


def test_the_last_resort_is_the_node_itself() -> None:
    whole, part = (Device("L4", GPU, 8, 24.0, share, (GKE, "nvidia-l4")) for share in (1.0, 0.5))
    there = [
        nodes.with_devices(node(name, {GKE: "nvidia-l4"}, devices={}), [d]) for name, d in zip("ab", (whole, part))
    ]
    assert one("L4", *there).terms == (((GKE, ("nvidia-l4",)), (HOSTNAME, ("a",))),)


CLUSTER = [
    node("a40", {GFD: "NVIDIA-A100-SXM4-40GB", MEMORY: "40960"}), node("a80", {GFD: SXM, MEMORY: "81920"}),
    node("h", {GFD: "NVIDIA-H100-80GB-HBM3", MEMORY: "81559"}), node("a10", {GFD: "NVIDIA-A10", MEMORY: "22731"}),
    node("m", {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, devices={"amd.com/gpu": 8}),
    node("t", {GFD: "Tesla-T4-SHARED", "nvidia.com/gpu.replicas": "7"}),
    node("s", {GFD: "NVIDIA-A100-SXM4-40GB-MIG-3g.20gb"}),
    node("x", {GFD: SXM}, devices={GPU: 0, "nvidia.com/mig-1g.10gb": 7, "nvidia.com/mig-3g.40gb": 2}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("80GB+", ["A100-80GB or H100 1 nvidia.com/gpu", "MI300X 1 amd.com/gpu"]),
        ("80GB", ["A100-80GB or H100 1 nvidia.com/gpu"]),
        ("nvidia:40GB", ["A100 1 nvidia.com/gpu"]),
        ("NVIDIA:40GB+:4", ["A100 or A100-80GB or H100 4 nvidia.com/gpu"]),
        ("amd:80GB+:8", ["MI300X 8 amd.com/gpu"]),
        ("intel:16GB+", []),
        ("24GB", ["A10 1 nvidia.com/gpu"]),  # of which the driver shows 22.2
        ("h100:8", ["h100 8 nvidia.com/gpu"]),
        ("A100", ["A100 1 nvidia.com/gpu"]),
        # parts: the smallest that is enough
        ("T4:0.14", ["T4 1 nvidia.com/gpu"]), ("T4:0.5", []), ("T4", []), ("T4:1.5", []), ("H100:0.5", []),
        ("A100:0.1", ["A100 1 nvidia.com/mig-1g.10gb", "A100 1 nvidia.com/gpu", "A100 1 nvidia.com/mig-3g.40gb"]),
        ("A100-80GB:0.5", ["A100-80GB 1 nvidia.com/mig-3g.40gb"]),
        ("A100-40GB:0.5", ["A100-40GB 1 nvidia.com/gpu"]),
        ("MIG-1g.10gb:2", ["MIG-1g.10gb 2 nvidia.com/mig-1g.10gb"]),
        ("1g.10gb", ["1g.10gb 1 nvidia.com/mig-1g.10gb"]),
        ("A100-80GB-MIG-3g.40gb", ["A100-80GB-MIG-3g.40gb 1 nvidia.com/mig-3g.40gb"]),
        ("A100-MIG-3g.20gb", ["A100-MIG-3g.20gb 1 nvidia.com/gpu"]),
        ("H100-MIG-1g.10gb", []), ("MIG-1g.10gb:0.5", []), ("L4", []),
    ],
)  # fmt: skip
def test_what_is_asked_for(text: str, asked: list[str]) -> None:
    assert [f"{found.name} {found.count} {found.key}" for found in ask(text, *CLUSTER)] == asked


@pytest.mark.parametrize(
    ("text", "label", "topology", "devices", "count"),
    [
        ("tpu-v5-lite-podslice:4", "tpu-v5-lite-podslice", "2x2", 4, 4),
        ("tpu-v5litepod-4", "tpu-v5-lite-podslice", "2x2", 4, 4),  # the name tells how many
        ("tpu-v6e-8", "tpu-v6e-slice", "2x4", 8, 8),
        ("tpu-v6e-1", "tpu-v6e-slice", "1x1", 1, 1),
        ("tpu-v5lite-8", "tpu-v5-lite-device", "2x4", 8, 8),
        ("tpu-v5p-4", "tpu-v5p-slice", "2x2x1", 4, 4),
        ("tpu-v6e-8", "tpu-v6e-slice", "4x4", 4, None),  # of several machines
        ("tpu-v6e-4", "tpu-v5p-slice", "2x2x1", 4, None),
        ("tpu-v5-lite-podslice", "tpu-v5-lite-podslice", "2x2", 4, None),  # all chips of a machine, or none
    ],
)
def test_tpus(text: str, label: str, topology: str, devices: int, count: int | None) -> None:
    found = ask(text, node("n", {TPU: label, TOPOLOGY: topology}, devices={"google.com/tpu": devices}))
    assert [one.count for one in found] == ([count] if count else [])
    if count:
        assert found[0].terms == (((TPU, (label,)), (TOPOLOGY, (topology,))),)


def test_claims_come_after_device_plugins_and_name_their_products() -> None:
    claim = Device("H100", "gpu.nvidia.com", 8, 80.0, claim=True, product="NVIDIA H100 PCIe", driver="gpu.nvidia.com")
    other = Device(**{**claim.__dict__, "product": "NVIDIA H100 80GB HBM3"})
    there = [nodes.with_devices(node("c", devices={}), [claim, other]), node("n", {GFD: NVL})]
    plugin, dynamic = ask("H100:2", *there)
    assert (plugin.key, plugin.claim, dynamic.key, dynamic.claim) == (GPU, False, "gpu.nvidia.com", True)
    assert (dynamic.products, dynamic.terms) == (("NVIDIA H100 80GB HBM3", "NVIDIA H100 PCIe"), ())
    assert ask("H100:0.5", *there) == []


@pytest.mark.parametrize(
    ("text", "key", "labels"),
    [
        ("H100", GPU, {GKE: "nvidia-h100-80gb", GFD: "NVIDIA-H100-PCIe", KARPENTER: "h100"}),
        ("T4:2", GPU, {GKE: "nvidia-tesla-t4", GFD: "Tesla-T4", "skypilot.co/accelerators": "T4"}),
        ("A100", GPU, {GKE: "nvidia-a100-80gb", GFD: SXM, "skypilot.co/accelerator": "a100-80gb"}),
        ("A100-80GB", GPU, {GKE: "nvidia-a100-80gb", MEMORY_K: "81920"}),
        ("80GB+", GPU, {GKE: "nvidia-h200-141gb", GFD: "NVIDIA-B200", KARPENTER: "h100", MEMORY_K: "81920"}),
        ("H100-MIG-1g.10gb", "nvidia.com/mig-1g.10gb", {GFD: "NVIDIA-H100-80GB-HBM3"}),
        ("MIG-1g.10gb", "nvidia.com/mig-1g.10gb", {}),
        ("X1000", GPU, {"skypilot.co/accelerator": "x1000"}),
        ("MI300X", "amd.com/gpu", {}), ("amd:80GB+", "amd.com/gpu", {}), ("Gaudi2", "habana.ai/gaudi", {}),
        ("Trainium", "aws.amazon.com/neuron", {"karpenter.k8s.aws/instance-accelerator-name": "trainium"}),
        ("tpu-v6e-8", "google.com/tpu", {TPU: "tpu-v6e-slice"}),
    ],
)  # fmt: skip
def test_where_nodes_may_not_be_read(text: str, key: str, labels: dict[str, str]) -> None:
    (found,) = device_request.requests(accelerator(text), None)
    there = {(label, value) for term in found.terms for label, values in term for value in values}
    assert found.key == key
    assert labels.items() <= there
    assert bool(labels) == bool(found.terms)
    small = {(GKE, "nvidia-tesla-a100"), (GFD, "NVIDIA-A100-SXM4-40GB"), (GFD, "Tesla-T4"), (MEMORY_K, "40960")}
    assert not (text in ("A100-80GB", "80GB+") and there & small)
