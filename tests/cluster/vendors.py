"""How nodes with accelerators look at the providers and device plugins of the day: labels, resources, taints.

Labels are those that the software itself puts on its nodes, as documented by each; the values are of real machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_SCHEDULE = "NoSchedule"
TYPE = "node.kubernetes.io/instance-type"
NVIDIA = "nvidia.com/gpu"


@dataclass(frozen=True)
class Vendor:
    """One kind of node. `resources` are added to what the node has; a taint is (key, value, effect)."""

    name: str
    labels: Mapping[str, str]
    resources: Mapping[str, int]
    taints: tuple[tuple[str, str, str], ...] = ()
    spot: bool = field(default=False)


def discovered(product: str, count: int, memory: int, family: str, **more: str) -> dict[str, str]:
    """The labels of NVIDIA's GPU feature discovery; `memory` is a GPU's, in MiB."""
    labels = {
        "gpu.present": "true",
        "gpu.product": product,
        "gpu.count": str(count),
        "gpu.memory": str(memory),
        "gpu.family": family,
        "gpu.replicas": "1",
        "gpu.sharing-strategy": "none",
        "mig.capable": "true" if "100" in product or "H200" in product else "false",
        "mig.strategy": "none",
        **{key.replace("__", ".").replace("_", "-"): value for key, value in more.items()},
    }
    return {f"nvidia.com/{key}": value for key, value in labels.items()}


def gke() -> tuple[Vendor, ...]:
    """Google's: GPUs of two kinds, and TPUs. GKE itself puts the taints of GPUs and TPUs."""
    labels = {"cloud.google.com/gke-accelerator": "nvidia-tesla-a100", "cloud.google.com/gke-accelerator-count": "8"}
    spot = {"cloud.google.com/gke-spot": "true", "cloud.google.com/gke-provisioning": "spot", TYPE: "a2-highgpu-8g"}
    l4 = {"cloud.google.com/gke-accelerator": "nvidia-l4", "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"}
    shared = {"cloud.google.com/gke-max-shared-clients-per-gpu": "4", TYPE: "g2-standard-24"}
    tpu = {"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice", "cloud.google.com/gke-tpu-topology": "2x2"}
    tpu_count = {"cloud.google.com/gke-accelerator-count": "4", TYPE: "ct5lp-hightpu-4t"}
    gpu_taint = (NVIDIA, "present", NO_SCHEDULE)
    return (
        Vendor("gke-a100-spot", labels | spot, {NVIDIA: 8}, (gpu_taint,), spot=True),
        Vendor("gke-l4-shared", l4 | shared, {NVIDIA: 8}, (gpu_taint,)),
        Vendor("gke-tpu-v5e", tpu | tpu_count, {"google.com/tpu": 4}, (("google.com/tpu", "present", NO_SCHEDULE),)),
    )


def nvidia() -> tuple[Vendor, ...]:
    """GPU feature discovery: whole GPUs, both strategies of MIG, and time slicing."""
    h100 = discovered("NVIDIA-H100-80GB-HBM3", 8, 81559, "hopper")
    mixed = discovered("NVIDIA-H100-80GB-HBM3", 2, 81559, "hopper", mig__strategy="mixed")
    slices = {"count": "7", "product": "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb", "memory": "9984", "replicas": "1"}
    part = {f"nvidia.com/mig-1g.10gb.{key}": value for key, value in slices.items()}
    single = discovered("NVIDIA-A100-SXM4-40GB-MIG-3g.20gb", 16, 19968, "ampere", mig__strategy="single")
    slicing = {"gpu__replicas": "4", "gpu__sharing_strategy": "time-slicing"}
    t4 = discovered("Tesla-T4-SHARED", 2, 15360, "turing", **slicing)
    return (
        Vendor("nvidia-h100", h100, {NVIDIA: 8}),
        Vendor("nvidia-mig-mixed", mixed | part, {NVIDIA: 1, "nvidia.com/mig-1g.10gb": 7}),
        Vendor("nvidia-mig-single", single, {NVIDIA: 16}),
        Vendor("nvidia-time-slicing", t4, {NVIDIA: 8}),
    )


