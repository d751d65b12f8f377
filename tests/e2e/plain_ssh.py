"""Tasks in images of all kinds as hosts of plain OpenSSH: a home in which `kubectl sky ssh-config` was done."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import yaml

from tests.e2e.conftest import Sky, image, namespace

RANDOM_UID = 1_203_004
RESTRICTED = {
    "securityContext": {"runAsUser": RANDOM_UID, "runAsGroup": RANDOM_UID},
    "containers": [{"securityContext": {"readOnlyRootFilesystem": True}}],
}
# name of the task -> its image, its user's id, the home that a session has
KINDS: dict[str, tuple[str, int, str]] = {
    "busybox": ("busybox", 0, "/root"),
    "alpine": ("alpine", 0, "/root"),
    "debian": ("debian", 0, "/root"),
    "nonroot": ("debian-nonroot", 1001, "/home/app"),
    "restricted": ("debian", RANDOM_UID, "/sky/run/home"),
    "own-sshd": ("own-sshd", 0, "/root"),
}
EVERY_KIND = tuple(KINDS)
KINDS["python"] = ("python", 0, "/root")
PYTHON = "/sky/tools/bin/python3 -SE"  # in any image
QUIET = ("-o", "LogLevel=ERROR")


@dataclass(frozen=True)
class Machine:
    """A task that is up, as plain ssh finds it: `config` includes what ssh-config has written."""

    name: str
    config: Path
    sky: Sky

    @property
    def uid(self) -> int:
        return KINDS[self.name][1]

    @property
    def home(self) -> str:
        return KINDS[self.name][2]

    @property
    def pod(self) -> dict[str, Any]:
        return self.sky.pods(self.name)[0]

    def ssh(self, *command: str, flags: Sequence[str] = ()) -> list[str]:
        return ["ssh", "-F", str(self.config), *flags, self.name, *command]

    def run(
        self, *command: str, flags: Sequence[str] = (), stdin: Any = b"", timeout: float = 120
    ) -> subprocess.CompletedProcess[bytes]:
        """`stdin`: bytes, or an open file."""
        given = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        argv = self.ssh(*command, flags=flags)
        return subprocess.run(argv, capture_output=True, timeout=timeout, env=self.environment(), **given)

    def out(self, *command: str, flags: Sequence[str] = ()) -> str:
        """What a command that must succeed prints."""
        done = self.run(*command, flags=flags)
        assert done.returncode == 0, done
        return done.stdout.decode()

    def start(self, *command: str, flags: Sequence[str] = ()) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        argv = self.ssh(*command, flags=flags)
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=self.environment())

    def terminal(self, *command: str, flags: Sequence[str] = ()) -> pexpect.spawn:
        """On a terminal of 33 lines and 99 columns."""
        program, *words = self.ssh(*command, flags=("-t", *flags))
        env = {**self.environment(), "TERM": "xterm-256color"}
        return pexpect.spawn(program, words, env=env, timeout=30, encoding="utf-8", dimensions=(33, 99))

    def environment(self) -> dict[str, str]:
        env = {**self.sky.environment(), "HOME": str(self.config.parents[1])}
        return {key: value for key, value in env.items() if key not in ("SSH_AUTH_SOCK", "KUBECONFIG")}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def task(name: str, folder: Path) -> str:
    """The file of a task in the image of that kind."""
    base, _, _ = KINDS[name]
    pod = {"config": {"kubernetes": {"pod_config": {"spec": RESTRICTED}}}} if name == "restricted" else {}
    resources = {"cpus": 0.1, "image_id": f"docker:{image(base)}"}
    file = folder / f"{name}.yaml"
    file.write_text(
        yaml.safe_dump({"name": name, "resources": resources, "envs": {"OF_THE_TASK": name}, "run": "true", **pod})
    )
    return str(file)


@contextmanager
def machines(kubeconfig: str, folder: Path, kinds: Sequence[str]) -> Iterator[dict[str, Machine]]:
    """Launches one task of each kind, all at once; their hosts are in `folder`/home/.ssh/config."""
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    with ExitStack() as stack:
        plain = stack.enter_context(namespace(kubeconfig))
        plain.env["HOME"] = str(home)
        spaces = [plain]
        if "restricted" in kinds:
            restricted = stack.enter_context(namespace(kubeconfig))
            restricted.env["HOME"] = str(home)
            level = "pod-security.kubernetes.io/enforce=restricted"
            restricted.kubectl("label", "namespace", restricted.namespace, level)
            spaces.append(restricted)
        found = {kind: Machine(kind, home / ".ssh" / "config", spaces[kind == "restricted"]) for kind in kinds}
        with ThreadPoolExecutor(len(kinds)) as pool:
            list(pool.map(lambda machine: machine.sky.ok("launch", "-d", task(machine.name, folder)), found.values()))
        for sky in spaces:
            sky.ok("ssh-config")
        yield found
