"""make_reference.py: writes docs/reference.md from the program's own help."""

import contextlib
import io
import os
from pathlib import Path

from kubectl_sky import cli

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"


def help_text(*words: str) -> str:
    """What `kubectl sky WORDS --help` prints."""
    os.environ["COLUMNS"] = "100"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cli.run(["kubectl-sky", *words, "--help"], cli.Scan())
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def reference() -> str:
    sections = ["# Reference", "", "Made from the program's own help by `make reference`.", ""]
    sections += ["```text", help_text(), "```", ""]
    for verb in cli.VERBS:
        sections += [f"## kubectl sky {verb}", "", "```text", help_text(*verb.split()), "```", ""]
    return "\n".join(sections)


if __name__ == "__main__":
    REFERENCE.write_text(reference())
