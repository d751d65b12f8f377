"""How long a launch waits for its pods: --provision-timeout, the task's own setting, the default. Pure."""

from __future__ import annotations

import math

from kubectl_sky.errors import UsageError
from kubectl_sky.output import duration, parse_duration

FLAG = "--provision-timeout"
DEFAULT = 600.0
SCALE_UP = 900.0  # what a node that an autoscaler makes may take on top


def given(flag: str | None) -> float | None:
    """Seconds of the flag, math.inf for no limit: 0, as kubectl has it, and -1, as SkyPilot has it; None: no flag.

    UsageError for no duration.
    """
    if flag is None:
        return None
    if flag.startswith("-"):
        return math.inf
    try:
        return parse_duration(flag) or math.inf
    except ValueError as error:
        raise UsageError(f"{FLAG}: {error}", f"e.g. {FLAG} 30m; 0 waits for ever") from None


def provision(flag: float | None, configured: int | None) -> float:
    """Seconds: of the flag, else of the configuration, else DEFAULT."""
    if flag is not None:
        return flag
    return DEFAULT if configured is None else float(configured) if configured > 0 else math.inf


def shown(seconds: float) -> str:
    """`10m`, `5s`, `for ever`"""
    return "for ever" if math.isinf(seconds) else duration(seconds)
