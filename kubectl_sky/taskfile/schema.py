"""The table of fields as a JSON Schema (draft 7, the one that editors know)."""

from __future__ import annotations

import re
from typing import Any

import yaml

from kubectl_sky.taskfile import described
from kubectl_sky.taskfile.field import Field
from kubectl_sky.taskfile.rules import HEADER

_TYPES = {
    "text": "string", "int": "integer", "number": "number", "bool": "boolean", "map": "object", "list": "array",
    "null": "null",
}  # fmt: skip


def json_schema() -> dict[str, Any]:
    """For one document of a task file: a task, or the header of several."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Task file of kubectl sky and SkyPilot",
        "if": {"type": "object", "required": ["execution"]},
        "then": {**of_field(HEADER), "additionalProperties": True},
        "else": of_field(described.task()),
    }


def of_field(field: Field, null: bool = False) -> dict[str, Any]:
    """The schema of a field's value; `null`: that it may be unset."""
    schema: dict[str, Any] = {}
    if field.help or field.note:
        schema["description"] = " ".join([field.help, *(f"Note: it {field.note}." for _ in [0] if field.note)]).strip()
    if field.examples:
        schema["examples"] = [yaml.safe_load(one) for one in field.examples]
    kinds = field.kinds()
    if "any" in kinds:
        return schema
    types = [_TYPES[kind] for kind in kinds] + ["null"] * (null and "null" not in kinds)
    schema["type"] = types[0] if len(types) == 1 else types
    schema |= _choices(field, [one for one in types if one != "string"])
    schema |= {
        key: value for key, value in (("minimum", field.minimum), ("maximum", field.maximum)) if value is not None
    }
    if "list" in kinds and field.item:
        schema["items"] = of_field(field.item)
    return schema | (_map(field) if "map" in kinds else {})


def _map(field: Field) -> dict[str, Any]:
    """Keys of a map. `oneOf` no key: SkyPilot's own internal ones are let through, as by the parser."""
    schema: dict[str, Any] = {}
    shown = [one for one in field.fields if not one.internal]
    if shown:
        schema["properties"] = {one.name: of_field(one, null=True) for one in shown}
    if field.value:
        schema["additionalProperties"] = of_field(field.value)
    elif shown:
        schema["additionalProperties"] = False
        schema["patternProperties"] = {"^_": {}}
    if field.required:
        schema["required"] = list(field.required)
    return schema


def _choices(field: Field, other_types: list[str]) -> dict[str, Any]:
    """An enum that editors complete, and for most fields the same words in any case; kinds other than text stay."""
    if not field.choices:
        return {}
    either: list[dict[str, Any]] = [{"enum": list(field.choices)}]
    if not field.exact_case:
        either.append({"type": "string", "pattern": f"^({'|'.join(_any_case(one) for one in field.choices)})$"})
    if other_types:
        either.append({"type": other_types})
    return either[0] if len(either) == 1 else {"anyOf": either}


def _any_case(word: str) -> str:
    return "".join(f"[{one.lower()}{one.upper()}]" if one.isalpha() else re.escape(one) for one in word)
