"""ssh-proxy [--node=N] [--pod=POD] NAME: joins ssh, whose ProxyCommand it is, and a sshd in the pod (kubectl exec).

It is waited for at each connection, so it imports next to nothing: what needs the API server is imported when the pod
that ssh's configuration names is not there (the pods of a Job are replaced, and have other names then).
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from kubectl_sky import presence, system
from kubectl_sky.errors import Failure, Unreachable, UsageError

if TYPE_CHECKING:
    from kubectl_sky.api.connection import Connection

EXIT = 255  # ssh's own for "no connection"
SSHD = presence.counted(["/usr/sbin/sshd", "-i", "-e", "-f", "/sky/code/sshd_people.conf"])
# what kubectl says of a pod that was replaced: nothing of ssh's has been read then
GONE = ("(NotFound)", "container not found", "cannot exec in", "completed pod", "not have a host assigned")
# its words for a connection that broke -> ours
BROKEN = {
    "i/o timeout": "the API server no longer answers",
    "close 1006": "the API server ended it",
    "unexpected EOF": "the API server ended it",
    "reset by peer": "the API server ended it",
    "broken pipe": "the API server ended it",
    "command terminated": "sshd in the pod was ended",
}


def main(words: list[str], connection: Connection) -> int:
    """Returns the exit code; Failure with 255 and the reason when there is no connection, or it was lost."""
    if "--help" in words or "-h" in words:
        print(__doc__)
        return 0
    name, node, pod, environment = parse(words)
    os.environ.update(environment)
    system.leave_terminal()  # Ctrl-C is for ssh, which may be the master of other sessions
    try:
        return connect(connection, name, node, pod)
    except Failure as failure:
        hint = f"; {failure.hint}" if failure.hint else ""
        raise Failure(f"{failure.message}{hint}", None, EXIT) from None


def parse(words: list[str]) -> tuple[str, int, str | None, dict[str, str]]:
    """Name, node, the pod that it was, and variables (--env=NAME=VALUE, where there is no `env` to set them)."""
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
    names = [word for word in words if not word.startswith("-")]
    if len(names) != 1 or len(flags) + 1 != len(words) or not flags.get("node", "0").isdigit():
        raise UsageError("ssh-proxy takes [--node=N] [--pod=POD] NAME", "`kubectl sky ssh-config` writes it for ssh")
    variable, _, value = flags.get("env", "").partition("=")
    return names[0], int(flags.get("node", "0")), flags.get("pod"), {variable: value} if variable else {}


def connect(connection: Connection, name: str, node: int, pod: str | None) -> int:
    """To the pod that the node was, or else to the one that it is now; to the end of the session."""
    if pod:
        said = converse(["kubectl", *connection.kubectl_flags()], pod)
        if said is None:
            return 0
        if not any(sign in said for sign in GONE):
            raise lost(connection, name, node, said)
    from kubectl_sky import kube
    from kubectl_sky.ssh import client, keeping

    cluster = kube.connect(connection)
    found = client.find(cluster, name, node)
    if keeping.outdated(cluster, found.name, found.public):
        raise Failure(f"{found.name} was launched anew, and has another host key", connection.command("ssh-config"))
    said = converse(cluster.kubectl(), found.pod)
    if said is None:
        return 0
    raise lost(connection, name, node, said)


def converse(kubectl: list[str], pod: str) -> str | None:
    """Joins ssh (our stdin and stdout) and a sshd in the pod. None at a good end, else what kubectl said."""
    argv = [*kubectl, "exec", "-i", pod, "-c", "ssh", "--", *SSHD]
    try:
        process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Failure("kubectl was not found on PATH", "https://kubernetes.io/docs/tasks/tools/") from None

    def end(*_: object) -> None:
        process.kill()
        os._exit(EXIT)

    for number in system.ENDED_BY:
        signal.signal(number, end)
    assert process.stderr
    said = process.stderr.read().decode(errors="replace").strip()
    return (said or "kubectl ended without a word") if process.wait() else None


def lost(connection: Connection, name: str, node: int, said: str) -> Failure:
    """What to tell when kubectl ended by itself: of the task, if that has ended too, or else of the connection."""
    from kubectl_sky import kube
    from kubectl_sky.ssh import client

    last = said.splitlines()[-1].removeprefix("error: ")
    broken = next((words for sign, words in BROKEN.items() if sign in last), None)
    try:
        client.find(kube.connect(replace(connection, request_timeout="5s")), name, node)
    except Unreachable as failure:
        if not broken:
            return failure
    except Failure as failure:
        return Failure(f"connection to {name} was lost: {failure.message}", failure.hint)
    if not broken:
        return Failure(f"cannot connect to {name}: {last}", connection.command("check"))
    again = connection.command("ssh", f"--node {node} {name}" if node else name)
    return Failure(f"connection to {name} was lost: {broken}; the job goes on: {again}")
