"""All nodes of a task or none: what its Job says for it, and when those that have a place let go of it. Pure.

Nothing runs before all nodes are up. A pod that ends before that exits with LET_GO: its Job makes it again, after a
pause that grows (10 s, 20 s, ... 10 min). So a launch that holds a part of what it needs can give it to others, and
two that wait for each other do not for ever. The pods do it by themselves, all of a task at the same times
(remote/gang.py); a client that watches sees earlier that the scheduler has no place for the others, and takes those
that have one away after a random time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kubectl_sky.remote import gang as in_pod

Object = dict[str, Any]
LET_GO, TAKEN = in_pod.LET_GO, in_pod.TAKEN
INDEX = "batch.kubernetes.io/job-completion-index"
# of a pod, how many were in its place before it: those that had let go, and those that were taken
LET_GO_BEFORE = "batch.kubernetes.io/job-index-ignored-failure-count"
TAKEN_BEFORE = "batch.kubernetes.io/job-index-failure-count"
LIVES = 100  # how often a node is replaced; the pauses between grow to ten minutes
HOLD_SECONDS = 600.0  # without a limit of the launch: no shorter than a Job's longest pause, so that all meet


def hold_seconds(provision: float) -> float:
    """How long pods wait for the others; `provision` is the launch's own limit, math.inf for none."""
    return HOLD_SECONDS if math.isinf(provision) else provision


def env(num_nodes: int, provision: float) -> list[Object]:
    """What the containers are told."""
    if num_nodes == 1:
        return []
    told = {in_pod.ENV: f"{hold_seconds(provision):g}", in_pod.NODES: str(num_nodes)}
    before = {"fieldPath": f"metadata.annotations['{TAKEN_BEFORE}']"}
    return [
        *({"name": name, "value": value} for name, value in told.items()),
        {"name": in_pod.REPLACED, "valueFrom": {"fieldRef": before}},
    ]


def job_fields(num_nodes: int, rules: bool) -> Object:
    """What the Job's spec says: pods that let go, or that the cluster took away, are made again, each after a pause.

    Only those that were taken are counted: so their next ones know that a job may have run. `rules`: the cluster knows
    such; without them it would make pods again whatever ended them.
    """
    if num_nodes == 1 or not rules:
        return {}

    def when(code: int) -> Object:
        return {"onExitCodes": {"containerName": "task", "operator": "In", "values": [code]}}

    disrupted = [{"type": "DisruptionTarget", "status": "True"}]  # its node is gone or drained, or it was evicted
    return {
        "backoffLimit": LIVES * num_nodes,
        "backoffLimitPerIndex": LIVES,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", **when(LET_GO)},
                {"action": "Count", **when(TAKEN)},
                {"action": "Count", "onPodConditions": disrupted},
                {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [LET_GO, TAKEN]}},
            ]
        },
    }


def replaces(job: Object) -> bool:
    """Whether the Job makes a pod again that was taken away."""
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    return any("onPodConditions" in rule for rule in rules)


def replacement(pod: Object) -> bool:
    """Whether another pod was in its place before it."""
    annotations = pod["metadata"].get("annotations") or {}
    return any(annotations.get(key, "0") != "0" for key in (LET_GO_BEFORE, TAKEN_BEFORE))


def let_go(pod: Object) -> bool:
    """Whether the pod ended so that others may have its place."""
    return _ended(pod, LET_GO)


def taken(pod: Object) -> bool:
    """Whether the pod was taken away when all nodes had been there."""
    return _ended(pod, TAKEN)


def _ended(pod: Object, code: int) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [(one.get("state") or {}).get("terminated") or {} for one in statuses if one["name"] == "task"]
    return any(end.get("exitCode") == code for end in ends)


def holders(pods: Sequence[Object], num_nodes: int) -> list[str]:
    """Names of the pods to take away for a while: those with a place, where the scheduler has none for the others.

    None while all may come yet, and while one of them only starts: it would not end with LET_GO.
    """
    there = [pod for pod in pods if not let_go(pod) and not pod["metadata"].get("deletionTimestamp")]
    placed = [pod for pod in there if (pod.get("spec") or {}).get("nodeName")]
    if len(there) < num_nodes or not all(_runs(pod) for pod in placed):
        return []
    return [pod["metadata"]["name"] for pod in placed] if any(map(no_place, there)) else []


def no_place(pod: Object) -> bool:
    """Whether the scheduler has looked, and found no node for it."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "PodScheduled" and one.get("reason") == "Unschedulable" for one in conditions)


def _runs(pod: Object) -> bool:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return any(one["name"] == "task" and "running" in (one.get("state") or {}) for one in statuses)


def rank(pod: Object) -> int:
    """Which of the task's nodes it is."""
    return int((pod["metadata"].get("annotations") or {}).get(INDEX, 0))


def ranks(numbers: Sequence[int]) -> str:
    """`rank 2`, `ranks 1 and 3`, `ranks 1, 2 and 3`, `ranks 1, 2, 3 and 4 more`"""
    words = [str(number) for number in sorted(numbers)]
    shown = [*words[:3], f"{len(words) - 3} more"] if len(words) > 4 else words
    listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
    return f"rank{'s' * (len(words) > 1)} {listed}"
