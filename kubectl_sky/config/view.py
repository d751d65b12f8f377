"""The merged configuration as rows of key, value and where it comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kubectl_sky.config import layer, pod_config
from kubectl_sky.config.layers import ENOUGH, Layers
from kubectl_sky.taskfile.field import join
from kubectl_sky.taskfile.taskyaml import Node

BUILT_IN = "built-in"


class Row(NamedTuple):
    """`key` is the path from the top, `kubernetes.namespace`; `value` a scalar, an empty map, or a list."""

    key: str
    value: Any
    source: str


def kubernetes(layers: Layers, context: str) -> tuple[dict[str, Any], list[Row]]:
    """The section as it holds in a context, and its rows."""
    merged = layers.merged(context)
    contexts = layers.allowed_contexts()
    if contexts is not None:
        merged["allowed_contexts"] = contexts
    made = {key: node.raw() for key, node in merged.items()}
    rows = [row for key, node in merged.items() for row in _rows(node, f"kubernetes.{key}")]
    if "provision_timeout" not in made:
        made["provision_timeout"] = ENOUGH
        rows.append(Row("kubernetes.provision_timeout", ENOUGH, BUILT_IN))
    changes = layers.pod_config(context)
    if changes:
        made["pod_config"] = _pod(changes)
        rows += _pod_rows(changes, made["pod_config"])
    return made, sorted(rows)


def _rows(node: Node, key: str) -> Iterator[Row]:
    if node.kind == "map" and node.value:
        for name, _, value in node.entries():
            yield from _rows(value, join(key, name))
    else:
        yield Row(key, node.raw(), layer.place(node))


def _pod(changes: Sequence[Node]) -> dict[str, Any]:
    """All of them merged; the task's container has its name where any of them speaks of containers."""
    speaks = any((one.get("spec") or Node({})).get("containers") is not None for one in changes)
    return pod_config.applied({"spec": {"containers": [{"name": "task"}]}} if speaks else {}, changes)


def _pod_rows(changes: Sequence[Node], pod: Mapping[str, Any]) -> list[Row]:
    found = []
    for path, value in _leaves(pod, ""):
        node = pod_config.find(changes, dict(pod), path, exact=True)
        if node is not None:
            found.append(Row(f"kubernetes.pod_config.{path}", value, layer.place(node)))
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, join(path, key) if path else str(key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, value
