"""A look at every node of a cluster for one pod: what stands against it, in groups and in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sky.capacity import placing_words
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.capacity.placing import CORDONED, FULL, LABELS, NOT_READY, SMALL, TAINTED, Demand, Obstacle, obstacles
from kubectl_sky.capacity.usage import Usage

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Group:
    """Nodes with the same first obstacle; `alone` counts those where it is the only one."""

    obstacle: Obstacle
    nodes: tuple[Node, ...]
    alone: int
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Placing:
    """What stands against a pod on the `total` nodes of a cluster.

    `groups`: first those that could take it soon, or if somebody lets them; `fits`: names of nodes that could take it.
    """

    total: int
    groups: tuple[Group, ...]
    fits: tuple[str, ...]

    def sentence(self) -> str:
        """`none of 8 nodes can take it: 5 …; 3 …`"""
        if not self.total:
            return "the cluster has no nodes"
        head = f"none of {self.total} nodes can take it" if self.total > 1 else "the only node cannot take it"
        return f"{head}: {'; '.join(group.text for group in self.groups)}"

    def hints(self) -> list[str]:
        """Next steps for the nodes that could take it, and only if there are none for the others."""
        able = [group for group in self.groups if group.obstacle.what not in (LABELS, SMALL)]
        return list(dict.fromkeys(group.hint for group in able or self.groups if group.hint))


def place(spec: Fields, nodes: Sequence[Node], held: Usage | None, own: str = "") -> Placing:
    """Looks at every node for the pod of `spec`. `own` is a namespace whose pods are said without it."""
    demand = Demand.of(spec)
    found: dict[Obstacle, list[tuple[Node, int]]] = {}
    fits = []
    for node in nodes:
        against = obstacles(demand, node, held)
        if against:
            found.setdefault(_first(against), []).append((node, len(against)))
        else:
            fits.append(node.name)
    groups = []
    for obstacle, there in sorted(found.items(), key=lambda one: (-_RANK[one[0].what], -len(one[1]))):
        group = [node for node, _ in there]
        alone = sum(count == 1 for _, count in there)
        text, hint = placing_words.say(obstacle, group, demand, held, own)
        groups.append(Group(obstacle, tuple(group), alone, text, hint))
    return Placing(len(nodes), tuple(groups), tuple(fits))


_RANK = {what: rank for rank, what in enumerate((LABELS, SMALL, NOT_READY, CORDONED, TAINTED, FULL))}


def _first(against: list[Obstacle]) -> Obstacle:
    """The one that a node is counted at; of resources the rarest: GPUs before CPUs."""
    first = against[0]
    same = [one for one in against if one.what == first.what]
    return min(same, key=_rarity)


def _rarity(obstacle: Obstacle) -> tuple[int, str]:
    common = {"memory": 1, "cpu": 2, "ephemeral-storage": 3, "pods": 4}
    return (common.get(obstacle.key, 0), obstacle.key)
