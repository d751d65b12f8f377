"""The JSON Schema of task files: true to its own rules, and of one mind with the parser on probes and corpus."""

import csv
import io
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from kubectl_sky import task
from kubectl_sky.commands.schema import schema as verb
from kubectl_sky.errors import TaskErrors
from kubectl_sky.taskfile import described, field, mounts, taskyaml
from kubectl_sky.taskfile.schema import json_schema, of_field

DATA = Path(__file__).parents[1] / "conformance"
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
FIELDS = [(path, one) for path, one in described.walk(described.task(), "task") if one.examples]

# No schema can see these: the syntax inside of texts, rules between fields, files, and what YAML itself forbids.
PARSER_ONLY = set((DATA / "parser_only.txt").read_text(encoding="utf-8").splitlines())


def rows(name):
    with open(DATA / name, encoding="utf-8", newline="") as file:
        return [row[0] for row in list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]]


FILES = {text: text.replace("\\n", "\n").encode() for text in rows("probes.tsv")}
FILES |= {name: (DATA / "corpus" / name).read_bytes() for name in rows("corpus.tsv")}


def parses(text, tmp_path):
    try:
        task.parse_all(text, "task.yaml", base=tmp_path)
    except TaskErrors:
        return False
    return True


def fits(text):
    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except yaml.YAMLError:
        return False
    return all(VALIDATOR.is_valid(one) for one in documents)


@pytest.mark.parametrize("name", FILES)
def test_same_verdict_as_the_parser(name, tmp_path, monkeypatch):
    if name.endswith(".yaml"):
        monkeypatch.setattr(mounts, "_exists", lambda path, as_folder=False: True)  # the corpus's own folders
    valid, schema_valid = parses(FILES[name], tmp_path), fits(FILES[name])
    assert (valid, schema_valid) == ((False, True) if name in PARSER_ONLY else (valid, valid))


def test_it_is_a_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("resources: {disk_tier: BEST}", True),
        ("config: {kubernetes: {enable_docker: build}}", False),
        ("config: {kubernetes: {enable_docker: true}}", True),
        ("{name: g, execution: parallel, whatever: 1}", True),
        ("{name: g, execution: sideways}", False),
        ("resources: {any_of: [{cpu: 1}]}", False),
        ("_metadata: {a: 1}", True),
        ("volumes: {/a: {size: 10Gi, sizes: 1}}", False),
        ("file_mounts: {/a: {mode: mount}}", True),
    ],
)
def test_verdict(text, valid):
    assert VALIDATOR.is_valid(yaml.safe_load(text)) is valid


@pytest.mark.parametrize(("path", "one"), FIELDS, ids=[path for path, _ in FIELDS])
def test_every_accepted_form_is_accepted(path, one):
    for example in one.examples:
        report = field.Report("task.yaml")
        field.check(taskyaml.load(example, "task.yaml").documents[0], one, path, report)
        assert report.problems == []
        jsonschema.validate(yaml.safe_load(example), of_field(one), jsonschema.Draft7Validator)


def test_the_verb_prints_it(capsys):
    assert verb(None) == 0
    assert json.load(io.StringIO(capsys.readouterr().out)) == SCHEMA
    assert verb("yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out) == SCHEMA
