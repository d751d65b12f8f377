"""What the API server says to a pod that pod_config has changed, before anything is made; in terms of its lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kubectl_sky.cluster_objects import collection
from kubectl_sky.config import pod_config
from kubectl_sky.errors import ApiError, TaskErrors
from kubectl_sky.podspec import Plan
from kubectl_sky.taskfile.problem import Problem

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

TEMPLATE = "spec.template."
# `unknown field "spec.template.spec.foo"`, `Go struct field PodSpec.spec.template.spec.foo of type int64`
UNKNOWN = re.compile(r'(?:unknown|duplicate) field "spec\.template\.([^"]+)"')
WRONG_TYPE = re.compile(r"cannot unmarshal (\w+) into Go struct field \w+\.spec\.template\.(\S+) of type (\S+)")
WORDS = {"number": "a number", "string": "text", "bool": "true or false", "array": "a list", "object": "a map"}
TYPES = {"int": "a whole number", "string": "text", "bool": "true or false", "[]": "a list", "map[": "a map"}


def check(cluster: Cluster, plan: Plan, manifests: list[dict[str, Any]]) -> None:
    """Asks the server for a dry run of the Job when pod_config is used. Raises TaskErrors with what it refuses."""
    if not plan.config.pod_config:
        return
    job = manifests[-1]
    try:
        cluster.create(collection(cluster, "Job"), job, dryRun="All", fieldValidation="Strict")
    except ApiError as error:
        found = problems(error, plan, job["spec"]["template"])
        if not found:
            raise
        raise TaskErrors(found, "the configuration") from None


def problems(error: ApiError, plan: Plan, template: dict[str, Any]) -> list[Problem]:
    """Those at places that pod_config wrote, and beside them what else is wrong; none when it is all something else."""
    layers = plan.config.pod_config
    said = [(path, message, pod_config.find(layers, template, path)) for path, message in complaints(error)]
    if error.status == 400 and not said:
        # what cannot be read: all that we write ourselves can be
        text = error.said.rpartition("cannot be handled as a Job: ")[2]
        return [pod_config.problem(node, "", text) for node in layers]
    if all(node is None for _, _, node in said):
        return []
    return [
        Problem("the pod", 0, 0, path, f"{path}: {message}")
        if node is None
        else pod_config.problem(node, path, message)
        for path, message, node in said
    ]


def complaints(error: ApiError) -> list[tuple[str, str]]:
    """(path in the pod's template, what is wrong) of the server's answer."""
    if error.status == 422:
        causes = [(str(one.get("field") or ""), str(one.get("message") or "")) for one in error.causes]
        return [(_metadata(path.removeprefix(TEMPLATE)), text) for path, text in causes if path.startswith(TEMPLATE)]
    if error.status != 400:
        return []
    unknown = [(path, "there is no such field in Kubernetes") for path in UNKNOWN.findall(error.said)]
    return unknown or [
        (path, f"should be {_type(kind)}, not {WORDS.get(given, given)}")
        for given, path, kind in WRONG_TYPE.findall(error.said)
    ]


def _metadata(path: str) -> str:
    """The server calls them `labels`."""
    return f"metadata.{path}" if path.startswith(("labels", "annotations")) else path


def _type(kind: str) -> str:
    return next((words for start, words in TYPES.items() if kind.startswith(start)), "a map")
