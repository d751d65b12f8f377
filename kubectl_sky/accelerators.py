"""Accelerators as data: their names and memory, the labels that name them, the resources that count them. Pure.

A name is a model, with its memory where a model comes in several sizes: `A100` has 40 GB, `A100-80GB` has 80.
Sources: NVIDIA's GPU feature discovery, GKE, EKS, AKS, Karpenter, CoreWeave, Nebius, AMD's and Intel's device plugins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

# a cluster's nodes have few products, of which thousands of nodes tell the same
_few = lru_cache(4096)
NVIDIA, AMD, INTEL, GOOGLE, AWS = "nvidia", "amd", "intel", "google", "aws"

# model -> GB of memory; of several sizes the first is the one that the bare name means
_NVIDIA = {
    "GB300": (288,), "GB200": (192,), "GH200": (96, 144), "B300": (288,), "B200": (192,), "B100": (192,),
    "H200": (141,), "H100-MEGA": (80,), "H100-NVL": (94,), "H100": (80, 64, 96), "H800": (80,), "H20": (96, 141),
    "A100": (40, 80), "A800": (80, 40), "A30": (24,), "A40": (48,), "A16": (16,), "A10G": (24,), "A10": (24,),
    "A2": (16,), "L40S": (48,), "L40": (48,), "L20": (48,), "L4": (24,), "L2": (24,),
    "RTXPRO6000": (96,), "RTXPRO5000": (48,), "RTXPRO4500": (32,), "RTXPRO4000": (24,),
    "RTX6000-Ada": (48,), "RTX5000-Ada": (32,), "RTX4500-Ada": (24,), "RTX4000-Ada": (20,), "RTX2000-Ada": (16,),
    "A6000": (48,), "A5500": (24,), "A5000": (24,), "A4500": (20,), "A4000": (16,), "A2000": (12, 6),
    "RTX8000": (48,), "RTX6000": (24,), "RTX5000": (16,), "RTX4000": (8,),
    "V100": (16, 32), "P100": (16, 12), "P40": (24,), "P4": (8,), "P6000": (24,), "P5000": (16,), "P4000": (8,),
    "T4g": (16,), "T4": (16,), "K80": (12,), "M60": (8,), "M40": (12, 24), "TITANRTX": (24,), "TITANV": (12,),
    "RTX5090": (32,), "RTX5080": (16,), "RTX5070Ti": (16,), "RTX5070": (12,), "RTX5060Ti": (16, 8),
    "RTX4090": (24,), "RTX4080": (16,), "RTX4070Ti": (12, 16), "RTX4070": (12,), "RTX4060Ti": (8, 16),
    "RTX4060": (8,), "RTX3090Ti": (24,), "RTX3090": (24,), "RTX3080Ti": (12,), "RTX3080": (10, 12),
    "RTX3070Ti": (8,), "RTX3070": (8,), "RTX3060Ti": (8,), "RTX3060": (12, 8), "RTX3050": (8, 6), "RTX2080Ti": (11,),
    "RTX2080": (8,), "RTX2070": (8,), "RTX2060": (6, 12), "GTX1080Ti": (11,), "GTX1080": (8,), "A1000": (8,),
    "GB10": (128,),
}  # fmt: skip
_AMD = {
    "MI355X": (288,), "MI350X": (288,), "MI325X": (256,), "MI308X": (192,), "MI300X": (192,), "MI300A": (128,),
    "MI250X": (128,), "MI250": (128,), "MI210": (64,), "MI100": (32,), "MI60": (32,), "MI50": (16, 32),
    "W7900": (48,), "W7800": (32,), "W6800": (32,), "RX7900XTX": (24,), "V620": (32,), "V520": (8,),
}  # fmt: skip
_INTEL = {
    "Gaudi3": (128,), "Gaudi2": (96,), "Gaudi": (32,), "Max1550": (128,), "Max1100": (48,), "Flex170": (16,),
    "Flex140": (12,),
}  # fmt: skip
_AWS = {"Trainium2": (96,), "Trainium": (32,), "Inferentia2": (32,), "Inferentia": (8,)}
MODELS: dict[str, tuple[float, ...]] = {**_NVIDIA, **_AMD, **_INTEL, **_AWS}
# what products are called besides their names
_ALIASES = {
    "HL205": "Gaudi", "HL225": "Gaudi2", "HL325": "Gaudi3", "TRN1": "Trainium", "TRN2": "Trainium2",
    "HL325L": "Gaudi3", "HL338": "Gaudi3", "V100S": "V100", "A100D": "A100",
    "INF1": "Inferentia", "INF2": "Inferentia2", "NEURON": "Trainium",
    **{f"RTXA{n}": f"A{n}" for n in (1000, 2000, 4000, 4500, 5000, 5500, 6000)},
    **{f"QUADRORTX{n}": f"RTX{n}" for n in (4000, 5000, 6000, 8000)},
    **{f"QUADROP{n}": f"P{n}" for n in (4000, 5000, 6000)},
}  # fmt: skip
# words that only say who makes it, for whom, or how it is plugged in
_NOISE = re.compile(
    r"nvidia|tesla|geforce|grid|amd|instinct|radeon|pro|intel|habana|labs|data|center|gpu|graphics|accelerator|oam|sxm\d?"
    r"|pcie|nvlink|hbm\de?|hgx|dgx|server|workstation|edition|blackwell|generation|max|q|aws|google|cloud"
)


class Name(NamedTuple):
    """A name taken apart. `memory` (GB) None: any; `slice`: a MIG profile (`1g.10gb`), or "shared"."""

    model: str
    memory: float | None = None
    slice: str = ""


class Family(NamedTuple):
    """A label whose value names the accelerator of a node; `valid`: which values are names."""

    key: str
    vendor: str
    valid: str = r".+"


# most exact first; of several labels on a node the first that says something counts
FAMILIES = (
    Family("skypilot.co/accelerator", ""),
    Family("skypilot.co/accelerators", ""),
    Family("cloud.google.com/gke-accelerator", NVIDIA),
    Family("cloud.google.com/gke-tpu-accelerator", GOOGLE),
    Family("karpenter.k8s.aws/instance-gpu-name", ""),
    Family("karpenter.k8s.aws/instance-accelerator-name", AWS),
    Family("eks.amazonaws.com/instance-gpu-name", ""),
    Family("nvidia.com/gpu.product", NVIDIA),
    Family("gpu.nvidia.com/class", NVIDIA),
    Family("gpu.nvidia.com/model", NVIDIA),
    Family("nebius.com/gpu-name", NVIDIA),
    Family("amd.com/gpu.product-name", AMD),
    Family("beta.amd.com/gpu.product-name", AMD),
    Family("gpu.intel.com/product", INTEL),
    Family("intel.feature.node.kubernetes.io/gaudi-type", INTEL),
    Family("k8s.amazonaws.com/accelerator", "", r"(nvidia-)?(tesla-)?[a-z]+\d.*"),
)
SKY_LABELS = ("skypilot.co/accelerator", "skypilot.co/accelerators")
INSTANCE_TYPES = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
# label -> MB (or `192G`) of memory of each device
MEMORY_LABELS = (
    "nvidia.com/gpu.memory",
    "karpenter.k8s.aws/instance-gpu-memory",
    "amd.com/gpu.vram",
    "gpu.nvidia.com/vram",
)
# of NVIDIA's device plugin: pods that share each GPU; of GKE's: the same, and the MIG profile of all GPUs of a node
PRODUCT_LABEL, REPLICAS_LABEL = "nvidia.com/gpu.product", "nvidia.com/gpu.replicas"
SHARING_LABEL = "cloud.google.com/gke-gpu-sharing-strategy"
CLIENTS_LABEL = "cloud.google.com/gke-max-shared-clients-per-gpu"
PARTITION_LABEL = "cloud.google.com/gke-gpu-partition-size"


class Resource(NamedTuple):
    """An extended resource of nodes. `name`: what it is when no label says it; `slice`: a group of `pattern`."""

    pattern: str
    vendor: str
    name: str = ""


RESOURCES = (
    Resource(r"nvidia\.com/gpu", NVIDIA),
    Resource(r"nvidia\.com/gpu\.(?P<slice>shared)", NVIDIA),
    # `.me`, `-me`, `.gfx`, `.me.all`: of the GPU's other engines
    Resource(r"nvidia\.com/mig-(?P<slice>\d+g\.\d+gb)(?:[.-](?:me|gfx|all))*(?:\.shared)?", NVIDIA),
    Resource(r"amd\.com/gpu", AMD),
    Resource(r"google\.com/tpu", GOOGLE, "TPU"),
    Resource(r"aws\.amazon\.com/neuron(?:device)?", AWS),
    Resource(r"habana\.ai/gaudi", INTEL, "Gaudi"),
    Resource(r"gpu\.intel\.com/(?:i915|xe)", INTEL, "Intel-GPU"),
)
_KEYS = {NVIDIA: "nvidia.com/gpu", AMD: "amd.com/gpu", GOOGLE: "google.com/tpu", AWS: "aws.amazon.com/neuron"}
GAUDI, INTEL_GPU = "habana.ai/gaudi", "gpu.intel.com/i915"


@_few
def vendor(name: str) -> str:
    """Who makes it; what nobody else claims is NVIDIA's: `H100` -> nvidia."""
    model = parse(name).model
    for maker, models in ((AMD, _AMD), (INTEL, _INTEL), (AWS, _AWS)):
        if model in models:
            return maker
    if re.match(r"mi\d|amd\b|radeon\b|instinct\b", name.replace("_", "-"), re.I):
        return AMD
    return GOOGLE if name.lower().startswith("tpu") else INTEL if re.match(r"intel\b", name, re.I) else NVIDIA


