"""A connection to a node of a task, for this program's own use: ssh, and what works over ssh.

with client.way(cluster, "train", node=1) as way:
    subprocess.run(way.ssh("nvidia-smi"))
    subprocess.run(["rsync", "-a", "-e", way.shell, "data/", f"{way.host}:data/"])
"""

from __future__ import annotations

import base64
import re
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kubectl_sky import cluster_objects, gang, running
from kubectl_sky.errors import Failure
from kubectl_sky.ssh.book import numbered
from kubectl_sky.ssh.hosts import Host, known_host, quick_exchange, ssh_version
from kubectl_sky.ssh.program import proxy_command

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

TOLD_SECONDS = 3.0  # until a pod's status has what its containers do already: kubelets before 1.27 take their time


@dataclass(frozen=True)
class Way:
    """How to reach a node while `way` is open: `config` is a ssh_config in which it is called `host`."""

    config: str
    host: str
    name: str  # the task's
    node: int
    pod: str

    def ssh(self, *command: str, flags: tuple[str, ...] = ()) -> list[str]:
        """argv of an ssh client; `flags` are its own, e.g. ("-t",)."""
        return ["ssh", "-F", self.config, *flags, self.host, *command]

    @property
    def shell(self) -> str:
        """The same for programs that start ssh themselves, and split at spaces: `rsync -e`, GIT_SSH_COMMAND."""
        return shlex.join(["ssh", "-F", self.config])


class Found(NamedTuple):
    """A node that is up; `public` is its host key."""

    name: str
    node: int
    pod: str
    public: str


def ssh(cluster: Cluster, name: str, node: int | None, command: list[str]) -> int:
    """Runs the ssh client to its end; returns its exit code. Raises Failure when there is nothing to connect to."""
    with way(cluster, name, node) as found:
        return subprocess.run(found.ssh(*command)).returncode


@contextmanager
def way(cluster: Cluster, name: str, node: int | None = None) -> Iterator[Way]:
    """The way to a node that is up; its files are gone afterwards. Raises Failure with the reason when there is none.

    NAME-1 is node 1 of NAME, unless there is a task of that name.
    """
    if not shutil.which("ssh"):
        raise Failure("ssh was not found on PATH", "install the OpenSSH client")
    cluster.kubectl()
    there = find(cluster, name, node)
    host = numbered(there.name, there.node)
    with tempfile.TemporaryDirectory(prefix="kubectl-sky-ssh-") as folder:
        known, config = Path(folder, "known_hosts"), Path(folder, "config")
        known.write_bytes(known_host("kubectl-sky", there.public).encode())
        proxy = proxy_command(cluster, there.name, there.node, there.pod)
        block = Host([host], "kubectl-sky", proxy, known.as_posix()).block(quick_exchange(ssh_version()))
        config.write_bytes(block.encode())
        yield Way(str(config), host, there.name, there.node, there.pod)


def find(cluster: Cluster, name: str, node: int | None) -> Found:
    """The pod of a node, and how it is told from others. Raises Failure when that node is not up."""
    with ThreadPoolExecutor(2) as pool:
        pods = pool.submit(cluster_objects.pods, cluster, name)
        public = pool.submit(host_key, cluster, name)
    found, other = pods.result(), re.fullmatch(r"(.+)-(\d+)", name)
    if not found and other and node is None and cluster_objects.get_job(cluster, other[1]):
        return find(cluster, other[1], int(other[2]))
    wanted, until = node or 0, time.monotonic() + TOLD_SECONDS
    while True:
        mine = [pod for pod in found if gang.rank(pod) == wanted]
        for pod in filter(running.task_up, mine):
            return Found(name, wanted, str(pod["metadata"]["name"]), public.result())
        if time.monotonic() > until or not any(map(running.begins, mine)):
            raise not_up(cluster, name, wanted, len(found))
        time.sleep(0.2)
        found = cluster_objects.pods(cluster, name)


def host_key(cluster: Cluster, name: str) -> str:
    """The public half of the task's key, which is its nodes' host key too."""
    path = f"{cluster_objects.collection(cluster, 'Secret')}/{name}-sky"
    return base64.b64decode(cluster.get(path)["data"]["id_ed25519.pub"]).decode()


def not_up(cluster: Cluster, name: str, node: int, nodes: int) -> Failure:
    """Why there is nothing to connect to."""
    state = running.explain(cluster, name)
    if state.phase == "Up":
        return Failure(f"{name} has no node {node}: its nodes are 0 to {nodes - 1}")
    return Failure(f"{name} is {state.phase}: {state.message or state.reason}", state.hint)
