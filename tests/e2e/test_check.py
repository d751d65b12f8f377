"""check: what it says of a real cluster, as an administrator, as a user of one namespace, and as nobody."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from tests.e2e.conftest import Result, Sky, eventually

QUOTA = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: small}
spec: {hard: {pods: "0", requests.cpu: "4"}}
"""
LIMITS = """
apiVersion: v1
kind: LimitRange
metadata: {name: tight}
spec: {limits: [{type: Container, min: {cpu: 50m}, default: {cpu: 500m}}]}
"""


def document(sky: Sky, *args: str, code: int = 0) -> dict:
    result = sky.run("check", "-o", "json", *args)
    assert result.code == code, result
    return json.loads(result.out)


def found(context: dict, check: str) -> list[dict]:
    return [one for one in context["findings"] if one["check"] == check]


def the(context: dict, check: str) -> dict:
    [one] = found(context, check)
    return one


def test_an_administrator_can_use_the_cluster(sky: Sky) -> None:
    result = sky.ok("check")
    assert result.out.startswith("Kubernetes: enabled\n") and result.err == "", result
    for line in ("✓ version: Kubernetes 1.", "✓ rights: ", "✓ admission: ", "✓ kubectl: ", "✓ clock: "):
        assert line in result.out, result
    assert "✗" not in result.out and "!" not in result.out and "\x1b" not in result.out


def test_everything_as_json(sky: Sky) -> None:
    [context] = document(sky)["contexts"]
    assert context["usable"] and context["name"] and context["version"].startswith("v1.")
    assert context["namespace"] == {"name": sky.namespace, "phase": "Active", "podSecurity": "privileged"}
    assert context["rights"]["missing"] == [] and context["roles"] == []
    assert context["nodes"]["total"] >= 1 and context["gpus"] == [] and context["quotas"] == []
    assert abs(context["clockSkewSeconds"]) < 5
    assert {one["state"] for one in context["findings"]} <= {"ok", "info"}
    assert sky.ok("check", "-o", "yaml").out.startswith("usable: true\n")


def test_a_user_of_one_namespace(kubeconfig: str) -> None:
    """The role `edit` in `default`, and nothing else."""
    sky = Sky("default", kubeconfig)
    [context] = document(sky, "--as", "edit")["contexts"]
    assert context["usable"] and context["user"] == "edit"
    assert context["nodes"] is None and context["gpus"] is None and context["storageClasses"] is None
    assert context["rights"]["missing"] == []
    assert context["rights"]["missingInCluster"] == ["list nodes", "list pods", "patch nodes"]
    assert {one["state"] for one in context["findings"]} <= {"ok", "info"}
    assert the(context, "admission")["state"] == "ok"


def test_the_role_that_is_missing(sky: Sky) -> None:
    nobody = ("--as", f"nobody-{uuid.uuid4().hex[:6]}")
    refused = sky.run("check", *nobody)
    assert refused.code == 1 and refused.out.startswith("Kubernetes: disabled\n"), refused
    assert "✗ rights: " in refused.out and "get, create pods/exec" in refused.out and "kind: RoleBinding" in refused.out
    role = sky.run("check", "--role", *nobody)
    assert role.code == 1 and role.err == "", role
    try:
        sky.kubectl("apply", "-f", "-", stdin=role.out)
        eventually("the Role counts", lambda: sky.run("check", *nobody).code == 0, 10)
        [context] = document(sky, *nobody)["contexts"]
        assert context["roles"] == [] and context["nodes"]["total"] >= 1
        assert context["rights"]["missingInCluster"] == ["patch nodes"]
        assert sky.run("check", "--role", *nobody).err == "no right is missing\n"
        done = sky.run(*nobody, "launch", "--cpus", "0.1", "-c", "one", "--", "echo hello")
        assert (done.code, done.out) == (0, "hello\n"), done
        assert sky.run(*nobody, "down", "-y", "one").code == 0
    finally:
        sky.kubectl("delete", "clusterrolebinding", f"kubectl-sky-view:{nobody[1]}", "--ignore-not-found")
        sky.kubectl("delete", "clusterrole", "kubectl-sky-view", "--ignore-not-found")


def test_a_quota_without_room(sky: Sky) -> None:
    sky.kubectl("create", "-f", "-", stdin=QUOTA)
    eventually("the quota is counted", lambda: "0" in sky.kubectl("get", "quota", "small", "-o", "jsonpath={.status}"))
    [context] = document(sky)["contexts"]
    assert context["usable"]  # it passes when something ends
    assert the(context, "quotas")["state"] == "warning" and "pods 0/0" in the(context, "quotas")["message"]
    assert context["quotas"][0]["resources"]["requests.cpu"] == {"used": "0", "hard": "4"}
    assert the(context, "admission")["state"] == "warning" and "quota 'small'" in the(context, "admission")["message"]


