"""Each key of SkyPilot's configuration that is honoured, in a real cluster; and a bad pod_config, refused first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Result, Sky, eventually, image, namespace

QUEUE = "kueue.x-k8s.io/queue-name"


@pytest.fixture(scope="module")
def space(kubeconfig: str) -> Iterator[Sky]:
    with namespace(kubeconfig) as sky:
        yield sky


class User:
    """A user with a home, a project and a task file in it."""

    def __init__(self, space: Sky, folder: Path):
        # the test's own files, whatever those of this machine are
        self.folder, self.home = folder, folder / "global.yaml"
        self.sky = replace(space, cwd=folder, env={"SKYPILOT_GLOBAL_CONFIG": str(self.home)})
        self.config({})
        self.task()

    def config(self, kubernetes: dict[str, Any]) -> None:
        self.home.write_text(yaml.safe_dump({"kubernetes": kubernetes}))

    def project(self, kubernetes: dict[str, Any]) -> None:
        (self.folder / ".sky.yaml").write_text(yaml.safe_dump({"kubernetes": kubernetes}))

    def task(self, kubernetes: dict[str, Any] | None = None, **fields: Any) -> None:
        task = {"resources": {"cpus": 0.1, "memory": 0.1, "image_id": image("python")}, "run": "echo A=$A", **fields}
        if kubernetes:
            task["config"] = {"kubernetes": kubernetes}
        (self.folder / "task.yaml").write_text(yaml.safe_dump(task, sort_keys=False))

    def launch(self, name: str, *flags: str) -> Result:
        return self.sky.run("launch", "task.yaml", "-c", name, *flags)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.sky.kubectl("get", kind, name, "-o", "json"))

    def made(self, name: str, *flags: str) -> dict[str, Any]:
        """The Job as the server takes it, and nothing kept."""
        result = self.sky.ok("launch", "task.yaml", "-c", name, "--dry-run=server", "-o", "json", *flags)
        return next(one for one in json.loads(result.out)["items"] if one["kind"] == "Job")


@pytest.fixture
def user(space: Sky, tmp_path: Path) -> User:
    return User(space, tmp_path)


def test_files_task_and_flag_in_their_order(user: User) -> None:
    def env(value: str) -> dict[str, Any]:
        return {"pod_config": {"spec": {"containers": [{"env": [{"name": "A", "value": value}]}]}}}

    user.config({**env("global"), "context_configs": {}})
    (user.folder / "flag.yaml").write_text(yaml.safe_dump({"kubernetes": env("flag")}))
    steps = [("global", lambda: None), ("project", lambda: user.project(env("project"))),
             ("task", lambda: user.task(env("task")))]  # fmt: skip
    found = []
    for _, step in steps:
        step()
        found.append(a_of(user.made("order")))
    found.append(a_of(user.made("order", "--config", "flag.yaml")))
    assert found == ["global", "project", "task", "flag"]


def a_of(job: dict[str, Any]) -> str:
    [value] = [one["value"] for one in job["spec"]["template"]["spec"]["containers"][0]["env"] if one["name"] == "A"]
    return value


def test_a_context_has_its_own(user: User) -> None:
    context = user.sky.kubectl("config", "current-context").strip()
    labels = {"custom_metadata": {"labels": {"team": "ml", "where": "any"}}}
    here = {"custom_metadata": {"labels": {"where": "here"}}}
    user.config({**labels, "context_configs": {context: here, "other": {"set_pod_resource_limits": 3}}})
    job = user.made("own")
    assert {key: job["metadata"]["labels"][key] for key in ("team", "where")} == {"team": "ml", "where": "here"}
    assert "cpu" not in job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_what_a_running_task_has(user: User) -> None:
    """custom_metadata on all objects, a service account with its token, limits, the task's container as ray-node."""
    user.sky.kubectl("create", "serviceaccount", "trainer")
    user.config({
        "custom_metadata": {"labels": {"team": "ml"}, "annotations": {"example.com/why": "a test"}},
        "remote_identity": {"*": "trainer"}, "set_pod_resource_limits": 2,
    })  # fmt: skip
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    user.task(
        {"pod_config": {"spec": {"containers": [{"name": "ray-node", "env": [{"name": "A", "value": "pod"}]}]}}},
        run=f"echo A=$A; test -s {token} && echo token",
    )
    result = user.launch("whole")
    assert (result.code, result.out) == (0, "A=pod\ntoken\n"), result
    kinds = {kind: user.get(kind, name)["metadata"] for kind, name in
             (("job", "whole"), ("secret", "whole-sky"), ("configmap", "whole-sky"))}  # fmt: skip
    [pod] = user.sky.pods("whole")
    for metadata in (*kinds.values(), pod["metadata"]):
        assert metadata["labels"]["team"] == "ml", metadata
        assert metadata["annotations"]["example.com/why"] == "a test", metadata
    assert pod["spec"]["serviceAccountName"] == "trainer"
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "180m", "memory": "204Mi"}
    assert len(pod["spec"]["containers"]) == 2
    user.sky.ok("down", "whole")


def test_pods_of_others_have_no_token(user: User) -> None:
    user.config({"remote_identity": "SERVICE_ACCOUNT"})
    result = user.sky.ok("launch", "task.yaml", "-c", "bare", "--dry-run=server", "-o", "json")
    assert "global.yaml:2:20: kubernetes.remote_identity: SERVICE_ACCOUNT: pods have no identity here" in result.err
    assert '"automountServiceAccountToken": false' in result.out


