"""A row of the tables that turn what programs of the cluster say into words, with the next step."""

from __future__ import annotations

from typing import NamedTuple

Told = tuple[str, str, str]  # reason, message, hint


class Fault(NamedTuple):
    """`pattern` is a regular expression for what was said; `text` and `hint` may name its groups."""

    reason: str
    pattern: str
    text: str
    hint: str
