"""docs/output.schema.json is complete, and true where no cluster is needed (tests/e2e/test_output.py: the others)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from kubectl_sky import cli
from tests.unit.test_docs import PROJECT, load_script

make_output = load_script("make_output")
SCHEMAS = make_output.schemas()
# what they print is defined by others: manifests by Kubernetes, schemas by JSON Schema
DEFINED_ELSEWHERE = {"launch", "render", "schema"}


def test_the_page_and_the_schema_are_up_to_date() -> None:
    assert make_output.PAGE.read_text() == make_output.page(), "make reference"
    assert make_output.SCHEMA.read_text() == make_output.schema(), "make reference"


def test_every_verb_with_an_output_format_is_there() -> None:
    has = {name for name, verb in cli.VERBS.items() if "--output" in cli.takes_value(cli.command_of(verb))}
    told = {verb.partition(" -")[0].partition(" NAME")[0].partition(" FILE")[0] for verb in SCHEMAS}
    assert has - DEFINED_ELSEWHERE == told


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("validate FILE...", ("validate", "good.yaml", "bad.yaml")),
        ("config view", ("config", "view")),
        ("version", ("version", "--client")),
    ],
)
def test_outputs_without_a_cluster(verb: str, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("run: echo\nservice: {readiness_probe: /}\n")
    (tmp_path / "bad.yaml").write_text("num_nodes: many\nresorces: {}\n")
    env = {"PYTHONPATH": str(PROJECT), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "kubectl_sky", *words, "-o", "json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True, check=False)
    made = json.loads(done.stdout)
    jsonschema.validate(made, SCHEMAS[verb])
    if verb.startswith("validate"):
        assert [len(one["problems"]) for one in made] == [0, 2]


def test_other_fields_are_refused() -> None:
    good = {"client": "1", "python": "3"}
    jsonschema.validate(good, SCHEMAS["version"])
    for bad in ({**good, "surprise": 1}, {"client": "1"}, {**good, "python": 3}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, SCHEMAS["version"])