def test_allowed_nodes(user: User) -> None:
    nodes = [one["metadata"]["name"] for one in json.loads(user.sky.kubectl("get", "nodes", "-o", "json"))["items"]]
    user.config({"allowed_nodes": {"names": [nodes[-1]], "label_selector": {"no/such": "label"}}})
    assert user.launch("there").code == 0
    [pod] = user.sky.pods("there")
    assert pod["spec"]["nodeName"] == nodes[-1]
    user.sky.ok("down", "there")
    user.config({"allowed_nodes": {"names": ["no-such-node"]}})
    refused = user.launch("nowhere")
    assert (refused.code, "can ever run this task" in refused.err) == (1, True), refused
    # an autoscaler may bring one
    user.config({"allowed_nodes": {"names": ["no-such-node"]}, "autoscaler": "generic", "provision_timeout": 1})
    waited = user.launch("nowhere")
    assert (waited.code, "has not started within 1s" in waited.err) == (124, True), waited
    user.sky.ok("down", "nowhere")


def test_a_queue_holds_the_job(user: User) -> None:
    user.task({"kueue": {"local_queue_name": "team-q", "admission_timeout": 1}, "provision_timeout": 1})
    result = user.launch("queued")
    assert (result.code, "has not started within 2s" in result.err) == (124, True), result
    job = user.get("job", "queued")
    assert (job["metadata"]["labels"][QUEUE], job["spec"]["suspend"]) == ("team-q", True)
    assert user.sky.pods("queued") == []
    user.sky.ok("down", "queued")


def test_prices_are_those_of_skypilots_file(user: User) -> None:
    user.config({"pricing": {"cpu": 1000}})
    result = user.sky.ok("launch", "task.yaml", "-c", "dear", "--dry-run=server")
    assert "COST ($/H)" in result.err and "100.00" in result.err, result


def test_namespace_and_contexts(user: User, tmp_path: Path) -> None:
    """Where neither flag nor context names one; contexts that the kubeconfig lacks are passed over."""
    kubeconfig = yaml.safe_load(Path(user.sky.kubeconfig).read_text())
    for one in kubeconfig["contexts"]:
        one["context"].pop("namespace", None)
    (tmp_path / "kc").write_text(yaml.safe_dump(kubeconfig))
    context = kubeconfig["current-context"]
    user.config({"namespace": user.sky.namespace, "allowed_contexts": ["gone", context]})
    sky = replace(user.sky, kubeconfig=str(tmp_path / "kc"))
    plain = replace(sky, namespace="")
    plain.argv = lambda *args: [one for one in Sky.argv(sky, *args) if one not in ("--namespace", sky.namespace)]  # type: ignore[method-assign]
    result = plain.run("launch", "task.yaml", "-c", "spaced", "-d")
    assert result.code == 0, result
    assert "allowed_contexts: the kubeconfig has no context 'gone'" in result.err
    assert user.get("job", "spaced")["metadata"]["namespace"] == user.sky.namespace
    assert "spaced" in plain.ok("status").out
    assert plain.run("down", "spaced").code == 0


BAD = {
    "unknown": ({"spec": {"tolerations": [{"key": "a"}], "nodeSelecter": {"a": "b"}}},
                "task.yaml:12:9: pod_config.spec.nodeSelecter: there is no such field in Kubernetes"),
    "type": ({"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}},
             "task.yaml:13:13: pod_config.spec.containers.env.value: should be text, not a number"),
    "value": ({"spec": {"containers": [{"name": "side", "imagePullPolicy": "Sometimes", "image": "x"}]}},
              'task.yaml:12:11: pod_config.spec.containers[2].imagePullPolicy: Unsupported value: "Sometimes"'),
    "clash": ({"spec": {"containers": {"name": "x"}}},
              "task.yaml:11:11: config.kubernetes.pod_config.spec.containers: should be a list"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_pod_config_is_refused_before_anything_is_made(user: User, name: str) -> None:
    pod, expected = BAD[name]
    user.task({"pod_config": pod})
    before = user.sky.objects()
    result = user.launch(f"bad-{name}")
    assert result.code == 2, result
    assert expected in result.err, result
    assert user.sky.objects() == before


def test_a_bad_pod_config_of_a_file_names_the_file(user: User) -> None:
    user.config({"pod_config": {"spec": {"terminationGracePeriodSeconds": "soon"}}})
    result = user.launch("bad-file")
    assert result.code == 2, result
    place = f"{user.home}:4:7: pod_config.spec.terminationGracePeriodSeconds: should be a whole number, not text"
    assert place in result.err


def test_view_tells_where_from(user: User) -> None:
    user.config({"namespace": "x"})
    out = user.sky.ok("config", "view", "--config", "kubernetes.provision_timeout=7").out
    lines = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
    assert lines["kubernetes.namespace"] == ["x", f"{user.home}:2"]
    assert lines["kubernetes.provision_timeout"] == ["7", "--config", "kubernetes.provision_timeout"]


def test_nothing_is_left(user: User) -> None:
    def left() -> list[str]:
        return [one for one in user.sky.objects() if one.startswith(("job", "pod/", "secret", "configmap/"))]

    eventually("all is gone", lambda: [one for one in left() if "kube-root-ca" not in one] == [])
