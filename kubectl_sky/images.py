"""Which image a task runs in, and which registry that is from. Pure."""

from __future__ import annotations

from dataclasses import replace

from kubectl_sky.resources import Resources
from kubectl_sky.task import Task
from kubectl_sky.taskfile.problem import Problem

SERVER = "SKYPILOT_DOCKER_SERVER"
HUB = "docker.io"
HUB_NAMES = (HUB, "index.docker.io", "registry-1.docker.io", "hub.docker.com", "registry.hub.docker.com")


def resolved(task: Task, context: str) -> Task:
    """The task with `image_id` as it is in a context: one name, in all alternatives too.

    `images` stays where none of them is for the context; missing() says so. With SKYPILOT_DOCKER_SERVER a name
    without a registry is one of that server, as in SkyPilot.
    """
    login = server(task.secrets.get(SERVER) or task.envs.get(SERVER) or "")
    return replace(task, resources=_resolved(task.resources, context, login))


def _resolved(one: Resources, context: str, login: str) -> Resources:
    first = None if context else next(iter(one.images.values()), None)
    image = one.images.get(context) or one.image_id or first
    if image and login and login != HUB and not has_registry(image):
        image = f"{login}/{image}"
    return replace(
        one,
        image_id=image,
        images={} if image else one.images,
        any_of=tuple(_resolved(part, context, login) for part in one.any_of),
        ordered=tuple(_resolved(part, context, login) for part in one.ordered),
    )


def serves(task: Task, context: str) -> bool:
    """Whether one of the task's alternatives has an image for a context."""
    return any(one.image_id or not one.images or context in one.images for one in task.resources.candidates()[0])


def missing(task: Task, context: str) -> Problem | None:
    """What is wrong with a resolved task whose images are all for other contexts."""
    if not task.resources.images:
        return None
    there = ", ".join(task.resources.images)
    message = f"no image for the context {context}: there is one for {there}"
    return task.problem("resources.image_id", message, f"add `{context}: IMAGE`, or `docker: IMAGE` for all others")


def has_registry(image: str) -> bool:
    """Whether a name begins with a host: `ghcr.io/a/b`, `localhost/a`, `host:5000/a`."""
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def registry(image: str) -> str:
    """`python:3` -> docker.io, `ghcr.io/a/b:1` -> ghcr.io"""
    return server(image.partition("/")[0]) if has_registry(image) else HUB


def server(text: str) -> str:
    """A registry as people and docker write it -> `host[:port][/path]`: `https://index.docker.io/v1/` -> docker.io"""
    name = text.strip().removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        name = name.removesuffix(version)
    return HUB if name.lower() in HUB_NAMES else name
