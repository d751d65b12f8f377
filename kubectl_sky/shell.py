"""ssh into a task: the machine's own ssh client, to a sshd that `kubectl exec` starts in the pod."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kubectl_sky import cluster_objects, running
from kubectl_sky.errors import Failure

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

# the fifo: see remote/people.py. Exit code 0 whatever happens: the session's own comes over ssh, and kubectl would
# comment on any other
SSHD_SCRIPT = """\
exec 9<>/sky/run/people; echo + >&9
/usr/sbin/sshd -i -e -f /sky/code/sshd_people.conf 9>&-
echo - >&9; exit 0"""
SSHD = ["/bin/sh", "-c", SSHD_SCRIPT]


def ssh(cluster: Cluster, name: str, node: int, command: list[str]) -> int:
    """Runs the ssh client to its end; returns its exit code. Raises Failure when there is nothing to connect to."""
    if not shutil.which("ssh"):
        raise Failure("ssh was not found on PATH", "install the OpenSSH client")
    with ThreadPoolExecutor(2) as pool:
        pods = pool.submit(cluster_objects.pods, cluster, name)
        known = pool.submit(known_hosts, cluster, name)
    pod = _pod(cluster, name, node, pods.result())
    with tempfile.NamedTemporaryFile("w", prefix="kubectl-sky-known-hosts-") as hosts:
        hosts.write(known.result())
        hosts.flush()
        argv = ["ssh", *options(cluster, pod, hosts.name), f"sky@{name}", *command]
        return subprocess.run(argv).returncode


def options(cluster: Cluster, pod: str, known: str) -> list[str]:
    """The ssh options of a connection to a pod; `known` is a file with its host key."""
    proxy = shlex.join(cluster.kubectl("exec", "-i", pod, "-c", "ssh", "--", *SSHD))
    settings = {
        "ProxyCommand": proxy.replace("%", "%%"),
        "UserKnownHostsFile": known,
        "HostKeyAlias": "kubectl-sky",
        "StrictHostKeyChecking": "yes",
        "PreferredAuthentications": "none",
        "ServerAliveInterval": "30",
        "LogLevel": "ERROR",
    }
    return ["-F", os.devnull, *(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))]


def known_hosts(cluster: Cluster, name: str) -> str:
    """The task's host key as a known_hosts line, from its Secret."""
    path = f"{cluster_objects.collection(cluster, 'Secret')}/{name}-sky"
    return base64.b64decode(cluster.get(path)["data"]["known_hosts"]).decode()


def _pod(cluster: Cluster, name: str, node: int, pods: list[dict]) -> str:
    for pod in pods:
        if cluster_objects.rank(pod) == node and running.task_up(pod):
            return str(pod["metadata"]["name"])
    state = running.explain(cluster, name)
    if state.phase == "Up":
        raise Failure(f"{name} has no node {node}: its nodes are 0 to {len(pods) - 1}")
    raise Failure(f"{name} is {state.phase}: {state.message or state.reason}", state.hint)
