"""What a context offers, asked once and side by side; what may not be read is taken as absent."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kubectl_sky.errors import ApiError
from kubectl_sky.podspec import Facts
from kubectl_sky.settings import Settings

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

# from these on an image can be mounted as a volume, with a path inside it, without asking for a feature gate
IMAGE_VOLUME_SERVER = (1, 35)
IMAGE_VOLUME_RUNTIMES = {"containerd": (2, 1), "cri-o": (1, 33)}
ENFORCE = "pod-security.kubernetes.io/enforce"


def gather(cluster: Cluster, settings: Settings, accelerators: bool) -> Facts:
    """`accelerators`: the task wants some, so all nodes are read; else a few, for their versions."""
    with ThreadPoolExecutor(3) as pool:
        version = pool.submit(cluster.get, "/version")
        namespace = pool.submit(_get, cluster, f"/api/v1/namespaces/{cluster.namespace}")
        nodes = pool.submit(_get, cluster, "/api/v1/nodes", **({} if accelerators else {"limit": 5}))
    labels = (namespace.result() or {}).get("metadata", {}).get("labels") or {}
    listed = nodes.result()
    found = tuple(listed["items"]) if listed else None
    return Facts(
        context=cluster.context or "",
        image_volumes=_image_volumes(version.result(), found, settings),
        pod_security=labels.get(ENFORCE, "privileged"),
        nodes=found,
    )


def _get(cluster: Cluster, path: str, **params: Any) -> dict[str, Any] | None:
    try:
        return cluster.get(path, **params)
    except ApiError as error:
        if error.status in (403, 404):
            return None
        raise


def _image_volumes(version: dict[str, Any], nodes: tuple[dict[str, Any], ...] | None, settings: Settings) -> bool:
    if settings.image_volumes != "auto":
        return settings.image_volumes == "true"
    if _numbers(f"{version.get('major', 0)}.{version.get('minor', 0)}") < IMAGE_VOLUME_SERVER or not nodes:
        return False
    return all(_runtime_can(node["status"]["nodeInfo"]["containerRuntimeVersion"]) for node in nodes)


def _runtime_can(runtime: str) -> bool:
    """`containerd://2.4.2` -> True"""
    name, _, version = runtime.partition("://")
    return _numbers(version) >= IMAGE_VOLUME_RUNTIMES.get(name, (999,))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])
