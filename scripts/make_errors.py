"""make_errors.py: writes docs/errors.md from the messages of the source and errors.yaml."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from scripts.messages import Message, messages

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "errors.md"
TOLD = yaml.safe_load((PROJECT / "scripts" / "errors.yaml").read_text())
INTRO = """\
# Messages

Made from the source by `make reference`: every message, why it comes where it does not say so itself, and the way out.
What is different each time is in CAPITALS, or `…`. Messages go to stderr, as `error: MESSAGE` and the next step;
`kubectl sky explain NAME` tells the same of a cluster that does not run, with what happened before, and
`-v=6` with any verb shows the requests that were made. Problems of task files come with line and column, and are
explained by `kubectl sky explain task.FIELD`. What exit codes mean: [output.md](output.md#exit-codes).
"""


def page() -> str:
    rows: dict[str, list[str]] = {title: [] for title in TOLD["sections"]}
    for one in messages():
        rows[section(one)].append(f"| {cell(one.text)} | {cell(cause(one))} | {cell(way(one))} |")
    parts = [INTRO]
    for title, found in rows.items():
        parts.append("\n".join([f"## {title}", "", "| message | why | way out |", "|---|---|---|", *sorted(found), ""]))
    return "\n".join(parts)


def section(one: Message) -> str:
    for title, modules in TOLD["sections"].items():
        if one.where.startswith(tuple(modules)):
            return str(title)
    raise ValueError(one.where)


def cause(one: Message) -> str:
    return _first("causes", one.text)


def way(one: Message) -> str:
    """What the program says; what is said here where it says nothing."""
    return one.hint or _first("ways", one.text)


def _first(kind: str, text: str) -> str:
    return next((str(said) for pattern, said in TOLD[kind].items() if re.search(pattern, text)), "")


def unused(kind: str) -> list[str]:
    """Patterns that fit no message of the source."""
    found = [one.text for one in messages()]
    return [pattern for pattern in TOLD[kind] if not any(re.search(pattern, text) for text in found)]


def cell(text: str) -> str:
    """Of a Markdown table."""
    return re.sub(r"(?<!`)<", "&lt;", text.replace("|", "\\|"))


if __name__ == "__main__":
    PAGE.write_text(page())
