"""Why the scheduler finds no node for a pod: what it says itself, and what a look at the nodes adds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kubectl_sky.capacity import placing_words, survey
from kubectl_sky.capacity.survey import Placing
from kubectl_sky.diagnosis import scaling, scheduler
from kubectl_sky.diagnosis.state import UNSCHEDULABLE, State, by_object, newest, of_many, unplaced

if TYPE_CHECKING:
    from kubectl_sky.capacity.inventory import Inventory

Object = dict[str, Any]


def _said(pod: Object) -> str | None:
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == UNSCHEDULABLE:
            return str(condition.get("message") or "")
    return None


def refined(state: State, found: Sequence[Object], events: Sequence[Object], inventory: Inventory) -> State:
    """An Unschedulable `state` of a task with what the nodes say; as it was where they may not be read."""
    waiting = first_told(found)
    if not waiting or state.reason != UNSCHEDULABLE:
        return state
    told = look(waiting[0], inventory)
    if told is None:
        return state
    text, hints, _ = told
    scaled, next_step = scaling.told(by_object(events).get(waiting[0]["metadata"]["name"], ()))
    made = replace(
        state,
        message="; ".join(filter(None, (text, scaled))),
        hint="\n".join([next_step] if scaled else hints[:2]) or state.hint,
    )
    return of_many(made, waiting, len(newest(found)))


def first_told(found: Sequence[Object]) -> list[Object]:
    """Those without a place; first one of which more is said than what the nodes lack for it."""

    def plain(pod: Object) -> bool:
        verdict = scheduler.taken_apart(_said(pod) or "")
        return not verdict.queue and not verdict.room

    return sorted(unplaced(found), key=plain)


def look(pod: Mapping[str, Any], inventory: Inventory) -> tuple[str, list[str], Placing] | None:
    """(why, next steps, node by node) for a pod without a node; None when the nodes may not be read."""
    if inventory.nodes is None:
        return None
    namespace = pod["metadata"].get("namespace", "")
    found = survey.place(pod["spec"], inventory.nodes, inventory.usage, namespace)
    verdict = scheduler.taken_apart(_said(dict(pod)) or "")
    if verdict.queue:
        return verdict.sentence(), verdict.hints(), found
    if not found.fits:
        return found.sentence(), found.hints(), found
    if verdict.room:
        full = "; ".join(group.text for group in found.groups)
        return f"{verdict.room}: of {found.total} nodes {full}" if full else verdict.room, found.hints(), found
    known = scheduler.SEEN_ON_NODES if inventory.usage else scheduler.SEEN_ON_NODES - {"room"}
    others = [clause for clause in verdict.clauses if clause.kind not in known]
    texts = [group.text for group in found.groups] + [clause.text for clause in others]
    if not others:
        some = placing_words.names(found.fits)
        text = f"the scheduler found no node; by now {some} could take it"
        return text, ["wait: it tries again by itself"], found
    head = f"none of {found.total} nodes can take it" if found.total > 1 else "the only node cannot take it"
    hints = list(dict.fromkeys([*(clause.hint for clause in others if clause.hint), *found.hints()]))
    return f"{head}: {'; '.join(texts)}", hints, found
