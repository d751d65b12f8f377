"""Why a pod cannot go to each of a cluster's nodes, as the scheduler decides it. Pure; quick for thousands of nodes.

A node may have several obstacles. They are ordered from what the node is (its labels, its size) to what is so only
now (its free room), and a node is counted at its first: a taint is not blamed where a toleration would not help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kubectl_sky.capacity import usage
from kubectl_sky.capacity.nodes import Node, Taint
from kubectl_sky.capacity.usage import Usage

Fields = Mapping[str, Any]
LABELS, SMALL, NOT_READY, CORDONED, TAINTED, FULL = "labels", "small", "not-ready", "cordoned", "tainted", "full"
# what counts less than a rounding of quantities
_CRUMB = 1e-6
_UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
_NOT_READY = Taint("node.kubernetes.io/not-ready", "", "NoSchedule")


class Obstacle(NamedTuple):
    """`what` is one of the constants above; `key` the resource, or the taint."""

    what: str
    key: str = ""


@dataclass(frozen=True)
class Demand:
    """What the scheduler looks at in a pod: amounts by resource, tolerations, alternatives of required labels."""

    requests: Mapping[str, float]
    tolerations: tuple[Fields, ...]
    selector: Mapping[str, str]
    terms: tuple[Fields, ...] | None  # None: no required node affinity

    @classmethod
    def of(cls, spec: Fields) -> Demand:
        """Of a pod's spec."""
        node_affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
        required = node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        return cls(
            {key: amount for key, amount in usage.requests(spec).items() if amount > 0},
            tuple(spec.get("tolerations") or ()),
            spec.get("nodeSelector") or {},
            None if required is None else tuple(required.get("nodeSelectorTerms") or ()),
        )

    def tolerates(self, taint: Taint) -> bool:
        return any(_tolerates(toleration, taint) for toleration in self.tolerations)

    def wants(self, node: Node) -> bool:
        """Whether the node has the labels that the pod requires."""
        if any(node.labels.get(key) != value for key, value in self.selector.items()):
            return False
        return self.terms is None or any(_matches_term(term, node) for term in self.terms)


def _tolerates(toleration: Fields, taint: Taint) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    key = toleration.get("key") or ""
    if key and key != taint.key:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == taint.value


def _matches_term(term: Fields, node: Node) -> bool:
    labels, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not labels and not fields:
        return False  # as the API has it: an empty term matches nothing
    name = {"metadata.name": node.name}
    return all(_matches(one, node.labels) for one in labels) and all(_matches(one, name) for one in fields)


def _matches(expression: Fields, labels: Mapping[str, str]) -> bool:
    """One of the operators In, NotIn, Exists, DoesNotExist, Gt, Lt; an unknown one matches nothing."""
    there, values = labels.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return (there is not None) == (operator == "Exists")
    if operator == "NotIn":
        return there not in values
    if there is None or not values:
        return False
    if operator == "In":
        return there in values
    try:
        have, limit = int(there), int(values[0])
    except ValueError:
        return False
    return have > limit if operator == "Gt" else have < limit if operator == "Lt" else False


def obstacles(demand: Demand, node: Node, held: Usage | None) -> list[Obstacle]:
    """All that keeps the pod off the node, empty if it may go there. Without `held` what is free is not known."""
    found = [] if demand.wants(node) else [Obstacle(LABELS)]
    size = node.allocatable
    found += [Obstacle(SMALL, key) for key, asked in demand.requests.items() if asked > size.get(key, 0.0) + _CRUMB]
    if not node.ready and not demand.tolerates(_NOT_READY):
        found.append(Obstacle(NOT_READY))
    if node.cordoned and not demand.tolerates(_UNSCHEDULABLE):
        found.append(Obstacle(CORDONED))
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not demand.tolerates(taint):
            found.append(Obstacle(TAINTED, str(taint)))
    if held:
        small = {one.key for one in found if one.what == SMALL}
        for key, asked in demand.requests.items():
            if key not in small and asked > held.free(node, key) + _CRUMB:
                found.append(Obstacle(FULL, key))
    return found
