"""Which of a task's alternatives to ask for, from what the nodes of the cluster have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from kubectl_sky import accelerators
from kubectl_sky.resources import Accelerator, Resources
from kubectl_sky.task import Task


def choose(task: Task, nodes: Iterable[dict[str, Any]] | None) -> Task:
    """The task with one alternative left: the first that some node has the accelerators for, else the first.

    `nodes` None: they may not be read, so the first it is.
    """
    candidates, _ = task.resources.candidates()
    known = list(nodes or ())
    fitting = [one for one in candidates if any(_offers(node, one) for node in known)]
    return replace(task, resources=(fitting or candidates)[0])


def wants_accelerators(task: Task) -> bool:
    """Whether any of its alternatives does: then the nodes must be known."""
    return any(one.accelerators for one in task.resources.candidates()[0])


def _offers(node: dict[str, Any], wanted: Resources) -> bool:
    return all(_has(node, one) for one in wanted.accelerators)


def _has(node: dict[str, Any], wanted: Accelerator) -> bool:
    """Whether the node has so many of them, free or not."""
    labels = node["metadata"].get("labels") or {}
    named = any(key in labels and accelerators.matches(wanted.name, labels[key]) for key in accelerators.LABELS)
    there = (node["status"].get("allocatable") or {}).get(accelerators.resource(wanted.name), "0")
    return named and int(there) >= accelerators.count(wanted.count)
