"""The table of fields as people see it: what is checked by code of its own is in it as a table, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kubectl_sky.taskfile.field import Field
from kubectl_sky.taskfile.fields import TASK
from kubectl_sky.taskfile.fields_storage import FILE_MOUNTS, STORAGE, VOLUME, VOLUMES

_VALUE = Field("", "text|int|number|bool|null", "Its value; null: must come from the command line.")
_OPEN = {
    "envs": replace(_VALUE, name="envs", accepts="map", value=_VALUE),
    "secrets": replace(_VALUE, name="secrets", accepts="map|list", value=_VALUE, item=Field("", "text")),
    "file_mounts": replace(FILE_MOUNTS, value=replace(STORAGE, accepts="text|map", help="A source, or a bucket.")),
    "volumes": replace(VOLUMES, value=VOLUME),
}


def task() -> Field:
    """TASK with envs, secrets, file_mounts and volumes as tables, and without internal fields."""
    fields = [one for one in TASK.fields if not one.internal]
    return replace(TASK, fields=tuple(_described(one) for one in fields))


def _described(field: Field) -> Field:
    table = _OPEN.get(field.name)
    return replace(table, help=field.help, note=field.note, examples=field.examples) if table else field


def children(field: Field) -> tuple[Field, ...]:
    """The fields below one: its own, or those of a list's items or of a free map's values."""
    inner = field.fields or (field.item.fields if field.item else ()) or (field.value.fields if field.value else ())
    return tuple(one for one in inner if not one.internal)


def walk(field: Field, path: str) -> Iterator[tuple[str, Field]]:
    """(path, field) of a field and of all below it, in the table's order."""
    yield path, field
    for one in children(field):
        yield from walk(one, f"{path}.{one.name}")
