"""The accelerators of contexts, as `gpus` shows them: by kind, and by node."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kubectl_sky import accelerators, globs, live, quantity, resources
from kubectl_sky.api import watching
from kubectl_sky.capacity import device_request, inventory
from kubectl_sky.capacity.inventory import Inventory
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.capacity.usage import Usage
from kubectl_sky.errors import ClusterFailure, Failure, UsageError

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


@dataclass(frozen=True)
class Kind:
    """One kind of accelerator. `counts`: what a pod can ask for; `free` None: unknown; `share`: part of a whole one."""

    name: str
    key: str
    counts: tuple[float, ...]
    total: int
    free: int | None
    memory: float | None
    nodes: int
    share: float
    claim: bool


@dataclass(frozen=True)
class NodeRow:
    """One kind on one node; `gpu` "" where nothing tells its name; `free` counts on nodes that take pods."""

    name: str
    gpu: str
    key: str
    total: int
    free: int | None
    state: str
    taints: tuple[str, ...]
    cpus: str
    memory: str
    instance_type: str
    told_by: str
    share: float
    holders: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """A context. `notes`: what could not be read, and what to do."""

    context: str
    kinds: tuple[Kind, ...] = ()
    nodes: tuple[NodeRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
    answered: bool = True


def gather(clusters: Sequence[Cluster]) -> list[Listing]:
    """Asks all contexts side by side; one that does not answer is a listing with a note. With one, it raises."""
    with ThreadPoolExecutor(len(clusters)) as pool:
        asked = [pool.submit(inventory.read, cluster) for cluster in clusters]
    listings = []
    for cluster, answer in zip(clusters, asked, strict=True):
        error = answer.exception()
        if isinstance(error, Failure) and len(clusters) > 1:
            listings.append(Listing(cluster.context, notes=(error.message,), answered=False))
        else:
            listings.append(listing(cluster.context, answer.result()))
    return listings


def changes(clusters: Sequence[Cluster]) -> Iterator[list[Listing]]:
    """What `gather` says now, and again after nodes changed, or pods that hold something; for ever."""
    events: watching.Events = queue.Queue()
    for cluster in clusters:
        for kind, path, only in (("node", "/api/v1/nodes", None), ("pod", "/api/v1/pods", inventory.PLACED)):
            params = {} if only is None else {"fieldSelector": only}
            try:
                version = cluster.get(path, limit=1)["metadata"]["resourceVersion"]
            except ClusterFailure:
                continue  # `gather` says what may not be read
            watching.start(cluster, [(kind, path, {**params, "resourceVersion": version})], events)
    yield gather(clusters)
    for news in live.settled(events, None, quiet=0.5):
        for _, error in (one for one in news if one[0] == "failure"):
            raise error
        yield gather(clusters)


def listing(context: str, there: Inventory) -> Listing:
    """What a context's nodes have. Pure."""
    if there.nodes is None:
        text = f"nodes may not be read ({there.why_not}); `launch --gpus` still works, without a look at what is there"
        return Listing(context, notes=(text,))
    rows = [node_row(node, device, there.usage) for node in there.nodes for device in node.devices if device.total]
    notes = []
    if there.usage is None:
        notes.append(f"what is free is unknown: {there.why_not}")
    unnamed = sorted({row.name for row in rows if not row.gpu})
    if unnamed:
        names = ", ".join(unnamed[:3]) + (" ..." if len(unnamed) > 3 else "")
        count = "1 node has" if len(unnamed) == 1 else f"{len(unnamed)} nodes have"
        notes.append(f"{count} no label that tells the GPU ({names}): kubectl sky label-gpus")
    devices = [(node, device) for node in there.nodes for device in node.devices if device.total]
    return Listing(context, tuple(kinds(devices, there.usage)), tuple(rows), tuple(notes))


def kinds(devices: Iterable[tuple[Node, Device]], usage: Usage | None) -> list[Kind]:
    """By name and resource, those with most devices first."""
    groups: dict[tuple[str, str, float], list[tuple[Node, Device]]] = {}
    for node, device in devices:
        groups.setdefault((device.name, device.key, device.share), []).append((node, device))
    found = []
    for (name, key, share), pairs in groups.items():
        free = None if usage is None else sum(_free(node, one, usage) for node, one in pairs)
        total = sum(one.total for _, one in pairs)
        most = max(one.total for _, one in pairs)
        first = pairs[0][1]
        counts = _counts(most) if pairs[0][1].whole or "MIG-" in name else (round(share, 3),)
        found.append(Kind(name, key, counts, total, free, first.memory, len(pairs), share, first.claim))
    return sorted(found, key=lambda one: (-one.total, one.name))


def _counts(most: int) -> tuple[float, ...]:
    """Powers of two up to what the largest node has, and that."""
    return tuple(sorted({1 << n for n in range(most.bit_length()) if 1 << n <= most} | {most}))


def _free(node: Node, device: Device, usage: Usage) -> int:
    return usage.free_devices(node, device) if node.usable else 0


def node_row(node: Node, device: Device, usage: Usage | None) -> NodeRow:
    def left(key: str) -> str:
        return quantity.shown(key, usage.free(node, key) if usage else node.allocatable.get(key, 0.0))

    holders = (
        ()
        if usage is None or device.claim
        else tuple(
            f"{one.namespace}/{one.pod} ({one.requests[device.key]:g})" for one in usage.holders(node, device.key)
        )
    )
    return NodeRow(
        name=node.name, gpu=device.name, key=device.key, total=device.total,
        free=None if usage is None else _free(node, device, usage), state=node.state,
        taints=tuple(map(str, node.taints)), cpus=left("cpu"), memory=left("memory"),
        instance_type=node.instance_type, told_by=device.label[0] if device.label else "", share=device.share,
        holders=holders,
    )  # fmt: skip


def only(one: Listing, wanted: Sequence[str]) -> Listing:
    """What matches one of `wanted`: names and memory as in a task (H100, 80GB+), or globs; all without any."""
    if not wanted:
        return one
    for text in wanted:
        _check(text)
    rows = tuple(row for row in one.nodes if any(_is(row.gpu, text) for text in wanted))
    found = tuple(kind for kind in one.kinds if any(_is(kind.name, text) for text in wanted))
    return replace(one, nodes=rows, kinds=found)


def _check(text: str) -> None:
    try:
        resources.accelerator(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _is(name: str, text: str) -> bool:
    if globs.is_glob(text):
        return globs.matches(name.lower(), text.lower())
    asked = resources.accelerator(text)
    whole = Device(name, "", 1, accelerators.memory(name))
    return device_request.fits(replace(asked, count=1), whole) or (
        asked.memory is None and accelerators.matches(asked.name, name)
    )


def document(one: Listing) -> dict[str, Any]:
    """For -o json."""
    made = {key: value for key, value in asdict(one).items() if key not in ("notes", "answered")}
    return {**made, "answered": one.answered, "notes": list(one.notes)}
