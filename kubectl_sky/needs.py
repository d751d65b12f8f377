"""What each node of a task needs: what it asks for, else what fits its accelerators. Pure."""

from __future__ import annotations

from kubectl_sky.capacity.device_request import count
from kubectl_sky.task import Task


def gpus(task: Task) -> int:
    """Accelerators a node."""
    wanted = task.resources.accelerators
    return count(wanted[0]) if wanted else 0


def cpus(task: Task) -> float:
    """CPUs to request a node: as asked, else what the optimizer found, 4 a GPU, or 1."""
    return task.resources.cpus or task.resources.open_cpus or (4.0 * gpus(task) if gpus(task) else 1.0)


def memory(task: Task) -> float:
    """GiB to request a node: as asked, else what the optimizer found, 4 a CPU with GPUs, or 1."""
    return task.resources.memory or task.resources.open_memory or (4.0 * cpus(task) if gpus(task) else 1.0)


def summary(task: Task) -> str:
    """What a node of the task asks for, in a few words: `1x(4 CPUs, 16 GiB, H100:1)`."""
    parts = [f"{cpus(task):g} CPU{'s' * (cpus(task) != 1)}", f"{memory(task):g} GiB"]
    parts += [f"{a.name}:{a.count:g}" for a in task.resources.accelerators[:1]]
    return f"{task.num_nodes}x({', '.join(parts)})"
