"""The ProxyCommand of a node: how this program is started again, from anywhere, for one connection."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubectl_sky import system

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def program() -> list[str]:
    """argv that starts this very program from any folder: the packed file, the installed script, or the source."""
    if getattr(sys, "frozen", False):  # one file with a Python inside
        return [sys.executable]
    started = os.environ.get("KUBECTL_SKY_PROGRAM") or sys.argv[0]  # the packed file's launcher tells where it is
    if os.path.basename(started) != "__main__.py" and os.access(started, os.X_OK):
        return [os.path.abspath(started)]
    # not by PYTHONPATH: the credential plugins that kubectl starts may be Python programs too
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path[0] = {root!r}; from kubectl_sky.__main__ import main; main()"
    return [sys.executable, "-c", code]


def proxy_command(cluster: Cluster, name: str, node: int, pod: str | None = None) -> list[str]:
    """argv of `ssh-proxy` for a node of a task, with everything pinned that a shell or a kubeconfig might change.

    `pod` is where the node was last seen: tried first, which saves a request.
    """
    argv = [*program(), "ssh-proxy", *flags(cluster), *proxy_words(name, node, pod)]
    return system.under(kubeconfig(cluster), argv)


def proxy_words(name: str, node: int, pod: str | None) -> list[str]:
    """What ssh-proxy is told of the node; proxy.parse reads it."""
    where = [f"--node={node}"] if node else []
    hint = [f"--pod={pod}"] if pod else []
    return [*where, *hint, name]


def flags(cluster: Cluster) -> list[str]:
    """The connection flags that lead to this cluster and namespace, whatever the kubeconfig's current context is."""
    connection = replace(cluster.connection, namespace=cluster.namespace, kubeconfig=None)
    if cluster.context and not connection.server and not cluster.in_cluster:
        connection = replace(connection, context=cluster.context)
    return connection.kubectl_flags()


def kubeconfig(cluster: Cluster) -> list[str]:
    """KUBECONFIG for system.under(), which may name several files as no flag can; nothing where there is none."""
    flag = cluster.connection.kubeconfig
    named = [flag] if flag else os.environ.get("KUBECONFIG", "").split(os.pathsep)
    files = [os.path.abspath(os.path.expanduser(name)) for name in named if name]
    default = os.path.expanduser("~/.kube/config")
    if not files and os.path.exists(default):
        files = [default]
    return system.environment("KUBECONFIG", os.pathsep.join(files)) if files else []
