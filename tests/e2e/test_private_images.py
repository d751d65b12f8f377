"""Private images: pulled with each kind of login, refused in words without one; an image's own settings are kept."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Result, Sky, namespace
from tests.e2e.private_registry import SERVER, USER, Registry, start

LOOK = "id -un; id -u; pwd; echo $HOME $APP_MODE; tool; env | grep -c DOCKER || true"
KEPT = ["app", "1001", "/srv", "/home/app private", "tool of the image", "0"]
RUN = uuid.uuid4().hex[:8]  # in the images' names: none is on a node yet


@dataclass(frozen=True)
class Place:
    sky: Sky
    registry: Registry


@pytest.fixture(scope="module")
def place(kubeconfig: str) -> Iterator[Place]:
    with namespace(kubeconfig) as sky:
        yield Place(sky, start(sky, f"pass:word {uuid.uuid4()}"))


@pytest.fixture(scope="module")
def refused(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Result]]]:
    """Launches that cannot succeed, beside the others: kubelet needs its time to be sure."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(launch_refused, place, tmp_path_factory.mktemp(name), name, secrets)
            for name, secrets in (("wrong", login("wrong-password")), ("none", {}))
        }


def launch_refused(place: Place, folder: Path, name: str, secrets: dict[str, str]) -> Result:
    file = task_file(folder, place, f"{SERVER}/token/{RUN}-{name}:1", secrets=secrets)
    return place.sky.run("launch", "-c", name, file, "--provision-timeout", "40s")


def task_file(folder: Path, place: Place, image: str, **task: Any) -> str:
    """A task with that image, on the registry's node."""
    file = folder / "task.yaml"
    config = {"kubernetes": {"pod_config": {"spec": place.registry.pod}}}
    resources = {"cpus": 0.02, "memory": 0.1, "image_id": f"docker:{image}"}
    file.write_text(json.dumps({"resources": resources, "run": LOOK, "config": config, **task}))
    return str(file)


def login(password: str) -> dict[str, str]:
    return {
        "SKYPILOT_DOCKER_USERNAME": USER,
        "SKYPILOT_DOCKER_PASSWORD": password,
        "SKYPILOT_DOCKER_SERVER": SERVER,
    }


def secret(sky: Sky, name: str) -> dict[str, Any]:
    return dict(json.loads(sky.kubectl("get", "secret", name, "-o", "json")))


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("kind", ("basic", "token"))
def test_the_tasks_own_login(place: Place, tmp_path: Path, kind: str) -> None:
    sky, name = place.sky, f"own-{kind}"
    file = task_file(tmp_path, place, f"{kind}/{RUN}-own:1", secrets=login(place.registry.password))
    result = sky.ok("launch", "-c", name, file)
    assert result.out.splitlines() == KEPT, "the image's user, directory, variables and PATH; no login in its variables"
    pulled = secret(sky, f"{name}-pull")
    assert pulled["type"] == "kubernetes.io/dockerconfigjson"
    assert [one["kind"] for one in pulled["metadata"]["ownerReferences"]] == ["Job"]
    assert [one["name"] for one in sky.pods(name)[0]["spec"]["imagePullSecrets"]] == [f"{name}-pull"]
    task = base64.b64decode(secret(sky, f"{name}-sky")["data"]["task.json"]).decode()
    assert place.registry.password not in task and "SKYPILOT_DOCKER" not in task
    sky.ok("down", name)
    assert not [one for one in sky.objects() if name in one]


def test_a_wrong_password_is_told(refused: dict[str, Future[Result]]) -> None:
    result = refused["wrong"].result()
    assert result.code == 1, result
    assert "does not let it be pulled with the Secret wrong-pull (has it the right login" in result.err, result
    assert "check the user, the password" in result.err and "wrong-password" not in str(result)


