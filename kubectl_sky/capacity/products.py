"""What labels call NVIDIA's products: where nodes may not be read, a pod asks for all that mean what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kubectl_sky import accelerators

NVIDIA = (
    "NVIDIA GB300", "NVIDIA GB200", "NVIDIA B300", "NVIDIA B200", "NVIDIA B300 SXM6 AC", "NVIDIA GH200 480GB",
    "NVIDIA GH200 96GB HBM3", "NVIDIA GH200 144G HBM3e", "NVIDIA H200", "NVIDIA H200 NVL", "NVIDIA H100 80GB HBM3",
    "NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA H100 SXM5 64GB", "NVIDIA H800", "NVIDIA H20",
    "NVIDIA A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB", "NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe",
    "NVIDIA A100-PCIE-80GB", "NVIDIA A800-SXM4-80GB", "NVIDIA A800 80GB PCIe", "NVIDIA A800-SXM4-40GB",
    "NVIDIA A30", "NVIDIA A40", "NVIDIA A16", "NVIDIA A10", "NVIDIA A10G", "NVIDIA A2", "NVIDIA L40S", "NVIDIA L40",
    "NVIDIA L20", "NVIDIA L4", "NVIDIA L2", "Tesla T4", "NVIDIA T4", "NVIDIA T4G", "Tesla V100-SXM2-16GB",
    "Tesla V100-SXM2-32GB", "Tesla V100-PCIE-16GB", "Tesla V100-PCIE-32GB", "Tesla V100-SXM3-32GB",
    "Tesla P100-PCIE-16GB", "Tesla P100-SXM2-16GB", "Tesla P40", "Tesla P4", "Tesla K80", "Tesla M60",
    "NVIDIA RTX PRO 6000 Blackwell Server Edition", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
    "NVIDIA RTX 6000 Ada Generation", "NVIDIA RTX 5000 Ada Generation", "NVIDIA RTX 4500 Ada Generation",
    "NVIDIA RTX 4000 Ada Generation", "NVIDIA RTX 4000 SFF Ada Generation", "NVIDIA RTX A6000", "NVIDIA RTX A5500",
    "NVIDIA RTX A5000", "NVIDIA RTX A4500", "NVIDIA RTX A4000", "NVIDIA RTX A2000 12GB", "Quadro RTX 8000",
    "Quadro RTX 6000", "Quadro RTX 5000", "NVIDIA TITAN RTX", "NVIDIA TITAN V", "NVIDIA GB10",
    "NVIDIA GeForce RTX 5090", "NVIDIA GeForce RTX 5080", "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090 D",
    "NVIDIA GeForce RTX 4080", "NVIDIA GeForce RTX 4070 Ti", "NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 3090 Ti",
    "NVIDIA GeForce RTX 3080", "NVIDIA GeForce RTX 3080 Ti", "NVIDIA GeForce RTX 2080 Ti",
    "NVIDIA GeForce GTX 1080 Ti",
)  # fmt: skip

GKE = (
    "nvidia-tesla-k80", "nvidia-tesla-p4", "nvidia-tesla-p100", "nvidia-tesla-v100", "nvidia-tesla-t4", "nvidia-l4",
    "nvidia-tesla-a100", "nvidia-a100-80gb", "nvidia-h100-80gb", "nvidia-h100-mega-80gb", "nvidia-h200-141gb",
    "nvidia-b200", "nvidia-gb200", "nvidia-rtx-pro-6000",
)  # fmt: skip


def labels(known: Iterable[str], is_it: Callable[[str], bool]) -> tuple[str, ...]:
    """The values of labels whose canonical name `is_it`: for an H100 NVIDIA-H100-80GB-HBM3, NVIDIA-H100-PCIe, …"""
    return tuple(sorted({one.replace(" ", "-") for one in known if is_it(accelerators.canonical(one))}))


def names() -> list[str]:
    """The canonical names of all that NVIDIA makes."""
    return [
        accelerators.canonical(f"{model}-{size:g}GB")
        for model, sizes in accelerators.MODELS.items()
        if accelerators.vendor(model) == accelerators.NVIDIA
        for size in sizes
    ]
