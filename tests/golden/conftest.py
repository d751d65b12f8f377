"""Renders the examples without a cluster: what depends on a user, a key or a version is replaced by fixed text."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sky import podspec, task
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
        has_files = parsed.workdir or parsed.file_mounts
        plan = podspec.Plan(
            task=parsed,
            name=parsed.name or "task",
            facts=podspec.Facts(context="golden"),
            settings=Settings(),
            identity=podspec.Identity("PRIVATE KEY", "PUBLIC KEY"),
            code={"supervisor.py": "# kubectl_sky/remote/supervisor.py\n"},
            user="ann",
            job=None if has_files else podspec.job_spec(parsed),
        )
        return yaml.safe_dump_all([readable(manifest) for manifest in podspec.render(plan)], width=1000)

    return render


def readable(manifest: dict[str, Any]) -> dict[str, Any]:
    """A Secret's values as text, and no version that each release would change."""
    if manifest["kind"] == "Secret":
        values = {name: base64.b64decode(value).decode() for name, value in manifest.pop("data").items()}
        manifest["stringData"] = {k: json.loads(v) if k.endswith(".json") else v for k, v in values.items()}
    text = json.dumps(manifest).replace(podspec.names.__version__, "VERSION")
    return dict(json.loads(text))
