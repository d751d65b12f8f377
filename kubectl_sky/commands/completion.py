"""kubectl sky completion"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from kubectl_sky import system
from kubectl_sky.errors import Failure

PROGRAM = "kubectl_complete-sky"  # where kubectl 1.26 and later look
NOTE = "asked by kubectl what the shell may complete; made by: kubectl sky completion install"


def install(
    directory: Annotated[
        str | None, typer.Option("--dir", metavar="DIR", help="Where, on the PATH (default: beside kubectl-sky)")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away")] = False,
) -> int:
    """Put kubectl_complete-sky on the PATH: kubectl (1.26 or later) asks it what comes after `kubectl sky`.

    \b
    The shell needs kubectl's own completion too, such as: source <(kubectl completion bash)
    Examples:
      kubectl sky completion install
      kubectl sky completion install --remove
    """
    if remove:
        there = shutil.which(PROGRAM)
        if there:
            Path(there).unlink()
        print(f"{there} is removed." if there else "There is none.")
        return 0
    folder = Path(directory).expanduser() if directory else _folder()
    name, script = system.script(PROGRAM, [_program(), "__complete"], NOTE)
    path = folder / name
    try:
        new = path.with_name(f".{PROGRAM}.{os.getpid()}")
        new.write_bytes(script.encode())
        new.chmod(0o755)
        new.replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", "another folder of the PATH: --dir DIR") from None
    print(f"{path} is installed.")
    if str(folder) not in os.environ.get("PATH", "").split(os.pathsep):
        print(f"It has no effect yet: {folder} is not on the PATH.", file=sys.stderr)
    return 0


def _folder() -> Path:
    """Beside kubectl-sky, so that it is on the PATH; else ~/.local/bin."""
    beside = shutil.which("kubectl-sky")
    if beside and os.access(Path(beside).parent, os.W_OK):
        return Path(beside).parent
    folder = Path.home() / ".local" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _program() -> str:
    return shutil.which("kubectl-sky") or str(Path(sys.argv[0]).resolve())
