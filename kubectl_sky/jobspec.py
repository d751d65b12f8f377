"""A job as the agent in the pod takes it."""

from __future__ import annotations

from typing import Any, NamedTuple

from kubectl_sky import needs
from kubectl_sky.task import Task
from kubectl_sky.taskfile.envs import DOCKER_LOGIN


class Tty(NamedTuple):
    """The terminal of a job on its first node."""

    rows: int
    columns: int
    term: str  # what it is called: $TERM


def job_spec(task: Task, tty: Tty | None = None) -> dict[str, Any]:
    """What the agent in the pod is told to run."""
    return {
        "name": task.name,
        "setup": task.setup,
        "run": task.run,
        "envs": {**({"TERM": tty.term} if tty else {}), **variables(task)},
        "gpus": needs.gpus(task),
        "num_nodes": task.num_nodes,
        "tty": [tty.rows, tty.columns] if tty else None,
        "priority": task.resources.priority,
    }


def variables(task: Task) -> dict[str, str]:
    """Its own, as its job and, before one is there, sessions have them."""
    return {k: v for k, v in {**task.envs, **task.secrets}.items() if k not in DOCKER_LOGIN}
