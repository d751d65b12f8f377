"""Every broken file in broken/ gives exactly the messages in the .txt beside it, with either YAML loader."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubectl_sky import task

HERE = Path(__file__).parent / "broken"
FILES = sorted(path.name for path in HERE.glob("*.yaml"))


def messages(name):
    """The problems as text; paths of this machine are left out."""
    try:
        task.parse((HERE / name).read_bytes(), name, base=HERE)
    except task.TaskErrors as error:
        assert error.exit_code == 2
        text = "\n".join(str(problem) for problem in error.problems) + "\n"
        return text.replace(str(HERE), "BASE")
    return "no problem\n"


@pytest.mark.parametrize("name", FILES)
def test_message(name):
    expected = (HERE / name).with_suffix(".txt")
    found = messages(name)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_there_are_enough():
    assert len(FILES) >= 40


_PURE = """
import sys, yaml
for name in [name for name in vars(yaml) if name.startswith("C") and name.endswith("Loader")]:
    delattr(yaml, name)
sys.path.insert(0, sys.argv[1])
import test_task_broken as tests
from kubectl_sky.taskfile import taskyaml
assert taskyaml._Base is yaml.SafeLoader
for name in tests.FILES:
    found = tests.messages(name)
    if found != (tests.HERE / name).with_suffix(".txt").read_text("utf-8"):
        print(name, found)
"""


def test_same_messages_without_the_c_loader():
    done = subprocess.run(
        [sys.executable, "-c", _PURE, str(HERE.parent)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


LARGE = {
    "ten megabytes": b"a" * 10_000_000,
    "a long list": b"run: [" + b"1," * 500_000 + b"]",
    "deep flow": b"{" * 1_000_000,
    "deep block": b"- " * 500_000,
    "many documents": b"---\n" * 250_000,
    "many aliases": b"a: &a x\n" + b"b: *a\n" * 160_000,
    "a long number": b"num_nodes: " + b"9" * 1_000_000,
    "a sexagesimal number": b"num_nodes: 1" + b":1" * 400_000,
    "an odd name": b"name: " + b"a-" * 300_000 + b"!",
    "growing variables": b'envs: {A: "' + b"x" * 1000 + b'"}\nworkdir: "' + b"$A" * 100_000 + b'"',
    "all bytes": bytes(range(256)) * 1000,
}


@pytest.mark.parametrize("name", LARGE)
def test_hostile_input_is_answered_at_once(name, tmp_path):
    start = time.process_time()
    with pytest.raises(task.TaskErrors):
        task.parse(LARGE[name], "task.yaml", base=tmp_path)
    assert time.process_time() - start < 1
