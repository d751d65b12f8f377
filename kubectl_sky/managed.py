"""Managed jobs: what their Job says so that it goes on without a client, and how one is, from its objects. Pure.

Losses (a drained or deleted node, preemption, a deleted pod) are the Job's to make good, and do not count. Failures of
the job itself are tried again by the agent in the pod (remote/managed.py), and end the Job when that is not asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from kubectl_sky import gang
from kubectl_sky.autostop import Policy
from kubectl_sky.diagnosis import podstate, state
from kubectl_sky.names import GROUP, MANAGED
from kubectl_sky.remote import gang as in_pod
from kubectl_sky.remote import wire
from kubectl_sky.resources import Resources

Object = dict[str, Any]
CANCELLED = "kubectl-sky/cancelled"  # annotation of the Job: when somebody cancelled it
RETRIES = "kubectl-sky/retries"  # annotation of the Job, where failures of its own are tried again
FAN = "kubectl-sky/jobs"  # annotation of the Job, where its pods are jobs of their own: see fan()
POLICY = Policy(0, "jobs", down=True)  # the end of the job is the end of its pods
# of a pod that its node refused or lost: neither the job's failure, nor known to be a disruption
LIVES = 3
UNCLEAR = (137, 255)
ENDED = wire.FINAL
_COMES = "its pod is lost; its Job makes another one after a pause"


@dataclass(frozen=True)
class Managed:
    """What its Job is told: the specs of its `jobs`, as the agents want them; `names` of their tasks.

    More than one pod that is a job of its own: `count` ranks of one job, or (`serial`) the tasks of a pipeline.
    """

    jobs: tuple[Object, ...]
    count: int = 1
    serial: bool = False
    names: tuple[str, ...] = ()
    group: str = ""  # the job group that it belongs to
    rules: bool = True  # its cluster has Jobs that tell one end of a pod from another
    per_index: bool = True  # and that let one index fail, and not the others

    @property
    def excused(self) -> bool:
        """Failures of its own end pods with 0, for its Job would make them again, or end the others."""
        return not self.serial and not (self.per_index if self.count > 1 else self.rules)

    def labels(self) -> dict[str, str]:
        """Of the Job."""
        return {MANAGED: "true", **({GROUP: self.group} if self.group else {})}

    def as_dict(self) -> Object:
        """As the agent wants it."""
        excused = {"excused": True} if self.excused else {}
        return {"jobs": list(self.jobs), "count": self.count, "serial": self.serial, **excused}

    def own_env(self) -> list[Object]:
        """Of our own container."""
        before = {"fieldRef": {"fieldPath": f"metadata.annotations['{gang.LET_GO_BEFORE}']"}}
        return [
            *([{"name": "SKY_ALONE", "value": "1"}] if self.count > 1 else []),
            *([{"name": in_pod.BEFORE, "valueFrom": before}] if self.group else []),
        ]

    def annotations(self) -> dict[str, str]:
        """Of the Job."""
        retries = any(job["managed"]["max_restarts"] or job["managed"]["exit_codes"] for job in self.jobs)
        fan = {"count": self.count, "serial": self.serial, "names": list(self.names)}
        return {
            **({RETRIES: "true"} if retries else {}),
            **({FAN: json.dumps(fan)} if self.count > 1 else {}),
        }

    def job_fields(self) -> Object:
        """What the Job's spec says: which ends of a pod it makes good.

        A pipeline needs no more than its rules, too: its Job makes the pod of an index when those before are done.
        """

        def codes(operator: str, *values: int) -> Object:
            return {"onExitCodes": {"containerName": "task", "operator": operator, "values": list(values)}}

        ranks = self.count > 1 and not self.serial
        disrupted = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        known = (in_pod.LET_GO, in_pod.TAKEN)
        rules = [{"action": "Ignore", **disrupted}, {"action": "Ignore", **codes("In", *known)}]
        if not self.excused:
            action = "FailIndex" if ranks else "FailJob"
            rules.append({"action": action, **codes("NotIn", *sorted((*UNCLEAR, *known)))})
        many = {"completions": self.count, "parallelism": 1 if self.serial else self.count} if self.count > 1 else {}
        lives = {
            "backoffLimit": LIVES * 2 * self.count,
            "backoffLimitPerIndex": LIVES,
            "maxFailedIndexes": self.count if ranks else 0,
        }
        return {
            **many,
            # until all Jobs of its group are there
            **({"suspend": True} if self.group else {}),
            **(lives if self.rules or self.excused else {"backoffLimit": 0}),
            **({"podFailurePolicy": {"rules": rules}} if self.rules else {}),
        }


def told(name: str, resources: Resources, at: float, number: int = 0) -> Object:
    """What the agent is told of a job, beside its spec; launched `at`, the `number`th of its pipeline."""
    said = resources.job_recovery or {}
    codes = said.get("recover_on_exit_codes") or ()
    stamp = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d-%H-%M-%S-%f")
    identity = str(int(at))  # a number that grows with time
    return {
        "task_id": f"sky-managed-{stamp}_{name}_{identity}-{number}",
        "max_restarts": said.get("max_restarts_on_errors") or 0,
        "exit_codes": list(codes) if isinstance(codes, Sequence) else [codes],
        "env": {"SKYPILOT_MANAGED_JOB_ID": identity, "SKYPILOT_ROOT_JOB_ID": identity},
        "files": str(number),
    }


def fan(job: Object) -> tuple[int, bool, list[str]]:
    """(count, serial, names of the tasks) of a Job; see Managed."""
    try:
        said = json.loads((job["metadata"].get("annotations") or {})[FAN])
        return int(said["count"]), bool(said["serial"]), list(said["names"])
    except (KeyError, TypeError, ValueError):
        return 1, False, []


@dataclass(frozen=True)
class Outcome:
    """How a job is: a SkyPilot status, in capitals. `exit` and `reason` of its end; times in seconds since 1970."""

    status: str
    recoveries: int
    exit: int | None = None
    reason: str = ""
    started: float | None = None
    ended: float | None = None

    @property
    def over(self) -> bool:
        return self.status in ENDED


def outcome(job: Object, pods: Sequence[Object], events: Sequence[Object] = (), index: int = 0) -> Outcome:
    """From its Job and its pods; of one `index` where each is a job of its own."""
    count, serial, _ = fan(job)
    name = job["metadata"]["name"]
    if count > 1:
        job = {**job, "spec": {**job["spec"], "parallelism": 1}}
        pods = [pod for pod in pods if gang.rank(pod) == index]
    newest = state.newest(pods)
    head = next((pod for pod in newest if gang.rank(pod) == index), None)
    said = last_words(head)
    over = None if said else _over(job, newest, index, events)
    replaced = not said and not over  # what is dead will be
    recoveries = max((_recoveries(pod, replaced) for pod in newest), default=0) + (said.get("restarts") or 0)
    if said:
        return Outcome(said["status"], recoveries, said["exit"], said["reason"] or "", said["started"], said["ended"])
    started = _first_start(pods)
    if over:
        return replace(over, recoveries=recoveries, started=started)
    if count > 1 and serial and not pods and index:
        return Outcome("PENDING", 0, None, f"it waits for {name}/{index - 1}")
    now = state.task_state(job, newest, events)
    status = {state.UP: "RUNNING", state.STARTING: "STARTING", state.TERMINATING: "CANCELLING"}.get(now.phase)
    if job["metadata"].get("deletionTimestamp") or CANCELLED in (job["metadata"].get("annotations") or {}):
        return Outcome("CANCELLING", recoveries, started=started)
    gone = now.phase in (state.FAILED, state.TERMINATING)
    # nodes that let go of their places before all were there count as replaced, too
    began = started or (recoveries and job["spec"].get("completions", 1) == max(count, 1))
    if status != "RUNNING" and (recoveries or gone) and began:
        return Outcome("RECOVERING", recoveries, None, _COMES if gone else now.message, started)
    return Outcome(status or "PENDING", recoveries, None, now.message or now.reason, started)


def _over(job: Object, pods: Sequence[Object], index: int, events: Sequence[Object]) -> Outcome | None:
    """By what the Job's status says, where no pod tells; None: it goes on."""
    status = job.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    end = conditions.get("Complete") or conditions.get("Failed")
    ended = seconds(str(end["lastTransitionTime"])) if end else None
    if "Complete" in conditions or _holds(status.get("completedIndexes") or "", index, fan(job)[0]):
        return Outcome("SUCCEEDED", 0, 0, ended=ended)
    if CANCELLED in (job["metadata"].get("annotations") or {}):
        return Outcome("CANCELLED", 0, 143, ended=ended) if end else None
    if not end and not _holds(status.get("failedIndexes") or "", index, fan(job)[0]):
        return None
    if fan(job)[1] and not pods:
        return Outcome("CANCELLED", 0, 143, "a task before it did not succeed", ended=ended)
    now = state.task_state(job, pods, events)
    return Outcome("FAILED", 0, None, now.message or now.reason, ended=ended)


