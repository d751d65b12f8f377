"""A shell that outlives its connections."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from kubectl_sky import terminals

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def shell(cluster: Cluster, name: str, node: int | None, session: str, command: list[str]) -> int:
    """The shell (or command) called `session` on that node, started unless it is there; its exit code, 0 if detached.

    The other ways to end are those of terminals.hold.
    """
    argv = ["$SHELL", "-c", " ".join(command)] if command else ["$SHELL"]
    words = [*(["--node", str(node)] if node else []), "--persist", *(["--session", session] if session else []), name]
    back = cluster.connection.command("ssh", shlex.join(words))
    start = {"argv": argv, "login": not command}
    code = terminals.hold(terminals.Kept(cluster, name, node, f"shell {session}", back, start))
    if code == terminals.DETACHED:
        print(f"\nDetached; the shell stays. Come back: {back}", file=sys.stderr)
        return 0
    return code
