"""`validate`: many files, their exit code, and what programs read."""

import json

import pytest
import yaml

from kubectl_sky import cli
from kubectl_sky.errors import UsageError


def validate(*words):
    return cli.run(["kubectl-sky", "validate", *map(str, words)], cli.Scan())


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("run: x\n")
    (tmp_path / "bad.yml").write_text("runs: x\nnum_nodes: 0\n")
    (tmp_path / "warned.yaml").write_text("run: x\nresources: {disk_tier: best}\n")
    (tmp_path / "given.yaml").write_text("run: x\nenvs: {A: null}\nsecrets: {S: null}\n")
    (tmp_path / "notes.txt").write_text("no task\n")
    return tmp_path


def test_good(files, capsys):
    assert validate("good.yaml") == 0
    assert capsys.readouterr() == ("good.yaml: valid\n", "")


def test_many(files, capsys):
    assert validate("good.yaml", "bad.yml", "no.yaml") == 2
    told = capsys.readouterr()
    assert told.out == "good.yaml: valid\n"
    assert told.err.splitlines() == [
        "bad.yml:1:1: runs: unknown field (did you mean `run`?)",
        "bad.yml:2:12: num_nodes: must be at least 1, not 0",
        "no.yaml: the task file no.yaml does not exist",
        "error: 2 of 3 task files are not valid",
    ]


def test_warnings_are_errors_only_when_asked(files, capsys):
    assert validate("warned.yaml") == 0
    assert validate("warned.yaml", "--warnings-as-errors") == 2
    assert capsys.readouterr().err.count("warning: warned.yaml:2:24: resources.disk_tier") == 2


def test_a_folder(files, capsys):
    assert validate(files, "good.yaml", files / "good.yaml", "-o", "json") == 2
    found = json.loads(capsys.readouterr().out)
    names = [str(files / name) for name in ("bad.yml", "given.yaml", "good.yaml", "warned.yaml")]
    assert [one["file"] for one in found] == [*names, "good.yaml"]
    assert [one["valid"] for one in found] == [False, False, True, True, True]
    assert found[0]["problems"][0] == {
        "file": names[0], "line": 1, "column": 1, "field": "runs", "message": "unknown field",
        "hint": "did you mean `run`?",
    }  # fmt: skip
    assert [one["field"] for one in found[3]["warnings"]] == ["resources.disk_tier"]


def test_an_empty_folder(tmp_path):
    with pytest.raises(UsageError, match=r"has no \*.yaml or \*.yml files"):
        validate(tmp_path)


def test_values_from_the_command_line(files, capsys):
    assert validate("given.yaml") == 2
    assert "envs.A: has no value" in capsys.readouterr().err
    assert validate("given.yaml", "--env", "A=1", "-o", "yaml") == 0
    [found] = yaml.safe_load(capsys.readouterr().out)
    assert [one["hint"] for one in found["warnings"]] == ["--secret S=VALUE"]
    (files / "values").write_text("A=1\nS=2\n")
    assert validate("given.yaml", "--env-file", "values", "--warnings-as-errors") == 0


def test_unknown_formats(files):
    with pytest.raises(UsageError, match="there is no such format here"):
        validate("good.yaml", "-o", "xml")
