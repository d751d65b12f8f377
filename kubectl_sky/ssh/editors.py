"""VS Code, and those made of it, on a node of a task: by the installed hosts and the editor's Remote-SSH extension."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import urllib.parse
from typing import TYPE_CHECKING

from kubectl_sky import system
from kubectl_sky.errors import Failure
from kubectl_sky.output import can_ask, confirm
from kubectl_sky.ssh import book, client, keeping
from kubectl_sky.ssh.installed import Folder

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

EDITORS = ("code", "cursor", "codium", "windsurf", "code-insiders", "code-oss")


def open_in(cluster: Cluster, name: str, path: str | None, editor: str | None) -> int:
    """Starts the editor, or prints the URL for one; returns its exit code. Raises Failure when there is no way."""
    program = next((one for one in ([editor] if editor else EDITORS) if shutil.which(one)), None)
    if editor and not program:
        raise Failure(f"{editor} was not found on PATH", "without --editor the URL for VS Code is printed")
    with client.way(cluster, name) as way:
        folder = absolute(way, path)
        host = installed(cluster, way.name, way.node)
    if program:
        return subprocess.run([system.program(program), "--remote", f"ssh-remote+{host}", folder]).returncode
    print(f"vscode://vscode-remote/ssh-remote+{host}{urllib.parse.quote(folder)}")
    return 0


def absolute(way: client.Way, path: str | None) -> str:
    """The path as it is in the task's container, where it must be."""
    if path is None:
        ask = "cd sky_workdir 2>/dev/null || cd; pwd"
    else:
        # ~ is the container's; what else a shell would make of the path is not wanted
        home, rest = ("~/", path[2:]) if path.startswith("~/") else ("", path)
        where = "~" if path == "~" else home + shlex.quote(rest)
        ask = f'p={where}; if [ -d "$p" ]; then cd -- "$p" && pwd; else ls -d -- "$p" && test "${{p#/}}" != "$p"; fi'
    done = subprocess.run(way.ssh(ask), capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"{path} is neither a folder nor an absolute path"])[-1]
        raise Failure(f"{way.host}: {said}")
    return done.stdout.rstrip("\n")


def installed(cluster: Cluster, name: str, node: int) -> str:
    """The name by which plain ssh finds the node. Raises Failure when the user does not want it to."""
    folder = Folder()
    if not folder.installed():
        setup = cluster.connection.command("ssh-config")
        if not can_ask():
            raise Failure("editors need the hosts in ~/.ssh/config, which are not there", f"once: {setup}")
        if not confirm(f"Editors need hosts in ~/.ssh/config. Do `{setup}` now?"):
            raise Failure("without them no editor can connect", f"later: {setup}")
        folder.install(keeping.all_of(cluster, keeping.tasks(cluster)))
    else:
        keeping.launched(cluster, name)  # it may have been launched elsewhere
    for task, rank, names in book.named(folder.tasks(), folder.taken()):
        if (task.name, rank) == (name, node) and keeping.is_in(task, cluster):
            return names[0]
    raise Failure(f"{folder.path / 'config'} has no host for {name}", cluster.connection.command("ssh-config"))
