"""All messages of the program with the next step that each comes with, read from its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "kubectl_sky"
# call -> positions of message and hint
CALLS = {
    **dict.fromkeys(("Failure", "UsageError", "ClusterFailure", "Unreachable", "Broken"), (0, 1)),
    "ApiError": (2, 3),
    "State": (2, 3),
    "Fault": (2, 3),
    "Cause": (1, 2),
}
PAIRS = ("api/answers.py", "api/no_answer.py")  # where functions return (message, hint)
TEXTS = ("_POD_REASONS", "_DISRUPTIONS", "_WAITING")  # tables of podstate.py: (..., message[, hint])


Names = dict[str, list[ast.expr]]


class Message(NamedTuple):
    where: str  # the module, below kubectl_sky
    text: str
    hint: str


def messages() -> list[Message]:
    found: dict[tuple[str, str], Message] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if not where.startswith("remote/"):
            for one in Module(where, ast.parse(path.read_text())).messages():
                known = found.setdefault((where, one.text), one)
                found[where, one.text] = known if known.hint else one
    return list(found.values())


class Module:
    def __init__(self, where: str, tree: ast.Module):
        self.where, self.tree = where, tree
        self.constants = assigned(tree.body)

    def messages(self) -> Iterator[Message]:
        functions = [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            yield from self._of(ast.walk(function), {**self.constants, **assigned(list(ast.walk(function)))})
        inside = {id(node) for function in functions for node in ast.walk(function)}
        yield from self._of((node for node in ast.walk(self.tree) if id(node) not in inside), self.constants)
        for node in self.tree.body:
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and self.where == "diagnosis/podstate.py":
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and target.id in TEXTS and isinstance(node.value, ast.Dict):
                    yield from self._table(node.value)

    def _of(self, nodes: Iterable[ast.AST], names: Names) -> Iterator[Message]:
        for node in nodes:
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in CALLS:
                    yield from self._message(arguments(node, *CALLS[name]), names)
            elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
                found = node.value.elts
                if self.where in PAIRS and len(found) == 2:
                    yield from self._message((found[0], found[1]), names)
                elif self.where.startswith("diagnosis/") and len(found) == 3 and reason(found[0]):
                    yield from self._message((found[1], found[2]), names)

    def _message(self, pair: tuple[ast.expr | None, ast.expr | None], names: Names) -> Iterator[Message]:
        """One; of a name that is given several texts, one for each."""
        first = pair[0]
        texts = names.get(first.id, [first]) if isinstance(first, ast.Name) else [first]
        for text in texts:
            yield from self._one((text, pair[1]), names)

    def _one(self, pair: tuple[ast.expr | None, ast.expr | None], names: Names) -> Iterator[Message]:
        text = shown(pair[0], names)
        text, hint = (" ".join(one.split()) for one in (text, shown(pair[1], names)))
        if len(re.findall(r"[a-z]{2,}", text)) > 2 or (hint and len(text) > 8):
            yield Message(self.where, text.replace(": TEXT", ": …").rstrip(": "), hint)

    def _table(self, table: ast.Dict) -> Iterator[Message]:
        for value in table.values:
            if isinstance(value, ast.Tuple):
                yield from self._message((value.elts[1], value.elts[2] if len(value.elts) > 2 else None), {})


def arguments(call: ast.Call, *positions: int) -> tuple[ast.expr | None, ast.expr | None]:
    message, hint = (call.args[n] if n < len(call.args) else None for n in positions)
    for word in call.keywords:
        message, hint = (word.value if word.arg == "message" else message, word.value if word.arg == "hint" else hint)
    return message, hint


def reason(node: ast.expr) -> bool:
    """Whether it is one word, such as OOMKilled."""
    return isinstance(node, ast.Constant) and bool(re.fullmatch(r"[A-Z]\w+", str(node.value)))


def assigned(body: Sequence[ast.AST]) -> Names:
    """What names are given, in the order of the source."""
    found: Names = {}
    for node in body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).append(node.value)
    return found


def shown(node: ast.expr | None, names: Names, depth: int = 0) -> str:
    """The text that an expression makes, on one line: what is not known before is in capitals, or an ellipsis."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = re.sub(r"{(\w+)(![rs])?}", lambda found: found[1].upper(), node.value)
        return text.replace("{{", "{").replace("}}", "}")
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else value(part, names, depth) for part in parts
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return shown(node.left, names, depth) + shown(node.right, names, depth)
    if isinstance(node, ast.BoolOp):
        return next(filter(None, (shown(one, names, depth) for one in reversed(node.values))), "")
    if isinstance(node, ast.IfExp):
        return shown(node.body, names, depth) or shown(node.orelse, names, depth)
    if isinstance(node, ast.Name) and node.id in names and depth < 4:
        return shown(names[node.id][0], names, depth + 1)
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "join" and isinstance(node.args[0], ast.List):
        return " ".join(value(one, names, depth) for one in node.args[0].elts)
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "command" and node.args:
        return " ".join(["kubectl sky", *(value(one, names, depth) for one in node.args)])
    return ""


def value(node: ast.expr, names: Names, depth: int) -> str:
    """What stands for a value in a text."""
    text = shown(node, names, depth)
    if text or isinstance(node, ast.Constant):
        return text
    name = getattr(node, "id", getattr(node, "attr", ""))
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        name = str(node.slice.value)
    return name.strip("_").upper() if re.fullmatch(r"[a-z_]{2,}", name) else "…"
