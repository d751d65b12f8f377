"""Completion in real shells, by kubectl's own scripts for them."""

from __future__ import annotations

import os
import pty
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT, Sky

COMMON = "/usr/share/bash-completion/bash_completion"  # which kubectl's own script needs
BASH = f"""\
source {COMMON}
source <(kubectl completion bash)
COMP_WORDS=(@WORDS@) COMP_LINE="@LINE@" COMP_CWORD=@LAST@
COMP_POINT=${{#COMP_LINE}}
__start_kubectl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def env(sky: Sky, tmp_path: Path) -> dict[str, str]:
    """Of a shell that has kubectl sky and its completion on the PATH, in the namespace of the test."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    program = bin_dir / "kubectl-sky"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kubectl_sky "$@"\n')
    program.chmod(0o755)
    config = tmp_path / "kubeconfig"
    config.write_text(Path(sky.kubeconfig).read_text())
    env = {
        **os.environ,
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(PROJECT),
        "KUBECONFIG": str(config),
        "TERM": "dumb",
    }
    subprocess.run(
        ["kubectl", "config", "set-context", "--current", "--namespace", sky.namespace], env=env, check=True, stdout=-3
    )
    said = subprocess.run(
        ["kubectl", "sky", "completion", "install"], env=env, text=True, capture_output=True, check=True
    )
    assert said.stdout == f"{bin_dir}/kubectl_complete-sky is installed.\n" and not said.stderr
    return env


def shell(env: dict[str, str], *argv: str) -> list[str]:
    done = subprocess.run(argv, env=env, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[0].split("  ")[0].strip() for line in done.stdout.splitlines()]


def need(path: str, package: str) -> None:
    """Installs what is not on the machine."""
    if not Path(path).exists():
        argv = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", package]
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(argv, check=True, capture_output=True, env=env)


def test_bash(env: dict[str, str], sky: Sky) -> None:
    need(COMMON, "bash-completion")
    sky.ok("launch", "-c", "train-a", "--cpus", "0.1", "--", "true")
    for words, expected in (
        (("kubectl", "sky", "laun"), ["launch"]),
        (("kubectl", "sky", "logs", "train"), ["train-a"]),
        (("kubectl", "sky", "logs", "train-a", ""), ["1"]),
        (("kubectl", "sky", "volumes", "app"), ["apply"]),
    ):
        script = BASH.replace("@WORDS@", shlex.join(words)).replace("@LINE@", " ".join(words))
        script = script.replace("@LAST@", str(len(words) - 1))
        assert shell(env, "bash", "-c", script) == expected


def test_fish(env: dict[str, str]) -> None:
    need("/usr/bin/fish", "fish")
    script = "kubectl completion fish | source; complete -C 'kubectl sky lau'"
    assert shell(env, "fish", "--no-config", "-c", script) == ["launch"]


def test_zsh(env: dict[str, str]) -> None:
    need("/usr/bin/zsh", "zsh")
    ready = "PS1='> '; autoload -U compinit; compinit -u; source <(kubectl completion zsh); echo re''ady\n"
    pid, terminal = pty.fork()
    if not pid:
        os.execvpe("zsh", ["zsh", "-f", "-i"], env)
    try:
        os.write(terminal, ready.encode())
        until(terminal, b"\nready")
        os.write(terminal, b"kubectl sky autost\t")
        until(terminal, b"autostop")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def until(terminal: int, text: bytes, seconds: float = 30) -> None:
    """Reads the terminal until the text is there."""
    seen, end = b"", time.monotonic() + seconds
    while text not in seen.replace(b"\r", b""):
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 1 << 16)
