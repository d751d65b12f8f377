"""kubectl sky validate"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from kubectl_sky import task as tasks
from kubectl_sky.cli import is_task_file
from kubectl_sky.errors import EXIT_USAGE, TaskErrors, UsageError
from kubectl_sky.output import Format, dump

Texts = list[str] | None


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Task files, or folders of them; - is stdin")],
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FORMAT", help="json or yaml")] = None,
    env: Annotated[Texts, typer.Option("--env", metavar="NAME[=VALUE]", help="As for launch (repeat)")] = None,
    env_file: Annotated[Texts, typer.Option("--env-file", metavar="FILE", help="As for launch (repeat)")] = None,
    secret: Annotated[Texts, typer.Option("--secret", metavar="NAME[=VALUE]", help="As for launch (repeat)")] = None,
    secret_file: Annotated[Texts, typer.Option("--secret-file", metavar="FILE", help="As for launch (repeat)")] = None,
    warnings_as_errors: Annotated[
        bool, typer.Option("--warnings-as-errors", help="Exit with 2 also where there are only warnings")
    ] = False,
) -> int:
    """Check task files and print all their problems. Needs no cluster.

    The exit code is 0 when all of them are valid, else 2. Warnings tell what has no effect, and what a launch would
    refuse for now. Of a folder all *.yaml and *.yml files directly in it are checked.

    \b
    Examples:
      kubectl sky validate task.yaml
      kubectl sky validate tasks/*.yaml -o json
      kubectl sky validate task.yaml --env HF_TOKEN=x --warnings-as-errors
    """
    form = Format.parse(output, Format.JSON, Format.YAML)
    given = tasks.variables(env or (), env_file or (), secret or (), secret_file or ())
    overrides = tasks.Overrides(envs=given.envs, secrets=given.secrets, env_file=given.env_file)
    checked = [check(file, overrides) for file in in_folders(files)]
    bad = sum(not one["valid"] for one in checked)
    if form is Format.TABLE:
        for one in checked:
            show(one)
        if bad:
            said = (
                f"error: {bad} of {len(checked)} task files are not valid" if len(checked) > 1 else "error: not valid"
            )
            print(said, file=sys.stderr)
    else:
        for one in checked:
            for kind in ("problems", "warnings"):
                one[kind] = [as_dict(problem) for problem in one[kind]]
        print(dump(checked, form), end="")
    warned = warnings_as_errors and any(one["warnings"] for one in checked)
    return EXIT_USAGE if bad or warned else 0


def in_folders(files: list[str]) -> list[str]:
    """Each once; the task files of a folder in its place. UsageError: there is none in it."""
    found: list[str] = []
    for file in files:
        if file == "-" or not os.path.isdir(file):
            found.append(file)
            continue
        inside = sorted(path for name in os.listdir(file) if is_task_file(path := os.path.join(file, name)))
        if not inside:
            raise UsageError(f"the folder {file} has no *.yaml or *.yml files")
        found += inside
    return list(dict.fromkeys(found))


def check(file: str, overrides: tasks.Overrides) -> dict[str, Any]:
    """{"file", "valid", "problems", "warnings"} of one task file."""
    try:
        text = sys.stdin.buffer.read() if file == "-" else tasks.read_file(file)
        found, warnings = tasks.parse_all(text, "stdin" if file == "-" else file, overrides)
        later = [problem for task in found.tasks for problem in tasks.unsupported(task)]
        return {"file": file, "valid": True, "problems": [], "warnings": [*warnings, *later]}
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