def _holds(ranges: str, index: int, count: int) -> bool:
    """Whether `1,3-5` names the index, of a Job whose indexes are jobs."""
    bounds = [part.split("-") for part in ranges.split(",") if part and count > 1]
    return any(int(pair[0]) <= index <= int(pair[-1]) for pair in bounds)


def last_words(pod: Object | None) -> dict[str, Any]:
    """What the agent noted of the job's end (remote/managed.py), or {}."""
    for one in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        ended = (one.get("state") or {}).get("terminated") or {}
        if one["name"] == "task" and ended.get("message"):
            try:
                said = json.loads(ended["message"])
                return said if said["status"] in ENDED else {}
            except (ValueError, TypeError, KeyError):
                pass
    return {}


def _recoveries(pod: Object, replaced: bool) -> int:
    """How many pods of its index there were before, by its Job's own count; and itself, when it is to be replaced."""
    annotations = pod["metadata"].get("annotations") or {}
    dead = replaced and (pod.get("status") or {}).get("phase") == "Failed"
    return sum(int(annotations.get(count, 0)) for count in (gang.LET_GO_BEFORE, gang.TAKEN_BEFORE)) + dead


def losses(pods: Sequence[Object], index: int | None = None) -> int:
    """How often a pod was lost, of those that are there now (of one index)."""
    chosen = [pod for pod in pods if index is None or gang.rank(pod) == index]
    return max((_recoveries(pod, False) for pod in chosen), default=0)


def _first_start(pods: Sequence[Object]) -> float | None:
    """When a container of the task's first began, of the pods that are left; None: none did."""
    found = [
        (one.get("state") or {}).get(kind, {}).get("startedAt")
        for pod in pods
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
        if one["name"] == "task"
        for kind in ("running", "terminated")
    ]
    return min((seconds(at) for at in found if at), default=None)


def seconds(stamp: str) -> float:
    """Since 1970, of a Kubernetes timestamp."""
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()


def is_up(pods: Sequence[Object], index: int = 0) -> str | None:
    """The name of node 0's pod (or that of the index) when its containers run."""
    for pod in state.newest(pods):
        if gang.rank(pod) == index and podstate.is_ready(pod) and not pod["metadata"].get("deletionTimestamp"):
            return str(pod["metadata"]["name"])
    return None
