"""What the KAI scheduler says of pods without a place, as the real one (0.12) said it, in the user's terms."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_sky.diagnosis import kai
from kubectl_sky.diagnosis.scheduler import taken_apart
from kubectl_sky.diagnosis.state import task_state

FULL = "no nodes with enough resources were found: 3 node(s) didn't have enough resources: CPU cores."
LIMIT = (
    "OverLimit: team-a quota has reached the allowable limit of CPU cores. Limit is 1 cores, currently {} cores "
    "allocated and workload requested {} cores."
)


@pytest.mark.parametrize(
    ("said", "words"),
    (
        (FULL, "none of 3 nodes can take it: 3 have too little CPU free"),
        (
            "no nodes with enough resources were found: 1 node(s) didn't have enough resources: memory. \n"
            "2 node(s) didn't have enough resources: GPUs.",
            "none of 3 nodes can take it: 2 have too little nvidia.com/gpu free; 1 has too little memory free",
        ),
        (
            "PodSchedulingErrors: Resources were found for 2 pods while 4 are required for gang scheduling. "
            f"Additional pods cannot be scheduled due to: {FULL}.",
            "all get a place or none, and there is room for only 2, and then of 3 nodes 3 have too little CPU free",
        ),
        (
            f"PodSchedulingErrors: Resources were not found for pod default/b-3-6zbfw due to: {FULL}.",
            "none of 3 nodes can take it: 3 have too little CPU free",
        ),
        (
            LIMIT.format("0", "1.5"),
            "the KAI queue 'team-a' never has room for it: of CPUs it can have 1, and the task asks for 1.5",
        ),
        (
            LIMIT.format("0.8", "0.5"),
            "the KAI queue 'team-a' is at its limit of CPUs: it can have 1, 0.8 are in use, and the task asks for 0.5",
        ),
        (
            "NonPreemptibleOverQuota: Non-preemptible workload is over quota. Workload requested 2 GPUs, but team-a "
            "quota is 1 GPUs, while 0 GPUs are already allocated for non-preemptible pods. Use a preemptible workload "
            "to go over quota.",
            "the KAI queue 'team-a' is at its quota of GPUs, which what may not be preempted cannot leave: it can have "
            "1, 0 are in use, and the task asks for 2",
        ),
        ("QueueDoesNotExist: Queue 'nosuch' does not exist.", "there is no KAI queue 'nosuch'"),
        (
            "Unable to schedule pod",
            "the KAI scheduler finds no place for it, and does not say why; tasks go to queues that have a parent, and "
            "no queues of their own",
        ),
    ),
)
def test_in_words(said: str, words: str) -> None:
    assert taken_apart(said).sentence() == words


def test_the_next_step() -> None:
    assert taken_apart(LIMIT.format("0", "1.5")).hints() == [
        "ask for less, or take another queue (the label kai.scheduler/queue)"
    ]
    assert "status -A" in taken_apart(LIMIT.format("0.8", "0.5")).hints()[0]
    assert "--cpus" in taken_apart(FULL).hints()[0]


def test_others_are_not_taken_for_it() -> None:
    verdict = taken_apart("0/3 nodes are available: 3 Insufficient cpu.")
    assert not verdict.queue and not verdict.room and verdict.total == 3


UID = "0b2ac207-e595-4544-93b5-785e7d91a8b6"


def evict(message: str, kind: str = "PodGroup") -> dict[str, Any]:
    return {"metadata": {}, "reason": "Evict", "involvedObject": {"kind": kind, "name": "pg-a"}, "message": message}


@pytest.mark.parametrize(
    ("said", "words"),
    (
        (f"Pod ml/a-1-x was preempted by workload ml/pg-b-{UID}....", "b took its place"),
        (
            f"Pod ml/a-1-x was preempted by higher priority workload ml/pg-b-{UID}",
            "b, of a higher priority, took its place",
        ),
        (
            "Workload doesn't meet the minimum required number of pods (3), evicting remaining pod: ml/a-1-x",
            "not all pods of its task were there",
        ),
        (
            "Pod ml/a-1-x was preempted and rescheduled due to bin packing (resource consolidation) procedure",
            "it gets another place, so that more fits",
        ),
    ),
)
def test_a_place_that_it_took(said: str, words: str) -> None:
    event = evict(said)
    assert kai.evicted(event) == "a-1-x" and kai.eviction([event]) == words
    assert not kai.evicted(evict(said, "Pod"))
    pod = {"metadata": {"name": "a-1-x", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {}, "status": {}}
    now = task_state({"metadata": {"name": "a"}, "spec": {}}, [pod], [event])
    assert (now.reason, now.message) == ("Preempted", f"pod a-1-x: the KAI scheduler took it away: {words}")
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    ended = task_state(
        {"metadata": {"name": "a"}, "spec": {}, "status": failed}, [], [event]
    )  # of one node: it is gone
    assert (ended.reason, ended.message) == (now.reason, now.message)
