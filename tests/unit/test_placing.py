"""Why a pod cannot go to each node: as the scheduler decides, and in words for one screen."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kubectl_sky.capacity import nodes, survey, usage
from kubectl_sky.capacity.inventory import Inventory
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.capacity.placing import Demand
from kubectl_sky.capacity.usage import Holding, Usage
from kubectl_sky.diagnosis.scheduler import taken_apart
from kubectl_sky.diagnosis.state import State
from kubectl_sky.diagnosis.unplaced import look, refined

Spec = dict[str, Any]
GPU = "nvidia.com/gpu"


def node(name: str, labels: Spec | None = None, taints: list[Spec] | None = None, **more: Any) -> Node:
    amounts = {"cpu": "8", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi", **more.pop("room", {})}
    return nodes.read(
        {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
            "spec": {"taints": taints or [], **more},
            "status": {"allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]},
        }
    )


def pod(requests: Spec | None = None, **spec: Any) -> Spec:
    return {"containers": [{"name": "task", "resources": {"requests": requests or {"cpu": "1"}}}], **spec}


def required(*expressions: Spec, fields: tuple[Spec, ...] = ()) -> Spec:
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    return {"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}}  # fmt: skip


def match(key: str, operator: str, *values: str) -> Spec:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        (match("zone", "In", "a", "b"), True),
        (match("zone", "In", "b"), False),
        (match("zone", "NotIn", "b"), True),
        (match("none", "NotIn", "b"), True),
        (match("zone", "Exists"), True),
        (match("none", "Exists"), False),
        (match("none", "DoesNotExist"), True),
        (match("cores", "Gt", "7"), True),
        (match("cores", "Gt", "8"), False),
        (match("cores", "Lt", "9"), True),
        (match("zone", "Gt", "1"), False),
        (match("zone", "Unknown", "a"), False),
    ],
)
def test_the_operators_of_node_affinity(expression: Spec, fits: bool) -> None:
    assert Demand.of(pod(**required(expression))).wants(node("n", {"zone": "a", "cores": "8"})) is fits


def test_fields_alternatives_and_empty_terms() -> None:
    assert Demand.of(pod(**required(fields=(match("metadata.name", "In", "n"),)))).wants(node("n"))
    assert not Demand.of(pod(**required(fields=(match("metadata.name", "In", "m"),)))).wants(node("n"))
    assert not Demand.of(pod(**required())).wants(node("n"))
    assert not Demand.of(pod(nodeSelector={"zone": "b"})).wants(node("n", {"zone": "a"}))


@pytest.mark.parametrize(
    ("toleration", "free"),
    [
        ({"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}, True),
        ({"key": "sku", "value": "gpu"}, True),
        ({"key": "sku", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "sku", "value": "cpu"}, False),
        ({"key": "sku", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: Spec, free: bool) -> None:
    tainted = node("n", taints=[{"key": "sku", "value": "gpu", "effect": "NoSchedule"}])
    found = survey.place(pod(tolerations=[toleration]), [tainted], Usage([]))
    assert bool(found.fits) is free


def test_a_preference_is_no_obstacle() -> None:
    mild = node("n", taints=[{"key": "sku", "value": "gpu", "effect": "PreferNoSchedule"}])
    assert survey.place(pod(), [mild], Usage([])).fits == ("n",)


def gpu_cluster() -> tuple[list[Node], Usage]:
    """Five nodes with 8 H100 each, of which the third has 2 free; three tainted nodes."""
    labels = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    full = [node(f"gpu-{n}", labels, room={GPU: "8"}) for n in range(5)]
    tainted = [
        node(f"sku-{n}", labels, [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}], room={GPU: "8"})
        for n in range(3)
    ]
    held = [Holding("team-a", f"train-{n}", f"gpu-{n}", {GPU: 4.0, "cpu": 1.0}) for n in range(5)]
    held += [Holding("team-b", f"x-{n}", f"gpu-{n}", {GPU: 2.0 if n == 3 else 4.0}) for n in range(5)]
    return [*full, *tainted], Usage(held)


def test_gpus_that_others_hold() -> None:
    there, held = gpu_cluster()
    found = survey.place(pod({GPU: "8"}), there, held)
    assert found.sentence() == (
        "none of 8 nodes can take it: 5 have too few H100 free: it asks for 8, the most is 2 of 8 on gpu-3, "
        "held by team-a/train-3 (4), team-b/x-3 (2); 3 have the taint sku=gpu:NoSchedule (sku-0, sku-1, sku-2)"
    )
    hints = "\n".join(found.hints())
    assert "tolerations: [{key: sku, operator: Equal, value: gpu, effect: NoSchedule}]" in hints
    assert "kubectl sky status -A" in found.hints()[0]


def test_a_taint_is_not_blamed_where_a_toleration_would_not_help() -> None:
    small = node("control", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
    found = survey.place(pod({GPU: "1"}), [small], Usage([]))
    assert found.sentence() == f"the only node cannot take it: 1 has no {GPU}"
    assert "toleration" not in " ".join(found.hints())


def test_cordoned_not_ready_small() -> None:
    away = nodes.read({"metadata": {"name": "away"}, "status": {"allocatable": {"cpu": "8", "pods": "9"}}})
    found = survey.place(pod(), [node("c", unschedulable=True), away, node("tiny", room={"cpu": "500m"})], Usage([]))
    assert found.sentence() == (
        "none of 3 nodes can take it: 1 is cordoned (c); 1 is not ready (away); "
        "1 is too small: it asks for 1 CPU, the largest has 0.5"
    )


def test_thousands_of_nodes_are_looked_at_at_once() -> None:
    there = [node(f"n-{number}", {"pool": str(number % 7)}, room={GPU: "8"}) for number in range(5000)]
    held = Usage([Holding("ns", f"p-{n}-{i}", f"n-{n}", {GPU: 2.0}) for n in range(5000) for i in range(4)])
    spec = pod({GPU: "4"}, **required(match("pool", "In", "1", "2", "3")))
    began = time.process_time()
    found = survey.place(spec, there, held)
    assert time.process_time() - began < 1.0
    assert found.total == 5000 and not found.fits and len(found.sentence()) < 500


# -- with the scheduler's message -----------------------------------------------------------------------------------


def waiting(message: str, spec: Spec | None = None) -> Spec:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {
        "metadata": {"name": "x-0", "namespace": "ml"},
        "spec": spec or pod(),
        "status": {"conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful"
         " for scheduling.", "none of 3 nodes can take it: 3 have too little CPU free"),
        ("0/8 nodes are available: 3 node(s) had untolerated taint {sku: gpu}, 5 Insufficient nvidia.com/gpu.",
         "none of 8 nodes can take it: 5 have too little nvidia.com/gpu free; 3 have the taint sku=gpu"),
        ("0/1 nodes are available: 1 node(s) had taint {a: }, that the pod didn't tolerate.",
         "the only node cannot take it: 1 has the taint a"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint(s). no new claims to deallocate",
         "3 have taints that it does not tolerate"),
        ("0/3 nodes are available: 3 node(s) didn't match pod topology spread constraints (missing required label).",
         "label that its topologySpreadConstraints go by"),
        ("0/3 nodes are available: 3 node(s) didn't match PersistentVolume's node affinity.",
         "cannot reach its volume"),
        ("0/3 nodes are available: 1 node(s) were unschedulable, 2 Too many pods.",
         "2 have as many pods as they may have; 1 is cordoned"),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
        ("0/3 nodes are available: 3 node(s) something new.", "3: node(s) something new"),
    ],
)  # fmt: skip
def test_the_schedulers_message(message: str, words: str) -> None:
    assert words in taken_apart(message).sentence()


def test_without_the_right_to_read_nodes() -> None:
    assert look(waiting("0/3 nodes are available: 3 Insufficient cpu."), Inventory(None, None, "no")) is None
    before = State("Pending", "Unschedulable", "as it was")
    assert refined(before, [waiting("0/1 nodes are available")], [], Inventory(None, None)) is before


def test_without_the_right_to_read_the_pods_of_all() -> None:
    there, _ = gpu_cluster()
    message = "0/8 nodes are available: 3 node(s) had untolerated taint {sku: gpu}, 5 Insufficient nvidia.com/gpu."
    told = look(waiting(message, pod({GPU: "8"})), Inventory(tuple(there), None))
    assert (
        told and "3 have the taint sku=gpu:NoSchedule" in told[0] and "5 have too little nvidia.com/gpu free" in told[0]
    )


def test_what_only_the_scheduler_knows() -> None:
    message = "0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."
    told = look(waiting(message), Inventory((node("n"),), Usage([])))
    assert told and told[0] == (
        "the only node cannot take it: 1 already has a pod that it must not be beside (pod anti-affinity)"
    )


def test_room_that_has_come_free_since() -> None:
    told = look(waiting("0/1 nodes are available: 1 Insufficient cpu."), Inventory((node("n"),), Usage([])))
    assert told and told[0] == "the scheduler found no node; by now n could take it"


def test_what_an_autoscaler_does_goes_along() -> None:
    event = {"metadata": {}, "involvedObject": {"name": "x-0"}, "reason": "TriggeredScaleUp",
             "message": "pod triggered scale-up: [{gpu-pool 0->1 (max: 4)}]"}  # fmt: skip
    before = State("Pending", "Unschedulable", "…")
    spec = pod({"cpu": "64"})
    told = refined(before, [waiting("0/1 nodes are available: 1 Insufficient cpu.", spec)], [event],
                   Inventory((node("n"),), Usage([])))  # fmt: skip
    assert "the autoscaler adds a node for it (pod triggered scale-up" in told.message
    assert told.hint == "wait: a new node takes some minutes"


def test_requests_are_those_of_usage() -> None:
    assert usage.requests(pod({"cpu": "500m"}))["cpu"] == 0.5
