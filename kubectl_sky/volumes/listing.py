"""The volumes of a namespace, as `volumes ls` shows them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubectl_sky import names
from kubectl_sky.errors import ClusterFailure
from kubectl_sky.volumes import reading, storage
from kubectl_sky.volumes.storage import CLAIM_TYPE, HOST_PATH_TYPE, NAME, Object, User

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

EPHEMERAL = "ephemeral"  # goes away with its task


@dataclass(frozen=True)
class Row:
    """`name` is what tasks say, `object` what it is called in the cluster; `users` None: may not be read."""

    name: str
    type: str
    kind: str
    object: str
    size: str = ""
    storage_class: str = ""
    modes: tuple[str, ...] = ()
    status: str = ""
    users: tuple[User, ...] | None = ()
    created: str = ""
    source: str = ""  # the node's folder, or the PersistentVolume

    @property
    def used_by(self) -> list[str]:
        """Tasks by their names, other pods by theirs."""
        return sorted({user.task or f"pod/{user.pod}" for user in self.users or ()})

    @property
    def in_use(self) -> list[User]:
        """The pods that are not on their way out."""
        return [user for user in self.users or () if not user.ending]

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name, "type": self.type, "size": self.size or None, "storageClass": self.storage_class or None,
            "accessModes": list(self.modes), "status": self.status,
            "usedBy": None if self.users is None else self.used_by,
            "pods": None if self.users is None else [user.pod for user in self.users],
            "created": self.created, "source": self.source or None,
        }  # fmt: skip


def rows(cluster: Cluster) -> list[Row]:
    """All, by name. Raises ClusterFailure when claims may not be listed."""
    with ThreadPoolExecutor(3) as pool:
        claims = pool.submit(reading.items, cluster, reading.CLAIMS)
        folders = pool.submit(reading.items, cluster, reading.FOLDERS, labelSelector=reading.OURS)
        pods = pool.submit(reading.items, cluster, reading.PODS, fieldSelector=reading.RUNNING)
        found, running = claims.result(), pods.result()
    if found is None:
        text = f"you may not list the claims (persistentvolumeclaims) of namespace {cluster.namespace}"
        raise ClusterFailure(text, "the built-in role `view` or `edit` is enough")
    users = None if running is None else storage.users(running)
    listed = [_of_claim(one, None if users is None else users.get(reading.name(one), [])) for one in found]
    listed += [_of_folder(one, running) for one in folders.result() or ()]
    return sorted(listed, key=lambda row: (row.name, row.object))


def _of_claim(found: Object, users: list[User] | None) -> Row:
    metadata, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    labels = metadata.get("labels") or {}
    claim = storage.claim(found)
    return Row(
        name=claim.label or claim.name,
        type=EPHEMERAL if labels.get(names.MANAGED_BY) == "kubectl-sky" else CLAIM_TYPE,
        kind="PersistentVolumeClaim",
        object=claim.name,
        size=claim.size,
        storage_class=claim.storage_class or "",
        modes=tuple(spec.get("accessModes") or ()),
        status="Terminating" if claim.deleting else str(status.get("phase") or "Pending"),
        users=None if users is None else tuple(users),
        created=metadata.get("creationTimestamp") or "",
        source=claim.volume,
    )


def _of_folder(found: Object, pods: list[Object] | None) -> Row:
    metadata, folder = found["metadata"], (found.get("data") or {}).get("host_path", "")
    users = None if pods is None else tuple(storage.folder_users(pods, folder))
    return Row(
        name=metadata["labels"].get(NAME) or metadata["name"], type=HOST_PATH_TYPE, kind="ConfigMap",
        object=metadata["name"], status="Ready", users=users,
        created=metadata.get("creationTimestamp") or "", source=folder,
    )  # fmt: skip
