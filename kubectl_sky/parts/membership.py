"""A task of a job group: how its pods are found by those of the others, by name. Pure.

One headless Service has the group's name, and gives all of its pods theirs: TASK-0.GROUP, TASK-1.GROUP ... A pod's host
name is that of its Job with its index, so each Job of a group is called as its task.
"""

from __future__ import annotations

from typing import Any

from kubectl_sky import names
from kubectl_sky.parts.part import Part


def part(group: str) -> Part:
    return Part(labels={names.GROUP: group}, pod={"subdomain": group})


def service(group: str) -> dict[str, Any]:
    """Of the whole group; owned by all of its Jobs, so that it goes with the last."""
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {names.GROUP: group}}
    labels = {**names.labels(names.group_instance(group)), names.GROUP: group}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": group, "labels": labels}, "spec": spec}


def host(task: str, group: str, rank: int) -> str:
    return f"{task}-{rank}.{group}"
