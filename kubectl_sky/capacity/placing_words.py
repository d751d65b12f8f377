"""What keeps a pod off a group of nodes, in words, with the next step. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_sky import accelerators, quantity
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.capacity.placing import CORDONED, FULL, LABELS, NOT_READY, SMALL, TAINTED, Demand, Obstacle
from kubectl_sky.capacity.usage import Usage

Told = tuple[str, str]
SPEC = "config.kubernetes.pod_config.spec"
_PLAIN = {"cpu": "CPU", "memory": "memory", "ephemeral-storage": "disk"}
_ASK = {
    "cpu": "--cpus",
    "memory": "--memory",
    "ephemeral-storage": "--disk-size",
}


def say(obstacle: Obstacle, nodes: Sequence[Node], demand: Demand, held: Usage | None, own: str = "") -> Told:
    """(`3 have the taint sku=gpu:NoSchedule`, the next step) for nodes that share their first obstacle."""
    if obstacle.what == LABELS:
        return _labels(nodes, demand)
    if obstacle.what == SMALL:
        return _small(obstacle.key, nodes, demand)
    if obstacle.what == FULL and held:
        return _full(obstacle.key, nodes, demand, held, own)
    some = names([node.name for node in nodes])
    if obstacle.what == TAINTED:
        taint = obstacle.key
        return f"{count(nodes, 'has', 'have')} the taint {taint} ({some})", tolerate(taint)
    if obstacle.what == CORDONED:
        return f"{count(nodes, 'is', 'are')} cordoned ({some})", f"kubectl uncordon {nodes[0].name}, if you may"
    if obstacle.what == NOT_READY:
        return f"{count(nodes, 'is', 'are')} not ready ({some})", f"see why: kubectl describe node {nodes[0].name}"
    raise AssertionError(obstacle)


def tolerate(taint: str) -> str:
    """What to write for `key=value:Effect`."""
    pair, _, effect = taint.rpartition(":")
    key, _, value = pair.partition("=")
    match = f"operator: Equal, value: {_quoted(value)}" if value else "operator: Exists"
    return f"if its pods may go there, {SPEC}: {{tolerations: [{{key: {key}, {match}, effect: {effect}}}]}}"


def _quoted(value: str) -> str:
    """As YAML needs it: `true` and `1` would not be text."""
    return value if value.replace("-", "").isalpha() and value not in ("true", "false", "yes", "no") else f'"{value}"'


# -- labels ---------------------------------------------------------------------------------------------------------


def _labels(nodes: Sequence[Node], demand: Demand) -> Told:
    keys = list(demand.selector) or _keys(demand)
    if any(key in _NAMES for key in keys) and any(accelerators.is_device(key) for key in demand.requests):
        return _other_devices(nodes)
    text = f"{count(nodes, 'lacks', 'lack')} the labels it requires: {required(demand)}"
    for key in keys:
        there = Counter(node.labels[key] for node in nodes if key in node.labels)
        if there and key != "kubernetes.io/hostname":
            values = ", ".join(f"{value} ({number})" for value, number in there.most_common(4))
            step = f"change what it requires, or label nodes: {_label_one(nodes, key)}"
            return f"{text} (their {key}: {values})", step
    return text, f"change what it requires, or label nodes: {_label_one(nodes, keys[0] if keys else 'KEY')}"


# labels that name accelerators: nodes are of another kind, and labelling them anew would be a lie
_NAMES = {family.key for family in accelerators.FAMILIES}


def _other_devices(nodes: Sequence[Node]) -> Told:
    there = Counter(device.name or device.key for node in nodes for device in node.devices if device.total)
    if not there:
        return f"{count(nodes, 'has', 'have')} no accelerators", ""
    kinds = names([f"{name} ({number})" if number > 1 else name for name, number in there.most_common()], most=4)
    return f"{count(nodes, 'has', 'have')} other accelerators ({kinds})", "kubectl sky gpus shows what there is"


def _label_one(nodes: Sequence[Node], key: str) -> str:
    return f"kubectl label node {nodes[0].name} {key}=VALUE --overwrite"


def _keys(demand: Demand) -> list[str]:
    return [one["key"] for term in demand.terms or () for one in term.get("matchExpressions") or ()]


def required(demand: Demand) -> str:
    """`pool=a100`, `zone in (a, b)`, `one of 5 alternatives such as …`"""
    texts = [f"{key}={value}" for key, value in demand.selector.items()]
    terms = [" and ".join(_expression(one) for one in _expressions(term)) or "nothing" for term in demand.terms or ()]
    if len(terms) == 1:
        texts.append(terms[0])
    elif terms:
        texts.append(f"{terms[0]} (or one of {len(terms) - 1} alternatives)")
    return ", ".join(texts)


def _expressions(term: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]


def _expression(one: Mapping[str, Any]) -> str:
    key, operator, values = one["key"], one["operator"], [str(value) for value in one.get("values") or ()]
    if operator == "In" and len(values) == 1:
        return f"{key}={values[0]}"
    if operator in ("In", "NotIn"):
        shown = ", ".join(values[:3]) + (", …" if len(values) > 3 else "")
        return f"{key} {'in' if operator == 'In' else 'not in'} ({shown})"
    if operator in ("Gt", "Lt"):
        return f"{key} {'>' if operator == 'Gt' else '<'} {''.join(values[:1])}"
    return f"{key} {'set' if operator == 'Exists' else 'not set'}"


# -- room -----------------------------------------------------------------------------------------------------------


def _small(key: str, nodes: Sequence[Node], demand: Demand) -> Told:
    asked = demand.requests[key]
    best = max(nodes, key=lambda node: node.allocatable.get(key, 0.0))
    most = best.allocatable.get(key, 0.0)
    what = unit(key, nodes)
    if not most:
        text = f"{count(nodes, 'has', 'have')} no {what}"
        return text, f"kubectl sky gpus shows what there is; {key} comes from a device plugin"
    text = f"{count(nodes, 'is', 'are')} too small: it asks for {with_unit(key, asked, what)}, the largest "
    text += f"({best.name}) has {quantity.shown(key, most)}" if len(nodes) > 1 else f"has {quantity.shown(key, most)}"
    return text, f"ask for at most {with_unit(key, most, what)} ({_ASK.get(key, '--gpus')}), or add a larger node"


def _full(key: str, nodes: Sequence[Node], demand: Demand, held: Usage, own: str) -> Told:
    asked = demand.requests[key]
    best = max(nodes, key=lambda node: held.free(node, key))
    what = unit(key, nodes)
    free, total = held.free(best, key), best.allocatable.get(key, 0.0)
    holders = _holders(best, key, held, own)
    text = f"{count(nodes, 'has', 'have')} too {'little' if key in _PLAIN else 'few'} {what} free: it asks for "
    text += f"{quantity.shown(key, asked)}, {'the most is ' if len(nodes) > 1 else 'there are '}"
    text += f"{quantity.shown(key, free)} of {quantity.shown(key, total)} on {best.name}"
    if holders:
        text += f", held by {holders}"
    wait = "wait until they end, or take down what is yours: kubectl sky status -A; kubectl sky down NAME"
    return text, f"{wait}; or ask for less ({_ASK.get(key, '--gpus')})"


def _holders(node: Node, key: str, held: Usage, own: str) -> str:
    found = held.holders(node, key)
    texts = [
        f"{'' if one.namespace == own else one.namespace + '/'}{one.pod} ({quantity.shown(key, one.requests[key])})"
        for one in found[:3]
    ]
    more = len(found) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def with_unit(key: str, value: float, what: str) -> str:
    """`64 CPUs`, `500 GiB of memory`, `8 H100`"""
    shown = quantity.shown(key, value)
    if key == "cpu":
        return f"{shown} CPU{'s' * (value != 1)}"
    return f"{shown} of {what}" if key in _PLAIN else f"{shown} {what}"


def unit(key: str, nodes: Sequence[Node]) -> str:
    """A resource for people: `H100` for the GPUs of such nodes, else `CPU`, `memory`, `nvidia.com/gpu`."""
    if key in _PLAIN:
        return _PLAIN[key]
    found = {device.name for node in nodes for device in node.devices if device.key == key and device.name}
    return found.pop() if len(found) == 1 else key


# -- counts ---------------------------------------------------------------------------------------------------------


def count(nodes: Sequence[Node], one: str, many: str) -> str:
    """`1 has`, `5 have`"""
    return f"{len(nodes)} {one if len(nodes) == 1 else many}"


def names(found: Sequence[str], most: int = 3) -> str:
    """`node-1, node-2 and 5 more`"""
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")
