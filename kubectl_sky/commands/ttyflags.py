"""The flags for a job's terminal, shared by launch, exec and attach."""

from __future__ import annotations

from typing import Annotated

import typer

from kubectl_sky.errors import UsageError
from kubectl_sky.jobspec import Tty

TTY = Annotated[
    bool, typer.Option("-t", "--tty", help="Give the job a terminal (on its first node), and attach this one to it")
]
STDIN = Annotated[bool, typer.Option("-i", "--stdin", help="As in kubectl's -it: --tty includes it")]
DETACH_KEYS = Annotated[
    str | None,
    typer.Option("--detach-keys", metavar="KEYS", help="What detaches the terminal (default: ctrl-p,ctrl-q)"),
]


def wanted(tty: bool, stdin: bool, detach: bool, keys: str | None) -> tuple[Tty | None, str | None]:
    """(the terminal that the job gets or None, the keys that detach this one if it is to be attached).

    Without a terminal here, or with `detach`, nothing is attached. Raises UsageError.
    """
    from kubectl_sky import terminals

    if stdin and not tty:
        raise UsageError("a job reads no stdin, unless it has a terminal", "add -t")
    if not tty:
        return None, None
    keys = terminals.DETACH_KEYS if keys is None else keys
    terminals.key_sequence(keys)
    return terminals.mine(), keys if terminals.here() and not detach else None
