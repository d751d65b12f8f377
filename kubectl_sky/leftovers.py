"""What crashed clients, deleted Jobs and earlier clusters of a name left behind in a namespace. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubectl_sky.cluster_objects import KEPT, finished
from kubectl_sky.teardown import Thing


@dataclass(frozen=True)
class Leftover:
    """`data`: it is a volume, with what was written to it."""

    thing: Thing
    why: str

    @property
    def data(self) -> bool:
        return self.thing.kind == "PersistentVolumeClaim"


def of(things: Sequence[Thing], now: datetime, age: timedelta) -> list[Leftover]:
    """Those of all tasks' objects that belong to no cluster, and are older than `age`: a launch may be under way.

    Without those that are already on their way out.
    """
    jobs = {thing.uid: thing for thing in things if thing.kind == "Job"}
    tasks = {thing.task for thing in jobs.values() if thing.name == thing.task} | {one.group for one in jobs.values()}
    old = [thing for thing in things if now - _created(thing) >= age and not _ending(thing)]
    found = [Leftover(thing, why) for thing in old if (why := _why(thing, set(jobs), tasks))]
    return sorted(found, key=lambda one: (one.thing.task, one.thing.kind, one.thing.name))


def broken(things: Sequence[Thing]) -> dict[str, list[str]]:
    """Of the clusters that miss some of their objects: which. Their pods cannot start again."""
    there = {(thing.kind, thing.name) for thing in things}
    clusters = [
        thing for thing in things if thing.kind == "Job" and thing.name == thing.task and not finished(thing.manifest)
    ]
    wanted = {thing.task: [("Secret", f"{thing.task}-sky"), ("ConfigMap", f"{thing.task}-sky")] for thing in clusters}
    gone = {task: [f"{kind.lower()}/{name}" for kind, name in all_ if (kind, name) not in there]
            for task, all_ in wanted.items()}  # fmt: skip
    return {task: names for task, names in gone.items() if names}


def _why(thing: Thing, jobs: set[str], tasks: set[str]) -> str | None:
    if thing.kind == "Job":
        alone = thing.name != thing.task and thing.task not in tasks
        return f"there is no cluster {thing.task} any more" if alone else None
    if thing.task not in tasks:
        kept = KEPT in (thing.manifest["metadata"].get("annotations") or {})
        return "kept for a start that never came" if kept else f"there is no cluster {thing.task}"
    owner = thing.owner or thing.job
    return f"of an earlier cluster {thing.task}" if owner and owner not in jobs else None


def _ending(thing: Thing) -> bool:
    return "deletionTimestamp" in thing.manifest["metadata"]


def _created(thing: Thing) -> datetime:
    return datetime.fromisoformat(thing.manifest["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
