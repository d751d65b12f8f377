"""Task files made at random: each is read or refused with problems, never a crash, a hang or another exit code.

From the table of fields, and by changes of the corpus, the probes, the examples and the broken files;
SKY_FUZZ=20000 says how many of these, SKY_FUZZ_SEED where to begin.
"""

import csv
import json
import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from kubectl_sky import __main__, identity, podspec, task
from kubectl_sky.taskfile import mounts
from kubectl_sky.taskfile.fields import TASK
from kubectl_sky.taskfile.fields_storage import FILE_MOUNTS, VOLUMES
from tests.unit.mutations import mutated

PROJECT = Path(__file__).parents[2]
COUNT = int(os.environ.get("SKY_FUZZ", "1500"))
SEED = int(os.environ.get("SKY_FUZZ_SEED", "0"))
SECONDS = 1.0  # of the processor, for one file
ALLOWED = {"validate": (0, 2), "render": (0, 2, 1)}  # 1: a valid task that needs a look at the cluster, or cannot run
FREE = {"file_mounts": FILE_MOUNTS, "volumes": VOLUMES}
TEXTS = [
    "", " ", "x", "A100:8", "1", "1+", "16GB", "10m", "/a", "/a/", "s3://b", "k8s/c", "$V", "${V}", "~", "none", "\n",
    "é", "a:b:c", "4CPU--16GB--H100:0", "\u2028",
    "secrets:A", "personal.A", "-", "docker:", "100GB", "1-2", "8080,9090", "{", "'",
]  # fmt: skip
NUMBERS = [0, 1, -1, 2.5, 1e308, 10**30, 256, 65536, True, False]


def any_value(chance, depth=0):
    kind = chance.randrange(5 if depth < 2 else 3)
    if kind == 3:
        return [any_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    if kind == 4:
        return {chance.choice(TEXTS): any_value(chance, depth + 1) for _ in range(chance.randrange(3))}
    return chance.choice([TEXTS, NUMBERS, [None]][kind])


def value_of(field, chance, depth=0):
    """Mostly a value of the field's kind; sometimes anything."""
    field = FREE.get(field.name, field)
    if chance.random() < 0.1 or depth > 5:
        return any_value(chance)
    kind = chance.choice(field.kinds())
    if kind == "map" and field.fields:
        some = chance.sample(field.fields, min(len(field.fields), chance.randrange(4)))
        return {one.name: value_of(one, chance, depth + 1) for one in some}
    if kind == "map" and field.value:
        return {chance.choice(TEXTS): value_of(field.value, chance, depth + 1) for _ in range(chance.randrange(3))}
    if kind == "list" and field.item:
        return [value_of(field.item, chance, depth + 1) for _ in range(chance.randrange(3))]
    if kind == "text":
        return chance.choice(field.choices or TEXTS)
    if kind in ("int", "number", "bool"):
        return chance.choice(NUMBERS)
    return any_value(chance)


def random_overrides(chance):
    names = ("name", "workdir", "cpus", "memory", "gpus", "image_id", "infra", "disk_size")
    return task.Overrides(**{name: chance.choice(TEXTS) for name in names if chance.random() < 0.2}, envs={"V": "v"})


@pytest.mark.parametrize("seed", range(10))
def test_never_a_crash(seed, tmp_path):
    chance = random.Random(seed)
    read = 0
    for _ in range(200):
        text = json.dumps(value_of(TASK, chance), ensure_ascii=chance.random() < 0.5)
        try:
            file, warnings = task.parse_all(text, "task.yaml", random_overrides(chance), tmp_path)
        except task.TaskErrors as error:
            assert error.problems
            assert all(str(problem) for problem in error.problems)
            continue
        read += 1
        for one in file.tasks:
            assert one.resources.candidates()[0]
            assert all(str(problem) for problem in [*task.unsupported(one), *warnings])
    assert read


def sources():
    with open(PROJECT / "tests/conformance/probes.tsv", encoding="utf-8", newline="") as file:
        probes = [row[0] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)][1:]
    folders = ("tests/conformance/corpus", "examples", "tests/unit/broken")
    files = [path.read_bytes() for folder in folders for path in sorted((PROJECT / folder).rglob("*.yaml"))]
    return [*(text.replace("\\n", "\n").encode() for text in probes), *(data for data in files if len(data) < 20_000)]


def outcome(verb, path, monkeypatch, capsys):
    """The exit code of `kubectl sky VERB FILE`, and what it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", ["kubectl-sky", verb, str(path)])
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        __main__.main()
    except SystemExit as end:
        return end.code, capsys.readouterr().err
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def too_long(*_):
    raise TimeoutError(f"more than {SECONDS} s")


def test_changed_files_are_valid_or_not_and_nothing_else(tmp_path, monkeypatch, capsys):
    key = podspec.Identity("PRIVATE KEY", "PUBLIC KEY")
    monkeypatch.setattr(identity, "new_identity", lambda: key)
    monkeypatch.setattr(mounts, "_exists", lambda path, as_folder=False: True)  # so that more files are valid
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGPROF, too_long)
    good, path, codes = sources(), tmp_path / "task.yaml", Counter()
    try:
        for number in range(COUNT):
            data = mutated(good, random.Random(SEED + number))
            path.write_bytes(data)
            verbs = ("validate",) if number % 4 else ("validate", "render")
            for verb in verbs:
                code, said = outcome(verb, path, monkeypatch, capsys)
                codes[verb, code] += 1
                assert code in ALLOWED[verb], (number, verb, said, data)
                assert (code == 0) or "error: " in said, (number, verb, said, data)
                assert "Traceback" not in said and "fault of kubectl sky" not in said, (number, verb, said, data)
    finally:
        signal.signal(signal.SIGPROF, before)
    print(dict(codes))
    assert all(codes[one, code] for one in ("validate", "render") for code in (0, 2)), codes  # both ways are seen
