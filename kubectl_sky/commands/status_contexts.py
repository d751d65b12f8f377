"""kubectl sky status --all-contexts, and with several --context"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection
    from kubectl_sky.kube import Cluster
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
    """Prints the tasks of all contexts, asked side by side; 1 when a name is nowhere. ClusterFailure: none answers."""
    from kubectl_sky import contexts
    from kubectl_sky.commands.status import Printer
    from kubectl_sky.globs import is_glob
    from kubectl_sky.overview import Board

    def rows(cluster: Cluster) -> list[Row]:
        board = Board(cluster, None if everywhere else cluster.namespace, selector)
        board.load()
        return board.rows(wanted)

    answers = contexts.asked(contexts.several(connection, everywhere=True), rows)
    found = [row for _, there in answers for row in there]
    Printer(form, everywhere, headers, contexts=True).show(found)
    names = {row.name for row in found}
    if absent := [name for name in wanted if not is_glob(name) and name not in names]:
        print(f"error: there is no cluster {', '.join(absent)} in any context that answers", file=sys.stderr)
    return 1 if absent else 0
