"""ssh from the task's container to the other nodes by their names, as mpirun wants it; by the task's own key.

A program `ssh` stands in front of the image's on PATH: it knows the nodes, and is like the image's for all else.
The key is in memory, and touches no disk.
"""

import os
import threading

import wire

FOLDER = os.environ.get("SKY_SSH", "/dev/shm/kubectl-sky-ssh")
BIN = wire.RUN + "/ssh-bin"
FILES = ("id_ed25519", "known_hosts")
OWN_SSH = "/sky/tools/bin/ssh"
_making = threading.Lock()
PROGRAM = """#!/sky/tools/bin/python3 -SE
import os, sys

folders = [one for one in os.environ.get("PATH", "").split(":") if one != %r]
found = [path for path in (one + "/ssh" for one in folders) if os.access(path, os.X_OK)]
os.execv((found + [%r])[0], ["ssh", "-F", %r, *sys.argv[1:]])
"""
CONFIG = """Host %(hosts)s
  Port 2222
  User sky
  HostKeyAlias kubectl-sky
  UserKnownHostsFile %(folder)s/known_hosts
  StrictHostKeyChecking yes
  IdentityFile %(folder)s/id_ed25519
  IdentitiesOnly yes
  BatchMode yes
  LogLevel ERROR
  SendEnv KUBECTL_SKY_*
Match all
  Include ~/.ssh/config
  Include /etc/ssh/ssh_config
"""


def described(nodes):
    """What node 0 tells all: {files, hosts}; hosts: [[alias, host] each]. None for a task of one node."""
    if len(nodes) == 1:
        return None
    files = {}
    for name in FILES:
        with open(wire.ETC + "/" + name) as f:
            files[name] = f.read()
    hosts = [[alias, node.host] for node in nodes for alias in (node.host.partition(".")[0], node.host)]
    return {"files": files, "hosts": hosts + [[node.info["ip"]] * 2 for node in nodes]}


def make(told):
    """Makes the program, its configuration and its key; one at a time."""
    with _making:
        _make(told)


def _make(told):
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    names = "".join("Host %s\n  HostName %s\n" % tuple(pair) for pair in told["hosts"])
    hosts = " ".join(alias for alias, _ in told["hosts"])
    files = {**told["files"], "config": names + CONFIG % {"hosts": hosts, "folder": FOLDER}}
    for name, text in files.items():
        _write(FOLDER + "/" + name, text, 0o600)
    os.makedirs(BIN, exist_ok=True)
    _write(BIN + "/ssh", PROGRAM % (BIN, OWN_SSH, FOLDER + "/config"), 0o755)


def _write(path, text, mode):
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
