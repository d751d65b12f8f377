"""Why the API server refuses a Job's pods: quota, limits, Pod Security, webhooks, what is named but missing. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from kubectl_sky import quantity
from kubectl_sky.api import answers


class Refusal(NamedTuple):
    """`reason` is one word; `pattern`'s groups fill `text` and `hint`."""

    reason: str
    pattern: str
    text: str
    hint: str


Told = tuple[str, str, str]  # reason, message, hint

_MISSING = (
    Refusal(
        "NoServiceAccount",
        r'serviceaccount "(?P<name>[^"]+)" not found',
        "the namespace has no service account {name!r}",
        "kubectl create serviceaccount {name}, or correct remote_identity, or serviceAccountName in pod_config",
    ),
    Refusal(
        "NoPriorityClass",
        r"no PriorityClass with name (?P<name>\S+) was found",
        "the cluster has no PriorityClass {name!r}",
        "see those it has: kubectl get priorityclasses; correct priorityClassName in config.kubernetes.pod_config",
    ),
    Refusal(
        "NoRuntimeClass",
        r'RuntimeClass "(?P<name>[^"]+)" not found',
        "the cluster has no RuntimeClass {name!r}",
        "see those it has: kubectl get runtimeclasses; correct runtimeClassName in config.kubernetes.pod_config",
    ),
    Refusal(
        "QuotaUnspecified",
        r"failed quota: (?P<name>[^:]+): must specify (?P<what>.+?)(?: for: .*)?$",
        "the namespace's quota {name!r} wants every container to say its {what}",
        "say them, e.g. --cpus 1 --memory 4, or below resources: of each container in config.kubernetes.pod_config",
    ),
    Refusal(
        "LimitRange",
        r"(?P<side>maximum|minimum) (?P<what>\S+) usage per (?P<per>\w+) is (?P<limit>[^,]+), but "
        r"(?P<had>request|limit) is (?P<asked>[^,\]]+)",
        "the namespace's LimitRange allows {side} {limit} of {what} a {per}, and {asked} is its {had}",
        "ask for what it allows (--cpus, --memory); see it: kubectl describe limitrange",
    ),
    Refusal(
        "LimitRange",
        r"(?P<what>\S+) max limit to request ratio per \w+ is (?P<limit>\S+?),",
        "the namespace's LimitRange wants limits of {what} at most {limit} times the requests",
        "see it: kubectl describe limitrange",
    ),
    Refusal(
        "LimitRange",
        r"(?P<side>maximum|minimum) (?P<what>\S+) usage per (?P<per>\w+) is (?P<limit>[^.,]+)\.?\s+"
        r"No (?P<had>limit|request) is specified",
        "the namespace's LimitRange allows {side} {limit} of {what} a {per}, and no {had} is given",
        "give one, e.g. --memory 4 (a limit too); see it: kubectl describe limitrange",
    ),
    Refusal(
        "LimitRange",
        r'resources\.requests: Invalid value: "(?P<asked>[^"]+)": must be less than or equal to (?P<what>\S+) limit of '
        r"(?P<limit>[^\s,\]]+)",
        "a container asks for {asked} of {what} and may have {limit} (its own limit, or the namespace's LimitRange)",
        "ask for less (--cpus, --memory), or give limits in config.kubernetes.pod_config; kubectl describe limitrange",
    ),
    Refusal(
        "AdmissionPolicy",
        r"ValidatingAdmissionPolicy '(?P<name>[^']+)'(?: with binding '[^']*')? denied request: (?P<said>.*)",
        "the cluster's admission policy {name!r} refuses them: {said}",
        "this is a rule of the cluster: its administrators know more (kubectl get validatingadmissionpolicy {name})",
    ),
)
_QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.*?), used: (?P<used>.*?), limited: (?P<limit>.*)", re.S
)


def explained(said: str) -> Told:
    """(reason, message, next step) for the message of a FailedCreate event, or of the API server itself."""
    text = re.sub(r'^Error creating: (pods "[^"]*" is forbidden: )?', "", said).strip()
    if found := _QUOTA.search(text):
        return _quota(found)
    for one in _MISSING:
        if found := re.search(one.pattern, text):
            values = {key: value.strip() for key, value in found.groupdict().items()}
            return one.reason, one.text.format(**values), one.hint.format(**values)
    message, hint = answers.explained(answers.Answer(403, text, [], ""))
    reason = "PodSecurity" if "PodSecurity" in text else "Webhook" if "webhook" in text else "FailedCreate"
    return reason, message, hint or "see: kubectl get events"


def _quota(found: re.Match[str]) -> Told:
    asked, used, limit = (_amounts(found[key]) for key in ("asked", "used", "limit"))
    over = [
        f"{_plain(key)}: {asked[key]} more asked, {used.get(key, '0')} of {limit.get(key, '?')} used" for key in asked
    ]
    largest = [key for key in asked if key in limit and _number(asked[key]) > _number(limit[key])]
    hint = "free some: kubectl sky status, kubectl sky down NAME; or ask for less; see: kubectl describe quota"
    if largest:
        hint = f"it is more than the whole quota: ask for less ({_flags(largest)}); see: kubectl describe quota"
    return "Quota", f"the namespace's quota {found['name']!r} is exceeded ({'; '.join(over)})", hint


def _amounts(text: str) -> dict[str, str]:
    """`cpu=3,requests.memory=1Gi` -> {"cpu": "3", "requests.memory": "1Gi"}"""
    return dict(pair.strip().split("=", 1) for pair in text.split(",") if "=" in pair)


def _number(text: str) -> float:
    try:
        return quantity.parse(text)
    except ValueError:
        return 0.0


def _plain(key: str) -> str:
    return key.removeprefix("requests.")


def _flags(keys: list[str]) -> str:
    words = {"cpu": "--cpus", "memory": "--memory", "pods": "--num-nodes"}
    return ", ".join(dict.fromkeys(words.get(key.split(".")[-1], "--gpus") for key in keys))
