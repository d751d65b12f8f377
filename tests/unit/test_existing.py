"""A launch on a name that is taken: what cannot start is told from what is up, and what has no effect is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubectl_sky import existing, planning, podspec, shape
from kubectl_sky.diagnosis.state import INDEX
from kubectl_sky.diagnosis.why import Found
from kubectl_sky.task import parse

PULLING = {"waiting": {"reason": "ImagePullBackOff", "message": "pull access denied: 401 Unauthorized"}}
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def pod(rank: int, state: dict[str, Any]) -> dict[str, Any]:
    container = {"name": "task", "image": "reg.example/x:1", "state": state}
    if "running" in state:
        container["containerID"] = "containerd://1"
    status = {"phase": "Pending", "containerStatuses": [container]}
    return {"metadata": {"name": f"t-{rank}", "annotations": {INDEX: str(rank)}}, "spec": {}, "status": status}


def found(*pods: dict[str, Any], **status: Any) -> Found:
    return Found({"metadata": {"name": "t"}, "spec": {"parallelism": len(pods)}, "status": status}, pods, ())


def test_what_never_had_its_image_is_stuck() -> None:
    assert "reg.example" in existing.stuck(found(pod(0, PULLING)))
    assert existing.stuck(found(pod(0, RUNNING), pod(1, PULLING))), "no job starts on one of two nodes"


def test_what_began_or_may_yet_is_not() -> None:
    assert not existing.stuck(found(pod(0, {"waiting": {"reason": "ContainerCreating"}})))
    assert not existing.stuck(found(pod(0, RUNNING)))
    assert not existing.stuck(found(pod(0, PULLING), failed=1)), "a pod of it ended: it has run"
    assert not existing.stuck(Found(None, (), ()))


BASE = "name: t\nrun: x\nresources: {labels: {team: a}}\nconfig: {kubernetes: {pod_config: {spec: {hostname: h}}}}"


def made(text: str) -> dict[str, Any]:
    key = podspec.Identity("PRIVATE", "PUBLIC")
    choice = planning.blind(parse(text, "t")[0])
    return podspec.render(planning.plan(choice, planning.Options("t"), podspec.Facts(), key))[-1]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (BASE, []),
        ("run: y", []),
        (BASE.replace("hostname: h", "hostname: other"), ["config.kubernetes"]),
        (BASE.replace("team: a", "team: b"), ["resources.labels"]),
        ("run: x\nresources: {disk_size: 9}", ["resources.disk_size"]),
    ],
)
def test_what_a_second_launch_cannot_change_is_named(text: str, changed: list[str]) -> None:
    assert shape.unlike(parse(text, "t")[0], "", made(BASE)) == changed


def test_nothing_of_the_configuration_is_in_clear() -> None:
    secret = BASE.replace("hostname: h", "hostname: hunter2")
    assert "hunter2" not in json.dumps(made(secret)["metadata"])