def test_a_limit_range_that_refuses_us(sky: Sky) -> None:
    sky.kubectl("create", "-f", "-", stdin=LIMITS)
    eventually("it counts", lambda: the(document_any(sky), "admission")["state"] == "problem", 10)
    context = document_any(sky)
    assert not context["usable"]
    limits = the(context, "limit-ranges")
    assert limits["state"] == "problem" and "at least 0.05" in limits["message"] and "administrator" in limits["hint"]
    assert "minimum cpu usage per Container is 50m" in the(context, "admission")["message"]


def document_any(sky: Sky) -> dict:
    return json.loads(sky.run("check", "-o", "json").out)["contexts"][0]


def test_restricted_pod_security(sky: Sky) -> None:
    sky.kubectl("label", "namespace", sky.namespace, "pod-security.kubernetes.io/enforce=restricted")
    [context] = document(sky)["contexts"]
    assert context["namespace"]["podSecurity"] == "restricted"
    assert "user 1000" in the(context, "pod-security")["message"] and the(context, "admission")["state"] == "ok"
    deep = sky.ok("check", "--deep")
    assert "ran on node" in deep.out, deep
    assert sky.kubectl("get", "pods", "-o", "name") == ""


def test_an_image_that_cannot_be_pulled(sky: Sky) -> None:
    sky.env["KUBECTL_SKY_RUNTIME_IMAGE"] = "localhost:9/none:1"
    shallow = the(document_any(sky), "image")
    assert shallow["state"] == "info" and "--deep" in shallow["hint"]
    deep = sky.run("check", "--deep")
    assert deep.code == 1 and "✗ image: the image localhost:9/none:1 cannot be pulled: " in deep.out, deep
    assert sky.kubectl("get", "pods", "-o", "name") == ""


def test_no_namespace(kubeconfig: str) -> None:
    result = Sky("none-such", kubeconfig).run("check")
    assert result.code == 1 and "✗ namespace: there is no namespace 'none-such'" in result.out, result


# -- contexts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def many(sky: Sky, tmp_path: Path) -> Sky:
    """Contexts that live, that do not answer, and one whose credentials nobody knows."""
    config = json.loads(sky.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
    live = config["contexts"][0]
    for name, server in (("dead", "https://127.0.0.1:9"), ("away", "https://240.0.0.1:6443")):
        config["clusters"].append({"name": name, "cluster": {"server": server}})
        config["contexts"].append({"name": name, "context": {**live["context"], "cluster": name}})
    config["users"].append({"name": "stranger", "user": {"token": "x"}})
    config["contexts"].append({"name": "stranger", "context": {**live["context"], "user": "stranger"}})
    file = tmp_path / "config"
    file.write_text(json.dumps(config))
    return Sky(sky.namespace, str(file), {"LIVE": live["name"]})


def test_contexts_are_asked_side_by_side(many: Sky) -> None:
    began = time.monotonic()
    result = many.ok("check", "--all-contexts")
    assert time.monotonic() - began < 10
    assert result.out.startswith("Kubernetes: enabled (1 of 4 contexts)\n"), result
    assert "context dead (https://127.0.0.1:9): disabled\n  ✗ connection: cannot reach the cluster" in result.out, (
        result
    )
    assert "does not accept your credentials" in result.out, result
    chosen = document(many, "dead", many.env["LIVE"])["contexts"]
    assert [(one["name"], one["usable"]) for one in chosen] == [("dead", False), (many.env["LIVE"], True)]
    assert document(many, "dead", "none-such", code=1)["usable"] is False


def test_no_kubeconfig(sky: Sky, tmp_path: Path) -> None:
    lost = Sky(sky.namespace, str(tmp_path / "none"))
    result = lost.run("check")
    assert result.code == 1 and "✗ connection: no kubeconfig found" in result.out and result.err == "", result
    [context] = document(lost, code=1)["contexts"]
    assert context["findings"][0]["hint"] and context["roles"] == []


def test_without_utf8_and_with_a_closed_stdout(sky: Sky) -> None:
    sky.env["PYTHONIOENCODING"] = "ascii"
    result = sky.ok("check")
    assert "  + version: " in result.out and result.out.isascii(), result
    with subprocess.Popen(
        sky.argv("check"), env=sky.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(60) == 141


@pytest.mark.parametrize("words", [("-o", "wide"), ("--role", "-o", "json"), ("--request-timeout", "x")])
def test_flags_that_make_no_sense(sky: Sky, words: tuple[str, ...]) -> None:
    result: Result = sky.run("check", *words)
    assert result.code == 2 and result.err.startswith("error: "), result
