"""Nodes of tasks as `Host` blocks of a ssh_config, and as lines of a known_hosts file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from kubectl_sky import system

USER = "sky"  # sshd's only account: who somebody is was settled by the API server


@dataclass(frozen=True)
class Host:
    """One node: the names under which ssh finds it, its host key's name, and the argv that connects to its sshd."""

    names: Sequence[str]
    key_name: str
    proxy: Sequence[str]
    known_hosts: str

    def block(self, fast: bool) -> str:
        """The node's part of a ssh_config; `fast`: see quick_exchange."""
        settings = {
            "User": USER,
            "ProxyCommand": system.command_line(self.proxy).replace("%", "%%"),
            "HostKeyAlias": self.key_name,
            "UserKnownHostsFile": quoted(self.known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "CheckHostIP": "no",
            # the API server has asked who it is; without this a refusal would end in a question for a password
            "PreferredAuthentications": "none",
            # load balancers end what is idle; and a connection that is dead must end, not hang
            "ServerAliveInterval": "30",
            "ServerAliveCountMax": "3",
        }
        if fast:
            settings["KexAlgorithms"] = "curve25519-sha256"
        lines = [f"Host {' '.join(self.names)}", *(f"  {key} {value}" for key, value in settings.items())]
        return "\n".join(lines) + "\n"


def quick_exchange(version: str) -> bool:
    """Whether this ssh (`ssh -V`) should be told to use the fast key exchange; all is within TLS anyway.

    The other one takes 0.3 s of computing a connection. ssh 10 and newer warn at each connection that does without.
    """
    found = re.match(r"OpenSSH_(\d+)", version)
    return found is not None and int(found[1]) < 10


def ssh_version() -> str:
    """What `ssh -V` says; nothing where there is no ssh."""
    try:
        return subprocess.run(["ssh", "-V"], capture_output=True, encoding="utf-8", errors="replace", timeout=5).stderr
    except (OSError, subprocess.TimeoutExpired):
        return ""


def quoted(path: str) -> str:
    """A path as ssh_config takes it: spaces in quotes, and no token of its own."""
    text = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def known_host(key_name: str, public: str) -> str:
    """A line of known_hosts; `public` is `TYPE KEY [COMMENT]`."""
    kind, key = public.split()[:2]
    return f"{key_name} {kind} {key}\n"
