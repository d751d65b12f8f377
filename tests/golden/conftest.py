"""Renders the examples without a cluster: what depends on a user, a key or a version is replaced by fixed text."""

import base64
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sky import planning, podspec, task
from kubectl_sky.settings import Settings

PROJECT = Path(__file__).parents[2]
SECRETS: dict[str, str | None] = {"API_TOKEN": "token"}  # what a user would pass with --secret


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the expected manifests anew")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden", default=False))


@pytest.fixture
def render_example(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """path of a task file -> its manifests, as for a user who stands in the project's folder."""
    monkeypatch.chdir(PROJECT)

    def render(path: Path) -> str:
        text = path.read_bytes()
        needed = {name: value for name, value in SECRETS.items() if name.encode() in text}
        parsed, warnings = task.parse(text, path.name, task.Overrides(secrets=needed))
        assert not warnings
        assert not task.unsupported(parsed)
        facts, key = podspec.Facts(context="golden"), podspec.Identity("PRIVATE KEY", "PUBLIC KEY")
        plan = planning.plan(planning.blind(parsed, "golden"), planning.Options(parsed.name or "task"), facts, key)
        code = dict.fromkeys(plan.code, "...")
        plan = dataclasses.replace(plan, settings=Settings(), user="ann", code=code)
        manifests = [readable(manifest) for manifest in podspec.render(plan)]
        return yaml.dump_all(manifests, Dumper=BlockDumper, width=1000)

    return render


class BlockDumper(yaml.SafeDumper):
    """Scripts as blocks of lines."""


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


BlockDumper.add_representer(str, represent_text)


def readable(manifest: dict[str, Any]) -> dict[str, Any]:
    """A Secret's values as text, and no version that each release would change."""
    if manifest["kind"] == "Secret":
        values = {name: base64.b64decode(value).decode() for name, value in manifest.pop("data").items()}
        manifest["stringData"] = {k: json.loads(v) if k.endswith(".json") else v for k, v in values.items()}
    text = json.dumps(manifest).replace(podspec.names.__version__, "VERSION")
    return dict(json.loads(text))
