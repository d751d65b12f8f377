"""The logins of this machine's docker: ~/.docker/config.json and the programs that keep passwords for it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kubectl_sky import images
from kubectl_sky.errors import Failure
from kubectl_sky.parts.login import HUB_KEY, Login

HELPER_SECONDS = 10.0
TOKEN = "<token>"  # docker has it in place of a username when the secret is no password


def path() -> Path:
    """Where docker keeps its configuration."""
    return Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"


def find(host: str) -> Login | None:
    """The login for a registry, in docker's order: its own helper, the store of all, the file itself.

    Raises Failure when the file or a helper cannot be used.
    """
    file = path()
    try:
        config = json.loads(file.read_text("utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it should be a map")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise Failure(f"{file} cannot be read: {error}") from None
    helpers = [_of(config, "credHelpers", host), config.get("credsStore")]
    for helper in dict.fromkeys(filter(None, helpers)):
        if pair := ask(str(helper), HUB_KEY if host == images.HUB else host):
            return Login(host, *pair, source=str(file))
    pair = _pair(_of(config, "auths", host))
    return Login(host, *pair, source=str(file)) if pair else None


def ask(helper: str, server: str) -> tuple[str, str] | None:
    """(user, password) from docker-credential-HELPER; the name of the server goes in by stdin, as docker does it."""
    program = shutil.which(f"docker-credential-{helper}")
    if not program:
        raise Failure(f"docker-credential-{helper}, which {path()} names, is not on PATH")
    try:
        done = subprocess.run(
            [program, "get"], input=server, capture_output=True, encoding="utf-8", timeout=HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"docker-credential-{helper} did not answer within {HELPER_SECONDS:g} s") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"docker-credential-{helper} cannot be used: {error}") from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        if "not found" in said.lower():
            return None
        raise Failure(f"docker-credential-{helper} failed: {said[-200:] or done.returncode}")
    try:
        answer = json.loads(done.stdout)
        user, password = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):  # what it said may hold the password
        raise Failure(f"docker-credential-{helper} gave no login that can be read") from None
    return _usable(user, password, f"docker-credential-{helper}")


def _of(config: dict[str, Any], field: str, host: str) -> Any:
    """What a map of the file has for a registry, however the registry is written there."""
    entries = config.get(field)
    found = entries.items() if isinstance(entries, dict) else ()
    return next((value for key, value in found if images.server(key).partition("/")[0] == host), None)


def _pair(entry: Any) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return _usable(TOKEN, "", str(path()))
    if entry.get("auth"):
        try:
            user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, TypeError):
            raise Failure(f"{path()} has an `auth` that cannot be read") from None
        return (user, password.rstrip("\0")) if password else None
    named, word = entry.get("username"), entry.get("password")
    return (str(named), str(word)) if named and word else None


def _usable(user: str, password: str, source: str) -> tuple[str, str] | None:
    if user == TOKEN:
        raise Failure(
            f"{source} has an identity token, with which nodes cannot pull", "docker login with a password or token"
        )
    return (user, password) if password else None
