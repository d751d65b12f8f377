"""Versions of servers and container runtimes, as numbers that can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def numbers(version: str) -> tuple[int, ...]:
    """The first two: `v1.32+` -> (1, 32); `2.4.2` -> (2, 4)"""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def server(answer: Mapping[str, Any]) -> tuple[int, ...]:
    """Of what /version answers: `{"major": "1", "minor": "32+"}` -> (1, 32); () if it does not tell."""
    return numbers(f"{answer.get('major', '')}.{answer.get('minor', '')}")
