"""The cluster's processes: starting, finding and ending them."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster.settings import CACHE, HERE, NUMBER, ROOT, ClusterError

PROJECT = HERE.parents[1]


def say(message: str) -> None:
    """One line of progress."""
    print(message, file=sys.stderr, flush=True)


def run(*argv: str | Path, check: bool = True, stdin: str | None = None) -> str:
    """Runs a command, returns what it printed. Raises ClusterError with its stderr."""
    words = [str(word) for word in argv]
    result = subprocess.run(words, text=True, capture_output=True, input=stdin or "")
    if check and result.returncode:
        raise ClusterError(f"{' '.join(words)}: exit code {result.returncode}: {result.stderr.strip()[-2000:]}")
    return result.stdout


def spawn(name: str, argv: Sequence[object], netns: str) -> None:
    """Starts a daemon in a net namespace; its output goes to ROOT/NAME.log."""
    # not `ip netns exec`: that hides kubelet's mounts from containerd
    words = ["nsenter", f"--net=/run/netns/{netns}", *(str(word) for word in argv)]
    path = f"{Path(str(argv[0])).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    with (ROOT / f"{name}.log").open("ab") as log:
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={"PATH": path, "HOME": str(ROOT)},
        )


def spawn_module(name: str, module: str, arguments: Sequence[object], netns: str) -> None:
    """Starts a module of tests.cluster as a daemon; one of the arguments is a path under ROOT (see is_ours)."""
    env = {"PYTHONPATH": PROJECT, "KUBECTL_SKY_CACHE": CACHE, "KUBECTL_SKY_CLUSTER": ROOT}
    words = [f"{key}={value}" for key, value in {**env, "KUBECTL_SKY_CLUSTER_NUMBER": NUMBER}.items()]
    spawn(name, ["/usr/bin/env", *words, sys.executable, "-m", module, *arguments], netns)


def wait_for(what: str, ready: Callable[[], bool], seconds: float = 90, log: str = "", pause: float = 0.2) -> None:
    """Waits until ready() is true. Raises ClusterError with the end of ROOT/LOG.log when it never is."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            path = ROOT / f"{log}.log"
            tail = path.read_text(errors="replace")[-1500:] if log and path.exists() else f"logs: {ROOT}/*.log"
            raise ClusterError(f"{what} not ready after {seconds:.0f} s; {path if log else ''}\n{tail}")
        time.sleep(pause)


def command_line(pid: int) -> list[str]:
    """A process's argv, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def is_ours(pid: int) -> bool:
    """Is it one of this cluster's daemons: a program that we built, or a module of ours, given a path of ours?"""
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return False
    words = command_line(pid)
    module = words[1:2] == ["-m"] and "".join(words[2:3]).startswith("tests.cluster.")
    return (module or program.startswith(f"{CACHE}/bin/")) and any(f"{ROOT}/" in word for word in words)


def daemons(component: str = "") -> list[int]:
    """The pids of this cluster's daemons, all or those with `component` in their first words."""
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [pid for pid in pids if is_ours(pid) and (not component or component in command_line(pid)[:3])]


def end(pids: Sequence[int], grace: float) -> None:
    """SIGTERM, and after `grace` seconds SIGKILL to those still there; returns when their files and ports are free."""
    # a pidfd, as /proc/PID/cmdline is empty while a killed process still holds its ports
    left = {pid: handle for pid in pids if (handle := pidfd(pid)) is not None}
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        for handle in left.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        limit = time.monotonic() + seconds
        for pid, handle in list(left.items()):
            if select.select([handle], [], [], max(0.0, limit - time.monotonic()))[0]:
                os.close(left.pop(pid))
    for handle in left.values():
        os.close(handle)


def pidfd(pid: int) -> int | None:
    """A handle of a process, None when it has ended."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def missing(*programs: str) -> list[str]:
    """Which of the programs are not on this machine."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return [program for program in programs if not shutil.which(program, path=path)]
