"""Which of a task's alternatives is chosen, where, and why not another."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from gpu_nodes import A100, H100, T4, held, node, place, prices, task

from kubectl_sky import needs, optimizer, resources
from kubectl_sky.choosing import Choice
from kubectl_sky.optimizer import Candidate, Place
from kubectl_sky.task import Resources, Task


def chosen(one: Task, *places: Place) -> tuple[Candidate, list[Candidate]]:
    found = optimizer.candidates(one, places)
    return optimizer.choose(found, one.resources.candidates()[1]), found


def told(one: Task, *places: Place) -> tuple[str, list[str]]:
    """`H100 at ctx`, and why not the others."""
    best, found = chosen(one, *places)
    where = f"{best.request.name if best.request else 'cpu'} at {best.place.context}"
    return where, [other.why_not(best) for other in found if other is not best]


def ordered(one: Task) -> Task:
    return replace(one, resources=replace(one.resources, accelerators_ordered=True))


BOTH = task("H100", "A100")
TWO = (node("h", H100), node("a", A100))
CHEAP_A100, CHEAP_H100 = prices(H100=2.5, A100=1), prices(H100=1, A100=2.5)


@pytest.mark.parametrize(
    ("one", "places", "best", "why"),
    [
        (BOTH, [place(*TWO)], "H100 at ctx", ["comes later in the task"]),
        (BOTH, [place(*TWO, prices=CHEAP_A100)], "A100 at ctx", ["costs more"]),
        (BOTH, [place(*TWO, prices=prices(A100=1))], "A100 at ctx", ["has no price"]),
        (ordered(BOTH), [place(*TWO, prices=CHEAP_A100)], "H100 at ctx", ["comes later in the task"]),
        # what fits now goes before what is cheap, and before the order
        (BOTH, [place(*TWO, prices=CHEAP_H100, held=[held("h", gpu=8)])], "A100 at ctx", ["now room for 0 of 1 nodes"]),
        (ordered(BOTH), [place(*TWO, held=[held("h", gpu=8)])], "A100 at ctx", ["now room for 0 of 1 nodes"]),
        # nothing fits now: what is first
        (BOTH, [place(*TWO, held=[held("h", gpu=8), held("a", gpu=8)])], "H100 at ctx", ["comes later in the task"]),
        (BOTH, [place(node("a", A100))], "A100 at ctx", ["no node has H100; there are: A100"]),
        (task("H100"), [place(node("a", A100), context="x"), place(node("h", H100), context="y")], "H100 at y",
         ["no node has H100; there are: A100"]),
        (task("H100"), [place(*TWO, context="x", prices=CHEAP_A100), place(*TWO, context="y", prices=CHEAP_H100)],
         "H100 at y", ["costs more"]),
        (task("H100", nodes=2), [place(TWO[0], context="x", held=[held("h", gpu=7)]), place(*TWO, context="y")],
         "H100 at y", ["now room for 1 of 2 nodes"]),
        (task("H100", context="y"), [place(*TWO, context="x"), place(*TWO, context="y")], "H100 at y", []),
        (task(cpus=4), [place(node("n", devices={}))], "cpu at ctx", []),
    ],
)  # fmt: skip
def test_what_is_chosen_and_why_not_the_others(one: Task, places: list[Place], best: str, why: list[str]) -> None:
    assert told(one, *places) == (best, why)


def test_alternatives_that_are_complete() -> None:
    any_of = (Resources(accelerators=(resources.accelerator("H100:8"),)), Resources(cpus=32.0))
    one = Task(resources=Resources(any_of=any_of))
    assert told(one, place(TWO[0], held=[held("h", gpu=1)]))[0] == "cpu at ctx"
    assert told(one, place(TWO[0]))[0] == "H100 at ctx"


def test_where_little_is_known() -> None:
    blind, unheld = Place("x", None), Place("y", TWO)
    best, _ = chosen(task("H100"), blind)
    assert (best.now, best.ever, best.fits_now, best.lack) == (None, None, True, "")
    best, _ = chosen(task("H100"), unheld)
    assert (best.now, best.ever, best.fits_now) == (None, 8, True)


def test_room_counts_every_resource_and_only_nodes_that_take_pods() -> None:
    there = [
        node("a", H100),
        node("b", H100, cordoned=True),
        node("c", H100, ready="Unknown"),
        node("d", H100, cpu="8"),
    ]
    tainted = node("e", H100, taints=[("sku", "gpu", "NoSchedule")])
    soft = node("f", T4, taints=[("sku", "gpu", "PreferNoSchedule")])
    best, _ = chosen(task("H100:2", cpus=4.0, memory=8.0), place(*there, tainted, soft, held=[held("a", gpu=3)]))
    assert (best.now, best.ever) == (2 + 2, 4 + 4 + 4 + 2)


def test_what_is_left_open_is_the_devices_share_of_the_node() -> None:
    best, _ = chosen(task("H100:4"), place(node("h", H100, cpu="16", memory="64Gi")))
    assert (needs.cpus(best.task), needs.memory(best.task)) == (6, 24)
    assert optimizer.summary(best) == "6CPU--24GB--H100:4"
    large, _ = chosen(task("H100:4"), place(node("h", H100, cpu="200", memory="2000Gi")))
    assert optimizer.summary(large) == "16CPU--64GB--H100:4"
    asked, _ = chosen(task("H100:4", cpus=12.0), place(node("h", H100, cpu="16", memory="64Gi")))
    assert optimizer.summary(asked) == "12CPU--25GB--H100:4"


def test_the_table_of_what_was_considered() -> None:
    def rows(reasons: bool, *places: Place, away: tuple[str, ...] = ()) -> list[list[str]]:
        best, found = chosen(task("H100:8", "A100:2", "L4", nodes=2), *places)
        made: Any = Choice(None, None, best, tuple(found), away)  # type: ignore
        return [re.split(r" {2,}", line.strip()) for line in made.table(reasons).splitlines()]

    there = place(*TWO, node("i", H100), held=[held("i", gpu=1)], prices=prices(H100=2, A100=1.5))
    k = "Kubernetes (ctx)"
    assert rows(True, there, away=("context z is left out: no answer",)) == [
        ["Considered resources (2 nodes):"],
        ["INFRA", "INSTANCE", "VCPUS", "MEM(GB)", "GPUS", "ROOM FOR", "COST ($/H)", "CHOSEN", "WHY NOT"],
        [k, "32CPU--128GB--H100:8", "32", "128", "H100:8", "1 now", "32.00", "-", "now room for 1 of 2 nodes"],
        [k, "8CPU--32GB--A100:2", "8", "32", "A100:2", "4 now", "6.00", "✔", "-"],
        [k, "4CPU--16GB--L4:1", "4", "16", "L4:1", "none", "-", "-", "no node has L4; there are: A100, H100"],
        ["context z is left out: no answer"],
    ]
    assert rows(False, place(*TWO))[1] == ["INFRA", "INSTANCE", "VCPUS", "MEM(GB)", "GPUS", "ROOM FOR", "CHOSEN"]


def test_which_contexts_are_asked() -> None:
    named = Task(resources=Resources(any_of=(Resources(context="b"), Resources(context="a"), Resources(context="b"))))
    assert optimizer.contexts(named, ["x"]) == ["b", "a"]
    assert optimizer.contexts(task("H100"), ["x", "y"]) == ["x", "y"]
    assert optimizer.contexts(Task(resources=Resources(any_of=(Resources(context="a"), Resources()))), ["a", "x"]) == [
        "a",
        "x",
    ]
    assert optimizer.wants_accelerators(task("H100")) and not optimizer.wants_accelerators(task(cpus=4.0))
