"""The line in the user's own ~/.ssh/config that includes ours: put in, taken out, and nothing else changed."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from kubectl_sky import system
from kubectl_sky.errors import Failure

COMMENT = b"# by kubectl sky: its tasks, as hosts; `kubectl sky ssh-config --remove` takes these lines away"


def add(config: Path, line: str) -> bool:
    """Put the Include `line` at the top of `config`, unless it is there; whether it had to be."""
    text = read(config)
    if any(one.strip() == line.encode() for one in text.splitlines()):
        return False
    end = b"\r\n" if b"\r\n" in text else b"\n"
    replace(config, end.join([COMMENT, line.encode(), b"", text]), line)
    return True


def remove(config: Path, line: str) -> bool:
    """Take the lines away; the file too, if nothing else is in it. Whether there was something."""
    text = read(config)
    lines = text.splitlines(keepends=True)
    at = next((n for n, one in enumerate(lines) if one.strip() == line.encode()), None)
    if at is None:
        return False
    first = at - 1 if at and lines[at - 1].strip() == COMMENT else at
    last = at + 1 if at + 1 < len(lines) and not lines[at + 1].strip() else at
    rest = b"".join(lines[:first] + lines[last + 1 :])
    if rest.strip() or config.is_symlink():
        replace(config, rest, line)
    else:
        config.unlink()
    return True


def read(config: Path) -> bytes:
    try:
        return config.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Failure(f"cannot read {config}: {error.strerror}") from None


def replace(config: Path, text: bytes, line: str) -> None:
    """All or nothing, with the mode that it has; a link to a file elsewhere stays one. Raises Failure."""
    target = Path(os.path.realpath(config))
    try:
        put(target, text, stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o600)
    except OSError as error:
        hint = f"make it so yourself; the line is: {line}"
        raise Failure(f"cannot write {target}: {error.strerror}", hint) from None


def put(path: Path, text: bytes, mode: int) -> None:
    """Write a file by way of another one: whoever reads it, or kills us, sees the old or the new text."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            system.set_mode(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
