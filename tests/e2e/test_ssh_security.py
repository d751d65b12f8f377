"""Who gets into a task, and who does not. Each refusal stands beside the same thing done by somebody who may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Sky, image, namespace

LISTENING = ("0A", "07")  # tcp's state, and udp's of a socket that takes what comes
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
    print("open")
except OSError as error:
    print(error.strerror or error)
"""
PYTHON = ("/sky/tools/bin/python3", "-SE", "-c")
NODE_KEY = "/sky/etc/id_ed25519"


@dataclass(frozen=True)
class Tasks:
    """`single` has one node, `pair` and `others` have two, all in one namespace."""

    sky: Sky
    home: Path

    def inside(self, name: str, node: int, *command: str, container: str = "task") -> str:
        """What a command prints in a node's container."""
        selector = f"app.kubernetes.io/instance={name},batch.kubernetes.io/job-completion-index={node}"
        pod = self.sky.kubectl("get", "pods", "-l", selector, "-o", "name").strip()
        return self.sky.kubectl("exec", pod, "-c", container, "--", *command, check=False)

    def address(self, name: str, node: int) -> str:
        pods = {
            pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod for pod in self.sky.pods(name)
        }
        return pods[str(node)]["status"]["podIP"]


@pytest.fixture(scope="module")
def tasks(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tasks]:
    home = tmp_path_factory.mktemp("home")
    (home / "tmp").mkdir()
    with namespace(kubeconfig) as sky:
        sky.env.update(HOME=str(home), TMPDIR=str(home / "tmp"))
        launch = ("launch", "-d", "--cpus", "0.1", "--image-id", image("busybox"))
        nodes = {"single": "1", "pair": "2", "others": "2"}
        with ThreadPoolExecutor(len(nodes)) as pool:
            list(pool.map(lambda name: sky.ok(*launch, "-c", name, "--num-nodes", nodes[name]), nodes))
        yield Tasks(sky, home)


def ports(table: str) -> set[int]:
    """The ports that something listens on, of a /proc/net table."""
    rows = [line.split() for line in table.splitlines()]
    return {int(row[1].rsplit(":", 1)[1], 16) for row in rows if len(row) > 3 and row[3] in LISTENING}


def test_no_port_is_open(tasks: Tasks) -> None:
    """Of a pod with one node, while somebody is in it; the others have the nodes' own sshd."""
    tables = [f"/proc/net/{name}" for name in ("tcp", "tcp6", "udp", "udp6")]
    seen = tasks.sky.ok("ssh", "single", "cat " + " ".join(tables)).out
    assert seen.count("local_address") == len(tables) and ports(seen) == set()
    for rank in (0, 1):
        assert ports(tasks.inside("pair", rank, "cat", *tables)) == {2222}


@pytest.mark.parametrize("port", ("22", "2222"))
def test_another_pod_finds_no_door(tasks: Tasks, port: str) -> None:
    said = tasks.inside("others", 0, *PYTHON, CONNECT, tasks.address("single", 0), port)
    assert said == "Connection refused\n"


def test_another_tasks_key_is_refused(tasks: Tasks) -> None:
    """The nodes of a task reach each other by its own key alone."""
    address = tasks.address("pair", 1)
    flags = "-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    ssh = f"/sky/tools/bin/ssh -F none {flags} -p 2222"
    with_key = f"{ssh} -i {NODE_KEY} sky@{address} 'echo in' 2>&1"
    shell = ("/bin/sh", "-c")
    assert tasks.inside("pair", 0, *shell, with_key, container="ssh") == "in\n"
    assert "Permission denied" in tasks.inside("others", 0, *shell, with_key, container="ssh")
    without = f"{ssh} -o PreferredAuthentications=none,password,keyboard-interactive sky@{address} 'echo in' 2>&1"
    assert "Permission denied" in tasks.inside("others", 0, *shell, without, container="ssh")


def test_rights_in_another_namespace_do_not_help(tasks: Tasks, kubeconfig: str) -> None:
    """Of two people with the role `edit`, one in the task's namespace."""
    sky = tasks.sky
    sky.kubectl("create", "rolebinding", "friend", "--clusterrole=edit", "--user=friend")
    pod = sky.pods("single")[0]["metadata"]["name"]
    with namespace(kubeconfig) as other:
        other.kubectl("create", "rolebinding", "stranger", "--clusterrole=edit", "--user=stranger")
        assert sky.ok("--as=friend", "ssh", "single", "echo in").out == "in\n"
        refused = sky.run("--as=stranger", "ssh", "single", "echo in")
        assert refused.code == 1 and not refused.out and "stranger" in refused.err, refused
        # somebody who knows the name of the pod
        proxy = sky.run("ssh-proxy", "--as=stranger", f"--pod={pod}", "single")
        assert proxy.code == 255 and "SSH-" not in proxy.out and "stranger" in proxy.err, proxy


def test_no_key_is_left_here(tasks: Tasks) -> None:
    """While tasks are up there is none either: the API server has asked who it is."""
    sky, home = tasks.sky, tasks.home
    (home / ".ssh").mkdir(mode=0o700)
    marker = home / ".ssh" / "marker"
    marker.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert keys(home) == [marker]  # the search finds one
    marker.unlink()
    sky.ok("ssh-config")
    mine = replace(sky, env={**sky.env, "SSH_AUTH_SOCK": ""})
    assert mine.ok("ssh", "single", "echo in").out == "in\n"
    assert mine.ok("cp", "single:/etc/hostname", str(home / "hostname")).code == 0
    hosts = (home / ".ssh" / "kubectl-sky" / "config").read_text()
    assert "Host single " in hosts and "Host pair-1 " in hosts and not keys(home)
    sky.ok("down", "-y", "single", "pair", "others")
    assert not keys(home) and not os.listdir(home / "tmp")
    assert "Host " not in (home / ".ssh" / "kubectl-sky" / "config").read_text()
    assert not (home / ".ssh" / "kubectl-sky" / "known_hosts").read_text()


def keys(folder: Path) -> list[Path]:
    """The files with a private key in them."""
    return [file for file in folder.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]
