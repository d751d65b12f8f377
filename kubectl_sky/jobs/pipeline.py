"""The tasks of a pipeline as one: what their pods must have in common, because one Job makes them all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from kubectl_sky import needs
from kubectl_sky.errors import TaskErrors
from kubectl_sky.resources import Resources
from kubectl_sky.task import Problem, Task

HINT = (
    "its tasks run one after the other in pods that one Job makes, all alike; "
    "for pods of another kind: kubectl sky jobs launch FILE && kubectl sky jobs launch NEXT"
)
# may differ from task to task: the largest is taken, or each task has its own
_OWN = ("cpus", "cpus_at_least", "memory", "memory_at_least", "accelerators", "job_recovery", "autostop", "priority")
_POD = ("volumes", "config")


def joined(tasks: Sequence[Task]) -> tuple[Task, list[str]]:
    """A task whose pods can run each of them, and what of it the user should know. Raises TaskErrors."""
    first = tasks[0]
    if found := [problem for task in tasks for problem in _problems(first, task)]:
        raise TaskErrors(found)
    # what has devices decides how many CPUs go with them, where nobody said
    widest = max(tasks, key=lambda task: (bool(task.resources.accelerators), needs.cpus(task)))
    cpus = [task.resources.cpus for task in tasks if task.resources.cpus]
    memory = [task.resources.memory for task in tasks if task.resources.memory]
    resources = replace(
        widest.resources,
        cpus=max([*cpus, needs.cpus(widest)]) if cpus else None,
        memory=max([*memory, needs.memory(widest)]) if memory else None,
        job_recovery=None,
    )
    wanted = {(needs.cpus(task), needs.memory(task), task.resources.accelerators) for task in tasks}
    mounts = tuple({mount.dst: mount for task in tasks for mount in task.file_mounts}.values())
    notes = []
    if len(wanted) > 1:
        notes.append("All tasks of the pipeline have pods of one size, that of the largest")
    joint = replace(first, resources=resources, file_mounts=mounts, run=first.run or first.setup, setup=None)
    return joint, notes


def _problems(first: Task, task: Task) -> list[Problem]:
    found = []
    if task.num_nodes > 1:
        found.append(task.problem("num_nodes", "a task of a pipeline has one node here", HINT))
    if not (task.run or task.setup):
        found.append(task.problem("run", "a task of a pipeline needs something to run"))
    for field, mine, theirs in _pairs(first, task):
        if mine != theirs:
            text = f"differs from that of the pipeline's first task ({mine or 'none'})"
            found.append(task.problem(field, text, HINT))
    return found


def _pairs(first: Task, task: Task) -> list[tuple[str, Any, Any]]:
    resources = [one.name for one in fields(Resources) if one.name not in _OWN and not one.name.startswith("open_")]
    pairs: list[tuple[str, Any, Any]] = [
        (f"resources.{name}", getattr(first.resources, name), getattr(task.resources, name)) for name in resources
    ]
    if first.resources.accelerators and task.resources.accelerators:
        mine, theirs = ([one.name for one in each.resources.accelerators] for each in (first, task))
        pairs.append(("resources.accelerators", mine, theirs))
    return [*pairs, *((name, getattr(first, name), getattr(task, name)) for name in _POD)]
