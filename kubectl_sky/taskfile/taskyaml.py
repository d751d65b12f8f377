"""YAML text -> trees of nodes that know their line and column. All limits on hostile input are here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from kubectl_sky.errors import TaskErrors
from kubectl_sky.taskfile.problem import Problem, shown

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000
MAX_DEPTH = 64
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
MAX_NUMBER = 100  # characters

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = "tag:yaml.org,2002:"
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Node:
    """A value of the file: a scalar, a list of nodes, or a dict of nodes, whose keys' own nodes are in `keys`.

    `text` is a scalar as it was written; `plain` says that it had no quotes; `origin` names a flag that it came from.
    """

    __slots__ = ("column", "keys", "line", "origin", "plain", "text", "value")

    def __init__(self, value: Any, line: int = 0, column: int = 0, text: str = "", plain: bool = False,
                 keys: dict[Any, Node] | None = None, origin: str | None = None):  # fmt: skip
        self.value, self.line, self.column = value, line, column
        self.text, self.plain, self.origin = text, plain, origin
        self.keys: dict[Any, Node] = keys if keys is not None else {}

    @property
    def kind(self) -> str:
        """null, bool, int, number, text, date, list or map; broken when it could not be read."""
        return _KINDS.get(type(self.value), "date")

    def raw(self) -> Any:
        """The plain Python value; a fresh copy."""
        if isinstance(self.value, dict):
            return {key: node.raw() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.raw() for node in self.value]
        return self.value

    def get(self, key: Any) -> Node | None:
        """The value of a map's key unless it is null; None for anything that is no map."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if found is not None and found.value is not None else None

    def entries(self) -> Iterator[tuple[Any, Node, Node]]:
        """(key, the key's node, the value's node) of a map; nothing for other kinds."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield key, self.keys.get(key) or node, node


BROKEN = type("Broken", (), {})()
_KINDS = {
    type(None): "null", bool: "bool", int: "int", float: "number", str: "text", list: "list", dict: "map",
    type(BROKEN): "broken",
}  # fmt: skip


class _LimitError(Exception):
    def __init__(self, message: str, line: int = 1, column: int = 1):
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class _Loader(_Base):
    """Composes nodes; stops early at what is too large or too deep."""

    def __init__(self, text: str):
        super().__init__(text)
        self.values = self.depth = 0

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        self.values += 1
        if self.values > MAX_VALUES:
            raise _LimitError(f"more than {MAX_VALUES} values: this is no task file")
        return super().resolve(kind, value, implicit)

    def descend_resolver(self, *_: Any) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _LimitError(_TOO_DEEP)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class Loaded(NamedTuple):
    """A YAML stream: its documents that are not empty, and what was found in them."""

    documents: list[Node]
    problems: list[Problem]
    warnings: list[Problem]


def load(data: bytes | str, file: str) -> Loaded:
    """Reads a YAML stream. Raises TaskErrors when it is no YAML at all, so that nothing else can be said about it."""
    text = ""
    reader = _Converter(file)
    documents = []
    try:
        text = _decode(data)
        for root in _compose(text):
            reader.values = 0
            documents.append(reader.convert(root, 0))
    except _LimitError as error:
        raise TaskErrors([Problem(file, error.line, error.column, "", error.message)]) from None
    except yaml.YAMLError as error:
        raise TaskErrors([_syntax_problem(error, file, text)]) from None
    return Loaded([node for node in documents if node.value is not None], reader.problems, reader.warnings)


def _compose(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    finally:
        loader.dispose()


def _decode(data: bytes | str) -> str:
    if len(data) > MAX_BYTES:
        raise _LimitError(f"the file is larger than {MAX_BYTES >> 20} MiB, which is the most for a task file")
    if isinstance(data, str):
        text = data
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _LimitError("the file is UTF-16; save it as UTF-8")
    else:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            if b"\0" in data:
                raise _LimitError("this is a binary file, not YAML") from None
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise _LimitError(f"not UTF-8 text (byte 0x{data[error.start]:02x})", line, column) from None
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad:
        if bad.group() == "\0":
            raise _LimitError("this is a binary file, not YAML")
        line, column = text.count("\n", 0, bad.start()) + 1, bad.start() - text.rfind("\n", 0, bad.start())
        raise _LimitError(f"the control character U+{ord(bad.group()):04X} is not allowed in YAML", line, column)
    return text


class _Converter:
    """yaml.Node -> Node, with YAML 1.1's own reading of scalars (the one SkyPilot uses)."""

    def __init__(self, file: str):
        self.file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.values = 0
        self._scalars = yaml.constructor.SafeConstructor()

    def convert(self, node: Any, depth: int) -> Node:
        self.values += 1
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if self.values > MAX_VALUES:
            raise _LimitError(f"aliases that unfold to more than {MAX_VALUES} values", line, column)
        if depth > MAX_DEPTH:
            raise _LimitError(f"nested more than {MAX_DEPTH} levels deep (an alias inside itself?)", line, column)
        if isinstance(node, yaml.ScalarNode):
            plain = not node.style
            return Node(self._scalar(node, line, column), line, column, node.value, plain)
        if node.tag not in (_TAGS + "seq", _TAGS + "map"):
            self._bad_tag(node.tag, line, column)
            return Node(BROKEN, line, column)
        if isinstance(node, yaml.SequenceNode):
            return Node([self.convert(item, depth + 1) for item in node.value], line, column)
        return self._map(node, line, column, depth)

    def _map(self, node: Any, line: int, column: int, depth: int) -> Node:
        own: dict[Any, Node] = {}
        merged: dict[Any, Node] = {}
        keys: dict[Any, Node] = {}
        first_lines: dict[str, int] = {}
        is_template = False
        for key_node, value_node in node.value:
            at, col = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(at, col, "a key must be text, not a list or map",
                              "is this a template? `{{...}}` must be filled in or quoted")  # fmt: skip
                is_template = True
                continue
            text = key_node.value
            if text in first_lines:
                self._problem(at, col, f"duplicate key `{text[:60]}`", f"first at line {first_lines[text]}")
                continue
            first_lines[text] = at
            if key_node.tag == _TAGS + "merge":
                self._merge(value_node, merged, keys, depth)
                continue
            key = self._scalar(key_node, at, col)
            own[key] = self.convert(value_node, depth + 1)
            keys[key] = Node(key, at, col, text, not key_node.style)
        both = {**merged, **own}
        return Node(both if both or not is_template else BROKEN, line, column, keys=keys)

    def _merge(self, node: Any, merged: dict[Any, Node], keys: dict[Any, Node], depth: int) -> None:
        """`<<: *base`: the keys of one map or several (the first one wins)."""
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(source, yaml.MappingNode):
                mark = source.start_mark
                self._problem(mark.line + 1, mark.column + 1, "`<<` wants a map, or a list of maps")
                continue
            part = self.convert(source, depth + 1)
            if part.kind != "map":
                continue
            for key, value in part.value.items():
                merged.setdefault(key, value)
                keys.setdefault(key, part.keys[key])

    def _scalar(self, node: Any, line: int, column: int) -> Any:
        tag = node.tag.removeprefix(_TAGS)
        if tag in ("str", "value"):
            return node.value
        if tag not in ("null", "bool", "int", "float", "timestamp"):
            self._bad_tag(node.tag, line, column)
            return BROKEN
        try:
            if len(node.value) > MAX_NUMBER:
                raise ValueError
            value = getattr(self._scalars, f"construct_yaml_{tag}")(node)
        except (ValueError, KeyError, IndexError, AttributeError, OverflowError):
            what = "date" if tag == "timestamp" else "number"
            self._problem(line, column, f"{shown(node.value)} is no valid {what}", "put it in quotes if it is text")
            return BROKEN
        if tag == "int" and ":" in node.value:
            text = f"`{node.value}` is read as the number {value} (base 60, as YAML 1.1 has it)"
            self.warnings.append(Problem(self.file, line, column, "", text, "put it in quotes"))
        return value

    def _bad_tag(self, tag: str, line: int, column: int) -> None:
        self._problem(line, column, f"the tag `{tag.replace(_TAGS, '!!')[:60]}` is not supported",
                      "put the value in quotes if it is text")  # fmt: skip

    def _problem(self, line: int, column: int, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(self.file, line, column, "", message, hint))


