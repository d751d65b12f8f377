"""The images that tests use. Each is made by images/NAME.sh, in a Debian root file system."""

from __future__ import annotations

from typing import Any

from runtime import build as runtime_build
from runtime.recipe import Recipe
from tests.cluster.settings import HERE

PATH = runtime_build.PATH


def made_by(name: str, image: str, parent: Recipe | None = None, scratch: bool = True, **config: Any) -> Recipe:
    """A recipe whose script is images/NAME.sh; `config` is the image's configuration."""
    return Recipe(image, HERE / "images" / f"{name}.sh", {"Env": [PATH], **config}, parent, scratch)


TOOLCHAIN = made_by("toolchain", "toolchain:1")
PAUSE = made_by("pause", "localhost/pause:1", TOOLCHAIN, Entrypoint=["/pause"])
DEBIAN = made_by("debian", "sky-test/debian:1", scratch=False, Cmd=["bash"])
NONROOT_ENV = [PATH, "HOME=/home/app", "APP_MODE=production"]
TEST_IMAGES = (
    made_by("busybox", "sky-test/busybox:1", TOOLCHAIN, Cmd=["sh"]),
    made_by("alpine", "sky-test/alpine:1", TOOLCHAIN, Cmd=["/bin/sh"]),
    made_by("distroless", "sky-test/distroless:1", TOOLCHAIN, Entrypoint=["/app"], User="65532:65532"),
    DEBIAN,
    made_by(
        "debian-nonroot", "sky-test/debian-nonroot:1", DEBIAN, False,
        User="app", Env=NONROOT_ENV, WorkingDir="/home/app", Cmd=["bash"],
    ),
    made_by("nvidia-smi", "sky-test/nvidia-smi:1", TOOLCHAIN, Cmd=["sh"]),
    made_by("rclone", "sky-test/rclone:1", DEBIAN, False, Entrypoint=["rclone"]),
    made_by("own-sshd", "sky-test/own-sshd:1", DEBIAN, False, Cmd=["/usr/sbin/sshd", "-D"]),
)  # fmt: skip
# the real default image, also under the name that tests know
TASK = runtime_build.task_recipe("sky-test/python:1")
# only built and loaded for the tests that use them
MORE_IMAGES = {name: made_by(name, f"sky-test/{name}:1", DEBIAN, False, Cmd=["bash"]) for name in ("mpi", "torch")}


def all_images() -> tuple[Recipe, ...]:
    """Everything that is loaded on each node: our own images and the tests'."""
    return (runtime_build.recipe(), TASK, *TEST_IMAGES)
