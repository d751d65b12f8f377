"""Node groups that may have no node now, from the user's own list; there is no other source. Pure.

node_groups:                   # in ~/.config/kubectl-sky/config.yaml
  prod-*:                      # a context, or a glob
    - name: h100-pool
      instance_type: a3-highgpu-8g
      labels: {cloud.google.com/gke-accelerator: nvidia-h100-80gb}
      taints: ["nvidia.com/gpu=present:NoSchedule"]
      allocatable: {cpu: 200, memory: 1800Gi, nvidia.com/gpu: 8}
      max: 4                   # nodes; without it, as many as a task asks for
      price: 88.2              # $ an hour of a node; without it, by the setting `pricing`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubectl_sky import accelerators, globs
from kubectl_sky.capacity import nodes
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.errors import UsageError

KEYS = ("name", "instance_type", "labels", "taints", "allocatable", "max", "price")
MOST = 1000  # nodes of a group without a `max`
PODS = 110  # of a node that does not say


@dataclass(frozen=True)
class Group:
    """`node`: what each of its nodes has; `most` of them there may be; `price`: $ an hour of one."""

    name: str
    node: Node
    most: int = MOST
    price: float | None = None

    def nodes(self, count: int) -> tuple[Node, ...]:
        """What is there once it has grown for a task of `count` nodes."""
        return tuple(replace(self.node, name=f"{self.name}-{number}") for number in range(min(self.most, count)))


def read(values: Any, context: str, source: str) -> tuple[Group, ...]:
    """The groups of a context from the setting `node_groups`. Raises UsageError."""
    if not isinstance(values, dict):
        raise UsageError(f"{source}: node_groups: should be a map of contexts to lists of groups")
    found: list[Group] = []
    for pattern, listed in values.items():
        where = f"{source}: node_groups.{pattern}"
        if not isinstance(listed, list):
            raise UsageError(f"{where}: should be a list of groups")
        groups = [_group(one, f"{where}[{number}]") for number, one in enumerate(listed)]
        found += groups if globs.matches(context, str(pattern)) else ()
    return tuple(found)


def _group(one: Any, where: str) -> Group:
    if not isinstance(one, dict) or not one.get("name") or not isinstance(one.get("allocatable"), dict):
        raise UsageError(f"{where}: should have a name and allocatable", "allocatable: {cpu: 8, memory: 32Gi}")
    if unknown := [str(key) for key in one if key not in KEYS]:
        raise UsageError(f"{where}: unknown: {', '.join(unknown)}", f"known: {', '.join(KEYS)}")
    for key, kind in (("max", int), ("price", (int, float))):
        value = one.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or value < 0):
            raise UsageError(f"{where}.{key}: should be a number, not {value!r}")
    try:
        node = nodes.read(_thing(one))
    except (ValueError, AttributeError, TypeError):
        raise UsageError(f"{where}: amounts, labels or taints cannot be read", f"e.g. {EXAMPLE}") from None
    return Group(str(one["name"]), node, MOST if one.get("max") is None else one["max"], one.get("price"))


EXAMPLE = 'allocatable: {cpu: 8, memory: 32Gi}, labels: {a: b}, taints: ["key=value:NoSchedule"]'


def _thing(one: Mapping[str, Any]) -> dict[str, Any]:
    """A node of the group, as the API server would send it."""
    kind = one.get("instance_type")
    labels = {str(key): str(value) for key, value in (one.get("labels") or {}).items()}
    amounts = {"pods": PODS, **one["allocatable"]}
    return {
        "metadata": {
            "name": str(one["name"]),
            "labels": {**({accelerators.INSTANCE_TYPES[0]: str(kind)} if kind else {}), **labels},
        },
        "spec": {"taints": [_taint(text) for text in one.get("taints") or ()]},
        "status": {
            "allocatable": {key: str(value) for key, value in amounts.items()},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _taint(text: str) -> dict[str, str]:
    """`key=value:Effect`, `key:Effect`"""
    first, colon, effect = text.rpartition(":")
    if not colon:
        raise ValueError(text)
    key, _, value = first.partition("=")
    return {"key": key, "value": value, "effect": effect}
