"""Merging the user's `pod_config` into a pod, by SkyPilot's rules: maps merge, scalars replace, lists append,
except for lists whose items have a key of their own."""

from __future__ import annotations

import copy
from typing import Any

from kubectl_sky.errors import UsageError

KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "resourceClaims": "name",
    "claims": "name",
    "volumeMounts": "mountPath",
    "hostAliases": "ip",
    "ports": "containerPort",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
}
REPLACED = ("args", "command", "imagePullSecrets")


def merge(base: dict[str, Any], extra: dict[str, Any], where: str = "pod_config") -> dict[str, Any]:
    """A new map: `extra` over `base`. Raises UsageError where a list meets a map."""
    merged = copy.deepcopy(base)
    for key, value in extra.items():
        path = f"{where}.{key}"
        old = merged.get(key)
        if old is None or value is None or key in REPLACED:
            merged[key] = copy.deepcopy(value)
        elif isinstance(old, dict) != isinstance(value, dict) or isinstance(old, list) != isinstance(value, list):
            raise UsageError(f"{path} must be a {_kind(old)}, not a {_kind(value)}")
        elif isinstance(old, dict):
            merged[key] = merge(old, value, path)
        elif isinstance(old, list):
            merged[key] = _merge_list(old, value, KEYS.get(key), path)
        else:
            merged[key] = value
    return merged


def _merge_list(base: list[Any], extra: list[Any], key: str | None, where: str) -> list[Any]:
    merged = list(base)
    if key is None:
        return merged + [item for item in extra if item not in merged]
    for item in extra:
        # a container without a name is the task's own, the first
        name = item.get(key, merged[0].get(key) if where.endswith(".containers") and merged else None)
        at = next((i for i, old in enumerate(merged) if old.get(key) == name), None)
        if at is None:
            merged.append(item)
        else:
            merged[at] = merge(merged[at], item, where)
    return merged


def _kind(value: Any) -> str:
    return "map" if isinstance(value, dict) else "list" if isinstance(value, list) else "single value"
