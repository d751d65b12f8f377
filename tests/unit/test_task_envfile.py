"""Env files, as python-dotenv reads them, and the variables of the command line."""

import pytest

from kubectl_sky import task
from kubectl_sky.errors import UsageError
from kubectl_sky.taskfile.envfile import parse_env_text, variables


@pytest.mark.parametrize(("text", "values"), [
    ("A=1\nB = two words \n", {"A": "1", "B": "two words"}),
    ("export A=1\n\n  # comment\nB=2 # comment\nC=a#b", {"A": "1", "B": "2", "C": "a#b"}),
    ("A='x y' # c\nB=\"l1\\nl2\\\"q\\\"\"\n", {"A": "x y", "B": 'l1\nl2"q"'}),
    ("A='it\\'s'\nB='no\\n'\n", {"A": "it's", "B": "no\\n"}),
    ("A=\"two\nlines\"\nB=1", {"A": "two\nlines", "B": "1"}),
    ("A=\nB\nC=''", {"A": "", "B": None, "C": ""}),
    ("A=1\nB=${A}2\nC=${NOPE:-d}\nD=${NOPE}\nE=$A", {"A": "1", "B": "12", "C": "d", "D": "", "E": "$A"}),
    ("H=${FROM_HERE}\r\nA=x\r\n", {"H": "here", "A": "x"}),
    ("A=b=c\nB='a' \n", {"A": "b=c", "B": "a"}),
    ("", {}),
])  # fmt: skip
def test_parse(text, values, monkeypatch):
    monkeypatch.setenv("FROM_HERE", "here")
    monkeypatch.delenv("NOPE", raising=False)
    assert parse_env_text(text, ".env") == values


@pytest.mark.parametrize(("text", "line"), [("A=1\nno name=x", 2), ("=x", 1), ("1A=x", 1), ("A='x' y", 1)])
def test_wrong_lines_are_named(text, line):
    with pytest.raises(UsageError, match=rf"\.env:{line}: this line should be NAME=VALUE"):
        parse_env_text(text, ".env")


def test_precedence(tmp_path, monkeypatch):
    monkeypatch.setenv("HERE", "h")
    (tmp_path / "env").write_text("A=file\nB=file\n")
    (tmp_path / "secret").write_text("S=file\nB=secretfile\n")
    (tmp_path / "later").write_text("B=later\n")
    files = [tmp_path / "env", tmp_path / "later"]
    found = variables(["A=flag", "HERE"], files, ["S=flag=x"], [tmp_path / "secret"])
    assert found.env_file == {"A": "file", "B": "later"}
    assert found.envs == {"A": "flag", "HERE": "h"}
    assert found.secrets == {"B": "secretfile", "S": "flag=x"}


@pytest.mark.parametrize("secrets", ["{S: null, T: null, U: task}", "['secrets:S', 'secrets:T', 'secrets:personal.U']"])
def test_flags_win_over_files_and_files_over_the_task(secrets, tmp_path):
    text = f"envs: {{A: task, B: task, C: task, D: null}}\nsecrets: {secrets}\nrun: x"
    given = task.Overrides(
        envs={"C": "flag"}, secrets={"T": "flag", "V": "flag"},
        env_file={"B": "file", "C": "file", "D": "file", "E": "file", "S": "file", "T": "file", "U": "file"},
    )  # fmt: skip
    found, _ = task.parse(text, "task.yaml", given, tmp_path)
    assert found.envs == {"A": "task", "B": "file", "C": "flag", "D": "file", "E": "file"}
    assert found.secrets == {"S": "file", "T": "flag", "U": "file", "V": "flag"}  # never among the envs
    assert not task.unsupported(found)


def test_login_of_a_registry_from_an_env_file(tmp_path):
    given = {f"SKYPILOT_DOCKER_{name}": "x" for name in ("USERNAME", "PASSWORD", "SERVER")}
    found, _ = task.parse("run: x", "task.yaml", task.Overrides(env_file=given), tmp_path)
    assert (found.envs, found.secrets) == (given, {})


def test_what_is_wrong_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv("NOPE", raising=False)
    with pytest.raises(UsageError, match="NOPE is not set in this environment"):
        variables(["NOPE"])
    with pytest.raises(UsageError, match="should be NAME=VALUE"):
        variables(["a b=c"])
    with pytest.raises(UsageError, match=r"cannot read the env file .*: No such file"):
        variables([], [tmp_path / "no"])
