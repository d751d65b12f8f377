"""What is not known of a cluster is not guessed at: parts of devices, nodes that are still to come."""

from __future__ import annotations

import pytest
from gpu_nodes import GPU, node

from kubectl_sky import optimizer, planning, task
from kubectl_sky.errors import ClusterFailure
from kubectl_sky.optimizer import Place


def wanting(gpus: str) -> task.Task:
    return task.parse(f"resources: {{accelerators: '{gpus}'}}", "t")[0]


def test_a_part_of_a_device_is_not_rounded_up_where_nodes_may_not_be_read() -> None:
    with pytest.raises(ClusterFailure, match=r"MIG-1g\.10gb:1"):
        planning.blind(wanting("A100:0.5"))
    assert planning.blind(wanting("MIG-1g.10gb")).request


def test_a_node_that_an_autoscaler_adds_is_asked_for_by_its_clouds_labels() -> None:
    there = (node("a", devices={GPU: 0}),)
    place = Place("c", there, grows=True)
    [one] = optimizer.candidates(wanting("H100:8"), [place])
    assert one.possible and one.request and one.request.count == 8 and one.request.terms
    assert optimizer.choose([one], ordered=False) is one


def test_an_autoscaler_does_not_make_a_slice_that_cannot_be_named() -> None:
    place = Place("c", (node("a", devices={GPU: 0}),), grows=True)
    with pytest.raises(ClusterFailure):
        optimizer.choose(optimizer.candidates(wanting("H100:0.5"), [place]), ordered=False)
