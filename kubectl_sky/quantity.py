"""Kubernetes' quantities as numbers, and back."""

from __future__ import annotations

from functools import lru_cache

GIB = 2**30
_SUFFIXES = {
    **{letter + "i": float(2 ** (10 * power)) for power, letter in enumerate("KMGTPE", 1)},
    **{letter: float(1000**power) for power, letter in enumerate("MGTPE", 2)},
    "k": 1e3, "m": 1e-3, "u": 1e-6, "n": 1e-9,
}  # fmt: skip


@lru_cache(4096)  # the pods of a cluster ask for the same few
def parse(text: str | int | float) -> float:
    """`1500m` -> 1.5, `16Gi` -> 17179869184.0, `1e3` -> 1000.0. ValueError for what is none."""
    if not isinstance(text, str):
        return float(text)
    for suffix in (text[-2:], text[-1:]):
        if suffix in _SUFFIXES:
            return float(text[: -len(suffix)]) * _SUFFIXES[suffix]
    return float(text)


def number(value: float) -> str:
    """As a pod's request: 1.5 -> `1500m`, 4.0 -> `4`."""
    return str(int(value)) if value == int(value) else f"{max(round(value * 1000), 1)}m"


def gibibytes(value: float) -> str:
    """GiB as a pod's request: 1.5 -> `1536Mi`, 16.0 -> `16Gi`."""
    return f"{int(value)}Gi" if value == int(value) else f"{max(round(value * 1024), 1)}Mi"


def shown(key: str, value: float) -> str:
    """An amount of the resource `key` for people: memory in GiB, all else as a number: `15.5 GiB`, `3.9`."""
    if key in ("memory", "ephemeral-storage") or key.startswith("hugepages-"):
        size, unit = (value / GIB, "GiB") if value >= GIB / 10 else (value / 2**20, "MiB")
        return f"{size:.0f} {unit}" if size >= 100 else f"{size:.3g} {unit}"
    return f"{round(value, 2):g}"
