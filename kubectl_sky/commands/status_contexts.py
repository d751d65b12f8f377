"""kubectl sky status --all-contexts, and with several --context"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kubectl_sky.errors import ClusterFailure

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection
    from kubectl_sky.output import Format
    from kubectl_sky.overview import Row


def show(
    connection: Connection,
    wanted: Sequence[str],
    everywhere: bool,
    selector: str | None,
    form: Format,
    headers: bool,
) -> int:
    """Prints the tasks of all contexts, asked side by side; 1 when none answers, or a name is nowhere."""
    from kubectl_sky import contexts
    from kubectl_sky.commands.status import Printer
    from kubectl_sky.globs import is_glob
    from kubectl_sky.overview import Board

    def rows(board: Board) -> list[Row]:
        board.load()
        return board.rows(wanted)

    clusters = contexts.several(connection, everywhere=True)
    boards = [Board(one, None if everywhere else one.namespace, selector) for one in clusters]
    found: list[Row] = []
    away = []
    with ThreadPoolExecutor(len(boards) or 1) as pool:
        for board, answer in zip(boards, [pool.submit(rows, board) for board in boards], strict=True):
            error = answer.exception()
            if isinstance(error, ClusterFailure):
                away.append(board.cluster.context)
                print(f"context {board.cluster.context} is left out: {error.message}", file=sys.stderr)
            else:
                found += answer.result()
    Printer(form, everywhere, headers, contexts=True).show(found)
    names = {row.name for row in found}
    if absent := [name for name in wanted if not is_glob(name) and name not in names]:
        print(f"error: there is no cluster {', '.join(absent)} in any context that answers", file=sys.stderr)
    return 1 if absent or len(away) == len(boards) else 0
