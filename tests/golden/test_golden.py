"""Each example's manifests beside the committed ones.

After a change that is meant: pytest tests/golden --update-golden
"""

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
TASKS = sorted(path for path in EXAMPLES.rglob("*.yaml"))


def golden(path: Path) -> Path:
    """examples/gpu.yaml -> gpu.yaml, examples/pip/task.yaml -> pip.yaml, both beside this file."""
    name = path.parent.name if path.name == "task.yaml" else path.stem
    return HERE / f"{name}.yaml"


@pytest.mark.parametrize("path", TASKS, ids=lambda path: golden(path).stem)
def test_manifests(path: Path, render_example: Callable[[Path], str], update_golden: bool) -> None:
    rendered = render_example(path)
    expected = golden(path)
    if update_golden:
        expected.write_text(rendered)
    assert expected.exists(), f"{expected.name} is missing: pytest tests/golden --update-golden"
    lines = difflib.unified_diff(expected.read_text().splitlines(), rendered.splitlines(), "expected", "rendered")
    difference = "\n".join(lines)
    assert not difference, f"\n{difference}"


def test_no_golden_without_an_example() -> None:
    assert sorted(HERE.glob("*.yaml")) == sorted(golden(path) for path in TASKS)
