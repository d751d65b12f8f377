"""kubectl-sky-windows-amd64.exe in wine, with kubectl.exe, on the cluster (heavy: it is built first).

What wine has not is not tried: a console, and Windows' own OpenSSH, whose place small programs take.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import PROJECT, Sky, eventually
from tests.e2e.wine import BUILT, Wine, ensure, windows

pytestmark = pytest.mark.heavy
# as an editor on Windows writes it
TASK = """\
name: crlf
resources: {cpus: 0.2}
workdir: .
envs: {WORD: "zwölf"}
setup: |
  echo setup
run: |
  echo "word: $WORD"
  ./tools/hello.sh
  exit 3
""".replace("\n", "\r\n")


@pytest.fixture
def wine(sky: Sky, tmp_path: Path) -> Wine:
    ensure()
    (tmp_path / "bin").mkdir()
    shutil.copy(BUILT, tmp_path / "bin" / "kubectl-sky.exe")
    kubeconfig = tmp_path / "kube config"
    kubeconfig.write_text(sky.kubectl("config", "view", "--raw", "--flatten"))
    return Wine(tmp_path, kubeconfig, sky.namespace)


def test_without_a_cluster(wine: Wine) -> None:
    assert "launch" in wine.sky("--help").out
    for verb in ("launch", "exec", "logs", "jobs queue", "label-gpus", "dev", "ssh", "port-forward", "cp"):
        assert "Examples:" in wine.sky(*verb.split(), "--help").out
    shown = wine.sky("validate", windows(PROJECT / "examples")).out
    assert shown.count(": valid\n") == len(list((PROJECT / "examples").glob("*.yaml"))), shown
    rendered = wine.sky("render", windows(PROJECT / "examples" / "torchrun.yaml")).out
    assert "\r" not in rendered
    assert [one["kind"] for one in yaml.safe_load_all(rendered)] == ["Secret", "ConfigMap", "Service", "Job"]


def test_kubectl_finds_it(wine: Wine) -> None:
    assert "kubectl-sky.exe" in wine.run("kubectl.exe", "plugin", "list").out
    shown = wine.run("kubectl.exe", "sky", "status", "--namespace", wine.namespace)
    assert (shown.code, shown.out) == (0, ""), shown
    assert "No clusters in namespace" in shown.err
    assert wine.sky("nothing", code=2).out == ""
    refused = wine.run("kubectl.exe", "sky", "nothing")  # that kubectl starts plugins, and ends with 1 when they fail
    assert refused.code == 1
    assert refused.err.endswith("Error: exit status 2\n")


def test_a_launch_and_what_comes_after(wine: Wine, sky: Sky) -> None:
    done = wine.sky("launch", "-c", "train", "--cpus", "0.2", "--", "echo hello; sleep 1; echo bye; exit 5", code=5)
    assert done.out == "hello\nbye\n"
    assert "exit code 5" in done.err
    assert wine.sky("exec", "train", "--", "echo again").out == "again\n"
    wine.sky("exec", "-d", "train", "--", "sleep 600")
    assert wine.sky("queue", "train", "--no-headers").out.count("RUNNING") == 1
    wine.sky("cancel", "-y", "train", "3")
    assert wine.sky("logs", "train", "2").out == "again\n"
    assert "Up" in wine.sky("status").out
    assert "placed on" in wine.sky("explain", "train").out
    assert "✓ kubectl" in wine.sky("check").out
    assert wine.sky("ssh", "train", "echo $((6 * 7)); exit 4", code=4).out == "42\n"
    wine.sky("ssh-config")
    proxied = wine.run("ssh.exe", "-F", windows(wine.home / ".ssh" / "kubectl-sky" / "config"), "train", "hostname")
    assert (proxied.code, proxied.out) == (0, "train-0\n"), proxied
    wine.sky("ssh-config", "--remove")
    assert not (wine.home / ".ssh" / "kubectl-sky").exists()
    wine.sky("down", "-y", "train")
    assert sky.pods("train") == []


def test_files_of_a_folder_with_spaces(wine: Wine) -> None:
    folder = wine.folder / "my project"
    (folder / "tools").mkdir(parents=True)
    (folder / "tools" / "hello.sh").write_text("#!/bin/sh\necho from a script\n")  # no mode says that it is one
    (folder / "my task.yaml").write_bytes(TASK.encode())
    (folder / "large").write_bytes(os.urandom(5_000_000))
    done = wine.sky("launch", "my task.yaml", cwd=folder, code=3)
    assert done.out == "setup\nword: zwölf\nfrom a script\n"
    again = wine.sky("exec", "crlf", "--", "sha256sum large")
    assert again.out.split()[0] == subprocess.run(
        ["sha256sum", folder / "large"], capture_output=True, encoding="utf-8", check=True
    ).stdout.split()[0].lstrip("\\")  # fmt: skip
    managed = wine.sky("jobs", "launch", "-y", "--cpus", "0.2", "--", "echo by itself")
    assert managed.out == "by itself\n"


def test_a_port_is_forwarded_until_the_program_is_killed(wine: Wine, sky: Sky) -> None:
    run = "echo forwarded > index.html; python3 -m http.server 8000"
    wine.sky("launch", "-d", "-c", "web", "--cpus", "0.2", "--", run)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = wine.start("kubectl-sky.exe", "--namespace", wine.namespace, "port-forward", "web", f"{port}:8000")
    assert process.stdout
    assert process.stdout.readline() == f"Forwarding http://127.0.0.1:{port} -> 8000 (node 0 of web)\n".encode()

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as answer:
                return answer.read() == b"forwarded\n"
        except OSError:
            return False

    eventually("the port answers", answers, 20)
    for pid in ours(wine, "port-forward"):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    eventually("kubectl.exe is gone", lambda: not answers(), 20)


def ours(wine: Wine, word: str) -> list[int]:
    """The processes of kubectl-sky.exe: the file unpacks itself and starts what it holds."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"kubectl-sky.exe" in line and word.encode() in line and wine.namespace.encode() in line:
            found.append(int(folder.name))
    return found
