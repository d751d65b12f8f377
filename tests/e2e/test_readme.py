"""A new user's first minutes, played from the README alone: what it says to install and to type, as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT, Sky, image

README = (PROJECT / "README.md").read_text()
# the cluster of the tests has no GPUs, and its nodes do not reach nvcr.io; nothing else is changed
STAND_INS = {
    "  accelerators: H100:8\n": "  cpus: 0.1\n",
    "docker:nvcr.io/nvidia/pytorch:25.09-py3": image("python"),
    "pip install -r requirements.txt": "cat requirements.txt",
    "nvidia-smi": "hostname",
}
TORCHRUN = '#!/bin/sh\necho "torchrun $*"\n'  # it is in the image that the README names


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def block(title: str, kind: str, number: int = 0) -> str:
    found: str = re.findall(rf"^```{kind}\n(.*?)^```", section(title), re.DOTALL | re.MULTILINE)[number]
    for text, instead in STAND_INS.items():
        found = found.replace(text, instead)
    return found


@pytest.mark.heavy
def test_the_demo() -> None:
    """Its cluster is that of the tests, which stays."""
    line = README.split("```sh\n")[1].splitlines()[0].partition("#")[0].strip()
    assert line == "bash scripts/demo.sh"
    done = subprocess.run(line, shell=True, cwd=PROJECT, text=True, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0 and "hello is down" in done.stdout, (done.stdout, done.stderr)


@pytest.mark.heavy
def test_installed_by_uv_and_by_pipx(tmp_path: Path) -> None:
    """Both from PyPI, in folders of their own."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)
    subprocess.run([tmp_path / "bin" / "pip", "install", "-q", "uv", "pipx"], check=True)
    lines = block("Install", "sh").splitlines()[2].split("# or: ")
    assert [line.split()[0] for line in lines] == ["uv", "pipx"]
    for line in lines:
        tool = line.split()[0]
        bin_dir = tmp_path / f"of-{tool}"
        others = [folder for folder in os.environ["PATH"].split(":") if not Path(folder, "kubectl-sky").exists()]
        env = {
            **os.environ,
            "PATH": ":".join([str(bin_dir), str(tmp_path / "bin"), *others]),
            **dict.fromkeys(("UV_TOOL_BIN_DIR", "PIPX_BIN_DIR"), str(bin_dir)),
            **dict.fromkeys(("UV_TOOL_DIR", "PIPX_HOME"), str(tmp_path / f"home-{tool}")),
        }
        subprocess.run(line, shell=True, cwd=PROJECT, env=env, check=True)
        said = subprocess.run("kubectl sky version --client", shell=True, env=env, capture_output=True, text=True)
        assert said.stdout.startswith("Client: ") and (bin_dir / "kubectl-sky").exists(), said


@pytest.fixture
def fresh(sky: Sky, tmp_path: Path) -> Sky:
    """A user with an empty home, whose PATH has kubectl and what the README's first way of installing puts there."""
    if not (PROJECT / "dist" / "kubectl-sky").exists():
        subprocess.run(["./build.sh"], cwd=PROJECT, env={**os.environ, "PYTHON": sys.executable}, check=True)
    install = block("Install", "sh").splitlines()[0].partition("#")[0].strip()
    assert install == "install dist/kubectl-sky /usr/local/bin/"
    bin_dir, home = tmp_path / "bin", tmp_path / "home"
    bin_dir.mkdir()
    (home / ".kube").mkdir(parents=True)
    subprocess.run(["install", "dist/kubectl-sky", f"{bin_dir}/"], cwd=PROJECT, check=True)
    others = [folder for folder in os.environ["PATH"].split(":") if not Path(folder, "kubectl-sky").exists()]
    (home / ".kube" / "config").write_text(Path(sky.kubeconfig).read_text())
    env = {"HOME": str(home), "KUBECONFIG": "", "PATH": ":".join([str(bin_dir), *others]), "PYTHONPATH": ""}
    work = tmp_path / "project"
    work.mkdir()
    fresh = replace(sky, env=env, cwd=work)
    typed(fresh, f"kubectl config set-context --current --namespace {sky.namespace}")
    return fresh


def typed(user: Sky, line: str, stdin: str = "") -> str:
    done = subprocess.run(
        line, shell=True, cwd=user.cwd, env=user.environment(), text=True, input=stdin, capture_output=True, timeout=120
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return done.stdout


def test_quick_start(fresh: Sky) -> None:
    assert typed(fresh, "kubectl sky version").startswith("Client: ")
    (fresh.cwd / "task.yaml").write_text(block("Quick start", "yaml"))
    (fresh.cwd / "requirements.txt").write_text("what setup needs\n")
    (fresh.cwd / "train.py").write_text("")
    (fresh.cwd / "torchrun").write_text(TORCHRUN)
    (fresh.cwd / "torchrun").chmod(0o755)
    task = fresh.cwd / "task.yaml"
    task.write_text(task.read_text().replace("  torchrun --nnodes", "  ./torchrun --nnodes"))
    lines = [line.partition("#")[0].strip() for line in block("Quick start", "sh").splitlines()]
    said = {line.split()[2]: typed(fresh, line, stdin="hostname; exit\n") for line in lines}
    assert list(said) == ["launch", "exec", "logs", "ssh", "down"]
    assert "(head, rank=0) what setup needs" in said["launch"]
    assert "rank=1) torchrun --nnodes=2 --nproc_per_node=0 --node_rank=1 --master_addr=10." in said["launch"]
    assert said["exec"] == "train-0\n" and "train-0\n" in said["ssh"]
    assert said["logs"].endswith(said["exec"])  # the newest job
    assert typed(fresh, "kubectl sky status --no-headers") == ""
