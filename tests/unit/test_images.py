"""Which image a task runs in, and how the nodes come by it."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubectl_sky import dockerconfig, images, planning, podspec, registry, shape, task
from kubectl_sky.diagnosis import pulling
from kubectl_sky.errors import ApiError, Failure, TaskErrors, UsageError
from kubectl_sky.settings import Settings
from kubectl_sky.task import Task

LOGIN = """
secrets:
  SKYPILOT_DOCKER_USERNAME: ann
  SKYPILOT_DOCKER_PASSWORD: "pass:word"
  SKYPILOT_DOCKER_SERVER: reg.example:5000
"""
OTHER = {"spec": {"imagePullSecrets": [{"name": "corp"}]}}


def parsed(text: str) -> Task:
    return task.parse(text, "task.yaml")[0]


def planned(text: str, context: str = "here", found: podspec.Facts | None = None) -> podspec.Plan:
    key = podspec.Identity("private", "public")
    choice = planning.blind(parsed(text), context)
    return planning.plan(choice, planning.Options("t"), found or podspec.Facts(context=context), key)


def pod(plan: podspec.Plan) -> dict[str, Any]:
    return dict(podspec.render(plan)[-1]["spec"]["template"]["spec"])


def image_of(text: str, context: str = "here") -> str:
    return str(pod(planned(text, context))["containers"][0]["image"])


def secrets_of(plan: podspec.Plan) -> list[str]:
    return [one["name"] for one in pod(plan).get("imagePullSecrets", [])]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings and no docker logins but a test's own."""
    for name in [name for name in os.environ if name.startswith("KUBECTL_SKY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECTL_SKY_CONFIG", str(tmp_path / "config.yaml"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


# -- image_id -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "image"),
    [
        ("docker:a/b:1", "a/b:1"),
        ("a/b:1", "a/b:1"),
        ("none", Settings().default_image),
        ("null", Settings().default_image),
        ("{here: docker:x, there: y}", "x"),
        ("{there: y, docker: docker:z}", "z"),
        ("{there: y, null: z}", "z"),
        ("{here: x, docker: z}", "x"),
        ("ami-062ddd90fb6f8267a", Settings().default_image),
        ("{us-east-1: skypilot:gpu-ubuntu-2004, us-east-2: projects/a/global/images/b}", Settings().default_image),
        ("{us-east-1: 'skypilot:cpu-ubuntu-2004', docker: x}", "x"),
        ("docker:ami-062ddd90fb6f8267a", "ami-062ddd90fb6f8267a"),
    ],
)
def test_forms_of_image_id(value: str, image: str) -> None:
    assert image_of(f"resources: {{image_id: {value}}}\nrun: a") == image


def test_images_of_machines_are_told() -> None:
    text = "resources: {image_id: ami-062ddd90fb6f8267a, any_of: [{image_id: {us: 'skypilot:gpu', docker: x}}]}\nrun: a"
    assert [(one.field, one.message) for one in task.parse(text, "task.yaml")[1]] == [
        ("resources.image_id", '"ami-062ddd90fb6f8267a" is an image of virtual machines and is ignored'),
        ("resources.any_of[0].image_id.us", '"skypilot:gpu" is an image of virtual machines and is ignored'),
    ]


def test_alternatives_have_images_of_their_own() -> None:
    text = "resources: {image_id: {here: x, docker: z}, any_of: [{cpus: 1}, {cpus: 2, image_id: w}]}\nrun: a"
    assert image_of(text) == "x"
    assert image_of(text, "there") == "z"


def test_no_image_for_the_context() -> None:
    with pytest.raises(TaskErrors) as error:
        planned("resources:\n  image_id: {a: x, b: y}\nrun: a")
    assert "task.yaml:2:13: resources.image_id: no image for the context here: there is one for a, b" in str(
        error.value
    )
    assert image_of("resources: {image_id: {a: x, b: y}}", "") == "x", "without a cluster"


def test_contexts_without_an_image_do_not_come_into_question() -> None:
    one = parsed("resources: {image_id: {a: x, b: y}}")
    assert [name for name in "abc" if images.serves(one, name)] == ["a", "b"]
    assert images.serves(parsed("resources: {image_id: {a: x, docker: y}}"), "c")
    assert images.serves(parsed("resources: {image_id: {a: x}, any_of: [{image_id: y}]}"), "c")


def test_a_second_launch_compares_the_images_of_the_context() -> None:
    text = "resources: {image_id: {here: x, docker: z}}\nrun: a"
    there = json.loads(planned(text).annotations[shape.SHAPE])
    assert shape.misfits(images.resolved(parsed(text), "here"), there) == []
    assert shape.misfits(images.resolved(parsed(text), "there"), there) == ["image: asked for z, has x"]


@pytest.mark.parametrize(
    ("image", "host"),
    [("python:3", "docker.io"), ("a/b", "docker.io"), ("docker.io/a/b", "docker.io"), ("ghcr.io/a/b:1", "ghcr.io"),
     ("localhost/x", "localhost"), ("h:5000/x@sha256:1", "h:5000"), ("index.docker.io/a/b", "docker.io")],
)  # fmt: skip
def test_the_registry_of_an_image(image: str, host: str) -> None:
    assert images.registry(image) == host


@pytest.mark.parametrize(
    ("written", "server"),
    [("https://index.docker.io/v1/", "docker.io"), ("docker.io", "docker.io"), ("https://ghcr.io/", "ghcr.io"),
     ("http://h:5000/v2/", "h:5000"), ("us-docker.pkg.dev/p/r", "us-docker.pkg.dev/p/r")],
)  # fmt: skip
def test_how_people_write_a_server(written: str, server: str) -> None:
    assert images.server(written) == server


# -- the task's own login -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ("secrets", "envs"))
def test_the_tasks_login(place: str) -> None:
    text = "resources: {image_id: team/app:1}\nrun: echo $A\n" + LOGIN.replace("secrets", place)
    plan = planned(text)
    made = podspec.render(plan)
    secret = next(one for one in made if one["metadata"]["name"] == "t-pull")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    auths = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["auths"]
    pair = base64.b64encode(b"ann:pass:word").decode()
    assert auths == {"reg.example:5000": {"username": "ann", "password": "pass:word", "auth": pair}}
    assert pod(plan)["containers"][0]["image"] == "reg.example:5000/team/app:1", "as in SkyPilot"
    assert secrets_of(plan) == ["t-pull"]
    rest = base64.b64decode(made[0]["data"]["task.json"]).decode() + json.dumps(made[1:2] + made[-1:])
    assert "pass:word" not in rest and "SKYPILOT_DOCKER" not in rest, "not the job's own"
    assert podspec.has_secrets(plan), "so that they are not shown"
    shown = json.dumps(podspec.hidden(made))
    assert secret["data"][".dockerconfigjson"] not in shown
    assert "pass:word" not in repr(plan.parts[0].pull_secrets) + repr(registry.of_task(plan.task))


def test_a_login_for_docker_hub_is_under_the_name_that_kubelet_knows() -> None:
    plan = planned("resources: {image_id: me/app}\n" + LOGIN.replace("reg.example:5000", "docker.io"))
    config = base64.b64decode(plan.parts[0].manifests[0]["data"][".dockerconfigjson"])
    assert list(json.loads(config)["auths"]) == ["https://index.docker.io/v1/"]
    assert pod(plan)["containers"][0]["image"] == "me/app"


def test_a_login_for_another_registry_than_the_images_is_told() -> None:
    plan = planned("resources: {image_id: ghcr.io/a/b}\n" + LOGIN)
    assert plan.notes == [
        "SKYPILOT_DOCKER_SERVER is reg.example:5000, and the image ghcr.io/a/b does not come from there"
    ]


def test_an_empty_password_is_no_login() -> None:
    with pytest.raises(UsageError, match="SKYPILOT_DOCKER_PASSWORD must not be empty"):
        planned(LOGIN.replace('"pass:word"', '""') + "run: a")


def test_the_secrets_of_all_are_named_together() -> None:
    text = "resources: {image_id: team/app:1}\n" + LOGIN
    account = podspec.Facts(context="here", pull_secrets=("sa",))
    assert secrets_of(planned(text, found=account)) == ["t-pull", "sa"], "those of the account count no more by itself"
    text += f"config: {{kubernetes: {{pod_config: {json.dumps(OTHER)}}}}}"
    assert secrets_of(planned(text, found=account)) == ["t-pull", "corp"]
    assert secrets_of(planned("run: a", found=account)) == []


def test_named_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_SKY_IMAGE_PULL_SECRET", "one, two")
    assert secrets_of(planned("run: a")) == ["one", "two"]
    assert registry.wanted(parsed("run: a"), Settings(image_pull_secret="one"))
    assert not registry.wanted(parsed("run: a"), Settings())


def test_a_named_secret_must_be_there() -> None:
    text = f"config:\n  kubernetes:\n    pod_config: {json.dumps(OTHER)}\nrun: a"
    plan = planned(text)

    def ask(answer: dict[str, Any] | ApiError) -> None:
        def get(path: str) -> dict[str, Any]:
            assert path == "/api/v1/namespaces/ml/secrets/corp"
            if isinstance(answer, ApiError):
                raise answer
            return answer

        cluster: Any = SimpleNamespace(namespace="ml", get=get)
        registry.check(cluster, plan, podspec.render(plan))

    ask({"type": "kubernetes.io/dockerconfigjson"})
    ask(ApiError(403, "Forbidden", "may not read it"))
    with pytest.raises(TaskErrors, match=r"task.yaml:3:\d+: .*namespace ml has no Secret 'corp' to pull images with"):
        ask(ApiError(404, "NotFound", ""))
    with pytest.raises(TaskErrors, match="'corp' is of type Opaque"):
        ask({"type": "Opaque"})
    known = dataclasses.replace(plan, facts=podspec.Facts(pull_secrets=("corp",)))
    registry.check(None, known, podspec.render(known))  # type: ignore[arg-type]


def test_a_secret_of_the_settings_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_SKY_IMAGE_PULL_SECRET", "one")
    plan = planned("run: a")

    def get(path: str) -> None:
        raise ApiError(404, "NotFound", path)

    cluster: Any = SimpleNamespace(namespace="ml", get=get)
    with pytest.raises(UsageError, match="namespace ml has no Secret 'one'") as error:
        registry.check(cluster, plan, podspec.render(plan))
    assert "image_pull_secret" in str(error.value.hint)


# -- this machine's docker ------------------------------------------------------------------------------------------


def write(folder: Path, **config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def helper(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / f"docker-credential-{name}"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def encoded(pair: str) -> str:
    return base64.b64encode(pair.encode()).decode()


def test_a_login_in_the_file(own_home: Path) -> None:
    assert dockerconfig.find("ghcr.io") is None, "no file"
    hub, other = {"auth": encoded("me:a:b")}, {"username": "u", "password": "p"}
    write(own_home, auths={"https://index.docker.io/v1/": hub, "https://ghcr.io": other, "x.io": {}})
    login = dockerconfig.find("docker.io")
    assert login and (login.username, login.password) == ("me", "a:b")
    login = dockerconfig.find("ghcr.io")
    assert login and (login.username, login.password, login.server) == ("u", "p", "ghcr.io")
    assert dockerconfig.find("x.io") is None and dockerconfig.find("quay.io") is None


def test_helpers_come_first(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say = """read -r host || true; echo "{\\"Username\\": \\"NAME\\", \\"Secret\\": \\"for $host\\"}" """
    helper(own_home, "one", say.replace("NAME", "one"), monkeypatch)
    helper(own_home, "all", "echo credentials not found in native keychain; exit 1", monkeypatch)
    write(own_home, auths={"a.io": {"auth": encoded("file:x")}}, credsStore="all", credHelpers={"ghcr.io": "one"})
    login = dockerconfig.find("ghcr.io")
    assert login and (login.username, login.password) == ("one", "for ghcr.io")
    login = dockerconfig.find("a.io")
    assert login and login.username == "file"
    helper(own_home, "all", say.replace("NAME", "all"), monkeypatch)
    login = dockerconfig.find("docker.io")
    assert login and login.password == "for https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exec sleep 30", "did not answer within 0.2 s"),
        ("echo broken; exit 3", "failed: broken"),
        ('echo "no json secret-word"', "gave no login that can be read"),
        ("""echo '{"Username": "<token>", "Secret": "secret-word"}'""", "identity token"),
    ],
)
def test_a_helper_that_is_no_help(own_home: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str) -> None:
    monkeypatch.setattr(dockerconfig, "HELPER_SECONDS", 0.2)
    helper(own_home, "bad", script, monkeypatch)
    write(own_home, credsStore="bad")
    with pytest.raises(Failure, match=words) as error:
        dockerconfig.find("ghcr.io")
    assert "secret-word" not in str(error.value)
    monkeypatch.setenv("KUBECTL_SKY_DOCKER_CONFIG", "true")
    plan = planned("resources: {image_id: ghcr.io/a/b}")
    assert words in plan.notes[0] and not secrets_of(plan), "the image may well be public"


@pytest.mark.parametrize("text", ("{", "[]", '{"auths": {"ghcr.io": {"auth": "%"}}}'))
def test_a_broken_file(own_home: Path, text: str) -> None:
    (own_home / "config.json").write_text(text)
    with pytest.raises(Failure, match=r"config.json"):
        dockerconfig.find("ghcr.io")


def test_a_helper_that_is_not_there(own_home: Path) -> None:
    write(own_home, credsStore="nowhere")
    with pytest.raises(Failure, match=r"docker-credential-nowhere, which .* names, is not on PATH"):
        dockerconfig.find("ghcr.io")


@pytest.mark.parametrize(
    ("setting", "goes"),
    [
        ("", False),
        ("false", False),
        ("true", True),
        ("ghcr.io", True),
        ("quay.io, https://ghcr.io", True),
        ("a.io", False),
    ],
)
def test_this_machines_login_goes_along_only_when_settings_say_so(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, setting: str, goes: bool
) -> None:
    write(own_home, auths={"ghcr.io": {"auth": encoded("me:pw")}, "a.io": {"auth": encoded("me:other")}})
    monkeypatch.setenv("KUBECTL_SKY_DOCKER_CONFIG", setting)
    plan = planned("resources: {image_id: ghcr.io/a/b}")
    assert bool(secrets_of(plan)) is goes
    assert bool(plan.notes) is goes, "and is told"
    if goes:
        assert "other" not in base64.b64decode(plan.parts[0].manifests[0]["data"][".dockerconfigjson"]).decode()


def test_the_tasks_login_stands_before_this_machines(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(own_home, auths={"reg.example:5000": {"auth": encoded("me:pw")}})
    monkeypatch.setenv("KUBECTL_SKY_DOCKER_CONFIG", "true")
    plan = planned("resources: {image_id: team/app:1}\n" + LOGIN)
    assert len(plan.parts) == 1 and not plan.notes


def test_why_a_private_image_is_not_pulled() -> None:
    said = "pull access denied, repository does not exist or may require authorization: authorization failed"
    why, step, _ = pulling.explained("ghcr.io/a/b", said)
    assert "without logging in" in why and "SKYPILOT_DOCKER_SERVER=ghcr.io" in step
    why, step, _ = pulling.explained("ghcr.io/a/b", said, "", ["t-pull"])
    assert "with the Secret t-pull (has it the right login for ghcr.io?)" in why
    assert "check the user, the password" in step
