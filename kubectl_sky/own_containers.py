"""The containers of our own runtime image beside a task's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubectl_sky import quantity
from kubectl_sky.settings import Settings

UID = 65532  # of our own containers
CPU = 0.01
RESOURCES = {"requests": {"cpu": quantity.number(CPU), "memory": "32Mi"}, "limits": {"memory": "512Mi"}}
# node 0 runs the agent, or each pod, where each is a job of its own; again if it is killed. Where there are several
# nodes, each has a sshd for them, which ends (on the others) when the supervisor lets go of the fifo
SSH_SCRIPT = """\
if [ -n "${SKY_GANG_SECONDS:-}" ]; then /usr/sbin/sshd -D -e -f /sky/code/sshd_nodes.conf & fi
sshd=$!
if [ "${JOB_COMPLETION_INDEX:-0}" = 0 ] || [ -n "${SKY_ALONE:-}" ]; then
  while :; do
    /sky/tools/bin/python3 -SE /sky/code/agent.py &
    agent=$!
    trap 'kill $agent $sshd; exit 0' TERM
    wait $agent
    code=$?
    [ $code -gt 1 ] || exit $code
    echo "kubectl-sky: the agent ended ($code) and is started again" >&2
    sleep 1
  done
fi
[ -p /sky/run/alive ] || mkfifo -m 666 /sky/run/alive 2>/dev/null
trap 'kill $sshd; exit 0' TERM
(read -r end < /sky/run/alive; kill $sshd) &
wait $sshd
"""
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": UID,
    "runAsGroup": UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _container(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": settings.own_image(settings.runtime_image),
        "imagePullPolicy": settings.image_pull_policy,
        "securityContext": HARDENED,
        "resources": RESOURCES,
    }


def ssh(settings: Settings, env: Sequence[dict[str, Any]], mounts: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """sshd for people and for the other nodes; on node 0 the agent."""
    return {
        **_container(settings, "ssh"),
        "command": ["/bin/sh", "-c", SSH_SCRIPT],
        **({"env": list(env)} if env else {}),
        "volumeMounts": [
            {"name": "run", "mountPath": "/sky/run"},
            {"name": "run", "mountPath": "/tmp"},  # sshd's sockets of forwarded agents, for the task to use
            {"name": "code", "mountPath": "/sky/code", "readOnly": True},
            {"name": "etc", "mountPath": "/sky/etc", "readOnly": True},
            *mounts,
        ],
    }


def tools(settings: Settings) -> dict[str, Any]:
    return {
        **_container(settings, "tools"),
        "command": ["/bin/sh", "-c", "cp -R /sky/tools/. /copy"],
        "volumeMounts": [{"name": "tools", "mountPath": "/copy"}],
    }
