"""Nodes as the clouds and device plugins describe them -> devices, states, taints."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gpu_nodes import GFD, GKE, GPU, KARPENTER, MEMORY, SHARING, TYPE, node, raw

from kubectl_sky.accelerators import CLIENTS_LABEL as CLIENTS
from kubectl_sky.accelerators import PARTITION_LABEL as PARTITION
from kubectl_sky.capacity import instance_types, nodes
from kubectl_sky.capacity.nodes import Device, Taint

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.cluster.vendors import vendors

SKY = "skypilot.co/accelerator"
H100, A100_40 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-40GB"
VENDORS = """\
gke-a100-spot A100 nvidia.com/gpu 8 40 1 cloud.google.com/gke-accelerator
gke-l4-shared L4 nvidia.com/gpu 8 24 0.25 cloud.google.com/gke-accelerator
gke-tpu-v5e tpu-v5-lite-podslice google.com/tpu 4 - 1 cloud.google.com/gke-tpu-accelerator
nvidia-h100 H100 nvidia.com/gpu 8 79.6 1 nvidia.com/gpu.product
nvidia-mig-mixed H100 nvidia.com/gpu 1 79.6 1 nvidia.com/gpu.product
nvidia-mig-mixed H100-MIG-1g.10gb nvidia.com/mig-1g.10gb 7 10 0.125 nvidia.com/gpu.product
nvidia-mig-single A100-MIG-3g.20gb nvidia.com/gpu 16 20 0.5 nvidia.com/gpu.product
nvidia-time-slicing T4 nvidia.com/gpu 8 15 0.25 nvidia.com/gpu.product
eks-karpenter-spot A10G nvidia.com/gpu 4 24 1 karpenter.k8s.aws/instance-gpu-name
eks-v100 V100 nvidia.com/gpu 8 16 1 k8s.amazonaws.com/accelerator
eks-neuron Trainium aws.amazon.com/neuron 16 32 1 karpenter.k8s.aws/instance-accelerator-name
coreweave-h100 H100 nvidia.com/gpu 8 81 1 gpu.nvidia.com/class
nebius-h200 H200 nvidia.com/gpu 8 141 1 nebius.com/gpu-name
aks-a100-spot A100-80GB nvidia.com/gpu 1 80 1 node.kubernetes.io/instance-type
skypilot-label L40S nvidia.com/gpu 4 48 1 skypilot.co/accelerator
amd-mi300x MI300X amd.com/gpu 8 192 1 amd.com/gpu.product-name
intel-gaudi Gaudi habana.ai/gaudi 8 32 1 -
intel-gpu Flex170 gpu.intel.com/i915 2 16 1 gpu.intel.com/product"""


def test_devices_of_every_vendor() -> None:
    found = []
    for vendor in vendors():
        for one in node(vendor.name, vendor.labels, devices=vendor.resources, taints=vendor.taints).devices:
            memory, label = f"{one.memory:.3g}" if one.memory else "-", one.label[0] if one.label else "-"
            found.append([vendor.name, one.name, one.key, str(one.total), memory, f"{one.share:g}", label])
    assert sorted(found) == sorted(line.split() for line in VENDORS.splitlines())


def only(labels: dict[str, str], **devices: int) -> Device:
    (found,) = node("n", labels, devices=devices or {GPU: 8}).devices
    return found


@pytest.mark.parametrize(
    ("labels", "name", "memory", "share"),
    [
        ({}, "", None, 1.0),
        ({MEMORY: "81559"}, "", 79.6474609375, 1.0),
        ({KARPENTER: "a100", "karpenter.k8s.aws/instance-gpu-memory": "81920"}, "A100-80GB", 80.0, 1.0),
        ({TYPE: "p4de.24xlarge"}, "A100-80GB", 80.0, 1.0),
        ({TYPE: "m5.large"}, "", None, 1.0),
        ({"amd.com/gpu.product-name": "AMD_Instinct_MI300X"}, "", None, 1.0),  # of other devices of the node
        ({SKY: "mi300x", GFD: "Tesla-T4"}, "T4", 16.0, 1.0),
        ({"k8s.amazonaws.com/accelerator": "vgpu", TYPE: "p3.2xlarge"}, "V100", 16.0, 1.0),
        # GKE: slices of MIG, time slices
        ({GKE: "nvidia-tesla-a100", PARTITION: "1g.5gb"}, "A100-MIG-1g.5gb", 5.0, 0.125),
        ({GKE: "nvidia-l4", SHARING: "mps", CLIENTS: "2"}, "L4", 24.0, 0.5),
        # replicas of a resource that is renamed, of one that is not, and of neither
        ({GFD: "Tesla-T4-SHARED", "nvidia.com/gpu.replicas": "4"}, "T4", 16.0, 0.25),
        ({GFD: "Tesla-T4", "nvidia.com/gpu.replicas": "4"}, "T4", 16.0, 1.0),
        ({GFD: "Tesla-T4-SHARED", "nvidia.com/gpu.replicas": "0"}, "T4", 16.0, 1.0),
        # a label that only tells the model hides no parts
        ({SKY: "t4", GFD: "Tesla-T4-SHARED", "nvidia.com/gpu.replicas": "4"}, "T4", 16.0, 0.25),
        ({SKY: "a100", GFD: f"{A100_40}-MIG-1g.5gb", MEMORY: "4864"}, "A100-MIG-1g.5gb", 5.0, 0.125),
    ],
)  # fmt: skip
def test_what_labels_tell(labels: dict[str, str], name: str, memory: float | None, share: float) -> None:
    one = only(labels)
    assert (one.name, one.memory, one.share) == (name, memory, share)
    assert one.whole == (share == 1)


def test_the_shared_resource_is_a_part() -> None:
    labels = {GFD: H100, "nvidia.com/gpu.replicas": "2"}
    whole, shared = node("n", labels, devices={GPU: 0, "nvidia.com/gpu.shared": 16}).devices
    assert (whole.total, whole.share) == (0, 1.0)
    assert (shared.total, shared.share, shared.name) == (16, 0.5, "H100")


def test_slices_know_the_whole() -> None:
    one = only({GFD: "NVIDIA-A100-SXM4-80GB"}, **{"nvidia.com/mig-3g.40gb.shared": 2})
    assert (one.name, one.memory, one.whole_memory, one.share) == ("A100-80GB-MIG-3g.40gb", 40.0, 80.0, 0.5)
    assert only({}, **{"nvidia.com/mig-1g.10gb.me": 1}).name == "MIG-1g.10gb"


def test_states_and_taints() -> None:
    taints = [("node.kubernetes.io/unreachable", "", "NoExecute"), ("sku", "gpu", "NoSchedule"), ("x", "", "NoExecute")]
    away = node("n", taints=taints, ready="Unknown", cordoned=True)
    assert (away.state, away.usable) == ("NotReady,SchedulingDisabled", False)
    assert away.taints == (Taint("sku", "gpu", "NoSchedule"), Taint("x", "", "NoExecute"))
    assert list(map(str, away.taints)) == ["sku=gpu:NoSchedule", "x:NoExecute"]
    assert (node().state, node().usable, node(cordoned=True).state) == ("Ready", True, "Ready,SchedulingDisabled")


def test_a_node_that_says_little() -> None:
    found = nodes.read({"metadata": {"name": "n"}, "spec": {}, "status": {}})
    assert (found.ready, found.devices, found.allocatable, found.instance_type, found.runtime) == (
        False,
        (),
        {},
        "",
        "",
    )


def test_room_and_type() -> None:
    thing = raw("n", {TYPE: "m5.large"}, cpu="3920m", memory="7938980Ki")
    thing["status"]["nodeInfo"] = {"containerRuntimeVersion": "containerd://2.1.1"}
    found = nodes.read(thing)
    assert (found.allocatable["cpu"], found.allocatable["memory"]) == (3.92, 7938980 * 1024)
    assert (found.instance_type, found.runtime) == ("m5.large", "containerd://2.1.1")


TYPES = """\
p4d.24xlarge=A100 p4de.24xlarge=A100-80GB p5.48xlarge=H100 p5en.48xlarge=H200 p5e.48xlarge=H200 g4dn.xlarge=T4
g4ad.xlarge=V520 g5.xlarge=A10G g5g.xlarge=T4g g6.xlarge=L4 g6e.xlarge=L40S trn1.32xlarge=Trainium m5.large=
inf2.xlarge=Inferentia2 a2-ultragpu-1g=A100-80GB a3-megagpu-8g=H100-MEGA a3-highgpu-8g=H100 g2-standard-4=L4
Standard_NC24ads_A100_v4=A100-80GB Standard_ND96isr_H100_v5=H100 Standard_NC40ads_H100_v5=H100-NVL = BM.GPU4.8=A100
Standard_NCC40ads_H100_v5=H100-NVL Standard_ND96isr_MI300X_v5=MI300X Standard_NC16as_T4_v3=T4 n2-standard-4="""


def test_machine_types() -> None:
    for pair in TYPES.split():
        machine, _, name = pair.partition("=")
        assert instance_types.accelerator(machine) == name, machine
