"""Whether a task's volumes can be mounted as it wants them: all that is wrong, before anything is made. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kubectl_sky.capacity.nodes import Node
from kubectl_sky.capacity.placing import Demand
from kubectl_sky.config import pod_config
from kubectl_sky.task import Problem, Task
from kubectl_sky.volumes.storage import Claim, Storage, User
from kubectl_sky.volumes.wanted import EPHEMERAL, HOST, MANY, NAMED, NFS, ONCE_POD, READ_MANY, Volume

RWX = "a volume whose class can ReadWriteMany"
FORBIDDEN = {HOST: ("baseline", "restricted"), NFS: ("restricted",)}  # by Pod Security
APPLY = "kubectl sky volumes apply"
PATIENCE = 60.0  # s that a claim may wait for its volume, unless it waits for a pod


@dataclass(frozen=True)
class Where:
    """What a launch goes to, as far as volumes matter. `gpus`: the resource that counts the task's accelerators."""

    storage: Storage
    pod_security: str = "privileged"
    nodes: tuple[Node, ...] | None = None
    gpus: str | None = None
    context: str = ""


def problems(task: Task, name: str, volumes: Iterable[Volume], where: Where) -> list[Problem]:
    """All that stands against the volumes of the task, which is to be called `name`."""
    return [
        task.problem(volume.place, message, hint)
        for volume in volumes
        for message, hint in _of(volume, task, name, where)
    ]


def _of(volume: Volume, task: Task, name: str, where: Where) -> Iterator[tuple[str, str]]:
    if volume.kind == NAMED:
        yield from _named(volume, task, name, where)
    elif volume.kind == EPHEMERAL:
        yield from _new(volume, where.storage)
    else:
        yield from _forbidden(volume.kind, where.pod_security)


def _forbidden(kind: str, level: str) -> Iterator[tuple[str, str]]:
    if level in FORBIDDEN[kind]:
        what = "folders of the node (hostPath)" if kind == HOST else "NFS volumes"
        yield (
            f"the namespace forbids {what}: Pod Security {level!r}",
            "use a PersistentVolumeClaim, or a namespace with another level",
        )


def _new(volume: Volume, storage: Storage) -> Iterator[tuple[str, str]]:
    if volume.namespace and volume.namespace != storage.namespace:
        yield f"it would be in namespace {volume.namespace}, the task is in {storage.namespace}", "leave it out"
    if problem := class_problem(volume.storage_class, storage):
        yield problem


def class_problem(name: str | None, storage: Storage) -> tuple[str, str] | None:
    """Why a new claim of a storage class (none: the default) would never get a volume."""
    if storage.classes is None or storage.storage_class(name):
        return None
    known = ", ".join(sorted(one.name for one in storage.classes))
    if name:
        meant = near(name, [one.name for one in storage.classes])
        return f"there is no StorageClass {name!r}", meant
    if not known:
        return "the cluster has no StorageClass that makes volumes", "an administrator must install a provisioner"
    return "the cluster has no default StorageClass", f"config: {{storage_class_name: …}}; there are: {known}"


def near(name: str, known: Iterable[str]) -> str:
    """A next step for a name that does not exist."""
    names = sorted(known)
    like = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if like:
        return "did you mean " + " or ".join(f"`{one}`" for one in like) + "?"
    return "there are: " + ", ".join(names[:20]) if names else "there are none"


def _named(volume: Volume, task: Task, name: str, where: Where) -> Iterator[tuple[str, str]]:
    storage = where.storage
    if storage.claims is None:
        return
    claim = storage.claim(volume.name)
    if claim is None and volume.name in storage.folders:
        yield from _forbidden(HOST, where.pod_security)
        return
    if claim is None:
        text = f"namespace {storage.namespace} has no volume {volume.name!r}"
        yield text, f"{near(volume.name, storage.known)}; to make it: {APPLY} --name {volume.name} --size 10Gi"
        return
    state = _state(claim, storage)
    if state:
        yield state
        return
    yield from _access(claim, task, name, where)
    yield from _place(claim, where)


