"""What Volcano says of pods that have no place, in the user's terms. Pure."""

from __future__ import annotations

import re

from kubectl_sky.diagnosis.kai import Said
from kubectl_sky.names import VOLCANO_QUEUE

_GROUP = re.compile(r"pod group is not ready, \d+ Pending, \d+ minAvailable; Pending: (?:(\d+) Schedulable, )?")
_NODES = re.compile(r"(\d+/\d+ nodes) are unavailable: (.+)", re.S)
_PLACED = "can possibly be assigned to"


def has_place(message: str) -> bool:
    """Whether the pod would have one, if the others of its group had one."""
    return _PLACED in message


def read(message: str) -> Said | None:
    """What a condition says; None when those are not Volcano's words."""
    group, nodes = _GROUP.search(message), _NODES.search(message)
    if nodes:
        room = f"all get a place or none, and there is room for only {group[1]}" if group and group[1] else ""
        return Said(room=room, nodes=f"{nodes[1]} are available: {nodes[2]}")
    if group:
        room = f"room for only {group[1]} of its pods" if group[1] else "no room for it"
        other = f"take another queue (the label {VOLCANO_QUEUE})"
        hint = f"wait until something in the queue ends: kubectl sky status -A; or {other}"
        return Said(f"its Volcano queue has {room}", hint)
    return None
