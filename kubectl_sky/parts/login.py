"""A login to a registry, as a Secret that the nodes pull the task's image with. Pure."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from kubectl_sky import images
from kubectl_sky.parts.part import Part

HUB_KEY = "https://index.docker.io/v1/"  # as kubelet and docker know it


@dataclass(frozen=True)
class Login:
    """`server` is images.server()'s form; `source` says whose it is, or "" when the task gave it."""

    server: str
    username: str
    password: str = field(repr=False)
    source: str = ""


def part(name: str, login: Login) -> Part:
    """The Secret NAME-pull, and the pod's reference to it."""
    pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    entry = {"username": login.username, "password": login.password, "auth": pair}
    key = HUB_KEY if login.server == images.HUB else login.server
    config = json.dumps({"auths": {key: entry}})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }
    notes = (f"The login for {login.server} of {login.source} goes along, as Secret {name}-pull",)
    return Part(manifests=(secret,), pull_secrets=(f"{name}-pull",), notes=notes if login.source else ())
