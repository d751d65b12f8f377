"""How long a launch waits for its pods: --provision-timeout, the task's own setting, the default. Pure."""

from __future__ import annotations

import math
from typing import Any

from kubectl_sky.errors import UsageError
from kubectl_sky.output import duration, parse_duration

FLAG = "--provision-timeout"
DEFAULT = 600.0
SCALE_UP = 900.0  # what a node that an autoscaler makes may take on top


def provision(flag: str | None, config: dict[str, Any]) -> float:
    """Seconds, math.inf for no limit: 0, as kubectl has it, and -1, as SkyPilot has it. UsageError for no duration.

    `config` is the task's `config:`; its kubernetes.provision_timeout counts where no flag is given.
    """
    if flag is None:
        given = (config.get("kubernetes") or {}).get("provision_timeout")
        return DEFAULT if given is None else float(given) if given > 0 else math.inf
    if flag.startswith("-"):
        return math.inf
    try:
        return parse_duration(flag) or math.inf
    except ValueError as error:
        raise UsageError(f"{FLAG}: {error}", f"e.g. {FLAG} 30m; 0 waits for ever") from None


def shown(seconds: float) -> str:
    """`10m`, `5s`, `for ever`"""
    return "for ever" if math.isinf(seconds) else duration(seconds)
