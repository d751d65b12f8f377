"""~/.ssh/kubectl-sky: the hosts for plain ssh, as files. `tasks.json` is what is known; the others are made of it.

config       included by ~/.ssh/config
known_hosts  one line a task
proxy        starts this program, wherever it is, with the PATH of the shell that installed it (not on Windows)
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from kubectl_sky import system
from kubectl_sky.errors import Failure
from kubectl_sky.ssh import book, hosts, include, program
from kubectl_sky.ssh.book import Task

Change = Callable[[list[Task]], list[Task]]
STATE = "tasks.json"
PROXY = """\
#!{shell}
# Written by `kubectl sky ssh-config`; ssh starts it. Editors do not always have the PATH of a shell.
PATH=$PATH:{path}
export PATH
exec {program} ssh-proxy "$@"
"""


class Folder:
    """The files below a home (default: the user's). Raises Failure where they cannot be written."""

    def __init__(self, home: str | None = None):
        self.home = Path(home or os.path.expanduser("~"))
        self.path = self.home / ".ssh" / "kubectl-sky"
        self.user_config = self.home / ".ssh" / "config"

    @property
    def line(self) -> str:
        """The Include line: with ~ where ssh takes it for the same folder, so that it suits other machines too."""
        mine = str(self.home) == system.account_home()
        path = "~/.ssh/kubectl-sky/config" if mine else (self.path / "config").as_posix()
        return f'Include "{path}"' if " " in path else f"Include {path}"

    def installed(self) -> bool:
        return (self.path / STATE).exists()

    def install(self, change: Change) -> list[Task]:
        """Make the folder, write what `change` makes of the tasks, and have it included. Returns the tasks."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Failure(f"cannot make {self.path}: {error.strerror}") from None
        with self.locked(10.0):
            if system.SHELL:
                include.put(self.path / "proxy", _script(system.SHELL).encode(), 0o700)
            tasks = self._write(change)
            include.add(self.user_config, self.line)
        return tasks

    def update(self, change: Change, patience: float = 2.0) -> None:
        """Write what `change` makes of the tasks, if it is installed. Waits for others for `patience` seconds."""
        if self.installed():
            with self.locked(patience):
                if self.installed():
                    self._write(change)

    def remove(self) -> bool:
        """Take everything away; whether there was something."""
        there = include.remove(self.user_config, self.line)
        if self.path.is_dir():
            with self.locked(10.0):
                shutil.rmtree(self.path)
            there = True
        return there

    def tasks(self) -> list[Task]:
        try:
            return [Task(**one) for one in json.loads((self.path / STATE).read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return []  # not there, or of another version: the next ssh-config makes it again

    def taken(self) -> set[str]:
        """The names of the user's own hosts."""
        return book.own_hosts(include.read(self.user_config).decode(errors="replace"))

    def text(self, tasks: list[Task]) -> str:
        """The include file."""
        start = [system.SHELL, str(self.path / "proxy")] if system.SHELL else [*program.program(), "ssh-proxy"]
        known, fast = (self.path / "known_hosts").as_posix(), hosts.quick_exchange(hosts.ssh_version())
        return book.config(tasks, start, known, self.taken(), fast)

    def _write(self, change: Change) -> list[Task]:
        """A host that is in `config` has its key in known_hosts, at any moment."""
        before = self.tasks()
        tasks = change(before)
        files = [
            (STATE, json.dumps([asdict(task) for task in tasks], indent=1)),
            ("known_hosts", book.known_hosts({task.full_name: task for task in [*before, *tasks]}.values())),
            ("config", self.text(tasks)),
            ("known_hosts", book.known_hosts(tasks)),
        ]
        try:
            for name, text in files:
                if include.read(self.path / name) != text.encode():
                    include.put(self.path / name, text.encode(), 0o600)
        except OSError as error:
            raise Failure(f"cannot write to {self.path}: {error.strerror}") from None
        return tasks

    @contextmanager
    def locked(self, patience: float) -> Iterator[None]:
        """One writer at a time. The folder itself is locked: a lock file would be one more to leave behind."""
        try:
            descriptor = system.open_lock(self.path)
        except OSError as error:
            raise Failure(f"cannot open {self.path}: {error.strerror}") from None
        deadline = time.monotonic() + patience
        try:
            while not system.try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise Failure(f"another process has {self.path} locked", "try again")
                time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)


def _script(shell: str) -> str:
    path = shlex.quote(os.environ.get("PATH", ""))
    return PROXY.format(shell=shell, path=path, program=shlex.join(program.program()))
