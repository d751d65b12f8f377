"""Events in plain words, the newest last, the same ones once. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from kubectl_sky.diagnosis import state
from kubectl_sky.diagnosis.pulling import last_words

Object = dict[str, Any]


class Happened(NamedTuple):
    """`when` is a Kubernetes timestamp, of the last time; `times` how often."""

    when: str
    times: int
    text: str


# reason -> text; {said} is the event's message, {who} what it is about
_WORDS = {
    "Scheduled": "{who} is placed{where}",
    "FailedScheduling": "the scheduler found no node for {who}",
    "FailedCreate": "the API server refused a pod of {who}",
    "Pulling": "its node pulls {image}",
    "BackOff": "{said}",
    "Started": "container `{container}` of {who} started",
    "Killing": "container `{container}` of {who} was told to end",
    "FailedMount": "a volume of {who} could not be mounted",
    "FailedAttachVolume": "a volume of {who} could not be attached",
    "Preempted": "{who} had to make room for a pod of a higher priority",
    "Evicted": "{who} was evicted",
    "TaintManagerEviction": "{who} has to leave its node: {said}",
    "NodeNotReady": "the node of {who} does not answer",
    "TriggeredScaleUp": "the autoscaler adds a node for {who}",
    "NotTriggerScaleUp": "the autoscaler adds no node for {who}: {said}",
    "Nominated": "{said}",
    "BackoffLimitExceeded": "the Job gave up: a pod failed",
    "Suspended": "the Job was suspended",
    "Resumed": "the Job was resumed",
    "Completed": "the Job is complete",
}


_DULL = ("Created", "Pulled", "SuccessfulCreate", "WaitForFirstConsumer")


def told(events: Sequence[Object], most: int = 6) -> list[Happened]:
    """The last `most` different things that events (oldest first) tell."""
    found: dict[str, Happened] = {}
    for event in events:
        text = _text(event)
        if text and event.get("reason") not in _DULL:
            before = found.pop(text, None)
            times = max(event.get("count") or 1, (event.get("series") or {}).get("count") or 1)
            found[text] = Happened(state.when(event), times + (before.times if before else 0), text)
    return list(found.values())[-most:]


def _text(event: Object) -> str:
    about = event.get("involvedObject") or {}
    said = str(event.get("message") or "").strip()
    name, kind = about.get("name", ""), about.get("kind", "")
    who = f"pod {name}" if kind == "Pod" else name if kind == "Job" else f"{kind} {name}"
    values = {
        "who": who,
        "said": _short(last_words(said)),
        "where": _found(r"( on|to) (?P<it>[^\s]+)$", said, " on {}"),
        "image": _found(r'[Ii]mage "(?P<it>[^"]+)"', said, "{}"),
        "container": _found(r"\{(?P<it>[^}]+)\}", str(about.get("fieldPath", "")), "{}")
        or _found(r"container (?P<it>\S+)", said, "{}"),
    }
    words = _WORDS.get(event.get("reason", ""))
    if words is None:
        return f"{who}: {_short(last_words(said) if said.startswith('Failed') else said)}"
    return words.format(**values)


def _found(pattern: str, text: str, form: str) -> str:
    found = re.search(pattern, text)
    return form.format(found["it"]) if found else ""


def _short(said: str) -> str:
    line = " ".join(said.split())
    return line if len(line) <= 160 else line[:159] + "…"
