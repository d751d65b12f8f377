"""kubectl sky ssh-config"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from kubectl_sky.errors import UsageError


def ssh_config(
    ctx: typer.Context,
    show: Annotated[bool, typer.Option("--print", help="Print the hosts of the namespace, write nothing")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take away all that it wrote below ~/.ssh")] = False,
) -> int:
    """Make clusters hosts of plain ssh: for ssh, scp, sftp, rsync, git and editors.

    Once is enough: launch and down keep the hosts up to date. Again in another context or namespace adds those there.
    A host is called NAME, its other nodes NAME-1, NAME-2 …, and all of them also NAME.NAMESPACE.CONTEXT.

    \b
    Examples:
      kubectl sky ssh-config
      kubectl sky ssh-config --print
      kubectl sky ssh-config --remove
    """
    from kubectl_sky import kube
    from kubectl_sky.ssh import keeping
    from kubectl_sky.ssh.book import named, own_hosts
    from kubectl_sky.ssh.include import read
    from kubectl_sky.ssh.installed import Folder

    if show and remove:
        raise UsageError("give --print or --remove, not both")
    folder = Folder()
    if remove:
        there = folder.remove()
        print(f"Removed {folder.path}" if there else "There was nothing to remove.", file=sys.stderr)
        return 0
    cluster = kube.connect(ctx.obj)
    found = keeping.tasks(cluster)
    if show:
        print(folder.text(found), end="")
        return 0
    folder.install(keeping.all_of(cluster, found))
    print(f"{folder.user_config} includes {folder.path / 'config'}", file=sys.stderr)
    taken = own_hosts(read(folder.user_config).decode(errors="replace"))
    hosts = [names[0] for task, _, names in named(folder.tasks(), taken) if task in found]
    if hosts:
        print(f"Hosts of namespace {cluster.namespace}: {', '.join(hosts)}", file=sys.stderr)
    else:
        print(f"Nothing is up in namespace {cluster.namespace}: launch adds its hosts", file=sys.stderr)
    return 0
