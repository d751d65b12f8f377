"""Which of a task's alternatives to ask for, and where: from what the nodes of the contexts have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from kubectl_sky import globs, needs, podspec, quantity, scheduling
from kubectl_sky.capacity import device_request, survey
from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.capacity.node_groups import Group
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.capacity.placing import Demand
from kubectl_sky.capacity.pricing import Prices
from kubectl_sky.capacity.usage import Usage
from kubectl_sky.errors import ClusterFailure
from kubectl_sky.task import Task


@dataclass(frozen=True)
class Place:
    """A context. `nodes` None: may not be read; `usage` None: what is free is unknown; `grows`: it may get nodes.

    `group`: as it would be with new nodes of that group, and only these count.
    """

    context: str
    nodes: tuple[Node, ...] | None
    usage: Usage | None = None
    grows: bool = False
    prices: Prices = field(default_factory=Prices)
    group: Group | None = None

    def with_group(self, group: Group, count: int) -> Place:
        """The place once the group has grown for `count` nodes."""
        return replace(self, nodes=(*(self.nodes or ()), *group.nodes(count)), group=group, grows=False)


@dataclass(frozen=True)
class Candidate:
    """One alternative in one place. `now`, `ever`: how many of the task's nodes would fit; None unknown.

    `lack`: why it can never run there, "" if it can, and `step` what to do about it.
    """

    task: Task
    place: Place
    request: DeviceRequest | None
    now: int | None
    ever: int | None
    price: float | None
    lack: str = ""
    step: str = ""

    @property
    def fits_now(self) -> bool:
        return not self.lack and (self.now is None or self.now >= self.task.num_nodes)

    @property
    def possible(self) -> bool:
        return not self.lack or (self.place.grows and not (self.task.resources.accelerators and not self.request))

    def why_not(self, chosen: Candidate) -> str:
        """Why another was chosen."""
        if self.lack:
            return self.lack
        if chosen.fits_now and self.place.group:
            return f"needs new nodes of {self.place.group.name}"
        if chosen.fits_now and not self.fits_now:
            return f"now room for {self.now} of {self.task.num_nodes} nodes"
        if chosen.price is not None and (self.price is None or self.price > chosen.price):
            return "costs more" if self.price is not None else "has no price"
        return "comes later in the task"


def candidates(task: Task, places: Sequence[Place]) -> list[Candidate]:
    """Every alternative in every place where the task allows it, in the order of preference."""
    found: list[Candidate] = []
    for resources in task.resources.candidates()[0]:
        one = replace(task, resources=resources)
        for place in places:
            if not resources.context or globs.matches(place.context, resources.context):
                # a group that does not do is no news
                found.extend(each for each in _candidates(one, place) if not (place.group and each.lack))
    return found


def _candidates(task: Task, place: Place) -> list[Candidate]:
    """A candidate for each way in which the place offers the accelerators."""
    if not task.resources.accelerators:
        return [_candidate(task, place, None)]
    wanted = task.resources.accelerators[0]
    if place.nodes is None and not device_request.is_whole(wanted):
        text = "a part of a device is a slice, and which ones nodes have may not be read: name it, as MIG-1g.10gb:1"
        return [Candidate(task, place, None, None, None, None, text)]
    requests = device_request.requests(wanted, place.nodes)
    if requests:
        return [_candidate(task, place, request) for request in requests]
    lack = lack_of_devices(task, place)
    # nodes that an autoscaler adds will have the labels of their cloud
    [later] = device_request.requests(wanted, None) if device_request.is_whole(wanted) else [None]
    return [Candidate(task, place, later, 0, 0, None, lack)]


def _candidate(task: Task, place: Place, request: DeviceRequest | None) -> Candidate:
    task = _with_share(task, request, place.nodes or ())
    name, gpus = (request.name, task.resources.accelerators[0].count) if request else ("", 0)
    price = place.prices.hourly(needs.cpus(task), needs.memory(task), name, gpus)
    if place.nodes is None:
        return Candidate(task, place, request, None, None, price)
    pod = Pod(task, request, podspec.sketch(task, request, place.nodes, place.context))
    able = [node for node in place.nodes if pod.may_go(node)]
    if place.group:
        return _on_new(pod, place, place.group, price)
    ever = sum(pod.room(node, None) for node in able)
    usage = place.usage
    now = None if usage is None else sum(pod.room(node, usage) for node in able if node.usable)
    lack = ("", "") if ever >= task.num_nodes else lack_of_room(pod, place.nodes, able, ever)
    return Candidate(task, place, request, now, ever, price, *lack)


def _on_new(pod: Pod, place: Place, group: Group, price: float | None) -> Candidate:
    """On nodes that the group does not have yet. A node costs the same however much of it is used."""
    each = pod.room(group.node, None) if pod.may_go(group.node) else 0
    count = pod.task.num_nodes
    ever = each * min(group.most, count)
    if group.price is not None and each:
        price = group.price * -(-count // each) / count
    lack = "" if ever >= count else f"{group.name} has room for {ever} of {count} nodes"
    return Candidate(pod.task, place, pod.request, 0, ever, price, lack)


def _with_share(task: Task, request: DeviceRequest | None, nodes: Sequence[Node]) -> Task:
    """The task; the CPUs and memory that it leaves open are no more than its accelerators' share of the nodes.

    On the node with the least. Not all of the share: what runs on every node needs some, too.
    """
    if not request:
        return task
    shares = []
    for node in nodes:
        there = sum(one.total for one in Pod(task, request).devices(node))
        if there >= request.count:
            part = 0.8 * request.count / there
            size = node.allocatable.get("memory", 0.0) / quantity.GIB
            shares.append((node.allocatable.get("cpu", 0.0) * part, size * part))
    if not shares:
        return task
    cpus = min(needs.cpus(task), _rounded(min(cpu for cpu, _ in shares)))
    one = replace(task, resources=replace(task.resources, open_cpus=cpus))
    memory = min(needs.memory(one), _rounded(min(size for _, size in shares)))
    return replace(one, resources=replace(one.resources, open_memory=memory))


def _rounded(amount: float) -> float:
    """Down, to a number that people read."""
    return float(int(amount)) if amount >= 4 else max(int(amount * 10) / 10, 0.1)


def choose(found: Sequence[Candidate], ordered: bool) -> Candidate:
    """The best: what fits now, then what is cheap, then what comes first (`ordered`: before what is cheap).

    Raises ClusterFailure with every reason when none is possible.
    """
    possible = [one for one in found if one.possible]
    if not possible:
        raise impossible(found)

    def rank(one: Candidate) -> tuple[bool, bool, float]:
        price = one.price if one.price is not None else float("inf")
        return bool(one.lack), not one.fits_now, 0.0 if ordered else price

    return min(possible, key=rank)


def impossible(found: Sequence[Candidate]) -> ClusterFailure:
    """What no node can ever run, and what is nearest to it."""
    lines = [f"  {summary(one)}: {one.lack}" for one in found]
    contexts = list(dict.fromkeys(one.place.context for one in found))
    where = f"context {contexts[0]}" if len(contexts) == 1 else f"contexts {', '.join(contexts)}"
    head = f"nothing in {where} can" if any(contexts) else "nothing can"  # no context: rendered without a cluster
    text = "\n".join([f"{head} ever run this task:", *lines])
    unnamed = any(not d.name and d.total for one in found for node in one.place.nodes or () for d in node.devices)
    steps = [one.step for one in found if one.step]
    steps += ["kubectl sky label-gpus names GPUs that no label names"] if unnamed else []
    return ClusterFailure(text, "\n".join(dict.fromkeys(steps)) or "kubectl sky gpus shows what there is")


def summary(one: Candidate) -> str:
    """`8CPU--32GB--H100:8`, as SkyPilot names it."""
    parts = [f"{needs.cpus(one.task):g}CPU", f"{needs.memory(one.task):g}GB"]
    return "--".join([*parts, *(f"{a.name}:{a.count:g}" for a in one.task.resources.accelerators[:1])])


# -- one node -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pod:
    """A pod of a candidate."""

    task: Task
    request: DeviceRequest | None
    spec: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def demand(self) -> Demand:
        """What the scheduler looks at."""
        return Demand.of(self.spec)

    def may_go(self, node: Node) -> bool:
        """Whether the node is of the right kind, room aside."""
        tolerated = all(t.effect == "PreferNoSchedule" or self.demand.tolerates(t) for t in node.taints)
        return tolerated and self.demand.wants(node) and (not self.request or bool(self.devices(node)))

    def devices(self, node: Node) -> list[Device]:
        """Those of a node that it asks for."""
        wanted, request = self.task.resources.accelerators[0], self.request
        assert request
        same = [one for one in node.devices if (one.key, one.claim) == (request.key, request.claim)]
        return [one for one in same if device_request.fits(wanted, one)]

    def room(self, node: Node, usage: Usage | None) -> int:
        """How many of it fit on a node: on what is free, or (`usage` None) if the node were empty."""
        rooms = []
        for key, amount in self.demand.requests.items():
            there = usage.free(node, key) if usage else node.allocatable.get(key, 0.0)
            rooms.append(int(there / amount + 1e-6))
        if self.request and self.request.claim:
            free = sum(usage.free_devices(node, one) if usage else one.total for one in self.devices(node))
            rooms.append(free // self.request.count)
        return min(rooms)


# -- what is missing ------------------------------------------------------------------------------------------------


def lack_of_devices(task: Task, place: Place) -> str:
    """Why no node has the accelerators, with what there is instead."""
    wanted = task.resources.accelerators[0]
    devices = [device for node in place.nodes or () for device in node.devices if device.total]
    whole = replace(wanted, count=1)
    parts = sorted({one.share for one in devices if device_request.fits(replace(wanted, count=0.001), one)})
    if wanted.count < 1 and parts:
        most = f"{parts[-1]:.2g}"
        return f"the largest part of {wanted.name} that nodes hand out is {most}: ask for {wanted.name}:{most}"
    if wanted.count < 1 and any(device_request.fits(whole, device) for device in devices):
        return f"Kubernetes hands out whole devices, and no node slices them: ask for {wanted.name}:1"
    if wanted.count != int(wanted.count) and wanted.count > 1:
        return f"parts of several devices cannot be had: ask for {wanted.name}:{int(wanted.count) + 1}"
    shares = [device for device in devices if device_request.fits(replace(wanted, count=device.share), device)]
    if shares:
        return f"{wanted.name} is handed out in parts here: ask for {wanted.name}:{shares[0].share:.2g}"
    if not devices:
        return "no node has accelerators"
    if all(not device.name for device in devices):
        return "nodes have accelerators, but no label tells of which kind"
    names = sorted({device.name for device in devices if device.name})
    return f"no node has {wanted.name}; there are: {', '.join(names)}"


def lack_of_room(pod: Pod, nodes: Sequence[Node], able: Sequence[Node], ever: int) -> tuple[str, str]:
    """Why the nodes of the right kind are too small or too few, with the nearest that would fit; and the next step."""
    request = pod.request
    if ever:
        return f"there is room for {ever} of {pod.task.num_nodes} nodes, even if all were empty", ""
    if able:
        return _too_small(pod, able), ""
    right = [node for node in nodes if not request or pod.devices(node)]
    if right and all(scheduling.is_spot(node) for node in right):
        what = request.name if request else "room for it"
        return f"only spot nodes have {what}: --use-spot", ""
    found = survey.place(pod.spec, right, None)
    return found.sentence(), "\n".join(found.hints())


def _too_small(pod: Pod, able: Sequence[Node]) -> str:
    """What the nearest of the nodes lacks; amounts that the task leaves open are only blamed when nothing else is."""
    request, given, needs = pod.request, pod.task.resources, pod.demand.requests
    nearest = max(able, key=lambda node: sum(min(node.allocatable.get(k, 0.0) / n, 1.0) for k, n in needs.items()))
    short: list[str] = []
    left_open: list[str] = []
    for key, amount in needs.items():
        there = nearest.allocatable.get(key, 0.0)
        if there < amount:
            unit = request.name if request and key == request.key else {"cpu": "CPUs"}.get(key, key)
            is_open = (key == "cpu" and not given.cpus) or (key == "memory" and not given.memory)
            text = f"{unit} {quantity.shown(key, there)} (asked for {quantity.shown(key, amount)})"
            (left_open if is_open else short).append(text)
    if request and request.claim:
        most = max(sum(one.total for one in pod.devices(node)) for node in able)
        short += [f"{request.name} {most} (asked for {request.count})"] if most < request.count else []
    what = f"with {request.name}" if request else "that it may go to"
    return f"the nearest node {what} is {nearest.name}, which has {', '.join(short or left_open)}"


def wants_accelerators(task: Task) -> bool:
    """Whether any of its alternatives does."""
    return any(one.accelerators for one in task.resources.candidates()[0])


def contexts(task: Task, allowed: Iterable[str], known: Sequence[str] = ()) -> list[str]:
    """The contexts that its alternatives name, else those that are allowed; a glob stands for those of `known`."""
    named = [one.context for one in task.resources.candidates()[0]]
    found = [
        name
        for one in named
        if one
        for name in (globs.matching(one, known) if globs.is_glob(one) and one not in known else [one])
    ]
    return list(dict.fromkeys([*found, *(allowed if None in named else ())]))
