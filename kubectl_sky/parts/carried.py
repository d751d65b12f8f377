"""Files that a managed job has with it, without anybody to send them: a recorded sync in Secrets of its own. Pure.

Only our own container sees the Secrets; its agent puts the files where they belong, in each pod anew.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from kubectl_sky.parts.part import Part

PIECE = 900_000  # bytes; a Secret holds at most 1 MiB
LIMIT = 8_000_000  # of all of them
MOUNT = "/sky/files"
_VOLUME = "carried"


def part(name: str, recordings: Sequence[bytes]) -> Part:
    """The Secrets with recordings (files/recording.py), and how they come to the agent: a folder each, by number."""
    secrets: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    for number, recording in enumerate(recordings):
        for index, at in enumerate(range(0, len(recording), PIECE)):
            secret, key = f"{name}-sky-files-{len(secrets)}", f"part-{index:03}"
            secrets.append(_secret(secret, key, recording[at : at + PIECE]))
            items = [{"key": key, "path": f"{number}/{key}"}]
            sources.append({"secret": {"name": secret, "items": items}})
    return Part(
        manifests=tuple(secrets),
        volumes=({"name": _VOLUME, "projected": {"sources": sources}},),
        own_mounts=({"name": _VOLUME, "mountPath": MOUNT, "readOnly": True},),
    )


def _secret(name: str, key: str, piece: bytes) -> dict[str, Any]:
    data = {key: base64.b64encode(piece).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque", "data": data}