def resource(name: str) -> str:
    """The extended resource by which it is asked for, unless the nodes say otherwise: `H100` -> `nvidia.com/gpu`."""
    made_by, mig = vendor(name), parse(name).slice
    if made_by == INTEL:
        return GAUDI if parse(name).model.startswith("Gaudi") else INTEL_GPU
    return f"nvidia.com/mig-{mig}" if mig and made_by == NVIDIA and mig != "shared" else _KEYS[made_by]


@_few
def is_device(key: str) -> bool:
    """Whether an extended resource counts accelerators."""
    return any(re.fullmatch(one.pattern, key) for one in RESOURCES)


_SLICE = re.compile(r"(?:[-_ ]?mig[-_ ]?|^)(\d+g\.\d+gb)(?:[.+-](?:me|gfx|all))*", re.I)
_SIZE = re.compile(r"(\d+)gb?", re.I)
_KNOWN = {name.replace("-", "").lower(): name for name in MODELS} | {k.lower(): v for k, v in _ALIASES.items()}


@_few
def parse(text: str) -> Name:
    """A user's word, a label's value or what nvidia-smi prints.

    `NVIDIA A100-SXM4-80GB` -> (A100, 80), `H100` -> (H100, None), `nvidia-tesla-t4` -> (T4, None),
    `NVIDIA-A100-SXM4-40GB-MIG-1g.5gb` -> (A100, 40, 1g.5gb), `MIG-1g.10gb` -> ("", None, 1g.10gb).
    A name that is not in MODELS stays as it is, without its maker: `NVIDIA-X1000` -> X1000.
    """
    found = _SLICE.search(text)
    mig = found[1].lower() if found else ""
    rest = text[: found.start()] + text[found.end() :] if found else text
    shared = re.search(r"[-_ ]shared$", rest, re.I)
    if shared:
        rest, mig = rest[: shared.start()], mig or "shared"
    if rest.lower().startswith("tpu"):
        return Name(rest, None, mig)
    words = [word for word in re.split(r"[^A-Za-z0-9]+", rest) if word and word.lower() != "sff"]
    sizes = [float(size[1]) for word in words if (size := _SIZE.fullmatch(word))]
    model = _model([word for word in words if not _SIZE.fullmatch(word)])
    # a GH200's `480GB` or `120GB` is the memory of its CPU
    own = [size for size in sizes if model != "GH200" or any(_same(size, one) for one in MODELS[model])]
    return Name(model, own[0] if own else None, mig)


