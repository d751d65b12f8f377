"""How the nodes come by a private image: a login of the task, Secrets that are there, this machine's docker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kubectl_sky import dockerconfig, images
from kubectl_sky.errors import ApiError, Failure, TaskErrors, UsageError
from kubectl_sky.parts import login
from kubectl_sky.parts.login import Login
from kubectl_sky.parts.part import Part
from kubectl_sky.settings import Settings
from kubectl_sky.task import Task
from kubectl_sky.taskfile.envs import DOCKER_LOGIN

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.podspec import Plan

TYPES = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")
FIELD = "config.kubernetes.pod_config.spec.imagePullSecrets"


def parts(task: Task, name: str, settings: Settings) -> Iterator[Part]:
    """What makes the task's image accessible; the task is resolved. Runs docker's helpers only where settings say so.

    Every way that is given is used, and kubelet tries them in turn; this machine's login stays here beside the task's.
    """
    image = task.resources.image_id or settings.own_image(settings.default_image)
    if own := of_task(task):
        part = login.part(name, own)
        yield Part(part.manifests, pull_secrets=part.pull_secrets, notes=_unused(own, image))
    if there := named(settings):
        yield Part(pull_secrets=there)
    host = images.registry(image)
    if own is None and allowed(settings, host):
        try:
            found = dockerconfig.find(host)
        except Failure as error:
            yield Part(notes=(f"No login of this machine goes along: {error.message}",))
        else:
            if found:
                yield login.part(name, found)


def of_task(task: Task) -> Login | None:
    """SKYPILOT_DOCKER_*; the parser has seen to it that all three are in one place. UsageError: one is empty."""
    for values in (task.secrets, task.envs):
        if images.SERVER in values:
            if empty := [name for name in DOCKER_LOGIN if not values[name]]:
                raise UsageError(
                    f"{' and '.join(empty)} must not be empty", "remove the three SKYPILOT_DOCKER_* to have no login"
                )
            return Login(
                images.server(values[images.SERVER]),
                values["SKYPILOT_DOCKER_USERNAME"],
                values["SKYPILOT_DOCKER_PASSWORD"],
            )
    return None


def _unused(own: Login, image: str) -> tuple[str, ...]:
    if images.registry(image) == own.server.partition("/")[0]:
        return ()
    return (f"SKYPILOT_DOCKER_SERVER is {own.server}, and the image {image} does not come from there",)


def named(settings: Settings) -> tuple[str, ...]:
    """The Secrets of the setting `image_pull_secret`."""
    return tuple(filter(None, (name.strip() for name in settings.image_pull_secret.split(","))))


def allowed(settings: Settings, host: str) -> bool:
    """Whether this machine's login for a registry may go along (the setting `docker_config`)."""
    words = [word.strip() for word in settings.docker_config.split(",")]
    return words == ["true"] or host in map(images.server, filter(None, words))


def wanted(task: Task, settings: Settings) -> bool:
    """Whether parts() may give the pods Secrets to pull with: those of their service account count no more then."""
    return bool(of_task(task) or named(settings) or settings.docker_config not in ("", "false"))


def check(cluster: Cluster, plan: Plan, rendered: list[dict[str, Any]]) -> None:
    """Raises UsageError when a Secret that the Job pulls with is not there; nothing when that may not be read."""
    known = {manifest["metadata"]["name"] for manifest in rendered if manifest["kind"] == "Secret"}
    known.update(plan.facts.pull_secrets)  # which need not all be there
    spec = rendered[-1]["spec"]["template"]["spec"]
    names = [one["name"] for one in spec.get("imagePullSecrets") or () if one.get("name")]
    faults = [fault for name in names if name not in known and (fault := _fault(cluster, name))]
    if not faults:
        return
    hint = "kubectl create secret docker-registry NAME --docker-server=HOST --docker-username=… --docker-password=…"
    if FIELD in plan.task.places and not named(plan.settings):
        raise TaskErrors([plan.task.problem(FIELD, fault, hint) for fault in faults])
    raise UsageError("\n".join(faults), f"make it: {hint}; or correct its name (image_pull_secret, pod_config)")


def _fault(cluster: Cluster, name: str) -> str | None:
    try:
        found: Mapping[str, Any] = cluster.get(f"/api/v1/namespaces/{cluster.namespace}/secrets/{name}")
    except ApiError as error:
        return (
            f"namespace {cluster.namespace} has no Secret {name!r} to pull images with" if error.status == 404 else None
        )
    if found.get("type") not in TYPES:
        return f"the Secret {name!r} is of type {found.get('type')}, and images are pulled with {TYPES[0]}"
    return None
