"""Task files made at random from the table of fields: each is read or refused with problems, never a crash."""

import json
import random

import pytest

from kubectl_sky import task
from kubectl_sky.taskfile.fields import TASK
from kubectl_sky.taskfile.fields_storage import FILE_MOUNTS, VOLUMES

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