def _model(words: list[str]) -> str:
    """The model that the words of a product's name contain, else the words that say more than the maker."""
    low = [word.lower() for word in words]
    for length in (4, 3, 2, 1):  # `RTX 6000 Ada`, then `RTX 6000`
        for start in range(len(low) - length + 1):
            joined = "".join(low[start : start + length])
            if joined in _KNOWN:
                return _KNOWN[joined]
    useful = [word for word, small in zip(words, low, strict=True) if not _NOISE.fullmatch(small)] or words
    return "-".join(useful).upper() if all(word.islower() for word in useful) else "-".join(useful)


@_few
def canonical(text: str, memory: float | None = None) -> str:
    """The name that people use: `NVIDIA A100-SXM4-80GB` -> `A100-80GB`, `NVIDIA-H100-80GB-HBM3` -> `H100`.

    `memory`: GB of the device where something else tells it (81920 MB of an `A100` make it an `A100-80GB`).
    A slice keeps its profile: `A100-80GB-MIG-1g.10gb`.
    """
    name = parse(text)
    sizes = MODELS.get(name.model, ())
    size = name.memory or (_nearest(sizes, memory) if memory and not name.slice else None)
    tail = f"-{size:g}GB" if size and sizes and not _same(size, sizes[0]) else ""
    if size and not sizes and name.memory and name.model:
        tail = f"-{size:g}GB"
    mig = f"MIG-{name.slice}" if name.slice not in ("", "shared") else ""
    return "-".join(part for part in (f"{name.model}{tail}", mig) if part)


