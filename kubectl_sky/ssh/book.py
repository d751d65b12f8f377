"""The tasks that the installed configuration knows, and what ssh reads of them. Pure; installed.py keeps the files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kubectl_sky import system
from kubectl_sky.ssh.hosts import Host, known_host
from kubectl_sky.ssh.program import proxy_words

HEAD = """\
# Written by `kubectl sky ssh-config`, and kept up to date by launch and down: what is changed here is lost.
# Plain ssh, scp, sftp, rsync, git and editors reach the tasks below; `kubectl sky ssh-config --remove` takes it away.
"""


@dataclass(frozen=True)
class Task:
    """A task as ssh has to know it. `environment` and `flags` lead ssh-proxy to its cluster and namespace.

    `pods` are where its nodes were last seen, by rank ("": not yet); `seen`: when it was written, in s since 1970.
    """

    name: str
    namespace: str
    context: str
    environment: Sequence[str]
    flags: Sequence[str]
    public: str
    pods: Sequence[str]
    seen: float

    @property
    def full_name(self) -> str:
        """NAME.NAMESPACE.CONTEXT with nothing that ssh, scp, git or an editor would take for something else."""
        context = re.sub(r"[^a-z0-9.]+", "-", self.context.lower()).strip("-.") or "cluster"
        return f"{self.name}.{self.namespace}.{context}"

    @property
    def place(self) -> tuple[Sequence[str], Sequence[str]]:
        """Same for the tasks of one namespace of one cluster."""
        return tuple(self.environment), tuple(self.flags)


def config(tasks: Iterable[Task], program: Sequence[str], known_hosts: str, taken: Iterable[str], fast: bool) -> str:
    """The text of the include file; names in `taken` are the user's own hosts' and are left to them."""
    blocks = [
        Host(names, task.full_name, proxy(task, node, program), known_hosts).block(fast)
        for task, node, names in named(tasks, taken)
    ]
    return "\n".join([HEAD, *blocks])


def known_hosts(tasks: Iterable[Task]) -> str:
    """The text of the known_hosts file: all nodes of a task have one key."""
    return "".join(sorted(known_host(task.full_name, task.public) for task in tasks))


def named(tasks: Iterable[Task], taken: Iterable[str]) -> Iterator[tuple[Task, int, list[str]]]:
    """Task, node, and its names: of several tasks with one name the newest gets it; the full names are for all.

    A task's name goes before that of a node: a task `train-1` keeps it where `train` has a second node.
    """
    newest = sorted(tasks, key=lambda task: (-task.seen, task.full_name))
    given = set(taken)
    owner: dict[str, tuple[Task, int]] = {}
    for first in (True, False):
        for task in newest:
            for node in [0] if first else range(1, len(task.pods)):
                owner.setdefault(numbered(task.name, node), (task, node))
    for task in newest:
        for node in range(len(task.pods)):
            short = numbered(task.name, node)
            mine = owner[short] == (task, node) and short not in given
            full = task.full_name.replace(task.name, short, 1)
            yield task, node, [short, full] if mine else [full]


def numbered(name: str, node: int) -> str:
    return f"{name}-{node}" if node else name


def proxy(task: Task, node: int, program: Sequence[str]) -> list[str]:
    """argv of ssh's ProxyCommand."""
    return system.under(task.environment, [*program, *task.flags, *proxy_words(task.name, node, task.pods[node])])


def own_hosts(text: str) -> set[str]:
    """The names that a ssh_config of the user's own gives to hosts."""
    lines = re.findall(r"^\s*host(?:\s+|\s*=\s*)(.+)$", text, re.IGNORECASE | re.MULTILINE)
    return {word.strip('"') for line in lines for word in line.split()}
