"""What `explain task.FIELD` says: a field of the task file in words, from the table of fields."""

from __future__ import annotations

import re
import textwrap

from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile import described
from kubectl_sky.taskfile.field import Field
from kubectl_sky.taskfile.problem import nearest

ROOT = "task"
_PLACE = re.compile(r"\[\d*\]")
_WORDS = {"int": "number", "bool": "true|false"}


def is_field_path(text: str) -> bool:
    """Whether it is `task`, or a path such as task.resources.cpus."""
    return text == ROOT or text.startswith(ROOT + ".")


def find(path: str) -> Field:
    """The field of a path; places in lists (`any_of[0]`) may be given. UsageError names the nearest one."""
    field, so_far = described.task(), ROOT
    for name in path.split(".")[1:]:
        below = {one.name: one for one in described.children(field)}
        name = _PLACE.sub("", name)
        if name not in below:
            meant = nearest(name, below)
            known = f"known there: {', '.join(below)}" if below else f"{so_far} has no fields"
            raise UsageError(
                f"{so_far} has no field {name[:60]!r}", f"did you mean {so_far}.{meant}?" if meant else known
            )
        field, so_far = below[name], f"{so_far}.{name}"
    return field


def screen(path: str, recursive: bool) -> str:
    """The whole text. UsageError: there is no such field."""
    field = find(path)
    blocks = [f"FIELD: {_PLACE.sub('', path)} <{kinds(field)}>"]
    blocks += _block("DESCRIPTION", textwrap.wrap(field.help, 110))
    blocks += _block("NOTE", textwrap.wrap(f"It {field.note}.", 110) if field.note else [])
    blocks += _block("ACCEPTED", accepted(field))
    below = described.children(field)
    if below and recursive:
        blocks += _block("FIELDS", _tree(field, ""))
    elif below:
        blocks += _block("FIELDS", [line for one in below for line in _summary(one, one.name in _required(field))])
    return "\n\n".join(blocks) + "\n"


def kinds(field: Field) -> str:
    """`text, map or list`"""
    words = list(dict.fromkeys(_WORDS.get(kind, kind) for kind in field.kinds() if kind != "null"))
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def accepted(field: Field) -> list[str]:
    """Forms and limits, a line each."""
    lines = list(field.examples)
    if field.choices:
        lines.append("one of: " + ", ".join(field.choices))
    if field.minimum is not None or field.maximum is not None:
        least = f"at least {field.minimum:g}" if field.minimum is not None else ""
        most = f"at most {field.maximum:g}" if field.maximum is not None else ""
        lines.append(", ".join(part for part in (least, most) if part))
    return lines


def _required(field: Field) -> tuple[str, ...]:
    return (
        field.required or (field.item.required if field.item else ()) or (field.value.required if field.value else ())
    )


def _block(title: str, lines: list[str]) -> list[str]:
    return ["\n".join([f"{title}:", *(f"    {line}" for line in lines)])] if lines else []


def _summary(field: Field, required: bool) -> list[str]:
    text = " ".join([field.help, *([f"({field.note})"] if field.note else [])]).strip()
    head = f"{field.name} <{kinds(field)}>" + (" -required-" if required else "")
    return [head, *(f"  {line}" for line in textwrap.wrap(text, 106))]


def _tree(field: Field, indent: str) -> list[str]:
    lines = []
    for one in described.children(field):
        lines += [f"{indent}{one.name} <{kinds(one)}>", *_tree(one, indent + "  ")]
    return lines
