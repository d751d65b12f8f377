"""What Volcano says of pods without a place, as the real one (1.10) said it, in the user's terms."""

from __future__ import annotations

import pytest

from kubectl_sky.diagnosis import podstate
from kubectl_sky.diagnosis.scheduler import taken_apart
from kubectl_sky.diagnosis.state import STARTING

GROUP = "pod group is not ready, {0} Pending, {0} minAvailable; Pending: {1}"


@pytest.mark.parametrize(
    ("said", "words"),
    (
        ("0/3 nodes are unavailable: 3 Insufficient cpu.", "none of 3 nodes can take it: 3 have too little CPU free"),
        (
            GROUP.format(4, "2 Schedulable, 2 Unschedulable. ")
            + "Origin reason is b-1-2wktw: 0/3 nodes are unavailable: 3 Insufficient cpu.",
            "all get a place or none, and there is room for only 2, and then of 3 nodes 3 have too little CPU free",
        ),
        (GROUP.format(1, "1 Unschedulable"), "its Volcano queue has no room for it"),
        (GROUP.format(2, "1 Schedulable, 1 Unschedulable"), "its Volcano queue has room for only 1 of its pods"),
    ),
)
def test_why_there_is_no_place(said: str, words: str) -> None:
    assert taken_apart(said).sentence() == words


def test_a_pod_that_waits_for_the_others_is_not_what_is_wrong() -> None:
    said = "Pod default/m-0-pw5fk can possibly be assigned to node-2"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Schedulable", "message": said}
    state = podstate.pod_state(
        {"metadata": {"name": "m-0-pw5fk"}, "spec": {}, "status": {"conditions": [condition]}}, {}
    )
    assert state.phase == STARTING and "as soon as the others" in state.message
