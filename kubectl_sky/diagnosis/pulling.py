"""Why an image cannot be pulled: what containerd, CRI-O and Docker said, in words, with the next step. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Cause(NamedTuple):
    """`transient`: kubelet's next attempt may well succeed, so a launch goes on waiting."""

    pattern: str
    text: str
    hint: str
    transient: bool = False


_LOGIN = (
    "check the name; if it is private, launch it again with one of:\n"
    "  --secret-file FILE, with SKYPILOT_DOCKER_USERNAME, SKYPILOT_DOCKER_PASSWORD, SKYPILOT_DOCKER_SERVER={host}\n"
    "  KUBECTL_SKY_DOCKER_CONFIG={host}, to use the login of this machine's docker\n"
    "  KUBECTL_SKY_IMAGE_PULL_SECRET=pull (or pod_config's imagePullSecrets), after kubectl create secret "
    "docker-registry pull --docker-server={host} --docker-username=… --docker-password=…"
)
_WRONG = (
    "check the user, the password and the server ({host}) of the login (SKYPILOT_DOCKER_*, or what is in the Secret), "
    "and the image's name; then launch it again"
)
_LOGGED_IN = (
    "its registry {host} does not let it be pulled with the Secret {secrets} (has it the right login for {host}?), or "
    "has no such image"
)
_CHECK = "check the name of the image (`image_id`)"
# the first that matches counts
CAUSES = (
    Cause(
        r"no match(ing manifest)? for (platform|linux/)|no matching manifest|does not match the specified platform",
        "it was not built for the processor of the node{where}",
        "build it for that platform too (docker buildx build --platform linux/amd64,linux/arm64), or choose nodes: "
        "config.kubernetes.pod_config.spec: {nodeSelector: {kubernetes.io/arch: amd64}}",
    ),
    Cause(
        r"\b429\b|toomanyrequests|rate limit",
        "its registry {host} allows no more pulls for now (rate limit)",
        "wait; or log in to have a higher limit: imagePullSecrets; or use a mirror of the image",
        True,
    ),
    Cause(
        r"pull access denied|authorization failed|unauthorized|authentication required|\b401\b|no basic auth",
        "its registry {host} lets nobody pull it without logging in, or there is no such image",
        _LOGIN,
    ),
    Cause(r"\b403\b|\bdenied\b|forbidden", "its registry {host} refuses it to these credentials", _LOGIN),
    Cause(
        r"x509|certificate",
        "the node does not trust the TLS certificate of {host}",
        "the nodes' containerd must know the registry's authority (administrators: /etc/containerd/certs.d), or use "
        "another registry",
    ),
    Cause(
        r"HTTP response to HTTPS|first record does not look like a TLS|wrong version number",
        "{host} speaks plain HTTP, and the node expects TLS",
        "allow it in the nodes' containerd (administrators: /etc/containerd/certs.d), or serve the registry with TLS",
    ),
    Cause(
        r"no such host|lookup \S+( on \S+)?:",
        "the node cannot find the host {host}",
        f"{_CHECK}: is the registry's name right? else the nodes' DNS does not know it",
    ),
    Cause(
        r"connection refused|no route to host|network is unreachable|connection reset",
        "{host} does not answer the node",
        f"{_CHECK}: is the registry's name and port right, and is it up?",
    ),
    Cause(
        r"i/o timeout|deadline exceeded|TLS handshake timeout|Client\.Timeout",
        "{host} does not answer the node in time",
        "is the registry up, and may the nodes reach it (firewall, proxy)?",
        True,
    ),
    Cause(
        r"\b50[0-4]\b|Internal Server Error|Bad Gateway|Service Unavailable|unexpected EOF",
        "its registry {host} is in trouble",
        "wait, kubelet tries again by itself; or use another registry",
        True,
    ),
    Cause(r"no space left", "the disk of the node{where} is full", "its administrators must make room there", True),
    Cause(
        r"not found|manifest unknown|does not exist",
        "{host} has no such image or tag",
        f"{_CHECK} and its tag; docker manifest inspect {{image}} asks the registry",
    ),
    Cause(
        r"invalid reference|parse image name|must be lowercase",
        "that is no name of an image",
        f"{_CHECK}: HOST/NAME:TAG, in small letters",
    ),
)


def explained(image: str, said: str, node: str = "", secrets: Sequence[str] = ()) -> tuple[str, str, bool]:
    """(why, next step, whether waiting may help) for an image that cannot be pulled; `said` is kubelet's message.

    `secrets`: the names of those that the pod pulls with.
    """
    text = said.replace(f'"{image}"', "").replace(image, "")  # its name may look like a cause
    for cause in CAUSES:
        if re.search(cause.pattern, text, re.IGNORECASE):
            where = f" {node}" if node else ""
            text, hint = (_LOGGED_IN, _WRONG) if secrets and cause.hint is _LOGIN else (cause.text, cause.hint)
            why = text.format(host=host(image), where=where, secrets=", ".join(secrets))
            return why, hint.replace("{image}", image).replace("{host}", host(image)), cause.transient
    return last_words(said), "check the name of the image and the right to pull it (image_id; imagePullSecrets)", False


def host(image: str) -> str:
    """`python:3` -> docker.io, `ghcr.io/a/b:1` -> ghcr.io"""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def last_words(said: str) -> str:
    """What is at the end of a chain of causes: `a: b: c` -> `b: c`; the beginnings only say who speaks."""
    parts = re.split(r": (?=\S)", said.strip())
    return ": ".join(parts[-2:])
