"""What the tables of jobs, queue's and jobs queue's, say in the same words."""

from __future__ import annotations

import time

from kubectl_sky.output import duration


def took(started: float | None, ended: float | None) -> str:
    """How long, of seconds since 1970; so far, for one that goes on."""
    return duration((ended or time.time()) - started) if started else "-"


def outcome(status: str, code: int | None) -> str:
    """`RUNNING`, `FAILED (3)`"""
    return f"{status} ({code})" if status.startswith("FAILED") and code is not None else status
