"""The Secrets that a pod's images are pulled with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubectl_sky.parts.part import Part


def with_secrets(pod: dict[str, Any], parts: Sequence[Part], account: Sequence[str]) -> dict[str, Any]:
    """The pod with what its parts name, beside what pod_config does, else what its service account has: a pod that
    names Secrets has no more those of its account by itself."""
    own = [name for part in parts for name in part.pull_secrets]
    if not own:
        return pod
    given = pod["spec"].get("imagePullSecrets")
    others = [one["name"] for one in given if one.get("name")] if given else account
    names = [{"name": name} for name in dict.fromkeys([*own, *others])]
    return {**pod, "spec": {**pod["spec"], "imagePullSecrets": names}}
