"""rclone's container, and the Secret with what it needs to know, which no other container mounts. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sky.buckets.credentials import GOOGLE_FILE, Remote
from kubectl_sky.parts.part import Part
from kubectl_sky.taskfile.buckets import Bucket

FOLDER = "/sky/rclone"
RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "1Gi"}}


@dataclass(frozen=True)
class Rclone:
    """`name` of the task; `remotes` by Bucket.access; `env_secret`: a Secret whose keys are its environment, or ""."""

    name: str
    remotes: Mapping[tuple[str, ...], Remote]
    image: str
    pull_policy: str
    env_secret: str = ""

    def path(self, bucket: Bucket) -> str:
        """As rclone names it: `r0:bucket/prefix`."""
        return f"r{list(self.remotes).index(bucket.access)}:{bucket.path}"

    def container(
        self, name: str, script: str, words: Sequence[str], security: Mapping[str, Any], mounts: Sequence[Any]
    ) -> dict[str, Any]:
        """One that runs `script`, with `words` as its arguments."""
        container: dict[str, Any] = {
            "name": name,
            "image": self.image,
            "imagePullPolicy": self.pull_policy,
            "command": ["/bin/sh", "-c", script, name, *words],
            "securityContext": dict(security),
            "resources": RESOURCES,
            "volumeMounts": [*mounts, {"name": "rclone", "mountPath": FOLDER, "readOnly": True}],
        }
        if GOOGLE_FILE in self._files():
            container["env"] = [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{FOLDER}/{GOOGLE_FILE}"}]
        if self.env_secret:
            container["envFrom"] = [{"secretRef": {"name": self.env_secret}}]
        return container

    def part(self) -> Part:
        """The Secret NAME-buckets, as a volume."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{self.name}-buckets"},
            "type": "Opaque",
            "data": {key: base64.b64encode(text.encode()).decode() for key, text in self._files().items()},
        }
        sources = dict.fromkeys(remote.source for remote in self.remotes.values() if remote.source)
        return Part(
            manifests=(secret,),
            volumes=({"name": "rclone", "secret": {"secretName": f"{self.name}-buckets", "defaultMode": 0o444}},),
            notes=tuple(f"The keys of {one} go along for buckets, as Secret {self.name}-buckets" for one in sources),
        )

    def _files(self) -> dict[str, str]:
        lines = []
        for index, remote in enumerate(self.remotes.values()):
            lines += [f"[r{index}]", *(f"{name} = {value}" for name, value in remote.options.items()), ""]
        more = {name: text for remote in self.remotes.values() for name, text in remote.files.items()}
        return {"rclone.conf": "\n".join(lines), **more}
