"""Pods for tests of the sync: the real receive.py and distribute.py, behind sockets such as the supervisor's."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kubectl_sky import sync

NEAR_SSH = Path(__file__).with_name("near_ssh.py")
REMOTE = Path(__file__).resolve().parents[2] / "kubectl_sky" / "remote"


class Node:
    """One supervisor: only its `pipe` op. A receiver's home is `home`."""

    def __init__(self, run: Path, rank: int, uid: int | None = None):
        # node 0's is that of who distributes, too
        self.home, self.run, self.uid = run / f"home{rank}", run / f"run{rank}" if rank else run, uid
        self.children: list[subprocess.Popen] = []
        for folder in (self.home, self.run):
            folder.mkdir(parents=True, exist_ok=True)
            if uid:
                os.chown(folder, uid, uid)
        self.listener = socket.socket(socket.AF_UNIX)
        path = run / f"node-{rank}.sock"
        path.unlink(missing_ok=True)
        self.listener.bind(str(path))
        self.listener.listen(8)
        self.server = threading.Thread(target=self.serve, daemon=True)
        self.server.start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.server.join()  # it would accept what comes to the next listener of this number
        self.listener.close()
        for child in self.children:
            child.kill()
            child.wait()

    def command(self, argv: list[str]) -> list[str]:
        assert argv[:2] == ["/sky/tools/bin/python3", "-SE"]
        program = Path(argv[2]).name
        if not self.uid:
            return [sys.executable, "-SE", str(REMOTE / program), *argv[3:]]
        # another user may not be able to read this Python and this folder
        code = shutil.copytree(REMOTE, self.run / "code", dirs_exist_ok=True)
        return ["/usr/bin/python3", "-SE", str(code / program), *argv[3:]]

    def serve(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            request = json.loads(conn.makefile("rb").readline())
            assert request["op"] == "pipe"
            # the folder of the nodes' sockets stands for their network, and near_ssh.py for ssh
            ssh = {"SKY_SYNC_SSH": str(NEAR_SSH), "SKY_SSH": str(self.run.parent), "SKY_SYNC_PATIENCE": "9"}
            env = {"HOME": str(self.home), "SKY_RUN": str(self.run), "PATH": os.environ["PATH"], **ssh}
            child = subprocess.Popen(self.command(request["argv"]), stdin=conn, stdout=conn, env=env, user=self.uid)
            self.children.append(child)
            conn.close()


class Pods:
    """N nodes; `open` is what kubectl exec does."""

    def __init__(self, folder: Path, count: int, stall: float = 20, uid: int | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.count, self.stall = folder, count, stall
        self.nodes = [Node(folder, rank, uid) for rank in range(count)]
        (folder / "task.json").write_text('{"name": "t"}')
        (folder / "config").touch()  # of ssh
        self.opened: list[subprocess.Popen] = []

    def open(self) -> subprocess.Popen:
        command = [sys.executable, "-SE", str(REMOTE / "distribute.py"), str(self.count), f"{self.stall:g}"]
        env = {
            "SKY_RUN": str(self.folder),
            "SKY_ETC": str(self.folder),
            "PATH": os.environ["PATH"],
            "SKY_SYNC_PATIENCE": "3",
        }
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env)
        self.opened.append(process)
        return process

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        for process in self.opened:
            process.kill()
            process.wait()


def picture(root: Path, times: bool = True) -> dict[bytes, tuple]:
    """Everything below `root`: type, mode, mtime, content or target."""
    found: dict[bytes, tuple] = {}
    stack = [os.fsencode(root)]
    while stack:
        folder = stack.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                state = entry.stat(follow_symlinks=False)
                content: bytes | None = None
                if entry.is_symlink():
                    content = os.readlink(entry.path)
                elif entry.is_dir():
                    stack.append(entry.path)
                else:
                    content = Path(os.fsdecode(entry.path)).read_bytes()
                name = os.path.relpath(entry.path, os.fsencode(root))
                found[name] = (state.st_mode, state.st_mtime_ns if times else 0, content)
    return found


@pytest.fixture
def pods(tmp_path):
    made = []

    def make(count=1, **options):
        made.append(Pods(tmp_path / f"pods{len(made)}", count, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    return folder


def send(pods, source, destination="~/sky_workdir", **options):
    files = sync.collect([sync.Mount(source, destination)])
    return sync.upload(pods.open, files, stall=pods.stall, **options)


def fill(root: Path, seed: int = 1, count: int = 60) -> None:
    """A tree with everything that is odd."""
    rng = random.Random(seed)
    folders = [root]
    for number in range(count):
        folder = rng.choice(folders)
        name = rng.choice(["plain", "-dash", "sp ace", "new\nline", "quote'\"", "ümlaut", "emoji😀", "tab\t", "*"])
        path = os.fsencode(folder) + b"/" + os.fsencode(f"{name}{number}")
        path += rng.choice([b"", b"", b"\xff\xfe", b"x" * 200])
        kind = rng.choice("ffffdle")
        if kind == "d":
            os.mkdir(path)
            folders.append(Path(os.fsdecode(path)))
        elif kind == "l":
            os.symlink(rng.choice([b"/nowhere", b"..", b"self\xff", b"plain\n1"]), path)
        else:
            size = 0 if kind == "e" else rng.choice([1, 100, 5000, 300_000])
            Path(os.fsdecode(path)).write_bytes(rng.randbytes(size))
            os.chmod(path, rng.choice([0o644, 0o755, 0o600, 0o444, 0o777]))
        os.utime(path, ns=(0, rng.randrange(10**9, 2 * 10**18)), follow_symlinks=False)
    for folder in folders[1:]:
        folder.chmod(rng.choice([0o755, 0o700, 0o775, 0o555]))
        os.utime(folder, ns=(0, rng.randrange(10**9, 2 * 10**18)))


def check(pods, source, destination="sky_workdir"):
    for node in pods.nodes:
        assert picture(node.home / destination) == picture(source)
        assert not list((node.run / "sync").iterdir())