def _state(claim: Claim, storage: Storage) -> tuple[str, str] | None:
    """Why a claim has no volume and will have none."""
    look = f"kubectl describe pvc {claim.name}"
    if claim.deleting:
        return f"the claim {claim.name} is being deleted", "wait until it is gone, and make it anew"
    if claim.phase == "Lost":
        return f"the claim {claim.name} has lost its volume {claim.volume}", f"delete it and make it anew; {look}"
    if claim.phase != "Pending" or claim.volume:
        return None
    if claim.storage_class and (problem := class_problem(claim.storage_class, storage)):
        return f"the claim {claim.name} waits for a volume: {problem[0]}", look
    used = storage.storage_class(claim.storage_class) if claim.storage_class else None
    if (used and used.waits) or claim.waiting < PATIENCE or storage.classes is None:
        return None
    return f"the claim {claim.name} has been waiting for a volume for {claim.waiting / 60:.0f} minutes", look


def _access(claim: Claim, task: Task, name: str, where: Where) -> Iterator[tuple[str, str]]:
    modes = claim.modes
    if MANY in modes or READ_MANY in modes or not modes:
        return
    mode = modes[0]
    if task.num_nodes > 1:
        yield (
            f"{claim.name} is {mode}: it cannot be mounted on {task.num_nodes} nodes",
            f"num_nodes: 1, or {RWX}, or one new volume a node: `size: {claim.size}`",
        )
        return
    others = [user for user in claim.users if user.task != name and not user.ending]
    if not others or (ONCE_POD not in modes and _stays_with(others, claim, task, where)):
        return
    other = others[0]
    ends = f"kubectl sky down {other.task}" if other.task else f"kubectl delete pod {other.pod}"
    hint = f"first `{ends}`, or use {RWX}"
    if other.node and ONCE_POD not in modes:
        same = f"{{kubernetes.io/hostname: {other.node}}}"
        hint += f", or the same node: config.kubernetes.pod_config.spec.nodeSelector: {same}"
    yield f"{claim.name} is {mode} and mounted by {other}", hint


def _stays_with(users: list[User], claim: Claim, task: Task, where: Where) -> bool:
    """Whether the task's pod can only go to the node on which the claim is mounted."""
    nodes = {user.node for user in users if user.node}
    if len(nodes) != 1:
        return False
    if where.nodes is not None and {node.name for node in _reach(claim, where.nodes)} == nodes:
        return True
    changed = pod_config.applied({}, task.layers.pod_config(where.context))
    selector = (changed.get("spec") or {}).get("nodeSelector") or {}
    return selector.get("kubernetes.io/hostname") in nodes


def _place(claim: Claim, where: Where) -> Iterator[tuple[str, str]]:
    """A volume that only some nodes reach: one of them must be there, ready, and have the accelerators."""
    if claim.terms is None or where.nodes is None:
        return
    reach = _reach(claim, where.nodes)
    look = f"kubectl describe pv {claim.volume}"
    if not reach:
        yield f"no node can reach the volume of {claim.name}: {_terms(claim)}", look
    elif not any(node.usable for node in reach):
        states = ", ".join(f"{node.name} ({node.state})" for node in reach[:3])
        yield f"the volume of {claim.name} can only be mounted on {states}", f"wait for that node; {look}"
    elif where.gpus and not any(device.key == where.gpus for node in reach for device in node.devices):
        only = ", ".join(node.name for node in reach[:3])
        yield (
            f"the volume of {claim.name} can only be mounted on {only}, without the accelerators that are asked for",
            "another volume, or another accelerator",
        )


def _reach(claim: Claim, nodes: Iterable[Node]) -> list[Node]:
    demand = Demand({}, (), {}, claim.terms)
    return [node for node in nodes if demand.wants(node)]


def _terms(claim: Claim) -> str:
    """`kubernetes.io/hostname in node-9`"""
    return " or ".join(
        ", ".join(f"{one['key']} {one['operator'].lower()} {' '.join(one.get('values') or ())}".strip()
                  for one in term.get("matchExpressions") or ())
        for term in claim.terms or ()
    )  # fmt: skip