def test_the_next_launch_mends_it(place: Place, refused: dict[str, Future[Result]], tmp_path: Path) -> None:
    """What never started is made anew; what is up stays, and the launch says what of it has no effect."""
    sky, image = place.sky, f"{SERVER}/token/{RUN}-wrong:1"
    assert refused["wrong"].result().code == 1
    before = secret(sky, "wrong-pull")["metadata"]["uid"]
    right = sky.ok("launch", "-c", "wrong", task_file(tmp_path, place, image, secrets=login(place.registry.password)))
    assert right.out.splitlines() == KEPT
    assert "wrong is made anew, it could not start: pod wrong-0-" in right.err, right
    pulled = secret(sky, "wrong-pull")
    assert pulled["metadata"]["uid"] != before
    config = {"kubernetes": {"pod_config": {"spec": {**place.registry.pod, "hostname": "other"}}}}
    file = task_file(tmp_path, place, image, secrets=login("changed"), config=config)
    up = sky.ok("launch", "-c", "wrong", file)
    assert up.out.splitlines() == KEPT
    assert "The login in the Secret wrong-pull is replaced" in up.err, up
    assert "config.kubernetes changed; wrong stays as it was made until it is taken down" in up.err, up
    now = secret(sky, "wrong-pull")
    assert (now["metadata"]["uid"], "ownerReferences" in now["metadata"]) == (pulled["metadata"]["uid"], True)
    assert b"changed" in base64.b64decode(now["data"][".dockerconfigjson"])
    quiet = sky.ok("launch", "-c", "wrong", file)
    assert "replaced" not in quiet.err
    sky.ok("down", "wrong", "--no-wait")


def test_without_a_login_the_ways_to_give_one_are_told(refused: dict[str, Future[Result]]) -> None:
    result = refused["none"].result()
    assert result.code == 1, result
    assert "lets nobody pull it without logging in" in result.err, result
    assert f"SKYPILOT_DOCKER_SERVER={SERVER}" in result.err and f"KUBECTL_SKY_DOCKER_CONFIG={SERVER}" in result.err


def test_the_secrets_of_the_service_account_stay(place: Place, tmp_path: Path) -> None:
    """Kubernetes would drop them for a pod that names its own."""
    sky = place.sky
    spec = {**place.registry.pod, "serviceAccountName": "team"}
    config = {"kubernetes": {"pod_config": {"spec": spec}}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "team"}}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps({**account, "imagePullSecrets": [{"name": "not-there"}]}))
    file = task_file(tmp_path, place, "team/app:1", secrets=login("x"), config=config)
    shown = json.loads(sky.ok("launch", "-c", "account", "--dry-run=server", "-o", "json", file).out)
    pod = next(one for one in shown["items"] if one["kind"] == "Job")["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["imagePullSecrets"]] == ["account-pull", "not-there"]


def test_a_secret_that_is_there(place: Place, tmp_path: Path) -> None:
    sky = replace(place.sky, env={"KUBECTL_SKY_IMAGE_PULL_SECRET": "team"})
    file = task_file(tmp_path, place, f"{SERVER}/basic/{RUN}-named:1")
    refused = sky.run("launch", "-c", "named", file)
    assert refused.code == 2 and f"namespace {sky.namespace} has no Secret 'team' to pull images with" in refused.err
    assert not [one for one in sky.objects() if "named" in one], "nothing was made"
    words = [
        f"--docker-{what}={value}"
        for what, value in zip(("username", "password", "server"), login(place.registry.password).values(), strict=True)
    ]
    sky.kubectl("create", "secret", "docker-registry", "team", *words)
    assert sky.ok("launch", "-c", "named", file).out.splitlines() == KEPT
    sky.ok("down", "named")
    assert secret(sky, "team"), "it is not the task's"


def test_this_machines_docker(place: Place, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-test"
    answer = json.dumps({"Username": USER, "Secret": place.registry.password})
    helper.write_text(f"#!/bin/sh\nread -r host || true\n[ \"$host\" = {SERVER} ] && echo '{answer}'\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {SERVER: "test"}}))
    env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:{place.sky.environment()['PATH']}"}
    file = task_file(tmp_path, place, f"{SERVER}/token/{RUN}-docker:1")
    stays = replace(place.sky, env=env).ok("render", file)
    assert "imagePullSecrets" not in stays.out, "a login of this machine stays here unless it is told to go along"
    sky = replace(place.sky, env={**env, "KUBECTL_SKY_DOCKER_CONFIG": SERVER})
    result = sky.ok("launch", "-c", "docker", file)
    assert result.out.splitlines() == KEPT
    assert f"The login for {SERVER} of {tmp_path}/config.json goes along" in result.err
    shown = sky.ok("render", "-c", "docker", file)
    hidden = base64.b64encode(place.registry.password.encode()).decode()
    assert "docker-pull" in shown.out and "are hidden" in shown.err
    assert place.registry.password not in shown.out and hidden not in shown.out
    sky.ok("down", "docker", "--no-wait")
