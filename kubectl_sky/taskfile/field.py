"""A field of the task file as data, and the one walk that checks a tree of nodes against such a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubectl_sky.taskfile.problem import Problem, nearest, shown
from kubectl_sky.taskfile.taskyaml import Node

MAX_PROBLEMS = 50


@dataclass(frozen=True)
class Field:
    """`accepts`: kinds (text int number bool map list any) joined by `|`; null always means that the field is unset.

    `fields` are a map's known keys, `value` is for maps with free keys, `item` for lists.
    `note` is the warning for a field that has no effect on Kubernetes. `check` raises ValueError. `examples` are the
    accepted forms, as people write them in YAML.
    """

    name: str
    accepts: str
    help: str = ""
    fields: tuple[Field, ...] = ()
    value: Field | None = None
    item: Field | None = None
    choices: tuple[str, ...] = ()
    exact_case: bool = False
    required: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    note: str = ""
    check: Callable[[Any], object] | None = None
    internal: bool = False
    examples: tuple[str, ...] = ()

    def kinds(self) -> tuple[str, ...]:
        """The kinds accepted."""
        return tuple(self.accepts.split("|"))


_KIND_WORDS = {
    "text": "text", "int": "a whole number", "number": "a number", "bool": "true or false", "map": "a map",
    "list": "a list", "null": "null",
}  # fmt: skip


class Report:
    """Collects problems and warnings of one file."""

    def __init__(self, file: str):
        self.file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.listed: set[str] = set()

    def error(self, node: Node, path: str, message: str, hint: str | None = None) -> None:
        """`node` says where."""
        self.problems.append(self._at(node, path, message, hint))

    def warn(self, node: Node, path: str, message: str, hint: str | None = None) -> None:
        """`node` says where."""
        self.warnings.append(self._at(node, path, message, hint))

    def _at(self, node: Node, path: str, message: str, hint: str | None) -> Problem:
        return Problem(node.origin or self.file, node.line, node.column, path, message, hint)

    def in_order(self) -> list[Problem]:
        """The problems by line; a great many are cut to the first ones."""
        unique = list(dict.fromkeys(self.problems))
        unique.sort(key=lambda problem: (problem.line, problem.column))
        if len(unique) > MAX_PROBLEMS:
            rest = len(unique) - MAX_PROBLEMS
            last = unique[MAX_PROBLEMS]
            unique[MAX_PROBLEMS:] = [Problem(last.file, last.line, last.column, "", f"and {rest} more problems")]
        return unique


def join(path: str, key: Any) -> str:
    """`resources` and `cpus` -> `resources.cpus`; odd keys are put in brackets."""
    text = str(key)
    if text.replace("_", "a").replace("-", "a").isalnum():
        return f"{path}.{text}" if path else text
    return f"{path}[{shown(text)}]"


def check(node: Node, field: Field, path: str, report: Report) -> None:
    """Reports all that is wrong with `node` as a value of `field`."""
    kinds = field.kinds()
    if node.kind == "null" and node.text == "~" and "text" in kinds:
        report.warn(node, path, "`~` alone means null in YAML, so this is not set", 'quote it: "~"')
    if node.kind in ("null", "broken") or "any" in kinds:
        return
    if not _is_one_of(node, kinds):
        report.error(node, path, _wrong_kind(node, kinds), _kind_hint(node, kinds) or _forms(field))
        return
    if field.note:
        report.warn(node, path, field.note)
    if node.kind == "map":
        _check_map(node, field, path, report)
    elif node.kind == "list" and field.item:
        for index, item in enumerate(node.value):
            _check_inner(item, field.item, f"{path}[{index}]", report)
    elif not _check_scalar(node, field, path, report):
        return
    _run_check(node, field, path, report)


def _is_one_of(node: Node, kinds: tuple[str, ...]) -> bool:
    if node.kind == "number" and "int" in kinds and node.value == node.value // 1:
        node.value = int(node.value)
    return node.kind in kinds or (node.kind == "int" and "number" in kinds)


def _wrong_kind(node: Node, kinds: tuple[str, ...]) -> str:
    words = [_KIND_WORDS[kind] for kind in kinds if kind != "null"]
    wanted = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
    found = f"the text {shown(node.value)}" if node.kind == "text" else shown(node.value)
    return f"should be {wanted}, not {found}"


def _kind_hint(node: Node, kinds: tuple[str, ...]) -> str | None:
    wants_number = "int" in kinds or "number" in kinds
    if "text" in kinds and not wants_number and node.kind in ("bool", "int", "number", "date"):
        return f'quote it: "{node.text}"' if node.text else None
    if node.kind == "text" and not node.plain and wants_number and _is_number(node.value):
        return f"without quotes: {node.value}"
    if node.kind == "text" and kinds == ("bool",) and node.value.lower() in ("yes", "no", "on", "off", "true", "false"):
        return f"without quotes: {'true' if node.value.lower() in ('yes', 'on', 'true') else 'false'}"
    return None


def _forms(field: Field) -> str | None:
    return f"such as {', '.join(field.examples[:4])}" if field.examples else None


def _is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _check_inner(node: Node, field: Field, path: str, report: Report) -> None:
    """Like check(), for the items of lists and free maps, where null is a value of its own."""
    if node.kind == "null" and "null" not in field.kinds() and field.accepts != "any":
        report.error(node, path, _wrong_kind(node, field.kinds()), 'quote it: "~"' if node.text == "~" else None)
        return
    check(node, field, path, report)


def _check_map(node: Node, field: Field, path: str, report: Report) -> None:
    known = {known.name: known for known in field.fields}
    for key, key_node, value in node.entries():
        if key in known:
            check(value, known[key], join(path, key), report)
        elif field.value:
            _check_inner(value, field.value, join(path, key), report)
        elif known:
            _unknown(key_node, key, field, path, report)
    for name in field.required:
        if node.get(name) is None:
            report.error(node, path, f"`{name}` is missing")


def _unknown(key_node: Node, key: Any, field: Field, path: str, report: Report) -> None:
    names = [known.name for known in field.fields if not known.internal]
    meant = nearest(str(key), names)
    hint = f"did you mean `{meant}`?" if meant else None
    name, colon, rest = str(key).partition(":")
    if colon and name in names:
        hint = f"a space is missing after the colon: `{name}: {rest}`"
    elif not meant and path not in report.listed:
        report.listed.add(path)
        hint = "known here: " + ", ".join(names)
    report.error(key_node, join(path, key_node.text or key), "unknown field", hint)


def _check_scalar(node: Node, field: Field, path: str, report: Report) -> bool:
    value = node.value
    if field.choices and isinstance(value, str):
        same = value if field.exact_case else value.lower()
        if same not in [choice if field.exact_case else choice.lower() for choice in field.choices]:
            meant = nearest(value, field.choices)
            listed = ", ".join(field.choices)
            hint = f"did you mean `{meant}`?" if meant else None
            report.error(node, path, f"{shown(value)} should be one of {listed}", hint)
            return False
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            report.error(node, path, "must be a finite number")
            return False
        if field.minimum is not None and value < field.minimum:
            report.error(node, path, f"must be at least {field.minimum:g}, not {shown(value)}")
            return False
        if field.maximum is not None and value > field.maximum:
            report.error(node, path, f"must be at most {field.maximum:g}, not {shown(value)}")
            return False
    return True


def _run_check(node: Node, field: Field, path: str, report: Report) -> None:
    """The field's own syntax; skipped for a map or list with faults inside, which it could not read."""
    has_parts = node.kind in ("map", "list")
    if field.check is None or (has_parts and any(problem.field.startswith(path) for problem in report.problems)):
        return
    try:
        field.check(node.raw())
    except ValueError as error:
        report.error(node, path, str(error))
