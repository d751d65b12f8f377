"""What a namespace has for volumes: claims and who uses them, storage classes, folders of nodes with a name. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from kubectl_sky import names

Object = dict[str, Any]
NAME = "skypilot-name"  # label: what SkyPilot calls a volume
VOLUMES = "kubectl-sky-volumes"  # who manages it: not "kubectl-sky", whose objects `down` deletes
TYPE = "kubectl-sky/volume-type"
HOST_PATH_TYPE, CLAIM_TYPE = "k8s-hostpath", "k8s-pvc"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


@dataclass(frozen=True)
class User:
    """A pod that mounts a claim and has not ended; `task` is the kubectl-sky task that it belongs to, or "".

    `ending`: it is being deleted; the node lets the volume go soon.
    """

    pod: str
    node: str
    task: str = ""
    ending: bool = False

    def __str__(self) -> str:
        return f"pod {self.pod}" + (f" on {self.node}" if self.node else "")


@dataclass(frozen=True)
class Claim:
    """`terms`: the node affinity of its volume (None: none, or not known); `waiting`: seconds since it was made."""

    name: str
    label: str = ""
    phase: str = "Bound"
    modes: tuple[str, ...] = ()
    storage_class: str | None = None
    size: str = ""
    volume: str = ""
    waiting: float = 0.0
    deleting: bool = False
    terms: tuple[Mapping[str, Any], ...] | None = None
    users: tuple[User, ...] = ()


@dataclass(frozen=True)
class StorageClass:
    name: str
    default: bool = False
    waits: bool = False  # for the first pod that uses a claim


@dataclass(frozen=True)
class Storage:
    """None: may not be read."""

    namespace: str = ""
    claims: tuple[Claim, ...] | None = None
    classes: tuple[StorageClass, ...] | None = None
    folders: Mapping[str, str] = field(default_factory=dict)  # name -> folder of the node

    def claim(self, name: str) -> Claim | None:
        """By its name, or by what SkyPilot calls it."""
        claims = self.claims or ()
        return next((one for one in claims if one.name == name), None) or next(
            (one for one in claims if one.label == name), None
        )

    def storage_class(self, name: str | None) -> StorageClass | None:
        """By name; without one, the default."""
        return next((one for one in self.classes or () if (one.name == name if name else one.default)), None)

    @property
    def known(self) -> list[str]:
        """The names that a task may mount."""
        return sorted({one.label or one.name for one in self.claims or ()} | set(self.folders))


def claim(found: Object, users: Sequence[User] = (), volume: Object | None = None, now: float | None = None) -> Claim:
    """Of a PersistentVolumeClaim, the pods that use it, and its PersistentVolume where that may be read."""
    metadata, spec, status = found["metadata"], found.get("spec") or {}, found.get("status") or {}
    required = (((volume or {}).get("spec") or {}).get("nodeAffinity") or {}).get("required")
    made = datetime.fromisoformat(metadata.get("creationTimestamp", "1970-01-01T00:00:00Z").replace("Z", "+00:00"))
    current = datetime.now(timezone.utc).timestamp() if now is None else now
    annotations = metadata.get("annotations") or {}
    return Claim(
        name=metadata["name"],
        label=(metadata.get("labels") or {}).get(NAME, ""),
        phase=status.get("phase") or "Pending",
        modes=tuple(status.get("accessModes") or spec.get("accessModes") or ()),
        storage_class=spec.get("storageClassName", annotations.get(_OLD_CLASS)),
        size=(status.get("capacity") or {}).get("storage") or spec["resources"]["requests"]["storage"],
        volume=spec.get("volumeName") or "",
        waiting=current - made.timestamp(),
        deleting=bool(metadata.get("deletionTimestamp")),
        terms=tuple(required["nodeSelectorTerms"]) if required else None,
        users=tuple(users),
    )


def storage_class(found: Object) -> StorageClass:
    annotations = found["metadata"].get("annotations") or {}
    default = any(annotations.get(key) == "true" for key in _DEFAULT)
    return StorageClass(found["metadata"]["name"], default, found.get("volumeBindingMode") == "WaitForFirstConsumer")


def users(pods: Sequence[Object]) -> dict[str, list[User]]:
    """The pods that have not ended, by the claims that they mount; also those of ephemeral volumes."""
    found: dict[str, list[User]] = {}
    for pod in filter(_lives, pods):
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if "ephemeral" in volume:
                name = f"{pod['metadata']['name']}-{volume['name']}"
            if name:
                found.setdefault(name, []).append(_user(pod))
    return found


def folder_users(pods: Sequence[Object], folder: str) -> list[User]:
    """The pods that have not ended and mount a folder of their node."""
    return [
        _user(pod)
        for pod in filter(_lives, pods)
        if any((one.get("hostPath") or {}).get("path") == folder for one in pod["spec"].get("volumes") or ())
    ]


def _lives(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _user(pod: Object) -> User:
    metadata = pod["metadata"]
    labels = metadata.get("labels") or {}
    task = labels.get(names.INSTANCE, "") if labels.get(names.MANAGED_BY) == "kubectl-sky" else ""
    return User(metadata["name"], pod["spec"].get("nodeName") or "", task, bool(metadata.get("deletionTimestamp")))
