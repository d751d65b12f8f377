"""Transcripts in the documents, played: each command is typed, and prints what is printed there.

Ages, times, random ends of names and column widths may differ; lines may be left out (`...`, progress).
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT, Sky
from tests.unit.test_doc_commands import FENCE

SMALL = "resources: {cpus: 0.1, memory: 0.2}\n"
# what the transcripts launch, where the page does not show it
FILES = {
    "dev.yaml": "name: dev\nresources: {cpus: 1, memory: 1}\nsetup: sleep 2; echo ready\nrun: 'true'\n",
    "web.yaml": "name: web\nresources: {cpus: 0.1, ports: 8080}\nrun: python3 -m http.server 8080\n",
    "pipe.yaml": "name: pipe\n"
    + f"---\nname: prepare\n{SMALL}run: echo prepared\n"
    + f"---\nname: train\n{SMALL}run: echo trained; exit 3\n"
    + f"---\nname: report\n{SMALL}run: echo never\n",
    "rlhf.yaml": "name: rlhf\nexecution: parallel\n"
    + f"---\nname: rewards\n{SMALL}run: timeout -s INT 8 python3 -um http.server 8000 2>/dev/null || true\n"
    + f"---\nname: trainer\nnum_nodes: 2\n{SMALL}run: |\n"
    + "  until python3 -c 'import urllib.request as r; r.urlopen(\"http://rewards-0.rlhf:8000\")'; do sleep 0.5; done\n"
    + "  echo $SKYPILOT_NODE_RANK has rewards of rewards-0.rlhf\n",
    "task.yaml": "name: t\nresources:\n  cpus: 0.1\nrun: 'true'\nenvs:\n  A: b\n  C: d\n"
    + "config:\n  kubernetes:\n    pod_config:\n      spec:\n        nodeSelecter: {a: b}\n",
}
# page -> what is there before each of its transcripts (by number) that is played
PLAYED: dict[str, dict[int, list[str]]] = {
    "queue.md": {0: [], 1: [], 2: []},
    "multi-node.md": {0: []},
    "lifecycle.md": {
        0: [
            "kubectl sky launch dev.yaml",
            "kubectl sky launch -c train --cpus 0.5 --memory 1 -i 30 --down -- true",
        ],
        1: [],
        3: [],
    },
    "ports.md": {1: [], 2: []},
    "jobs.md": {1: [], 2: []},
    "config.md": {1: []},
}
READ_ONLY = re.compile(r"kubectl sky (queue|status|jobs queue)\b")  # asked again until it says what is expected


def transcripts(page: str) -> list[str]:
    text = (PROJECT / "docs" / page).read_text()
    return [block for kind, block in FENCE.findall(text) if kind == "console"]


def steps(transcript: str) -> list[tuple[str, list[str]]]:
    """Each command, and what it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in transcript.strip().splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def same(line: str) -> str:
    line = re.sub(r"\b(\w+-\d+)-[a-z0-9]{5}\b", r"\1-RANDOM", line)
    return " ".join(re.sub(r"\b\d+(m\d+)?[smh]\b( ago)?", "AGE", line).split())


def missing(expected: list[str], printed: str) -> list[str]:
    """The expected lines that do not come; the order is that of several nodes, and not looked at."""
    there = {same(line) for line in printed.splitlines()}
    return [line for line in expected if line.strip() not in ("...", "…") and same(line) not in there]


@pytest.fixture
def user(sky: Sky, tmp_path: Path) -> Sky:
    """kubectl, with this program as its plugin, in the namespace of the test."""
    program = tmp_path / "kubectl-sky"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kubectl_sky "$@"\n')
    program.chmod(0o755)
    config = tmp_path / "kubeconfig"
    config.write_text(Path(sky.kubeconfig).read_text())
    path = ":".join([str(tmp_path), sky.environment()["PATH"]])
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    user = Sky(sky.namespace, str(config), {"PATH": path}, tmp_path)
    typed(user, f"kubectl config set-context --current --namespace {sky.namespace}")
    return user


def typed(user: Sky, line: str) -> str:
    # progress too, as on a terminal
    line = f"exec 2>&1; {line}"
    options = {"cwd": user.cwd, "env": user.environment(), "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    done = subprocess.run(line, shell=True, text=True, timeout=120, **options)
    return done.stdout.replace(user.namespace, "default").replace("-n default ", "")


def test_what_counts_as_the_same() -> None:
    assert same("pod/train-0-9gx7d     9s    there") == same("pod/train-0-abcde  12m3s there")
    assert missing(["a 3s", "..."], "x\na   4s\n") == []
    assert missing(["b", "c"], "a\nb\n") == ["c"]
    assert missing(["1 RUNNING"], "1 FAILED\n") == ["1 RUNNING"]


@pytest.mark.heavy
@pytest.mark.parametrize("page", PLAYED)
def test_played(user: Sky, page: str) -> None:
    for number, before in PLAYED[page].items():
        for line in before:
            typed(user, line)
        for line, expected in steps(transcripts(page)[number]):
            printed = typed(user, line)
            deadline = time.monotonic() + 20
            while READ_ONLY.match(line) and missing(expected, printed) and time.monotonic() < deadline:
                time.sleep(0.3)
                printed = typed(user, line)
            assert not missing(expected, printed), (line, printed)
