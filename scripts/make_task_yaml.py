"""make_task_yaml.py: writes docs/task-yaml.md from the table of fields, task_yaml.yaml and differences.tsv."""

from __future__ import annotations

import csv
from pathlib import Path

import yaml

from kubectl_sky.taskfile import described, field_help
from kubectl_sky.taskfile.field import Field

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "task-yaml.md"
IGNORED = "unit/test_field_notes.py::test_one_warning"

INTRO = """\
# The task file

Made from the program's own table of fields by `make reference`. The same is in the program:

- `kubectl sky explain task.resources.accelerators` tells of one field, `explain task --recursive` lists them all;
- `kubectl sky validate FILE...` tells all problems of files at once, each with its line, what was meant and what is
  taken;
- `kubectl sky schema > task.schema.json` prints a JSON Schema for editors.

A file is what SkyPilot takes. Null means that a field is not set. Fields without meaning on Kubernetes are ignored,
with one warning each; the fields below them are not listed here.

`$VAR` and `${VAR}` are filled in from envs and secrets in `workdir`, `file_mounts`, `volumes` and `service`, in
keys, too; names that are neither are left as they are. `setup` and `run` are shell scripts, which see all of them
as variables.

Of several values for a variable `--env` wins over `--env-file`, and that over `envs`; `--secret` wins over
`--secret-file`, that over `--env-file`, and that over `secrets`. Later files win over earlier ones. What an env
file says of a name that is among the task's `secrets` becomes that secret, and no variable beside it.
"""

DIFFERENCES = """\
## Where we differ

SkyPilot 0.14.1's own parser gave its verdict on the inputs of [tests/conformance](../tests/conformance/README.md).
Ours is the same, with the same resources, but for these; [test_conformance.py](../tests/unit/test_conformance.py)
sees to it.

| input | SkyPilot | here | why |
|---|---|---|---|"""


def page() -> str:
    told = yaml.safe_load((Path(__file__).parent / "task_yaml.yaml").read_text())
    sections = [INTRO]
    for title, path, depth in SECTIONS:
        sections += [f"## {title}", "", "| field | accepts | what it does here | shown by |", "|---|---|---|---|"]
        sections += [_row(one, field, path, told) for one, field in rows(path, depth)]
        sections.append("")
    return "\n".join([*sections, DIFFERENCES, *map(_difference, _differences()), ""])


# (title, the field whose fields are listed, whether those below them are, too)
SECTIONS = (
    ("The task", "task", False),
    ("resources", "task.resources", True),
    ("file_mounts: a bucket", "task.file_mounts", True),
    ("volumes: a volume", "task.volumes", True),
    ("workdir: a repository", "task.workdir", True),
    ("config", "task.config", True),
)


def rows(path: str, deep: bool) -> list[tuple[str, Field]]:
    """(path, field) below `path`; alternatives have the fields of resources, which are not listed again."""
    found = []
    for one in described.children(field_help.find(path)):
        below = f"{path}.{one.name}"
        found.append((below, one))
        if deep and not one.note and one.name not in ("any_of", "ordered"):
            found += rows(below, deep)
    return found


def evidence(path: str, told: dict[str, list[str]]) -> str:
    """The test that shows the field at `path`: FILE::FUNCTION, below tests/."""
    around = path
    while around:
        if around in told:
            return told[around][0]
        if field_help.find(around).note:
            return IGNORED
        around = around.rpartition(".")[0]
    raise KeyError(path)


def _row(path: str, field: Field, top: str, told: dict[str, list[str]]) -> str:
    test = evidence(path, told)
    own = told.get(path, [])[1:]
    note = field.note[:1].upper() + field.note[1:] + "." if field.note else ""
    text = " ".join(part for part in (field.help, *own, note) if part)
    file, function = test.split("::")
    forms = [f"`{form}`" for form in field.examples] or [f"`{one}`" for one in field.choices]
    accepts = field_help.kinds(field) + (": " + ", ".join(forms) if forms else "")
    cells = (f"`{path.removeprefix(top + '.')}`", accepts, text, f"[{function}](../tests/{file})")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _differences() -> list[list[str]]:
    with open(PROJECT / "tests/conformance/differences.tsv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def _difference(row: list[str]) -> str:
    words = {"OK": "accepted", "ERR": "refused", "OTHER": "read otherwise"}
    name, theirs, ours, why = row
    shown = f"[{name}](../tests/conformance/corpus/{name})" if name.endswith(".yaml") else f"`{name}`"
    return f"| {shown} | {words[theirs]} | {words[ours]} | {why}. |"


if __name__ == "__main__":
    PAGE.write_text(page())
