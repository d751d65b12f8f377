"""The kinds of what kubectl sky itself reads in a pod_config; all else is the API server's to judge. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from kubectl_sky.taskfile.field import Report, join
from kubectl_sky.taskfile.taskyaml import Node

QUANTITY = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]i?|[eE][-+]?[0-9]+)?")
ANY: dict[str, Any] = {}
AMOUNTS = "amounts"
_EXPRESSION = {"key": "text", "operator": "text", "values": ["text"]}
_TERM = {"matchExpressions": [_EXPRESSION], "matchFields": [_EXPRESSION]}
_CONTAINER = {
    "resources": {"requests": AMOUNTS, "limits": AMOUNTS},
    "env": [ANY],
    "ports": [ANY],
    "volumeMounts": [ANY],
}
# a map of keys, a list of one kind of items, `text`, or AMOUNTS: a map of quantities
SHAPE = {
    "metadata": {"labels": ANY, "annotations": ANY},
    "spec": {
        "containers": [_CONTAINER],
        "initContainers": [_CONTAINER],
        "volumes": [ANY],
        "imagePullSecrets": [ANY],
        "tolerations": [{"key": "text", "operator": "text", "value": "text", "effect": "text"}],
        "nodeSelector": ANY,
        "overhead": AMOUNTS,
        "affinity": {
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]}},
            "podAffinity": ANY,
            "podAntiAffinity": ANY,
        },
    },
}
NEEDED = ("spec", "spec.containers", "metadata", "spec.affinity")  # never taken away by null


def check(node: Node | None, path: str, report: Report) -> None:
    """Reports each value of another kind at its place. What JSON cannot hold becomes the text that was written."""
    if node is not None:
        _as_json(node)
        _check(node, SHAPE, path, "", report)


def _as_json(node: Node) -> None:
    """Dates and .inf, as values and as keys, as kubectl reads them."""
    if _is_not_json(node):
        node.value = node.text
    elif node.kind == "map":
        for key, value in list(node.value.items()):
            key_node = node.keys.get(key)
            if key_node is not None and _is_not_json(key_node):
                node.keys[key_node.text] = node.keys.pop(key)
                node.value[key_node.text] = node.value.pop(key)
            _as_json(value)
    elif node.kind == "list":
        for item in node.value:
            _as_json(item)


def _is_not_json(node: Node) -> bool:
    return node.kind == "date" or (node.kind == "number" and not math.isfinite(node.value))


def _check(node: Node, shape: Any, path: str, inner: str, report: Report) -> None:
    if node.kind in ("null", "broken"):
        if node.kind == "null" and inner in NEEDED:
            report.error(node, path, "cannot be taken away")
        return
    wanted = "list" if isinstance(shape, list) else "text" if shape == "text" else "map"
    if node.kind != wanted:
        report.error(node, path, f"should be {'text' if wanted == 'text' else f'a {wanted}'}, as Kubernetes has it")
    elif isinstance(shape, list):
        for index, item in enumerate(node.value):
            if item.kind == "null":
                report.error(item, f"{path}[{index}]", "should not be empty")
            _check(item, shape[0], f"{path}[{index}]", f"{inner}[]", report)
    elif shape == AMOUNTS:
        for key, _, value in node.entries():
            if value.kind != "null" and not QUANTITY.fullmatch(str(value.value)):
                report.error(value, join(path, key), "is no quantity, such as 500m or 16Gi")
    elif isinstance(shape, dict):
        for key, _, value in node.entries():
            if key in shape:
                _check(value, shape[key], join(path, key), f"{inner}.{key}".removeprefix("."), report)
