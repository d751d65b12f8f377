"""ssh-proxy [--node=N] [--pod=POD] NAME: joins ssh, whose ProxyCommand it is, and a sshd in the pod (kubectl exec).

It is waited for at each connection, so it imports next to nothing: what needs the API server is imported when the pod
that ssh's configuration names is not there (the pods of a Job are replaced, and have other names then).
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from kubectl_sky.errors import Failure, UsageError

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection

EXIT = 255  # ssh's own for "no connection"
# the fifo: see remote/people.py. Exit code 0 whatever happens: the session's own comes over ssh, and kubectl would
# comment on any other
SSHD_SCRIPT = """\
exec 9<>/sky/run/people; echo + >&9
/usr/sbin/sshd -i -e -f /sky/code/sshd_people.conf 9>&-
echo - >&9; exit 0"""
SSHD = ["/bin/sh", "-c", SSHD_SCRIPT]
GONE = ("(NotFound)", "container not found", "container is not running", "cannot exec", "completed pod")


def main(words: list[str], connection: Connection) -> int:
    """`[--node=N] [--pod=POD] NAME`; returns the exit code."""
    if "--help" in words or "-h" in words:
        print(__doc__)
        return 0
    name, node, pod = parse(words)
    try:
        if pod:
            code, said = converse(["kubectl", *connection.kubectl_flags()], pod)
            if code == 0:
                return 0
            if not any(sign in said for sign in GONE):
                raise lost(connection, name, node, said)
        from kubectl_sky import kube
        from kubectl_sky.ssh import client

        cluster = kube.connect(connection)
        _, _, now, _ = client.find(cluster, name, node)
        code, said = converse(cluster.kubectl(), now)
        if code:
            raise lost(connection, name, node, said)
        return 0
    except Failure as failure:
        failure.exit_code = EXIT
        raise


def parse(words: list[str]) -> tuple[str, int, str | None]:
    """Name, node, and the pod that it was."""
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    names = [word for word in words if not word.startswith("-")]
    if len(names) != 1 or len(flags) + 1 != len(words) or not flags.get("node", "0").isdigit():
        raise UsageError("ssh-proxy takes [--node=N] [--pod=POD] NAME", "`kubectl sky ssh-config` writes it for ssh")
    return names[0], int(flags.get("node", "0")), flags.get("pod")


def converse(kubectl: list[str], pod: str) -> tuple[int, str]:
    """Joins ssh (our stdin and stdout) and a sshd in the pod, to the end; kubectl's exit code and what it said."""
    argv = [*kubectl, "exec", "-i", pod, "-c", "ssh", "--", *SSHD]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)

    def end(*_: object) -> None:
        process.kill()
        os._exit(EXIT)

    for number in (signal.SIGHUP, signal.SIGTERM):  # ssh's way to say that it has ended
        signal.signal(number, end)
    assert process.stderr
    said = b"".join(process.stderr)
    return process.wait(), said.decode(errors="replace").strip()


def lost(connection: Connection, name: str, node: int, said: str) -> Failure:
    """What to tell when kubectl ended by itself."""
    why = (said.splitlines() or ["kubectl ended without a word"])[-1].removeprefix("error: ")
    again = connection.command("ssh", f"--node {node} {name}" if node else name)
    return Failure(f"connection to {name} was lost: {why}; the job goes on: {again}")
