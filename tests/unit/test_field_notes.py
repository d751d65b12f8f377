"""Fields that mean nothing here: each gets exactly one warning, wherever it stands, and nothing else happens."""

import json

import pytest

from kubectl_sky import task
from kubectl_sky.taskfile import described

VALUES = {"bool": True, "int": 1, "number": 1, "text": "x", "list": [], "map": {}}
# what a value of the field's own kind would not do
SPECIAL = {
    "task.service": {"readiness_probe": "/"},
    "task.pool": {"workers": 1},
    "task.resources.ephemeral_storage": 10,
    "task.resources.volumes": [{"path": "/x", "name": "disk"}],
    "task.resources.local_disk": "nvme",
    "task.inputs": {"s3://bucket": 1},
    "task.outputs": {"s3://bucket": 1},
    "task.config.kubernetes.enable_docker": True,
    "task.file_mounts.config.mount_cached.vfs_write_back": "5s",
    "task.file_mounts.config.disk_size": 10,
}
CACHED = ("task.file_mounts.type", "task.file_mounts.config.mount_cached")  # what is below, too
AROUND = {"file_mounts": {"name": "bucket"}, "volumes": {"size": "1Gi"}}


def noted(field, path):
    """(path, field) of fields with a note; what is below such a field is told with it."""
    for one in described.children(field):
        below = f"{path}.{one.name}"
        yield from [(below, one)] if one.note else noted(one, below)


ALTERNATIVES = {"any_of", "ordered"}  # whose fields are those of resources
FIELDS = [(path, one) for path, one in noted(described.task(), "task") if not ALTERNATIVES & set(path.split("."))]


def value_of(path, field):
    return SPECIAL.get(path, field.choices[0] if field.choices else VALUES[field.kinds()[0]])


@pytest.mark.parametrize(("path", "field"), FIELDS, ids=[path for path, _ in FIELDS])
def test_one_warning(path, field, tmp_path):
    names = path.split(".")[1:]
    tree = value_of(path, field)
    for name in reversed(names[1:]):
        tree = {name: tree}
    if names[0] in AROUND:
        mode = {"mode": "MOUNT_CACHED"} if path.startswith(CACHED) else {}
        tree = {"/a": {**AROUND[names[0]], **mode, **tree}}
    tree = {names[0]: tree}
    found, warnings = task.parse(json.dumps({"run": "echo", **tree}), "task.yaml", base=tmp_path)
    place = ".".join([names[0] + '["/a"]' * (names[0] in AROUND), *names[1:]])
    assert [(one.field, one.message) for one in warnings] == [(place, field.note)]
    assert not task.unsupported(found)


def test_there_are_some():
    assert len(FIELDS) > 20