def amazon() -> tuple[Vendor, ...]:
    """EKS: Karpenter's labels, those of the cluster autoscaler, and Neuron's chips."""
    a10g = {"name": "a10g", "count": "4", "memory": "24576", "manufacturer": "nvidia"}
    gpu = {f"karpenter.k8s.aws/instance-gpu-{key}": value for key, value in a10g.items()}
    family = {"karpenter.k8s.aws/instance-family": "g5", "karpenter.k8s.aws/instance-category": "g"}
    spot = {"karpenter.sh/capacity-type": "spot", "karpenter.sh/nodepool": "gpu", TYPE: "g5.12xlarge"}
    v100 = {"k8s.amazonaws.com/accelerator": "nvidia-tesla-v100", "eks.amazonaws.com/capacityType": "ON_DEMAND"}
    trn = {"karpenter.k8s.aws/instance-accelerator-name": "trainium", TYPE: "trn1.32xlarge"}
    chips = {"karpenter.k8s.aws/instance-accelerator-count": "16"}
    neuron = {"aws.amazon.com/neuron": 16, "aws.amazon.com/neuroncore": 32}
    return (
        Vendor("eks-karpenter-spot", gpu | family | spot, {NVIDIA: 4}, spot=True),
        Vendor("eks-v100", {**v100, TYPE: "p3.16xlarge"}, {NVIDIA: 8}),
        Vendor("eks-neuron", trn | chips, neuron, (("aws.amazon.com/neuron", "true", NO_SCHEDULE),)),
    )


def others() -> tuple[Vendor, ...]:
    """One kind of node each of other clouds, and SkyPilot's own label."""
    h100 = {"class": "H100_NVLINK_80GB", "model": "H100_NVLINK_80GB", "count": "8", "vram": "81"}
    coreweave = {f"gpu.nvidia.com/{key}": value for key, value in h100.items()}
    nebius = {"nebius.com/gpu": "true", "nebius.com/gpu-name": "H200", TYPE: "gpu-h200-sxm"}
    priority = "kubernetes.azure.com/scalesetpriority"
    azure = {"kubernetes.azure.com/accelerator": "nvidia", "accelerator": "nvidia", priority: "spot"}
    azure_type = {TYPE: "Standard_NC24ads_A100_v4", "kubernetes.azure.com/agentpool": "gpuspot"}
    return (
        Vendor("coreweave-h100", coreweave | {TYPE: "gd-8xh100ib-i128"}, {NVIDIA: 8, "rdma/ib": 1}),
        Vendor("nebius-h200", nebius, {NVIDIA: 8}),
        Vendor("aks-a100-spot", azure | azure_type, {NVIDIA: 1}, ((priority, "spot", NO_SCHEDULE),), spot=True),
        Vendor("skypilot-label", {"skypilot.co/accelerator": "l40s"}, {NVIDIA: 4}),
    )


def makers() -> tuple[Vendor, ...]:
    """The device plugins and labellers of AMD and Intel."""
    mi300x = {"product-name": "AMD_Instinct_MI300X_OAM", "vram": "192G", "cu-count": "304", "device-id": "74a1"}
    amd = {f"amd.com/gpu.{key}": value for key, value in mi300x.items()}
    gaudi = {"feature.node.kubernetes.io/pci-1200_1da3.present": "true", TYPE: "bm.gpu.gaudi3"}
    intel = {"gpu.intel.com/product": "Flex_170", "intel.feature.node.kubernetes.io/gpu": "true"}
    return (
        Vendor("amd-mi300x", amd, {"amd.com/gpu": 8}),
        Vendor("intel-gaudi", gaudi, {"habana.ai/gaudi": 8}),
        Vendor("intel-gpu", intel | {"gpu.intel.com/family": "Flex_Series"}, {"gpu.intel.com/i915": 2}),
    )


def vendors() -> tuple[Vendor, ...]:
    """All kinds, those that differ most first: a small cluster shows what is worth seeing."""
    a100, l4, tpu = gke()
    h100, mixed, single, slicing = nvidia()
    a10g, v100, neuron = amazon()
    coreweave, nebius, aks, skypilot = others()
    amd, gaudi, intel = makers()
    first = (a100, h100, a10g, coreweave, nebius, aks, amd, mixed, gaudi)
    return (*first, slicing, intel, neuron, tpu, l4, single, v100, skypilot)
