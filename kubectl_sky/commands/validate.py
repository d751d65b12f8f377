"""kubectl sky validate"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from kubectl_sky import task as tasks
from kubectl_sky.errors import EXIT_USAGE, TaskErrors, UsageError
from kubectl_sky.output import Format, dump


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Task files; - is stdin")],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
) -> int:
    """Check task files and print all their problems. Needs no cluster.

    \b
    Examples:
      kubectl sky validate task.yaml
      kubectl sky validate tasks/*.yaml -o json
    """
    form = Format.parse(output, Format.JSON, Format.YAML)
    checked = [check(file) for file in files]
    bad = sum(not one["valid"] for one in checked)
    if form is Format.TABLE:
        for one in checked:
            show(one)
        if bad:
            print(
                f"error: {bad} of {len(files)} task files are not valid" if len(files) > 1 else "error: not valid",
                file=sys.stderr,
            )
    else:
        for one in checked:
            for kind in ("problems", "warnings"):
                one[kind] = [as_dict(problem) for problem in one[kind]]
        print(dump(checked, form), end="")
    return EXIT_USAGE if bad else 0


def check(file: str) -> dict[str, Any]:
    """{"file", "valid", "problems", "warnings"} of one task file."""
    try:
        text = sys.stdin.buffer.read() if file == "-" else tasks.read_file(file)
        _, warnings = tasks.parse_all(text, "stdin" if file == "-" else file)
        return {"file": file, "valid": True, "problems": [], "warnings": warnings}
    except TaskErrors as error:
        return {"file": file, "valid": False, "problems": error.problems, "warnings": []}
    except UsageError as error:
        problem = tasks.Problem(file, 0, 0, "", error.message)
        return {"file": file, "valid": False, "problems": [problem], "warnings": []}


def show(checked: dict[str, Any]) -> None:
    for problem in checked["problems"]:
        print(problem, file=sys.stderr)
    for warning in checked["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if checked["valid"]:
        print(f"{checked['file']}: valid")


def as_dict(problem: tasks.Problem) -> dict[str, Any]:
    names = ("file", "line", "column", "field", "message", "hint")
    return {name: getattr(problem, name) for name in names if getattr(problem, name) is not None}
