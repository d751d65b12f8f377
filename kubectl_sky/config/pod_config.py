"""pod_config of several places over a pod, with the line that each part of the result comes from. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from kubectl_sky import podmerge
from kubectl_sky.errors import TaskErrors
from kubectl_sky.taskfile.problem import Problem
from kubectl_sky.taskfile.taskyaml import Node

Step = str | int


def applied(pod: dict[str, Any], layers: Sequence[Node]) -> dict[str, Any]:
    """A new pod. Raises TaskErrors with the place where a list meets a map."""
    for node in layers:
        try:
            pod = podmerge.merge(pod, node.raw())
        except podmerge.ClashError as clash:
            raise TaskErrors([problem(at(node, clash.path), clash.path, clash.message)]) from None
    return pod


def problem(node: Node, path: str, message: str, hint: str | None = None) -> Problem:
    field = f"pod_config.{path}" if path else "pod_config"
    if node.line:
        return Problem(node.origin or "", node.line, node.column, field, message, hint)
    return Problem(f"{node.origin}: {field}", 0, 0, field, message, hint)


def steps(path: str) -> list[Step]:
    """`spec.containers[0].env` -> ["spec", "containers", 0, "env"]"""
    found = re.findall(r"\[([^\]]*)\]|([^.\[\]]+)", path)
    return [int(inner) if inner.isdigit() else (inner.strip('"') or plain) for inner, plain in found]


def at(node: Node, path: str) -> Node:
    """The node at a path of its own tree, or the last on the way to it; placed where its key stands."""
    for step in steps(path):
        inner = node.value
        there = step in inner if isinstance(inner, dict) else isinstance(inner, list) and _index(step) < len(inner)
        if not there:
            break
        node = _placed(inner[step], node.keys.get(step))
    return node


def _index(step: Step) -> int:
    return step if isinstance(step, int) else 1 << 30


def find(layers: Sequence[Node], pod: dict[str, Any], path: str, exact: bool = False) -> Node | None:
    """Where the merged pod's value at `path` comes from; None when no layer has it.

    The last layer that has the whole path, else (unless `exact`) the one that has most of it. A path of a message may
    leave out the indices of lists: then any item will do.
    """
    best: tuple[int, int, Node] | None = None
    wanted = steps(path)
    for index, layer in enumerate(layers):
        for depth, node in _walk(layer, pod, wanted, 0, ""):
            if (depth == len(wanted) if exact else depth) and (best is None or (depth, index) >= best[:2]):
                best = (depth, index, node)
    return best[2] if best else None


def _walk(node: Node, there: Any, path: Sequence[Step], depth: int, key: str) -> Iterator[tuple[int, Node]]:
    """(how many steps were gone, the node) for each end of a way; `key` is the one that a list stands under."""
    yield depth, node
    if not path:
        return
    step, rest = path[0], path[1:]
    if isinstance(node.value, dict) and isinstance(there, dict) and step in node.value:
        inner = node.value[step] if rest else _placed(node.value[step], node.keys.get(step))
        yield from _walk(inner, there.get(step), rest, depth + 1, str(step))
    elif isinstance(node.value, list) and isinstance(there, list):
        at = range(len(there)) if isinstance(step, str) else [step] if step < len(there) else []
        pairs = ((item, index) for item in node.value for index in at if _same(item.raw(), there, index, key))
        taken = 0 if isinstance(step, str) else 1
        for item, index in pairs:
            yield from _walk(item, there[index], path[taken:], depth + taken, "")


def _placed(node: Node, key: Node | None) -> Node:
    """The last step's value at the place of its key: that is where people look."""
    return (
        node
        if key is None or not key.line
        else Node(node.value, key.line, key.column, keys=node.keys, origin=node.origin)
    )


def _same(item: Any, there: Sequence[Any], index: int, key: str) -> bool:
    """Whether an item of a pod_config went into the item `index` of the result."""
    if not isinstance(item, dict):
        return bool(item == there[index])
    name = podmerge.KEYS.get(key)
    if name is None or key in podmerge.REPLACED:
        return bool(item == there[index])
    if podmerge.is_first(item, key):
        return index == 0
    return isinstance(there[index], dict) and item.get(name) == there[index].get(name)
