"""The ssh key of a task, made by the ssh-keygen that comes with ssh; and who the user is."""

from __future__ import annotations

import getpass
import subprocess
import tempfile
from pathlib import Path

from kubectl_sky import system
from kubectl_sky.errors import Failure
from kubectl_sky.podspec import Identity


def new_identity() -> Identity:
    """A fresh ed25519 key. Raises Failure where ssh-keygen is missing."""
    with tempfile.TemporaryDirectory(prefix="kubectl-sky-") as folder:
        file = Path(folder) / "id"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kubectl-sky", "-f", str(file)]
        try:
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise Failure("ssh-keygen was not found on PATH", "install the OpenSSH client") from None
        except subprocess.CalledProcessError as e:
            raise Failure(f"ssh-keygen failed: {e.stderr.decode(errors='replace').strip()}") from None
        return Identity(file.read_text("utf-8"), file.with_suffix(".pub").read_text("utf-8"))


def user() -> str:
    """The local user's name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return system.user_id()
