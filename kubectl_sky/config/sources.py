"""Reads the configuration: SkyPilot's files as SkyPilot finds them, and --config.

~/.sky/config.yaml (or $SKYPILOT_GLOBAL_CONFIG), then ./.sky.yaml (or $SKYPILOT_PROJECT_CONFIG); $SKYPILOT_CONFIG stands
for both. A file of its own place need not be there; one that a variable names must.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from kubectl_sky.config import layer
from kubectl_sky.config.layers import Layers
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.taskfile.field import Report
from kubectl_sky.taskfile.problem import Problem
from kubectl_sky.taskfile.taskyaml import MAX_BYTES, Node, load

FLAG = "--config"
PAIR = re.compile(r"[\w-]+(\.[\w/@:-]+)*=")


def read(layers: Layers, flags: Sequence[str] = ()) -> tuple[Layers, list[Problem]]:
    """`layers` with the files and the flags, and warnings. Raises UsageError (TaskErrors) with what is wrong."""
    problems: list[Problem] = []
    warnings: list[Problem] = []
    files = [_section(_load(path), str(path), problems, warnings) for path in paths()]
    given = [_section(node, FLAG, problems, warnings) for text in flags for node in _flag(text)]
    problems += [problem for one in given if one is not None for problem in _namespaces(one)]
    if problems:
        raise TaskErrors(problems, "the configuration")
    kept = [tuple(one for one in some if one is not None) for some in (files, given)]
    return layers.with_flags(kept[0], kept[1]), warnings


def namespace(context: str) -> str | None:
    """What the files say of a context's namespace; the warnings are for those who launch."""
    layers, _ = read(Layers()) if paths() else (Layers(), [])
    return layers.of(context).namespace


def paths() -> list[Path]:
    """The files that there are, the weakest first. UsageError for one that a variable names and that is not there."""
    found = []
    places = (("SKYPILOT_GLOBAL_CONFIG", "~/.sky/config.yaml"), ("SKYPILOT_PROJECT_CONFIG", ".sky.yaml"))
    for variable, usual in (("SKYPILOT_CONFIG", ""),) if os.environ.get("SKYPILOT_CONFIG") else places:
        given = os.environ.get(variable)
        path = Path(given or usual).expanduser()
        if given and not path.is_file():
            raise UsageError(f"${variable}: there is no file {given}")
        if path.is_file():
            found.append(path)
    return found


def _section(root: Node | None, source: str, problems: list[Problem], warnings: list[Problem]) -> Node | None:
    if root is None:
        return None
    report = Report(source)
    found = layer.section(root, report)
    problems += report.in_order()
    warnings += report.warnings
    return found


def _namespaces(section: Node) -> list[Problem]:
    """A flag's: other verbs would not find the task again."""
    report = Report(FLAG)
    for part, where in layer.parts(section, "kubernetes"):
        if (found := part.get("namespace")) is not None:
            report.error(found, f"{where}.namespace", "for one command -n names the namespace", "-n NAMESPACE")
    return report.problems


def _load(path: Path) -> Node | None:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    return layer.stamp(found, str(path)) if (found := _parsed(text, str(path))) is not None else None


def _parsed(text: bytes | str, source: str) -> Node | None:
    """The first document. Raises TaskErrors."""
    try:
        documents, problems, _ = load(text, source)
    except TaskErrors as error:
        raise TaskErrors(error.problems, "the configuration") from None
    if problems:
        raise TaskErrors(problems, "the configuration")
    return documents[0] if documents else None


def _flag(text: str) -> list[Node]:
    """A file, or KEY=VALUE[,KEY=VALUE...], with VALUE as in YAML."""
    if not PAIR.match(text) or Path(text).is_file():
        if not Path(text).expanduser().is_file():
            raise UsageError(f"{FLAG} {text}: there is no such file, and it is no KEY=VALUE",
                             f"e.g. {FLAG} kubernetes.provision_timeout=900")  # fmt: skip
        return [node for node in [_load(Path(text).expanduser())] if node is not None]
    return [_pair(part) for part in re.split(r",(?=[\w-]+(?:\.[\w/@:-]+)*=)", text)]


def _pair(text: str) -> Node:
    key, _, value = text.partition("=")
    first, *rest = key.split(".")
    origin = f"{FLAG} {key}"
    if first != "kubernetes" or not rest:
        raise UsageError(f"{origin}: only keys of the section kubernetes have a meaning here",
                         f"e.g. {FLAG} kubernetes.provision_timeout=900")  # fmt: skip
    node = _parsed(value, origin) or Node(None)
    for step in (*reversed(rest), "kubernetes"):
        node = Node({step: node}, keys={step: Node(step)})
    return layer.stamp(node, origin, line=False)
