"""What products and labels call accelerators -> the name that people use; what is what was asked for."""

from __future__ import annotations

import pytest

from kubectl_sky import accelerators
from kubectl_sky.accelerators import Name
from kubectl_sky.capacity import products

# what nvidia-smi prints is in test_labeler.py; here are labels' values, users' words and other makers' products
NAMES = """\
NVIDIA-A100-SXM4-40GB -> A100                     NVIDIA-A100-SXM4-80GB -> A100-80GB
NVIDIA-A100-80GB-PCIe -> A100-80GB                NVIDIA-A100-PCIE-40GB -> A100
NVIDIA-H100-80GB-HBM3 -> H100                     NVIDIA-H100-NVL -> H100-NVL
NVIDIA-H200-NVL -> H200                           NVIDIA-GH200-480GB -> GH200
NVIDIA-GH200-144G-HBM3e -> GH200-144GB            NVIDIA-GB200 -> GB200
NVIDIA-GB300 -> GB300                             NVIDIA-B300-SXM6-AC -> B300
NVIDIA-L40S -> L40S                               NVIDIA-L40 -> L40
NVIDIA-L4 -> L4                                   NVIDIA-A10 -> A10
NVIDIA-A10G -> A10G                               Tesla-T4 -> T4
Tesla-T4-SHARED -> T4                             NVIDIA-T4G -> T4g
Tesla-V100-SXM2-32GB -> V100-32GB                 Tesla-V100S-PCIE-32GB -> V100-32GB
Tesla-M40-24GB -> M40-24GB                        Quadro-RTX-6000 -> RTX6000
NVIDIA-RTX-6000-Ada-Generation -> RTX6000-Ada     NVIDIA-RTX-4000-SFF-Ada-Generation -> RTX4000-Ada
NVIDIA-RTX-A6000 -> A6000                         NVIDIA-RTX-A2000-12GB -> A2000
NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition -> RTXPRO6000
NVIDIA-GeForce-RTX-4090 -> RTX4090                NVIDIA-GeForce-RTX-3090-Ti -> RTX3090Ti
NVIDIA-GeForce-RTX-3060-Ti -> RTX3060Ti           NVIDIA-GeForce-RTX-3060 -> RTX3060
NVIDIA-GeForce-RTX-3070-Ti -> RTX3070Ti           NVIDIA-GeForce-RTX-2070-SUPER -> RTX2070
NVIDIA-A100-SXM4-40GB-MIG-1g.5gb -> A100-MIG-1g.5gb
NVIDIA-A100-SXM4-80GB-MIG-3g.40gb-SHARED -> A100-80GB-MIG-3g.40gb
NVIDIA-H100-80GB-HBM3-MIG-1g.10gb.me -> H100-MIG-1g.10gb
nvidia-tesla-t4 -> T4                             nvidia-tesla-a100 -> A100
nvidia-a100-80gb -> A100-80GB                     nvidia-h100-80gb -> H100
nvidia-h100-mega-80gb -> H100-MEGA                nvidia-h200-141gb -> H200
nvidia-rtx-pro-6000 -> RTXPRO6000                 nvidia-l4 -> L4
a10g -> A10G                                      t4g -> T4g
radeon-pro-v520 -> V520                           gaudi-hl-205 -> Gaudi
inferentia2 -> Inferentia2                        trainium -> Trainium
H100_NVLINK_80GB -> H100                          A100_PCIE_80GB -> A100-80GB
RTX_A6000 -> A6000                                Quadro_RTX_4000 -> RTX4000
Tesla_V100_NVLINK -> V100                         GH200_480GB -> GH200
AMD_Instinct_MI300X_OAM -> MI300X                 AMD_Instinct_MI300X_VF -> MI300X
AMD-Instinct-MI250X -> MI250X                     AMD_Radeon_PRO_W7900 -> W7900
Flex_170 -> Flex170                               Max_1550 -> Max1550
HL-225 -> Gaudi2                                  HL-325L -> Gaudi3
tpu-v5-lite-podslice -> tpu-v5-lite-podslice      RTX-4090 -> RTX4090
A100-40GB -> A100                                 a100-80g -> A100-80GB
H100-80GB -> H100                                 h100 -> H100
mig-1g.10gb -> MIG-1g.10gb                        1g.10gb -> MIG-1g.10gb
NVIDIA-X1000 -> X1000                             GRID-A100D-80C -> A100"""
PAIRS = [tuple(part.strip().split(" -> ")) for line in NAMES.splitlines() for part in line.split("   ") if part.strip()]


@pytest.mark.parametrize(("text", "name"), PAIRS)
def test_a_product_has_one_name(text: str, name: str) -> None:
    assert accelerators.canonical(text) == name
    assert accelerators.canonical(name) == name


def test_every_product_of_the_list_is_known() -> None:
    assert len(PAIRS) > 60
    for product in (*products.NVIDIA, *products.GKE):
        assert accelerators.parse(product).model in accelerators.MODELS, product
        assert accelerators.vendor(product) == accelerators.NVIDIA


@pytest.mark.parametrize(
    ("text", "memory", "name"),
    [
        ("a100", 81920 / 1024, "A100-80GB"), ("a100", 40536 / 1024, "A100"), ("Tesla-V100", 32510 / 1024, "V100-32GB"),
        ("H100_NVLINK_80GB", 81.0, "H100"), ("h100", 64.0, "H100-64GB"), ("NVIDIA-H20-3e", 141.0, "H20-141GB"),
        ("t4", 15109 / 1024, "T4"), ("a10g", 22731 / 1024, "A10G"), ("NVIDIA-B200", 183359 / 1024, "B200"),
        ("NVIDIA-GH200-480GB", 97871 / 1024, "GH200"), ("X1000", 32.0, "X1000"),
    ],
)  # fmt: skip
def test_memory_that_is_told_elsewhere_makes_the_name(text: str, memory: float, name: str) -> None:
    assert accelerators.canonical(text, memory) == name


