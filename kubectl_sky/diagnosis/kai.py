"""What the KAI scheduler says of pods that have no place, or whose place it took, in the user's terms. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sky.names import KAI_QUEUE

_LIMIT = re.compile(
    r"(?P<queue>\S+) quota has reached the allowable limit of .*?Limit is (?P<most>\S+) (?P<unit>\w+), "
    r"currently (?P<used>\S+) \w+ allocated and workload requested (?P<asked>\S+) "
)
_QUOTA = re.compile(
    r"Non-preemptible workload is over quota\. Workload requested (?P<asked>\S+) (?P<unit>\w+).*?, "
    r"but (?P<queue>\S+) quota is (?P<most>\S+) \w+, while (?P<used>\S+) "
)
_NO_QUEUE = re.compile(r"Queue '([^']+)' does not exist")
_GROUP = re.compile(r"Resources were found for (\d+) pods while (\d+) are required for gang scheduling\.")
_NODES = re.compile(r"no nodes with enough resources were found(?:: (.*))?", re.S)
_SHORT = re.compile(r"node\(s\) didn't have enough resources: (.+)")
_UNSAID = "Unable to schedule pod"
# its words for a resource -> Kubernetes'
_RESOURCES = {"CPU cores": "cpu", "GPUs": "nvidia.com/gpu"}
_UNITS = {"CPU": "CPUs", "cores": "CPUs", "GB": "GB of memory"}
_EVICTED = re.compile(r"^(?:Pod |.*evicting remaining pod: )\S+?/(?P<pod>[^\s/]+)")
_BY = re.compile(r"preempted by (?P<higher>higher priority )?workload \S+?/(?P<who>\S+)")
_GROUP_NAME = re.compile(r"pg-(.+)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of a task, or a pod
_OTHER = f"take another queue (the label {KAI_QUEUE})"


@dataclass(frozen=True)
class Said:
    """`queue`: what its queue has against it, and `hint` what to do; `room`: how many of its pods could have a place.

    `nodes`: what they lack, as Kubernetes' own scheduler would say it.
    """

    queue: str = ""
    hint: str = ""
    room: str = ""
    nodes: str = ""


def read(message: str) -> Said | None:
    """What a condition says; None when those are not KAI's words."""
    if found := _NO_QUEUE.search(message):
        return Said(f"there is no KAI queue {found[1]!r}", "correct it: kubectl get queues.scheduling.run.ai")
    if found := _LIMIT.search(message):
        return _limited(found)
    if found := _QUOTA.search(message):
        text = f"the KAI queue {found['queue']!r} is at its quota of {_what(found)}, which what may not be preempted "
        text += f"cannot leave: {_amounts(found)}"
        return Said(text, f"ask for less, for a priority below 100 (priorityClassName: train), or {_OTHER}")
    group, nodes = _GROUP.search(message), _NODES.search(message)
    room = f"all get a place or none, and there is room for only {group[1]}" if group and group[1] != "0" else ""
    if group or nodes:
        return Said(room=room, nodes=_as_kubernetes(nodes[1] or "") if nodes else "")
    if message.strip(" .") == _UNSAID:
        text = (
            "the KAI scheduler finds no place for it, and does not say why; tasks go to queues that have a parent, and "
        )
        text += "no queues of their own"
        return Said(text, f"see kubectl get queues.scheduling.run.ai; {_OTHER}")
    return None


def evicted(event: Mapping[str, Any]) -> str:
    """The name of the pod that an event says it took away; "" for other events. The event is its group's."""
    if event.get("reason") != "Evict" or (event.get("involvedObject") or {}).get("kind") != "PodGroup":
        return ""
    found = _EVICTED.search(str(event.get("message")))
    return found["pod"] if found else ""


def eviction(events: Sequence[Mapping[str, Any]]) -> str:
    """Why it took a pod away, by the events about that; "" where it did not."""
    said = next((str(event.get("message")) for event in reversed(events) if evicted(event)), "")
    if not said:
        return ""
    if found := _BY.search(said):
        name = _GROUP_NAME.match(found["who"])
        who = name[1] if name else found["who"].rstrip(".")
        return f"{who}{', of a higher priority,' if found['higher'] else ''} took its place"
    if "minimum required number of pods" in said:
        return "not all pods of its task were there"
    return "it gets another place, so that more fits" if "bin packing" in said else said


def _limited(found: re.Match[str]) -> Said:
    queue = f"the KAI queue {found['queue']!r}"
    if _number(found["asked"]) > _number(found["most"]):
        text = f"{queue} never has room for it: of {_what(found)} it can have {found['most']}, and the task asks for "
        return Said(text + found["asked"], f"ask for less, or {_OTHER}")
    text = f"{queue} is at its limit of {_what(found)}: {_amounts(found)}"
    return Said(text, f"wait until something in the queue ends: kubectl sky status -A; or {_OTHER}")


def _what(found: re.Match[str]) -> str:
    return _UNITS.get(found["unit"], found["unit"])


def _amounts(found: re.Match[str]) -> str:
    return f"it can have {found['most']}, {found['used']} are in use, and the task asks for {found['asked']}"


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return 0.0


def _as_kubernetes(said: str) -> str:
    """`3 node(s) didn't have enough resources: CPU cores` -> `0/3 nodes are available: 3 Insufficient cpu`"""
    clauses, total = [], 0
    for one in re.split(r"\.\s*\n", said):
        found = re.match(r"(\d+) (.+)", one.strip(" .\n"), re.S)
        if not found:
            continue
        short = _SHORT.match(found[2])
        clauses.append(f"{found[1]} Insufficient {_RESOURCES.get(short[1], short[1])}" if short else found[0])
        total += int(found[1])
    return f"0/{total} nodes are available: {', '.join(clauses)}" if clauses else ""
