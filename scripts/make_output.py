"""make_output.py: writes docs/output.md and docs/output.schema.json from output.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parent.parent
SOURCE = PROJECT / "scripts" / "output.yaml"
PAGE, SCHEMA = PROJECT / "docs" / "output.md", PROJECT / "docs" / "output.schema.json"
Schema = dict[str, Any]

TYPES: dict[str, Schema] = {
    **{name: {"type": name} for name in ("string", "integer", "number", "boolean", "object")},
    "strings": {"type": "array", "items": {"type": "string"}},
    "objects": {"type": "array", "items": {"type": "object"}},
    "any": {},
}
WORDS = {"strings": "list of strings", "objects": "list of objects"}
INTRO = """\
# What scripts read

Made from [scripts/output.yaml](../scripts/output.yaml) by `make reference`; tests hold the real outputs against it.
The same as a JSON Schema: [output.schema.json](output.schema.json).

- `-o json` and `-o yaml` say the same. Fields may be added; none is renamed or removed, or changes its type, before 1.0
  without an entry in the [changelog](../CHANGELOG.md), and after it within a major version.
- With `list` below, the output is one Kubernetes-style List: `{"apiVersion": "v1", "kind": "List", "items": [...]}`.
- Only the output is on stdout; progress, notes and errors are on stderr. There is no colour in it.
- `render`, `launch --dry-run -o json` and `-o yaml` print manifests, as Kubernetes defines them; `schema` and
  `explain task.FIELD -o json` print JSON Schema.
- `-o name` prints `job.batch/NAME` (`status`), `volume/NAME` (`volumes ls`), `NAME` (`gpus`).

## Exit codes

| code | means |
|---|---|
| the job's own | `launch`, `exec`, `ssh` and `logs` (of an ended job, or followed to its end): 128 + N after signal N |
| 0 | done |
| 1 | the cluster refused, or something failed; `error: ...` says what |
| 2 | the command line or a task file is wrong; nothing was done |
| 124 | a limit that was given is over (`--provision-timeout`) |
| 130 | Ctrl-C |
| 141 | the reader of a pipe went away |
"""


def schemas() -> Schema:
    """Verb -> the schema of what it prints. No other fields than these, so that no field comes unsaid."""
    return {verb: _output(told) for verb, told in yaml.safe_load(SOURCE.read_text()).items()}


def _output(told: Any) -> Schema:
    if "array" in told:
        return {"type": "array", "items": _object(told["array"])}
    if "list" not in told:
        return _object(told)
    fixed = {"apiVersion": {"const": "v1"}, "kind": {"const": "List"}}
    items = {"type": "array", "items": _object(told["list"])}
    return {"type": "object", "properties": {**fixed, "items": items}, "required": [*fixed, "items"]}


def _object(fields: Schema) -> Schema:
    if len(fields) == 1 and next(iter(fields)).startswith("<"):
        return {"type": "object", "additionalProperties": _value(next(iter(fields.values())))}
    made = {_name(key): _field(key, told) for key, told in fields.items()}
    required = [_name(key) for key in fields if not key.endswith("*")]
    return {"type": "object", "properties": made, "required": required, "additionalProperties": False}


def _name(key: str) -> str:
    return key.rstrip("?*")


def _field(key: str, told: Any) -> Schema:
    found = _value(told)
    return {"anyOf": [found, {"type": "null"}]} if key.rstrip("*").endswith("?") else found


def _value(told: Any) -> Schema:
    if isinstance(told, dict):
        return _object(told)
    if isinstance(told, list):
        return {"type": "array", "items": _object(told[0])}
    kind, text = _split(told)
    found: Schema = dict(TYPES[kind.rstrip("?")])
    if kind.endswith("?"):
        found = {"anyOf": [found, {"type": "null"}]}
    return {**found, "description": text} if text else found


def _split(told: str) -> tuple[str, str]:
    kind, _, text = told.partition(";")
    return kind.strip(), text.strip()


def page() -> str:
    sections = [INTRO]
    for verb, told in yaml.safe_load(SOURCE.read_text()).items():
        wrap = next((word for word in ("list", "array") if word in told), "")
        each = {"list": "`list`, each item:\n", "array": "An array, each item:\n"}.get(wrap, "")
        rows = [f"| `{path}` | {kind} | {text} |" for path, kind, text in _rows(told[wrap] if wrap else told, "")]
        sections.append(f"## {verb}\n\n{each}\n| field | type | |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(sections).replace("\n\n\n", "\n\n")


def _rows(fields: Schema, prefix: str) -> Iterator[tuple[str, str, str]]:
    for key, told in fields.items():
        path = prefix + _name(key)
        maybe = (", or null" if "?" in key else "") + (", may be missing" if key.endswith("*") else "")
        if isinstance(told, str):
            kind, text = _split(told)
            null = ", or null" if kind.endswith("?") else ""
            kind = kind.rstrip("?")
            yield path, WORDS.get(kind, kind) + null + maybe, text
        else:
            yield path, ("list" if isinstance(told, list) else "object") + maybe, ""
            yield from _rows(
                told[0] if isinstance(told, list) else told, path + ("[]." if isinstance(told, list) else ".")
            )


def schema() -> str:
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kubectl sky -o json",
        "$defs": schemas(),
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    SCHEMA.write_text(schema())
