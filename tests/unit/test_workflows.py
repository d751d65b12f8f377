"""The workflows of CI and releases name files, targets and versions that are there (heavy: actionlint reads them)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import kubectl_sky

PROJECT = Path(__file__).parents[2]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yaml"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    return [step for job in jobs for step in job.get("steps", ())]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda one: one.name)
def test_what_they_run_is_there(workflow: Path) -> None:
    scripts = "\n".join(step.get("run", "") for step in steps(workflow))
    paths = re.findall(r"(?:scripts|tests|runtime|docs|\.ci)/[\w./-]+", scripts)
    assert [path for path in paths if not (PROJECT / path).exists()] == []
    targets = re.findall(r"\bmake ([a-z]+)$", scripts, re.MULTILINE)
    rules = re.findall(r"^([a-z0-9 -]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(targets) <= {name for rule in rules for name in rule.split()}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda one: one.name)
def test_they_have_few_rights(workflow: Path) -> None:
    told = yaml.safe_load(workflow.read_text())
    assert told["permissions"] == {"contents": "read"}
    secrets = set(re.findall(r"secrets\.(\w+)", workflow.read_text()))
    assert secrets <= {"GITHUB_TOKEN"}  # PyPI and krew need none


def test_a_release_is_the_version_and_its_images() -> None:
    release = (PROJECT / ".github" / "workflows" / "release.yaml").read_text()
    source = (PROJECT / "kubectl_sky" / "__init__.py").read_text()
    assert f'__version__ = "{kubectl_sky.__version__}"\n' in source  # as the workflow looks for it
    assert "ghcr.io/kubectl-sky/${{ matrix.name }}" in release
    for name in re.findall(r"name: (\w+), file: ([\w.]+)", release):
        assert (PROJECT / "runtime" / name[1]).exists()


@pytest.mark.heavy
def test_actionlint(tmp_path: Path) -> None:
    env = {**os.environ, "GOBIN": str(tmp_path)}
    subprocess.run(["go", "install", ACTIONLINT], env=env, cwd=tmp_path, check=True)
    done = subprocess.run(
        [tmp_path / "actionlint", "-no-color"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
