"""Names with wildcards. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable


def is_glob(pattern: str) -> bool:
    return any(letter in pattern for letter in "*?[")


def matches(name: str, pattern: str) -> bool:
    """A name that has such a letter itself stands for itself, too."""
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def matching(pattern: str, known: Iterable[str]) -> list[str]:
    """Of the known names those that the pattern stands for."""
    return [name for name in known if matches(name, pattern)]
