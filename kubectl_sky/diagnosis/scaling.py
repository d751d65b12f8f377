"""What an autoscaler does about a pod that has no place, from its events. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

Object = dict[str, Any]
SCALING = ("TriggeredScaleUp", "Nominated", "ProvisioningRequestAccepted")


def _is_karpenter(event: Object) -> bool:
    source = f"{(event.get('source') or {}).get('component', '')} {event.get('reportingComponent') or ''}"
    return "karpenter" in source


def scales_up(event: Object) -> bool:
    """Whether the event says that a node is being made for its pod."""
    reason = event.get("reason", "")
    if reason == "Nominated":  # the scheduler's is NominatedNode, and no event
        return "nodeclaim" in event.get("message", "").lower() or "should schedule" in event.get("message", "").lower()
    return reason in SCALING


def seen(events: Iterable[Object]) -> bool:
    return any(scales_up(event) for event in events)


def told(events: Sequence[Object]) -> tuple[str, str]:
    """(what the autoscaler does, what to do about it) by a pod's events, oldest first; "" when it says nothing."""
    for event in reversed(events):
        reason, said = event.get("reason", ""), str(event.get("message", "")).strip()
        if scales_up(event):
            return f"the autoscaler adds a node for it ({_short(said)})", "wait: a new node takes some minutes"
        if reason == "NotTriggerScaleUp":
            return _not_scaled(said)
        if reason == "FailedScaleUp" or (reason == "FailedScheduling" and _is_karpenter(event)):
            text = f"the autoscaler cannot add a node: {_short(said)}"
            return text, "its administrators know its limits: kubectl get nodepools,nodeclaims"
    return "", ""


def _not_scaled(said: str) -> tuple[str, str]:
    """`pod didn't trigger scale-up: 2 max node group size reached, 1 Insufficient nvidia.com/gpu`"""
    why = re.sub(r"^pod didn't trigger scale-up(?: \(it wouldn't fit if a new node is added\))?:? ?", "", said)
    text = f"the autoscaler adds no node: {_short(why) or 'none of its kinds of nodes would do'}"
    if "max node group size reached" in why or "max cluster" in why:
        return text, "wait until nodes are free, or ask your administrator for a larger node group"
    if "backoff" in why:
        return text, "the cloud had no such machine: it tries again in some minutes; or use another kind"
    return text, "ask for what its node groups have; your administrator knows them"


def _short(said: str) -> str:
    line = said.splitlines()[0] if said else ""
    return line if len(line) <= 200 else line[:199] + "…"
