"""The scripts of `config.hooks`: run in the task's container when it is stopped, taken down or preempted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubectl_sky.task import Task

FILE = "hooks.json"  # in the ConfigMap
ANNOTATION = "kubectl-sky/hooks"  # of the Job: the events that have some
STOP, DOWN, PREEMPTION = EVENTS = ("stop", "down", "preemption")
DEFAULT_SECONDS = 3600
MOST_AT_PREEMPTION = 600  # seconds; a pod that is to go does not hold its node for longer


def of(task: Task) -> list[dict[str, Any]]:
    """[{run, events, timeout}], also from the old `autostop.hook`."""
    written = [dict(hook) for hook in task.config.get("hooks") or ()]
    said = task.resources.autostop
    if said and said.hook:
        written.append({"run": said.hook, "events": [STOP, DOWN], "timeout": said.hook_timeout or DEFAULT_SECONDS})
    return [{"events": list(EVENTS), "timeout": DEFAULT_SECONDS, **hook} for hook in written]


def grace(task: Task) -> int:
    """Seconds that a preempted pod needs for them."""
    seconds = sum(hook["timeout"] for hook in of(task) if PREEMPTION in hook["events"])
    return min(seconds, MOST_AT_PREEMPTION)


def annotated(task: Task) -> dict[str, str]:
    """Of the Job."""
    events = [event for event in EVENTS if any(event in hook["events"] for hook in of(task))]
    return {ANNOTATION: " ".join(events)} if events else {}


def has(job: Mapping[str, Any], event: str) -> bool:
    """Whether a Job's task has some for the event."""
    return event in ((job["metadata"].get("annotations") or {}).get(ANNOTATION) or "").split()