# wanted -> what it takes / what it does not
MATCHES = """\
L4 -> L4 / L40 L40S A4000                  L40 -> L40 / L4 L40S
L40S -> L40S / L40 L4                      A10 -> A10 / A100 A10G A100-80GB
A10G -> A10G / A10                         A100 -> A100 A100-80GB / A10 A1000 A100-MIG-1g.5gb
a100-80gb -> A100-80GB / A100 H100         A100-40GB -> A100 / A100-80GB
H100 -> H100 H100-MEGA H100-NVL H100-64GB / H200 GH200 H100-MIG-1g.10gb
H100-MEGA -> H100-MEGA / H100              H100-80GB -> H100 H100-MEGA / H100-NVL H100-64GB
RTX6000 -> RTX6000 / RTX6000-Ada RTXPRO6000 A6000 RTX6000-ADA-X
RTX6000-Ada -> RTX6000-Ada / RTX6000       V100 -> V100 V100-32GB / A100
V100-32GB -> V100-32GB / V100              T4 -> T4 / T4g T400
RTX3090 -> RTX3090 / RTX3090Ti             Gaudi -> Gaudi / Gaudi2 Gaudi3
Trainium -> Trainium / Trainium2           MI300X -> MI300X / MI300A MI325X
MIG-1g.10gb -> A100-80GB-MIG-1g.10gb H100-MIG-1g.10gb / H100 H100-MIG-2g.20gb
H100-MIG-1g.10gb -> H100-MIG-1g.10gb / A100-80GB-MIG-1g.10gb H100
A100-80GB-MIG-1g.10gb -> A100-80GB-MIG-1g.10gb / A100-MIG-1g.5gb A100-MIG-1g.10gb"""
ROWS = [part for line in MATCHES.splitlines() for part in line.split("   ") if part.strip()]


@pytest.mark.parametrize("row", ROWS)
def test_what_is_what_was_asked_for(row: str) -> None:
    wanted, _, rest = row.strip().partition(" -> ")
    right, _, wrong = rest.partition(" / ")
    for name in right.split():
        assert accelerators.matches(wanted, name), name
        assert accelerators.matches(wanted, name, accelerators.memory(name)), f"{name} with its memory"
    for name in wrong.split():
        assert not accelerators.matches(wanted, name), name


def test_a_device_of_which_the_memory_is_told_is_no_smaller_one() -> None:
    assert not accelerators.matches("A100-80GB", "A100", 39.6)
    assert accelerators.matches("A100-80GB", "A100", 79.3)


@pytest.mark.parametrize(
    ("name", "vendor", "resource", "memory"),
    [
        ("H100", "nvidia", "nvidia.com/gpu", 80), ("A100", "nvidia", "nvidia.com/gpu", 40),
        ("H100-MIG-2g.20gb", "nvidia", "nvidia.com/mig-2g.20gb", 20), ("T4-SHARED", "nvidia", "nvidia.com/gpu", 16),
        ("MI300X", "amd", "amd.com/gpu", 192), ("MI999", "amd", "amd.com/gpu", None),
        ("AMD_Radeon_8060S", "amd", "amd.com/gpu", None), ("Gaudi2", "intel", "habana.ai/gaudi", 96),
        ("Max1550", "intel", "gpu.intel.com/i915", 128), ("Intel-GPU", "intel", "gpu.intel.com/i915", None),
        ("Inferentia2", "aws", "aws.amazon.com/neuron", 32), ("tpu-v6e-slice", "google", "google.com/tpu", None),
        ("X1000", "nvidia", "nvidia.com/gpu", None), ("X1000-32GB", "nvidia", "nvidia.com/gpu", 32),
    ],
)  # fmt: skip
def test_maker_resource_and_memory(name: str, vendor: str, resource: str, memory: float | None) -> None:
    assert (accelerators.vendor(name), accelerators.resource(name)) == (vendor, resource)
    assert accelerators.memory(name) == memory
    assert accelerators.is_device(resource)


def test_not_every_resource_is_a_device() -> None:
    others = "cpu nvidia.com/gpumem rdma/ib aws.amazon.com/neuroncore gpu.intel.com/i915_monitoring"
    devices = "nvidia.com/gpu.shared nvidia.com/mig-1g.10gb.shared nvidia.com/mig-1g.10gb.me nvidia.com/mig-1g.24gb-me"
    assert not any(map(accelerators.is_device, others.split()))
    assert all(map(accelerators.is_device, devices.split()))


def test_taken_apart() -> None:
    assert accelerators.parse("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb") == Name("A100", 40.0, "1g.5gb")
    assert accelerators.parse("Tesla-T4-SHARED") == Name("T4", None, "shared")
    assert accelerators.parse("") == Name("")


@pytest.mark.parametrize(
    ("label", "value", "size"),
    [
        ("nvidia.com/gpu.memory", "81920", 80), ("amd.com/gpu.vram", "192G", 192), ("gpu.nvidia.com/vram", "81", 81),
        ("karpenter.k8s.aws/instance-gpu-memory", "24576", 24), ("nvidia.com/gpu.memory", "unknown", None),
        ("gpu.intel.com/memory.max", "34359738368", None),  # bytes, of all GPUs together
    ],
)  # fmt: skip
def test_labelled_memory(label: str, value: str, size: float | None) -> None:
    assert accelerators.labelled_memory({label: value}) == size