@_few
def memory(name: str) -> float | None:
    """GB of one device of that name; None for one that is not known."""
    one = parse(name)
    if one.slice and one.slice != "shared":
        return float(one.slice.partition(".")[2].removesuffix("gb"))
    sizes = MODELS.get(one.model)
    return one.memory or (float(sizes[0]) if sizes else None)


@_few
def matches(wanted: str, name: str, size: float | None = None) -> bool:
    """Whether a device `name` (canonical; of `size` GB) is what was asked for.

    `H100` is every H100, `A100` also an `A100-80GB`, `A100-80GB` never an A100 of 40 GB, `L4` never an L40; a slice
    only what asks for slices, `MIG-1g.10gb` those of any model.
    """
    want, have = parse(wanted), parse(name)
    if _is_mig(want) != _is_mig(have) or (_is_mig(want) and want.slice != have.slice):
        return False
    if want.model and have.model.lower() != want.model.lower() and not _variant(have.model, want.model):
        return False
    told = None if _is_mig(have) else size  # a slice's own
    there = told or memory(f"{have.model}-{have.memory:g}GB" if have.memory else have.model)
    return want.memory is None or there is None or _same(want.memory, there)


def _is_mig(name: Name) -> bool:
    return name.slice not in ("", "shared")


def _variant(model: str, wanted: str) -> bool:
    """`H100-MEGA` is an `H100`; `RTX6000-Ada` is no `RTX6000`, but another chip."""
    return model.lower().startswith(wanted.lower() + "-") and not model.endswith("-Ada")


def _same(size: float, other: float) -> bool:
    """Sizes in GB and in GiB, and a little less than that, mean the same: 80, 79.6, 81559 MB."""
    return abs(size - other) <= 0.12 * max(size, other)


def _nearest(sizes: tuple[float, ...], size: float) -> float | None:
    return min((one for one in sizes if _same(one, size)), key=lambda one: abs(one - size), default=None)


def named(labels: Mapping[str, str], maker: str) -> tuple[str, tuple[str, str]] | None:
    """The product's name in a node's labels, for devices of `maker`, and the label that says it."""
    for family in FAMILIES:
        value = labels.get(family.key)
        if value and family.vendor in ("", maker) and re.fullmatch(family.valid, value, re.I):
            if not family.vendor and vendor(value) != maker:
                continue
            return value, (family.key, value)
    return None


def labelled_memory(labels: Mapping[str, str]) -> float | None:
    """GB of each device, as a label says it: `81559` (MiB), `192G`, `81`."""
    for key in MEMORY_LABELS:
        found = re.fullmatch(r"(\d+)([MG]i?B?)?", labels.get(key, ""))
        if found:
            number, unit = float(found[1]), found[2] or ("M" if float(found[1]) > 1024 else "G")
            return number if unit.startswith("G") else number / 1024
    return None
