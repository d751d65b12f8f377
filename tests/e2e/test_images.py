"""Any image: without Python, bash or sshd, as any user, under Pod Security "restricted", with a read-only root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sky.settings import Settings
from tests.e2e.conftest import Sky, image, namespace

READ_ONLY = {"containers": [{"securityContext": {"readOnlyRootFilesystem": True}}]}
MIXED_LINES = "printf '%s %s\\n' a b | sort; for x in 1 2; do echo $x; done"


@dataclass(frozen=True)
class Way:
    """How a pod comes by our tools, and what its namespace and its own settings forbid."""

    restricted: bool
    read_only: bool
    image_volumes: bool

    def __str__(self) -> str:
        names = {"restricted": self.restricted, "read-only": self.read_only, "copied-tools": not self.image_volumes}
        return "+".join(name for name, yes in names.items() if yes) or "plain"


WAYS = (Way(False, False, True), Way(True, True, True), Way(True, True, False))


@dataclass(frozen=True)
class Spaces:
    plain: Sky
    restricted: Sky

    def of(self, way: Way) -> Sky:
        sky = self.restricted if way.restricted else self.plain
        return replace(sky, env={"KUBECTL_SKY_IMAGE_VOLUMES": str(way.image_volumes).lower()})


@pytest.fixture(scope="module")
def spaces(kubeconfig: str) -> Iterator[Spaces]:
    with namespace(kubeconfig) as plain, namespace(kubeconfig) as restricted:
        restricted.kubectl("label", "namespace", restricted.namespace, "pod-security.kubernetes.io/enforce=restricted")
        yield Spaces(plain, restricted)


def task_file(folder: Path, base: str, pod: dict[str, Any], **task: object) -> str:
    file = folder / "task.yaml"
    resources = {"cpus": 0.1, "image_id": f"docker:{image(base)}"}
    config = {"kubernetes": {"pod_config": {"spec": pod}}}
    file.write_text(yaml.safe_dump({"name": base, "resources": resources, "config": config, **task}))
    return str(file)


def work(folder: Path) -> str:
    """A folder to take along, with a mode, a link and a folder that must arrive."""
    place = folder / "work"
    (place / "empty").mkdir(parents=True)
    (place / "data.txt").write_text("data\n")
    script = place / "script.sh"
    script.write_text("#!/bin/sh\necho script\n")
    script.chmod(0o755)
    (place / "link").symlink_to("data.txt")
    return str(place)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", ("busybox", "alpine", "debian-nonroot"))
def test_images_with_a_shell(spaces: Spaces, tmp_path: Path, name: str, way: Way) -> None:
    sky = spaces.of(way)
    files = "cat link ~/in/folder/data.txt; ./script.sh; [ -d empty ] && echo empty"
    run = f"{files}; {MIXED_LINES}; touch mine || exit 9; exit 3"
    pod = READ_ONLY if way.read_only else {}
    folder = work(tmp_path)
    task = {"workdir": folder, "file_mounts": {"~/in/folder": folder}, "setup": "echo setup", "run": run}
    result = sky.run("launch", task_file(tmp_path, name, pod, **task))
    assert (result.code, result.out) == (3, "setup\ndata\ndata\nscript\nempty\na b\n1\n2\n"), result
    inits = sky.pods(name)[0]["spec"].get("initContainers", [])
    assert bool(inits) is not way.image_volumes
    look = "id -u; cd ~ && pwd; ls sky_workdir/mine; touch /no 2>/dev/null || echo read-only; exit 4"
    ssh = sky.run("ssh", name, look)
    uid, home, mine, *rest = ssh.out.splitlines()
    assert ssh.code == 4 and mine == "sky_workdir/mine", ssh
    assert uid == str(1000 if way.restricted else 1001 if name == "debian-nonroot" else 0)
    if way.read_only:
        assert rest == ["read-only"] and home == "/sky/run/home"
    sky.ok("down", name, "--no-wait")


def test_the_images_user_and_environment_are_kept(spaces: Spaces, tmp_path: Path) -> None:
    run = "id -un; id -u; echo $HOME; pwd; echo $APP_MODE; echo $USER; touch ~/file && rm ~/file"
    result = spaces.plain.ok("launch", task_file(tmp_path, "debian-nonroot", {}, name="kept", run=run))
    assert result.out.split() == ["app", "1001", "/home/app", "/home/app", "production", "app"]


def test_a_uid_that_is_chosen_is_kept_under_restricted(spaces: Spaces, tmp_path: Path) -> None:
    """The server cannot know the uid of an image whose USER is a name: the task says it."""
    pod = {"securityContext": {"runAsUser": 1001, "runAsGroup": 1001}}
    run = "id -u; echo $HOME; pwd; echo $APP_MODE; touch ~/file"
    result = spaces.restricted.ok("launch", task_file(tmp_path, "debian-nonroot", pod, name="kept", run=run))
    assert result.out.split() == ["1001", "/home/app", "/home/app", "production"]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_images_without_a_shell(spaces: Spaces, tmp_path: Path, way: Way) -> None:
    sky = spaces.of(way)
    pod = READ_ONLY if way.read_only else {}
    file = task_file(tmp_path, "distroless", pod, workdir=work(tmp_path), run="/app 'a  b' \"c\" 5")
    result = sky.run("launch", file)
    lines = result.out.splitlines()
    assert result.code == 5, result
    assert lines[:4] == ["argv[0]=/app", "argv[1]=a  b", "argv[2]=c", "argv[3]=5"]
    assert "env SKYPILOT_NODE_RANK=0" in lines
    inline = sky.run("exec", "distroless", "--", "/app", "0")
    assert inline.code == 0 and inline.out.startswith("argv[0]=/app\nargv[1]=0\n"), inline
    script = sky.run("exec", "distroless", "--", "/app 0 | /app 1")
    assert script.code == 127 and "this image has no shell" in script.err, script
    absent = sky.run("exec", "distroless", "--", "/nothing")
    assert absent.code == 127 and "/nothing" in absent.err, absent
    person = sky.run("ssh", "distroless", "/app 0")
    assert person.code == 0 and person.out.startswith("argv[0]=/app\nargv[1]=0\n"), person
    person = sky.run("ssh", "distroless", "/app 0 | /app 1")
    assert person.code == 127 and "/bin/sh" in person.err, person
    sky.ok("down", "distroless", "--no-wait")


INSTALL = "pip install --quiet --no-index --no-build-isolation ."
UV = "uv pip install --quiet --no-index --no-build-isolation --reinstall ."
HAS = (
    "python --version && pip --version && uv --version && git --version && curl --version && rsync --version"
    " && ssh -V && ps --version && less --version && python -m venv $HOME/v && uv venv --quiet $HOME/u"
)
PACKAGE = """
[project]
name = "greeting"
version = "1"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
py-modules = ["greeting"]
"""


@pytest.mark.skipif("SKY_TEST_IMAGES" in os.environ, reason="the default image may not be on that cluster")
@pytest.mark.parametrize("restricted", (False, True))
def test_the_default_image(spaces: Spaces, restricted: bool, tmp_path: Path) -> None:
    """As root, and as a user that it does not know: what docs/images.md says of it, and pip installs packages."""
    (tmp_path / "pyproject.toml").write_text(PACKAGE)
    (tmp_path / "greeting.py").write_text("print('installed')")
    sky = replace(
        spaces.restricted if restricted else spaces.plain, env={"KUBECTL_SKY_DEFAULT_IMAGE": Settings().default_image}
    )
    setup = f"set -e\n{HAS}\n{INSTALL}\n{'true' if restricted else f'{UV} && sudo true'}"
    file = tmp_path / "default.yaml"
    task = {"name": "default", "workdir": str(tmp_path), "resources": {"cpus": 0.1}, "setup": setup}
    file.write_text(yaml.safe_dump({**task, "run": "cd / && python -c 'import greeting'; id -u"}))
    result = sky.ok("launch", "--down", str(file))
    assert result.out.splitlines()[-2:] == ["installed", "1000" if restricted else "0"], result
