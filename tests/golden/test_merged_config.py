"""The Job that comes of a global file, a project's file and a task's own `config:` beside the committed one.

After a change that is meant: pytest tests/golden --update-golden
"""

import dataclasses
import difflib
from pathlib import Path

import pytest
import yaml

from kubectl_sky import planning, podspec, task
from kubectl_sky.config import sources
from kubectl_sky.settings import Settings

HERE = Path(__file__).parent / "config"


def job() -> str:
    parsed, _ = task.parse((HERE / "task.yaml").read_bytes(), "task.yaml")
    layers, warnings = sources.read(parsed.layers)
    assert not warnings
    parsed = dataclasses.replace(parsed, layers=layers)
    facts, key = podspec.Facts(context="prod-1"), podspec.Identity("PRIVATE KEY", "PUBLIC KEY")
    plan = planning.plan(planning.blind(parsed, "prod-1"), planning.Options("merged"), facts, key)
    plan = dataclasses.replace(plan, settings=Settings(), user="ann")
    text = yaml.safe_dump(podspec.render(plan)[-1], width=1000, sort_keys=True)
    return text.replace(podspec.names.__version__, "VERSION")


def test_the_merged_job(monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    monkeypatch.delenv("SKYPILOT_CONFIG", raising=False)
    monkeypatch.setenv("SKYPILOT_GLOBAL_CONFIG", str(HERE / "global.yaml"))
    monkeypatch.setenv("SKYPILOT_PROJECT_CONFIG", str(HERE / "project.yaml"))
    expected, rendered = HERE / "job.yaml", job()
    if update_golden:
        expected.write_text(rendered)
    lines = difflib.unified_diff(expected.read_text().splitlines(), rendered.splitlines(), "expected", "rendered")
    difference = "\n".join(lines)
    assert not difference, f"\n{difference}"
