"""`check`: what quotas and LimitRanges of the namespace leave for tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubectl_sky import accelerators, own_containers, quantity
from kubectl_sky.checks.findings import INFO, OK, PROBLEM, WARNING, Finding, Seen

Object = dict[str, Any]
# what a task of the smallest kind makes: a quota without room for it stops every launch
_NEEDED = {
    "pods": 1.0, "count/pods": 1.0, "count/jobs.batch": 1.0, "secrets": 1.0, "count/secrets": 1.0,
    "configmaps": 1.0, "count/configmaps": 1.0,
}  # fmt: skip
_SHORT = {"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"}
# pods that are none of ours: without requests, with a deadline, of a priority
_NOT_OURS = {"BestEffort", "Terminating", "PriorityClass", "CrossNamespacePodAffinity"}
PLAIN, OURS = "a task without --cpus and --memory", "the program's own container"
_OWN = {
    "cpu": own_containers.CPU,
    "memory": quantity.parse(own_containers.RESOURCES["requests"]["memory"]),
}
_TASK = {"cpu": 1.0 - own_containers.CPU, "memory": float(quantity.GIB)}  # without --cpus and --memory


def check_quotas(seen: Seen) -> Iterable[Finding]:
    answer = seen.answer("resourcequotas")
    if answer.value is None:
        if answer.status != 404:
            yield Finding("quotas", INFO, f"ResourceQuotas {answer.unread}: whether there is room shows at launch")
        return
    if not answer.items:
        yield Finding("quotas", OK, "no ResourceQuota")
    for quota in answer.items:
        yield from _quota(quota, _defaulted(seen))


def usage(quota: Object) -> dict[str, tuple[str, str]]:
    """resource -> (used, hard), as the quota writes them."""
    status = quota.get("status") or {}
    hard, used = status.get("hard") or quota["spec"].get("hard") or {}, status.get("used") or {}
    return {key: (str(used.get(key, "0")), str(hard[key])) for key in sorted(hard)}


def applies(quota: Object) -> bool:
    """Whether it counts the pods of ordinary tasks."""
    spec = quota.get("spec") or {}
    chosen = {one.get("scopeName") for one in (spec.get("scopeSelector") or {}).get("matchExpressions") or ()}
    return not _NOT_OURS & {*(spec.get("scopes") or ()), *chosen}


def _quota(quota: Object, defaulted: set[str]) -> Iterable[Finding]:
    name, amounts = quota["metadata"]["name"], usage(quota)
    shown = ", ".join(f"{key} {used}/{hard}" for key, (used, hard) in amounts.items())
    if not applies(quota):
        yield Finding("quotas", INFO, f"quota {name} is for other pods than tasks' (scopes): {shown}")
        return
    yield from _demanded(name, amounts, defaulted)
    over = [key for key, (used, hard) in amounts.items() if _exhausted(key, used, hard)]
    if over:
        text = f"quota {name} is used up for {', '.join(over)} ({shown})"
        hint = "wait until tasks end, or end some: kubectl sky status; kubectl sky down NAME"
        yield Finding("quotas", WARNING, text, hint)
    else:
        yield Finding("quotas", OK, f"quota {name}: {shown}")


def _demanded(name: str, amounts: Iterable[str], defaulted: set[str]) -> Iterable[Finding]:
    """A quota of limits refuses containers that have none."""
    if "limits.cpu" in amounts and "cpu" not in defaulted:
        text = f"quota {name} demands CPU limits of every container, which those of tasks have not"
        yield Finding("quotas", PROBLEM, text, "ask for a LimitRange with default limits of cpu in the namespace")
    if "limits.memory" in amounts and "memory" not in defaulted:
        text = f"quota {name} demands memory limits, which a task has only with --memory"
        yield Finding("quotas", WARNING, text, "give --memory GB (resources.memory)")


def _exhausted(key: str, used: str, hard: str) -> bool:
    """Whether a resource that tasks need has nothing left."""
    if key not in _NEEDED and key not in _SHORT and not accelerators.is_device(key.removeprefix("requests.")):
        return False
    # of what is counted one is needed, of amounts anything
    return quantity.parse(used) + _NEEDED.get(key, 1e-9) > quantity.parse(hard)


def check_limit_ranges(seen: Seen) -> Iterable[Finding]:
    answer = seen.answer("limitranges")
    if answer.value is None:
        if answer.status != 404:
            yield Finding("limit-ranges", INFO, f"LimitRanges {answer.unread}: what they refuse shows at launch")
        return
    if not answer.items:
        yield Finding("limit-ranges", OK, "no LimitRange")
    for item in answer.items:
        name = item["metadata"]["name"]
        refused = [text for limit in item["spec"].get("limits") or () for text in refusals(limit)]
        if refused:
            text = f"LimitRange {name} refuses pods of tasks: {'; '.join(refused)}"
            yield Finding("limit-ranges", *_next(item, text))
        else:
            yield Finding("limit-ranges", OK, f"LimitRange {name}: {described(item)}")


def _next(item: Object, text: str) -> tuple[str, str, str]:
    """State, text and next step: a task can ask for less, our own containers cannot."""
    if any(refusals(limit, {OURS: _OWN}) for limit in item["spec"].get("limits") or ()):
        hint = "ask an administrator to allow 10m CPU, 32Mi memory and a limit of 512Mi: our own containers have them"
        return PROBLEM, text, hint
    return WARNING, text, "give --cpus and --memory within it, or have an administrator change it"


def refusals(limit: Object, containers: Mapping[str, Mapping[str, float]] | None = None) -> list[str]:
    """Why one rule of a LimitRange refuses the containers of a task that asks for nothing special."""
    if limit.get("type") != "Container":
        return []
    found = []
    for name, requests in (containers or {PLAIN: _TASK, OURS: _OWN}).items():
        for key, request in requests.items():
            top = own_containers.RESOURCES["limits"]["memory"] if name == OURS and key == "memory" else None
            found += _refusal(limit, name, key, request, quantity.parse(top) if top else None)
    return found


def _refusal(limit: Object, name: str, key: str, request: float, top: float | None) -> list[str]:
    """`top`: the container's own limit."""

    def bound(which: str) -> float | None:
        value = (limit.get(which) or {}).get(key)
        return None if value is None else quantity.parse(value)

    shown = quantity.shown
    least, most = bound("min"), bound("max")
    # a container without a limit gets the default one, which stands at `max` if nothing is said
    default = bound("default") if bound("default") is not None else most
    if least is not None and request < least:
        return [f"{name} asks for {shown(key, request)} {key}, at least {shown(key, least)} must be asked for"]
    if most is not None and max(request, top or 0.0) > most:
        return [f"{name} may have {shown(key, max(request, top or 0.0))} {key}, at most {shown(key, most)} is allowed"]
    if top is None and default is not None and request > default:
        return [f"{name} asks for {shown(key, request)} {key}, but gets a limit of {shown(key, default)}"]
    return []


def _defaulted(seen: Seen) -> set[str]:
    """The resources for which a LimitRange gives containers limits."""
    rules = [limit for item in seen.answer("limitranges").items for limit in item["spec"].get("limits") or ()]
    return {
        key
        for rule in rules
        if rule.get("type") == "Container"
        for key in ("cpu", "memory")
        if key in {**(rule.get("default") or {}), **(rule.get("max") or {})}
    }


def described(item: Object) -> str:
    """`Container: max cpu 4, memory 8Gi; default memory 1Gi`"""
    texts = []
    for limit in item["spec"].get("limits") or ():
        parts = [
            f"{which} " + ", ".join(f"{key} {value}" for key, value in limit[which].items())
            for which in ("min", "max", "default", "defaultRequest")
            if limit.get(which)
        ]
        texts.append(f"{limit.get('type', '')}: {'; '.join(parts)}")
    return " / ".join(texts) or "no rules"
