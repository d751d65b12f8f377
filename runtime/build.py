"""Builds our own images here, without Docker or a registry: `python3 -m runtime.build` prints the archives' paths."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from runtime.recipe import BuildError, Recipe, build

HERE = Path(__file__).resolve().parent
# the same as in the Dockerfiles
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TASK = {"Env": [PATH, "UV_SYSTEM_PYTHON=1", "PIP_ROOT_USER_ACTION=ignore"], "WorkingDir": "/root", "Cmd": ["bash"]}
CONFIG = {"Env": ["PATH=/sky/tools/bin:/usr/sbin:/bin"], "User": "65532:65532", "Cmd": ["/bin/sh"]}


def version() -> str:
    """The project's version, which is the image's tag."""
    text = (HERE.parent / "kubectl_sky/__init__.py").read_text()
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if not found:
        raise BuildError("kubectl_sky/__init__.py has no __version__")
    return found[1]


def recipe() -> Recipe:
    """The runtime image's recipe."""
    return Recipe(f"ghcr.io/kubectl-sky/runtime:{version()}", HERE / "build-rootfs.sh", CONFIG)


def task_recipe(*others: str) -> Recipe:
    """The recipe of the image for tasks that name none; `others` are more names for it."""
    return Recipe(f"ghcr.io/kubectl-sky/task:{version()}", HERE / "task.sh", TASK, scratch=False, others=others)


if __name__ == "__main__":
    try:
        print(build(recipe()), build(task_recipe()), sep="\n")
    except BuildError as error:
        sys.exit(f"error: {error}")
