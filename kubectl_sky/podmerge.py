"""Merging the user's `pod_config` into a pod, by SkyPilot's rules: maps merge, scalars replace, lists append,
except for lists whose items have a key of their own. Pure."""

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
SKYPILOTS = "ray-node"  # SkyPilot's name for the task's container


class ClashError(UsageError):
    """Two values that cannot be merged. `path` is the place in what was to be merged: `spec.containers[0].env`."""

    def __init__(self, path: str, message: str):
        super().__init__(message)
        self.path = path


def merge(base: dict[str, Any], extra: dict[str, Any], where: str = "") -> dict[str, Any]:
    """A new map: `extra` over `base`; a null takes the value away. Raises ClashError where a list meets a map."""
    merged = copy.deepcopy(base)
    for key, value in extra.items():
        path = f"{where}.{key}" if where else str(key)
        old = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif key in REPLACED:
            _check_kind(old, value, path)
            merged[key] = copy.deepcopy(value)
        elif key in KEYS and isinstance(value, list):
            _check_kind(old, value, path)
            merged[key] = _merge_keyed(old or [], value, key, path)
        elif old is None:
            merged[key] = copy.deepcopy(value)
        else:
            merged[key] = _merge_value(old, value, path)
    return merged


def _merge_value(old: Any, value: Any, path: str) -> Any:
    _check_kind(old, value, path)
    if isinstance(old, dict):
        return merge(old, value, path)
    if isinstance(old, list):
        return old + [copy.deepcopy(item) for item in value if item not in old]
    return value


def _merge_keyed(base: list[Any], extra: list[Any], name: str, where: str) -> list[Any]:
    """Items with the same key are merged; others are appended."""
    merged, key = list(base), KEYS[name]
    for index, item in enumerate(extra):
        path = f"{where}[{index}]"
        if not isinstance(item, dict):
            raise ClashError(path, f"should be a map with `{key}`, not {_kind(item)}")
        if is_first(item, name) and merged:
            item = {**item, key: merged[0].get(key)}
        at = next((i for i, old in enumerate(merged) if key in item and old.get(key) == item[key]), None)
        if at is None:
            merged.append(copy.deepcopy(item))
        else:
            merged[at] = merge(merged[at], item, path)
    return merged


def is_first(item: dict[str, Any], name: str) -> bool:
    """Whether an item of the list `name` means the task's own container, which is the first."""
    return name == "containers" and item.get("name") in (None, SKYPILOTS)


def _check_kind(old: Any, value: Any, path: str) -> None:
    if old is not None and _kind(old) != _kind(value):
        raise ClashError(path, f"should be {_kind(old)}, not {_kind(value)}")


def _kind(value: Any) -> str:
    return "a map" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a single value"
