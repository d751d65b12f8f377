"""What the shell may put in place of the word at the cursor.

kubectl asks the program `kubectl_complete-sky` with the words after `sky`; see commands/completion.py.
It answers a candidate a line, a tab and a description, and at the end `:N`, what the shell does by itself (Cobra).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky import cli

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection
    from kubectl_sky.live_words import Words

# Cobra's directives; 8 and 16 name endings, folders
FILES, NO_SPACE, NO_FILES, ENDINGS, FOLDERS = 0, 2 | 4, 4, 8, 16

# what follows a verb: of the first word, and of each after it
NAMES, MANAGED, JOBS, TASK = "names", "managed jobs", "jobs", "task"
EITHER, PATHS, NOTHING = "a task or a name", "paths", "nothing"
ARGUMENTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("status", "queue", "stop", "start", "down", "autostop", "cost-report"), (NAMES, NAMES)),
    **dict.fromkeys(("exec",), (NAMES, TASK)),
    **dict.fromkeys(("logs", "cancel", "attach"), (NAMES, JOBS)),
    **dict.fromkeys(("ssh", "code", "port-forward", "explain"), (NAMES, NOTHING)),
    **dict.fromkeys(("launch", "render", "jobs launch"), (TASK, NOTHING)),
    **dict.fromkeys(("jobs queue", "jobs cancel"), (MANAGED, MANAGED)),
    "jobs logs": (MANAGED, NOTHING),
    "validate": (TASK, TASK),
    "dev": (EITHER, TASK),
    **dict.fromkeys(("cp", "rsync"), (PATHS, PATHS)),
}


def answer(words: Sequence[str]) -> str:
    """For the words after `sky`, of which the last is at the cursor; never raises."""
    try:
        found, directive = complete(list(words))
        start = "" if directive == ENDINGS else words[-1]
        lines = [f"{word}\t{text}" if text else word for word, text in found if word.startswith(start)]
    except Exception:  # half a command line, a cluster that is away: the shell has nothing to say
        lines, directive = [], FILES
    return "".join(f"{line}\n" for line in [*lines, f":{directive}"])


def complete(words: list[str]) -> tuple[Words, int]:
    """(candidates, directive). Raises whatever a broken command line or a dead cluster does."""
    *before, at = words or [""]
    scan = cli.Scan()
    if (flag := _connection_flag(scan, before)) is not None:
        return _connection_value(scan, before, flag)
    rest = scan.until_verb(list(before))
    if not rest:
        return (_connection_flags(scan), NO_FILES) if at.startswith("-") else (_verbs(), NO_FILES)
    if cli.members(cli.ALIASES.get(rest[0], rest[0])) and len(rest) == 1:
        return [(verb.split()[1], cli.VERBS[verb].help) for verb in cli.members(rest[0])], NO_FILES
    name, arguments = cli.find_verb(rest, scan)
    command = cli.command_of(cli.VERBS[name])
    own = cli.takes_value(command)
    if at.startswith("-"):
        return [*_options(command), *_connection_flags(scan)], NO_FILES
    if arguments and cli.value_follows(arguments[-1], own):
        return _value(arguments[-1], scan)
    given = [word for word in scan.after_verb(arguments, own, None) if not word.startswith("-")]
    return _argument(name, _without_values(arguments, given, own), at, scan)


def _without_values(arguments: list[str], given: list[str], own: dict[str, bool]) -> list[str]:
    """The words that are no values of options."""
    values = {after for word, after in itertools.pairwise(arguments) if cli.value_follows(word, own)}
    return [word for word in given if word not in values]


def _argument(verb: str, given: list[str], at: str, scan: cli.Scan) -> tuple[Words, int]:
    from kubectl_sky import live_words

    first, later = ARGUMENTS.get(verb, (NOTHING, NOTHING))
    kind = later if given else first
    connection = scan.connection()
    if kind == TASK:
        return [("yaml", ""), ("yml", "")], ENDINGS
    if kind == PATHS:
        return ([], FILES) if "/" in at or at.startswith((".", "~")) else (
            [(f"{name}:", text) for name, text in live_words.tasks(connection)], NO_SPACE
        )  # fmt: skip
    if kind == EITHER:
        return live_words.tasks(connection), FILES  # without a name that fits, the shell takes files
    if kind == JOBS:
        return live_words.jobs(connection, given[0]), NO_FILES
    if kind in (NAMES, MANAGED):
        found = live_words.tasks(connection, kind == MANAGED)
        return [one for one in found if one[0] not in given], NO_FILES
    return [], NO_FILES if kind == NOTHING and verb not in ARGUMENTS else FILES


def _verbs() -> Words:
    words: dict[str, str] = {}
    for name, verb in cli.VERBS.items():
        first, _, second = name.partition(" ")
        words.setdefault(first, f"{first} ..." if second else verb.help)
    return list(words.items())


def _options(command: Any) -> Words:
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    return [(spelling, one.help or "") for one in options for spelling in (*one.opts, *one.secondary_opts)]


def _connection_flags(scan: cli.Scan) -> Words:
    return [(name, flag.help) for name, flag in scan.flags.items() if name.startswith("--")]


def _connection_flag(scan: cli.Scan, before: list[str]) -> str | None:
    """The field of the connection flag whose value is at the cursor."""
    flag = scan.flags.get(before[-1]) if before else None
    return flag.field if flag and flag.metavar and flag.field != "verbosity" and "--" not in before else None


def _connection_value(scan: cli.Scan, before: list[str], field: str) -> tuple[Words, int]:
    from kubectl_sky import live_words

    scan.after_verb(before[:-1], {}, None)  # what was said of the connection so far
    connection = scan.connection()
    values: dict[str, Callable[[Connection], Words]] = {
        "namespace": live_words.namespaces,
        "context": live_words.contexts,
        "colour": lambda _: [(when, "") for when in ("auto", "always", "never")],
    }
    return (values[field](connection), NO_FILES) if field in values else ([], FILES)


def _value(flag: str, scan: cli.Scan) -> tuple[Words, int]:
    from kubectl_sky import live_words

    if flag in (values := _values()):
        return [(value, "") for value in values[flag]], NO_FILES
    if flag in ("-c", "--cluster-name"):
        return live_words.tasks(scan.connection()), NO_FILES
    if flag in ("--gpus", "--gpu"):
        return live_words.gpus(scan.connection()), NO_FILES
    return [], FOLDERS if flag == "--workdir" else FILES


def _values() -> dict[str, Sequence[str]]:
    from kubectl_sky import resources
    from kubectl_sky.parts import ports

    return {
        "--wait-for": resources.WAIT_FOR,
        "--dry-run": ("client", "server"),
        "--expose": ports.WAYS,
        **dict.fromkeys(("-o", "--output"), ("wide", "json", "yaml", "name")),
    }
