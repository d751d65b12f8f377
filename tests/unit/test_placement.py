"""Which jobs of a queue start, and on which nodes and GPUs."""

from __future__ import annotations

from typing import Any

from kubectl_sky.remote.placement import Demand, Free, Place, decide, demand, impossible


def nodes(count: int, cpus: float = 8, memory: float = 32, gpus: int = 0) -> list[Free]:
    return [Free(rank, True, cpus, memory, [1.0] * gpus) for rank in range(count)]


def want(nodes: int = 1, cpus: float = 0.5, memory: float = 0, gpus: float = 0) -> Demand:
    return Demand(nodes, cpus, memory, gpus)


def starts(waiting: list[Demand], free: list[Free]) -> dict[int, list[Place]]:
    return dict(decide(list(enumerate(waiting)), free)[0])


def test_what_a_job_says_nothing_of() -> None:
    task = {"num_nodes": 3, "cpus": 4, "memory": 8}
    assert demand({}, task) == Demand(3, 0.5, 0, 0)
    assert demand({"num_nodes": 1, "cpus": 2, "memory": 4, "gpus": 0.5}, task) == Demand(1, 2, 4, 0.5)
    assert demand({"cpus": 64, "memory": 99, "tty": [24, 80]}, task) == Demand(3, 4, 8, 0, True)


def test_jobs_run_side_by_side_as_far_as_it_goes() -> None:
    assert list(starts([want(cpus=3)] * 3, nodes(1))) == [0, 1]
    assert list(starts([want(memory=20)] * 3, nodes(2))) == [0, 1]
    assert list(starts([want(gpus=1)] * 5, nodes(2, gpus=2))) == [0, 1, 2, 3]


def test_each_gpu_is_given_once() -> None:
    found = starts([want(gpus=2), want(gpus=1), want(gpus=1)], nodes(1, gpus=4))
    given = [number for places in found.values() for place in places for number in place.gpus]
    assert sorted(given) == [0, 1, 2, 3]


def test_parts_of_a_gpu_share_one_and_leave_the_others_whole() -> None:
    found = starts([want(gpus=0.5), want(gpus=0.5), want(gpus=0.3), want(gpus=1)], nodes(1, gpus=3))
    assert [place.gpus for places in found.values() for place in places] == [[0], [0], [1], [2]]


def test_a_big_job_is_not_overtaken_by_small_ones_that_want_the_same() -> None:
    free = [Free(0, True, 8, 32, [1.0, 0.0]), Free(1, True, 8, 32, [1.0, 1.0])]
    waiting = [want(nodes=2, gpus=2), want(gpus=1), want(), want(cpus=20)]
    found, reasons = decide(list(enumerate(waiting)), free)
    assert [key for key, _ in found] == [2]
    assert reasons[0] == reasons[1] == "waiting for GPUs in use by earlier jobs"
    assert reasons[3] == "waiting for CPUs in use by earlier jobs"


def test_a_job_takes_nodes_that_are_up_and_packs() -> None:
    free = [Free(0, False, 8, 32, [1.0]), Free(1, True, 8, 32, [1.0, 1.0]), Free(2, True, 8, 32, [1.0])]
    assert starts([want(gpus=1)], free) == {0: [Place(2, [0])]}
    assert [place.rank for place in starts([want(nodes=2, gpus=1)], free)[0]] == [1, 2]


def test_what_can_never_run_is_told() -> None:
    whole: Any = nodes(1, gpus=2)[0]
    assert impossible(want(gpus=2, cpus=8), 1, whole) is None
    assert impossible(want(gpus=4), 1, whole) == "it asks for 4 GPUs a node; each has 2"
    assert impossible(want(nodes=3), 2, whole) == "it asks for 3 nodes; there are 2"


def test_a_thousand_waiting_jobs_are_decided_at_once() -> None:
    import time

    began = time.process_time()
    decide([(number, want(gpus=1)) for number in range(1000)], nodes(4, gpus=8))
    assert time.process_time() - began < 0.1
