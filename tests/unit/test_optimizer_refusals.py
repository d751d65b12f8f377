"""What can never run is refused before anything is created: in which words, with what is nearest."""

from __future__ import annotations

import pytest
from gpu_nodes import A100, GKE, GPU, H100, SHARING, T4, node, place, task

from kubectl_sky import optimizer
from kubectl_sky.capacity import nodes
from kubectl_sky.capacity.nodes import Device
from kubectl_sky.errors import ClusterFailure
from kubectl_sky.optimizer import Candidate, Place
from kubectl_sky.task import Task

TWO = (node("h", H100), node("a", A100))
L4 = {GKE: "nvidia-l4", SHARING: "mps", "cloud.google.com/gke-max-shared-clients-per-gpu": "4"}
SPOT = {"karpenter.sh/capacity-type": "spot"}


def chosen(one: Task, *places: Place) -> Candidate:
    return optimizer.choose(optimizer.candidates(one, places), False)


def mig(name: str = "m") -> nodes.Node:
    return node(name, H100, devices={GPU: 0, "nvidia.com/mig-1g.10gb": 7})


CLAIM = nodes.with_devices(
    node("n", devices={}), [Device("H100", "gpu.x", 4, 80.0, claim=True, product="p", driver="d")]
)


@pytest.mark.parametrize(
    ("one", "there", "lack"),
    [
        (task("L40"), [*TWO, node("t", T4)], "no node has L40; there are: A100, H100, T4"),
        (task("H100"), [node("n", devices={})], "no node has accelerators"),
        (task("H100"), [node("n")], "nodes have accelerators, but no label tells of which kind"),
        (task("H100:0.5"), [TWO[0]],
         "Kubernetes hands out whole devices, and no node slices them: ask for H100:1"),
        (task("H100:1.5"), [TWO[0]], "parts of several devices cannot be had: ask for H100:2"),
        (task("L4"), [node("l", L4)], "L4 is handed out in parts here: ask for L4:0.25"),
        (task("L4:0.5"), [node("l", L4)], "the largest part of L4 that nodes hand out is 0.25: ask for L4:0.25"),
        (task("H100"), [mig()], "H100 is handed out in parts here: ask for H100:0.12"),
        (task("H100:16"), [TWO[0]],  # nobody asked for the memory that would be missing, too
         "the nearest node with H100 is h, which has H100 8 (asked for 16)"),
        (task("H100:2", cpus=100.0), [TWO[0], node("x", H100, 1)],
         "the nearest node with H100 is h, which has CPUs 64 (asked for 100)"),
        (task(memory=1000.0), [node("n", devices={}), node("big", devices={}, memory="512Gi")],
         "the nearest node that it may go to is big, which has memory 512 GiB (asked for 1000 GiB)"),
        (task("H100:8", nodes=3), [TWO[0], node("i", H100)], "there is room for 2 of 3 nodes, even if all were empty"),
        (task("H100:8"), [CLAIM], "the nearest node with H100 is n, which has H100 4 (asked for 8)"),
        (task("H100", use_spot=False), [node("h", {**H100, **SPOT})], "only spot nodes have H100: --use-spot"),
        (task(use_spot=False), [node("h", {**SPOT})], "only spot nodes have room for it: --use-spot"),
        (task("H100"), [node("h", H100, taints=[("sku", "gpu", "NoSchedule")])],
         "the only node cannot take it: 1 has the taint sku=gpu:NoSchedule (h)"),
    ],
)  # fmt: skip
def test_what_can_never_run(one: Task, there: list[nodes.Node], lack: str) -> None:
    with pytest.raises(ClusterFailure) as error:
        chosen(one, place(*there))
    head, line = error.value.message.splitlines()
    assert head == "nothing in context ctx can ever run this task:"
    assert line.endswith(f": {lack}")


def test_a_refusal_names_every_alternative_and_the_next_step() -> None:
    places = [place(*TWO, context="x"), place(node("u"), context="y")]
    with pytest.raises(ClusterFailure) as error:
        chosen(task("L40", "H200:8"), *places)
    assert (
        error.value.message
        == """\
nothing in contexts x, y can ever run this task:
  4CPU--16GB--L40:1: no node has L40; there are: A100, H100
  4CPU--16GB--L40:1: nodes have accelerators, but no label tells of which kind
  32CPU--128GB--H200:8: no node has H200; there are: A100, H100
  32CPU--128GB--H200:8: nodes have accelerators, but no label tells of which kind"""
    )
    assert error.value.hint == "kubectl sky label-gpus names GPUs that no label names"
    with pytest.raises(ClusterFailure) as error:
        chosen(task("L40"), places[0])
    assert error.value.hint == "kubectl sky gpus shows what there is"


def test_an_autoscaler_may_make_what_is_missing() -> None:
    best = chosen(task("L40"), place(*TWO, grows=True))
    assert (best.possible, best.fits_now, best.lack) == (True, False, "no node has L40; there are: A100, H100")
    one = task("L40", "H100")
    assert chosen(one, place(*TWO, grows=True)).request.name == "H100"  # what is there goes first