_TAB = "a tab in the indentation; YAML wants spaces"
# (part of PyYAML's or libyaml's words, what to say instead)
_WORDS = (
    ("tab character", _TAB),
    ("alphabetic or numeric", "`*` and `&` start an alias or anchor; put the value in quotes if it is text"),
    ("cannot start any token", "a value cannot start with this character; put it in quotes"),
    ("mapping values are not allowed", "no `key: value` can stand here: check the indentation; quote values with `: `"),
    ("could not find expected ':'", "this is no `key: value`: a colon is missing, or the indentation is wrong"),
    ("unexpected end of stream", "a quote that is never closed"),
    ("unexpected document separator", "a quote that is never closed"),
    ("',' or ']'", "a list with no closing `]`, or a comma is missing"),
    ("',' or '}'", "a map with no closing `}`, or a comma is missing"),
    ("<block end>", "the indentation does not fit the lines above"),
    ("did not find expected", "the indentation does not fit the lines above"),
    ("undefined alias", "`*name` refers to an anchor that does not exist; put it in quotes if it is text"),
    ("nesting depth", _TOO_DEEP),  # libyaml's own limit
    ("escape", "an unknown escape in double quotes; use single quotes to keep backslashes"),
)


def _syntax_problem(error: Any, file: str, text: str) -> Problem:
    said = str(getattr(error, "problem", None) or error)
    mark = getattr(error, "problem_mark", None)
    context = getattr(error, "context_mark", None)
    message = next((words for part, words in _WORDS if part in said), f"not valid YAML: {said}")
    if "never closed" in message or "no closing" in message:
        mark = context or mark
    if message == _TOO_DEEP:
        mark = None  # where a parser gives up says nothing
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    if "cannot start any token" in said and text.splitlines()[line - 1 : line] and mark:
        rest = text.splitlines()[line - 1][mark.column :]
        message = _TAB if rest.startswith("\t") else message.replace("this character", f"`{rest[:1]}`")
    return Problem(file, line, column, "", message)
