"""Env files (dotenv): NAME=value, export, quotes, comments, ${NAME} and ${NAME:-default}."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kubectl_sky.errors import UsageError

_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?('[^']+'|[^=#\s]+)[ \t]*(=[ \t]*)?")
_SINGLE = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_BARE = re.compile(r"[^\r\n]*")
_END = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|$)")
_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")
_VARIABLE_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def read_env_file(path: str | Path) -> dict[str, str | None]:
    """The variables of a file, in order; a bare NAME is None. UsageError says which line is wrong."""
    try:
        text = Path(path).expanduser().read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read the env file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the env file {path} is not UTF-8 text") from None
    return parse_env_text(text, str(path))


def assignments(items: Sequence[str], flag: str) -> dict[str, str | None]:
    """`NAME=value`, or `NAME` alone to take it from the environment here; UsageError when it is not set here."""
    values: dict[str, str | None] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not _VARIABLE_NAME.fullmatch(name):
            raise UsageError(f"{flag} {name[:60]}: should be NAME=VALUE, or the NAME of a variable that is set here")
        if not equals and name not in os.environ:
            raise UsageError(f"{flag} {name}: {name} is not set in this environment", f"{flag} {name}=VALUE")
        values[name] = value if equals else os.environ[name]
    return values


class Variables(NamedTuple):
    """What the command line gives; None is a name without a value. `env_file` is below both of the others."""

    envs: dict[str, str | None]
    secrets: dict[str, str | None]
    env_file: dict[str, str | None]


def variables(
    env: Sequence[str] = (), env_files: Sequence[str | Path] = (),
    secret: Sequence[str] = (), secret_files: Sequence[str | Path] = (),
) -> Variables:  # fmt: skip
    """Envs and secrets of the command line. Flags win over files, a later file over an earlier one."""
    in_env_files, secrets = [
        {name: value for file in files for name, value in read_env_file(file).items()}
        for files in (env_files, secret_files)
    ]
    secrets.update(assignments(secret, "--secret"))
    return Variables(assignments(env, "--env"), secrets, in_env_files)


def parse_env_text(text: str, file: str) -> dict[str, str | None]:
    """As read_env_file(), of a text; `file` is for messages."""
    values: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        blank = _END.match(text, at)
        if blank:
            at = blank.end()
            continue
        start = at
        name, value, at = _entry(text, at)
        end = _END.match(text, at)
        if not end or not _VARIABLE_NAME.fullmatch(name):
            raise UsageError(f"{file}:{text.count(chr(10), 0, start) + 1}: this line should be NAME=VALUE")
        at = end.end()
        values[name] = None if value is None else _filled(value, values)
    return values


def _entry(text: str, at: int) -> tuple[str, str | None, int]:
    """The name, the value and where it ends."""
    match = _NAME.match(text, at)
    if not match:
        return "", None, at
    name, at = match[1].strip("'"), match.end()
    if not match[2]:
        return name, None, at
    single, double = _SINGLE.match(text, at), _DOUBLE.match(text, at)
    if single:
        return name, re.sub(r"\\([\\'])", r"\1", single[1]), single.end()
    if double:
        return name, _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), double[1]), double.end()
    bare = _BARE.match(text, at)
    end = bare.end() if bare else at
    return name, re.sub(r"\s+#.*", "", text[at:end]).rstrip(), end


def _filled(value: str, earlier: Mapping[str, str | None]) -> str:
    """`${NAME}` is from earlier lines, or else from the environment."""

    def known(match: re.Match[str]) -> str:
        found = earlier[match[1]] if match[1] in earlier else os.environ.get(match[1], match[2])
        return found or ""

    return _REFERENCE.sub(known, value)
