"""What a node of a task costs an hour, from the user's own price table; there is no other source. Pure but for load().

pricing:                       # in ~/.config/kubectl-sky/config.yaml; SkyPilot's keys of kubernetes.pricing
  cpu: 0.03                    # $ an hour for each CPU, GiB of memory, accelerator
  memory: 0.004
  accelerators: {H100: 2.5, A100-80GB: 1.6}
  contexts:
    other-cluster: {accelerators: {H100: 1.9}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubectl_sky import accelerators
from kubectl_sky.errors import UsageError

KEYS = ("cpu", "memory", "accelerators")


@dataclass(frozen=True)
class Prices:
    """$ an hour. `accelerators` by name; None where nothing is said."""

    cpu: float | None = None
    memory: float | None = None
    accelerators: Mapping[str, float] = field(default_factory=dict)

    def hourly(self, cpus: float, gibibytes: float, name: str = "", count: float = 0) -> float | None:
        """Of one node; None when the table says nothing of it, or not what its accelerators cost."""
        known = [amount * price for amount, price in ((cpus, self.cpu), (gibibytes, self.memory)) if price is not None]
        if count:
            price = self._accelerator(name)
            if price is None:
                return None
            known.append(count * price)
        return sum(known) if known else None

    def _accelerator(self, name: str) -> float | None:
        """Of one of several (`A100-80GB or H100`, by memory) the most: any of them may be had."""
        found = [self._one(kind) for kind in name.split(" or ")]
        return None if None in found else max(price for price in found if price is not None)

    def _one(self, name: str) -> float | None:
        exact = {key.lower(): price for key, price in self.accelerators.items()}
        if name.lower() in exact:
            return exact[name.lower()]
        return next((price for key, price in self.accelerators.items() if accelerators.matches(key, name)), None)


def table(values: Any, context: str, source: str) -> Prices:
    """The prices of a context from the setting `pricing`. Raises UsageError."""
    if not isinstance(values, dict):
        raise UsageError(f"{source}: pricing: should be a map of {', '.join((*KEYS, 'contexts'))}")
    contexts = values.get("contexts") or {}
    if not isinstance(contexts, dict):
        raise UsageError(f"{source}: pricing.contexts: should be a map of contexts to prices")
    own = contexts.get(context) or {}
    for place, part in (("pricing", values), (f"pricing.contexts.{context}", own)):
        _check(part, f"{source}: {place}", (*KEYS, "contexts") if part is values else KEYS)
    kinds = {**(values.get("accelerators") or {}), **(own.get("accelerators") or {})}
    prices = {str(name): price for name, price in kinds.items()}
    return Prices(own.get("cpu", values.get("cpu")), own.get("memory", values.get("memory")), prices)


def _check(part: Any, place: str, known: tuple[str, ...]) -> None:
    unknown = [str(key) for key in part if key not in known] if isinstance(part, dict) else ["(it is no map)"]
    if unknown:
        raise UsageError(f"{place}: unknown: {', '.join(unknown)}", f"known: {', '.join(known)}")
    kinds = part.get("accelerators") or {}
    if not isinstance(kinds, dict):
        raise UsageError(f"{place}.accelerators: should be a map of names to $ an hour, such as H100: 2.5")
    numbers = {key: part.get(key) for key in KEYS[:2]} | {
        f"accelerators.{name}": price for name, price in kinds.items()
    }
    for name, price in numbers.items():
        if price is not None and (isinstance(price, bool) or not isinstance(price, (int, float)) or price < 0):
            raise UsageError(f"{place}.{name}: should be $ an hour, such as 2.5, not {price!r}")
