"""What the configuration does to a task's manifests. Pure."""

from __future__ import annotations

from typing import Any

from kubectl_sky import quantity
from kubectl_sky.config import pod_config
from kubectl_sky.config.layers import Effective
from kubectl_sky.names import QUEUE, QUEUE_PRIORITY

Fields = dict[str, Any]
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def to_template(template: Fields, config: Effective) -> Fields:
    """A pod's metadata and spec, with all that is said of pods. Raises TaskErrors where pod_config does not fit."""
    spec = dict(template["spec"])
    if config.service_account:
        # who names one wants its rights: the only pods of ours with a token
        spec.update(serviceAccountName=config.service_account, automountServiceAccountToken=True)
    if config.allowed_nodes:
        spec["affinity"] = _only(spec.get("affinity") or {}, config.allowed_nodes.terms())
    if config.limits is not None:
        spec["containers"] = [_limited(one, config.limits) for one in spec["containers"][:1]] + spec["containers"][1:]
    return pod_config.applied({**template, "spec": spec}, config.pod_config)


def _only(affinity: Fields, allowed: list[Fields]) -> Fields:
    """Terms are alternatives: each that is required already goes with each that is allowed."""
    nodes = affinity.get("nodeAffinity") or {}
    there = (nodes.get(REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
    keys = ("matchExpressions", "matchFields")
    terms = [
        {key: [*one.get(key, ()), *other.get(key, ())] for key in keys if one.get(key) or other.get(key)}
        for one in there
        for other in allowed
    ]
    return {**affinity, "nodeAffinity": {**nodes, REQUIRED: {"nodeSelectorTerms": terms}}}


def _limited(container: Fields, factor: float) -> Fields:
    resources = container.get("resources") or {}
    limits = {key: value for key, value in (resources.get("limits") or {}).items() if key not in ("cpu", "memory")}
    if factor:
        for key in ("cpu", "memory"):
            if key in resources.get("requests", {}):
                limits[key] = _times(key, str(resources["requests"][key]), factor)
    made = {key: value for key, value in resources.items() if key != "limits"}
    return {**container, "resources": {**made, **({"limits": limits} if limits else {})}}


def _times(key: str, amount: str, factor: float) -> str:
    if factor == 1:
        return amount
    many = quantity.parse(amount) * factor
    return quantity.gibibytes(many / quantity.GIB) if key == "memory" else quantity.number(many)


def to_objects(manifests: list[Fields], config: Effective) -> list[Fields]:
    """Labels and annotations of every object, beneath our own; a queue for the Job, which Kueue starts."""
    if config.labels or config.annotations:
        manifests = [{**one, "metadata": _described(one["metadata"], config)} for one in manifests]
        manifests = [_with_pods(one, config) if one["kind"] == "Job" else one for one in manifests]
    return [_queued(one, config) if one["kind"] == "Job" else one for one in manifests] if config.queue else manifests


def _queued(job: Fields, config: Effective) -> Fields:
    """Kueue's labels are the Job's, wherever they were said: on pods they would make a workload of each."""
    metadata, template = job["metadata"], job["spec"]["template"]
    labels = {**metadata["labels"], QUEUE: config.queue}
    if config.priority:
        labels[QUEUE_PRIORITY] = config.priority
    about = dict(template["metadata"])
    about["labels"] = {key: value for key, value in about["labels"].items() if key not in (QUEUE, QUEUE_PRIORITY)}
    spec = {**job["spec"], "suspend": True, "template": {**template, "metadata": about}}
    return {**job, "metadata": {**metadata, "labels": labels}, "spec": spec}


def _with_pods(job: Fields, config: Effective) -> Fields:
    template = job["spec"]["template"]
    template = {**template, "metadata": _described(template.get("metadata") or {}, config)}
    return {**job, "spec": {**job["spec"], "template": template}}


def _described(metadata: Fields, config: Effective) -> Fields:
    made = dict(metadata)
    for key, more in (("labels", config.labels), ("annotations", config.annotations)):
        if more:
            made[key] = {**more, **(metadata.get(key) or {})}
    return made
