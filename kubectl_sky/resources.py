"""What a task asks for: the syntax of each field, and the model. Pure; ValueErrors do not name the field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

CLOUDS = (
    "aws", "azure", "gcp", "ibm", "lambda", "scp", "oci", "kubernetes", "runpod", "vast", "vsphere", "cudo",
    "fluidstack", "paperspace", "primeintellect", "do", "nebius", "ssh", "slurm", "hyperbolic", "seeweb",
    "shadeform", "yotta", "mithril", "verda", "k8s",
)  # fmt: skip
# All of them are binary, as in SkyPilot; `GiB` and its like are our addition.
_UNITS = {letter + end: 2 ** (10 * power) for power, letter in enumerate("kmgtp", 1) for end in ("ib", "b", "i")}
_GB = 2**30
MAX_AMOUNT = 1e9
_MEMORY_NAME = re.compile(r"([0-9]+[GgMmTt][Bb])(\+?)")
_VIRTUAL_TYPE = re.compile(r"(\d+(?:\.\d+)?)CPU--(\d+(?:\.\d+)?)GB(?:--([^:]+):(\d+))?")
_MACHINE_IMAGE = re.compile(r"skypilot:.+|ami-[0-9a-f]{8,17}|projects/[^/]+/global/images/.+|[^/:]+(:[^/:]+){3}")
_LOCAL_DISK = re.compile(r"(?:nvme|ssd)|(?:(?:nvme|ssd):)?(\d+(?:\.\d*)?)\+?", re.IGNORECASE)
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Accelerator:
    """`count` of one kind on each node. `memory` (GiB) is set when it is asked for by memory instead of by name."""

    name: str
    count: float
    memory: float | None = None
    at_least: bool = False
    manufacturer: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.count:g}"


WAIT_FOR = ("jobs_and_ssh", "jobs", "none")  # what keeps a cluster from being idle


@dataclass(frozen=True)
class Autostop:
    """What happens to an idle cluster. `idle_minutes` 0 is at once."""

    enabled: bool
    idle_minutes: int = 0
    down: bool = False
    wait_for: str | None = None
    hook: str | None = None
    hook_timeout: int | None = None


@dataclass(frozen=True)
class Resources:
    """One node's needs. Several `accelerators`, and the complete parts in `any_of`/`ordered`, are alternatives."""

    cpus: float | None = None
    cpus_at_least: bool = False
    memory: float | None = None  # GiB
    memory_at_least: bool = False
    memory_per_cpu: float | None = None
    open_cpus: float | None = None  # what is asked for where `cpus` and `memory` (GiB) are left open
    open_memory: float | None = None
    accelerators: tuple[Accelerator, ...] = ()
    accelerators_ordered: bool = False
    image_id: str | None = None
    images: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    disk_size: int | None = None  # GB
    infra: str | None = None
    context: str | None = None
    use_spot: bool | None = None
    autostop: Autostop | None = None
    priority: int | None = None
    priority_class: str | None = None
    network_tier: str | None = None
    disk_tier: str | None = None
    instance_type: str | None = None
    job_recovery: Mapping[str, Any] | None = None
    any_of: tuple[Resources, ...] = ()
    ordered: tuple[Resources, ...] = ()

    def candidates(self) -> tuple[list[Resources], bool]:
        """All alternatives, each with at most one accelerator, and whether their order is the user's preference."""
        if self.any_of or self.ordered:
            parts = [single for part in self.any_of or self.ordered for single in part.candidates()[0]]
            return list(dict.fromkeys(parts)), bool(self.ordered)
        if len(self.accelerators) < 2:
            return [self], False
        singles = [replace(self, accelerators=(one,), accelerators_ordered=False) for one in self.accelerators]
        return singles, self.accelerators_ordered

    def __hash__(self) -> int:
        return hash((self.cpus, self.memory, self.accelerators, self.image_id, self.infra, self.use_spot))


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("not a number")
    return value


def _in_range(number: float, text: str) -> float:
    if number <= 0:
        raise ValueError(f"must be positive, not {text}")
    if number > MAX_AMOUNT:
        raise ValueError(f"must be at most {MAX_AMOUNT:.0f}, not {text}")
    return number


def amount(value: float | str) -> tuple[float, bool]:
    """cpus: `4`, `0.5`, `"4+"` -> (4.0, at least)."""
    text = str(value)
    try:
        number = _number(text.removesuffix("+"))
    except ValueError:
        raise ValueError(f'{_shown(value)} should be a number or "<number>+", such as 4, 0.5 or 4+') from None
    return _in_range(number, text), text.endswith("+")


def size(value: float | str) -> tuple[float, bool, bool]:
    """memory: `16`, `"16+"`, `16GB`, `"3x"` -> (GiB, at least, times the cpus)."""
    text = str(value)
    plus, times = text.endswith("+"), text.endswith("x")
    body = text[:-1] if plus or times else text
    try:
        number = _number(body)
    except ValueError:
        number = _with_unit(body, value)
    return _in_range(number, text), plus, times


def _with_unit(body: str, value: object) -> float:
    lower = body.lower()
    for unit, factor in _UNITS.items():
        if lower.endswith(unit):
            try:
                return _number(lower[: -len(unit)]) * factor / _GB
            except ValueError:
                break
    raise ValueError(
        f"{_shown(value)} should be a number of GB, or <number><unit> with a unit of KB, MB, GB, TB or PB "
        '(16, 16GB, 16GiB), with "+" for "at least"'
    )


def disk(value: int | str) -> int | None:
    """disk_size: whole GB; None for 256, which SkyPilot writes for "not set"."""
    text = str(value)
    if not re.fullmatch(r"-?[0-9]+([kmgtpKMGTP][iI]?[bB]?)?", text):
        raise ValueError(f"{_shown(value)} should be a whole number of GB, or such as 100GB or 1TB")
    gigabytes = int(text) if text.lstrip("-").isdigit() else _with_unit(text, value)
    if gigabytes <= 0 or gigabytes != int(gigabytes):
        raise ValueError(f"must be a positive whole number of GB, not {text}")
    return None if gigabytes == 256 else int(gigabytes)


def local_disk(value: str) -> None:
    """local_disk: `nvme`, `ssd:500`, `1000+`."""
    match = _LOCAL_DISK.fullmatch(value.strip())
    if not match or (match[1] and float(match[1]) <= 0):
        raise ValueError(f"{_shown(value)} should be nvme or ssd, GB, or both, such as nvme:500+")


def minutes(value: int | str) -> int:
    """autostop: `10`, `10m`, `1h`, `2d`, `1w` -> minutes."""
    match = re.fullmatch(r"([0-9]+)([mhdwMHDW]?)", str(value)) if isinstance(value, str) else None
    if isinstance(value, int):
        return value
    if not match:
        raise ValueError(f"{_shown(value)} should be minutes, or a time such as 10m, 1h, 2d or 1w")
    return int(match[1]) * {"": 1, "m": 1, "h": 60, "d": 1440, "w": 10080}[match[2].lower()]


def autostop(value: Any) -> Autostop | None:
    """All forms of autostop. A negative number of minutes switches it off, as it does on the command line."""
    if value is None:
        return None
    if isinstance(value, bool):
        return Autostop(value)
    if isinstance(value, dict):
        known = {key: item for key, item in value.items() if item is not None}
        if "wait_for" in known:
            known["wait_for"] = known["wait_for"].lower()
        return Autostop(True, **known)
    idle = minutes(value)
    return Autostop(idle >= 0, max(idle, 0))


def ports(value: Any) -> tuple[str, ...]:
    """`8080`, `"8000-8010"`, `"8000,9000"` or a list of them -> sorted, merged ranges."""
    parts = [part.strip() for item in (value if isinstance(value, list) else [value]) for part in str(item).split(",")]
    merged: list[tuple[int, int]] = []
    for first, last in sorted(_port_range(part) for part in parts if part):
        if merged and first <= merged[-1][1] + 1:
            first, last = merged[-1][0], max(last, merged.pop()[1])
        merged.append((first, last))
    return tuple(str(first) if first == last else f"{first}-{last}" for first, last in merged)


def _port_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)
    if not match:
        raise ValueError(f"{_shown(text)} should be a port or a range such as 8000-8010")
    first, last = int(match[1]), int(match[2] or match[1])
    for port in (first, last):
        if not 1 <= port <= 65535:
            raise ValueError(f"port {port} is not between 1 and 65535")
    if first > last:
        raise ValueError(f"the range {text} should go from the lower to the higher port")
    return first, last


def accelerators(value: Any) -> tuple[tuple[Accelerator, ...], bool]:
    """All forms -> (alternatives, whether their order counts). A map is any of its entries, a list is in order."""
    if value is None:
        return (), False
    if value in ({}, []):
        raise ValueError("should not be empty: leave it out for no accelerator")
    if isinstance(value, str):
        return (accelerator(value),), False
    if isinstance(value, dict):
        return tuple(dict.fromkeys(_entry(name, count) for name, count in value.items())), False
    items: list[Accelerator] = []
    for item in value:
        items.extend([accelerator(item)] if isinstance(item, str) else accelerators(item)[0])
    unique = tuple(dict.fromkeys(items))
    return unique, len(unique) > 1


def _entry(name: object, count: object) -> Accelerator:
    return accelerator(str(name) if count is None else f"{name}:{count}")


def accelerator(text: str) -> Accelerator:
    """`A100`, `A100:8`, `A100:0.5`, `32GB+`, `32GB:2`, `nvidia:32GB`, `nvidia:80GB+:4`."""
    parts = [part.strip() for part in text.split(":")]
    at = next((i for i, part in enumerate(parts[:2]) if _MEMORY_NAME.fullmatch(part)), None)
    if len(parts) > 3 or not all(parts):
        raise ValueError(f"{_shown(text)} should be <name> or <name>:<count>, such as A100 or A100:8")
    if at is None and len(parts) > 2:
        raise ValueError(f"{_shown(text)} should be <name>:<count>; with a manufacturer it is nvidia:32GB:2")
    name_parts = 1 if at is None else at + 1
    counts = parts[name_parts:]
    count = _count(counts[0], text) if counts else 1
    if at is None:
        return Accelerator(parts[0], count)
    match = _MEMORY_NAME.fullmatch(parts[at])
    assert match
    name, gigabytes = ":".join(parts[:name_parts]), _with_unit(match[1], text)
    if gigabytes < 1 or not gigabytes.is_integer():
        raise ValueError(f"the memory in {_shown(text)} should be whole GB, such as 32GB")
    return Accelerator(name, count, gigabytes, bool(match[2]), parts[0] if at else None)


def _count(text: str, whole: str) -> float:
    try:
        count = _number(text)
    except ValueError:
        raise ValueError(f"the count in {_shown(whole)} should be a number, such as A100:8") from None
    if not 0 < count <= MAX_AMOUNT:
        raise ValueError(f"the count in {_shown(whole)} must be {'positive' if count <= 0 else 'smaller'}")
    return int(count) if count.is_integer() else count


def infra(value: str) -> tuple[str | None, str | None]:
    """`k8s/<context>`, `aws/us-east-1`, `*` ... -> (normal form, None for any; context when it is Kubernetes)."""
    first, slash, rest = value.partition("/")
    cloud = first.lower()
    if cloud in ("k8s", "kubernetes"):
        rest = rest.rstrip("/")
    parts = [first, *([part.strip() for part in rest.split("/")] if slash else [])]
    if not all(parts):
        raise ValueError(f"{_shown(value)} has an empty part")
    if cloud != "*" and cloud not in CLOUDS:
        raise ValueError(f"{_shown(value)} should be k8s, k8s/<context>, ssh/<pool> or *, or one of SkyPilot's clouds")
    if cloud in ("k8s", "kubernetes", "ssh"):
        context = None if parts[1:] in ([], ["*"]) else "/".join(parts[1:])
        name = "ssh" if cloud == "ssh" else "kubernetes"
        return f"{name}/{context}" if context else name, context
    if len(parts) > 3:
        raise ValueError(f"{_shown(value)} should be <cloud>, <cloud>/<region> or <cloud>/<region>/<zone>")
    while parts and parts[-1] == "*":
        parts.pop()
    return "/".join([cloud, *parts[1:]]) if parts else None, None


def image(value: str) -> str:
    """An image's name without `docker:`."""
    name = value.strip().removeprefix("docker:").strip()
    if not name or re.search(r"\s", name):
        raise ValueError(f"{_shown(value)} is no image name, such as ubuntu:24.04 or ghcr.io/me/image:tag")
    return name


def is_machine_image(value: str) -> bool:
    """Whether it is one of SkyPilot's or a cloud's for virtual machines."""
    return bool(_MACHINE_IMAGE.fullmatch(value.strip()))


def images(value: Any) -> tuple[str | None, dict[str, str]]:
    """image_id -> (the image, images by context), without those of virtual machines."""
    if not isinstance(value, dict):
        value = {None: value}
    given = {key: item for key, item in value.items() if item is not None and not is_machine_image(item)}
    by_context = {str(key): image(item) for key, item in given.items() if key not in (None, "docker")}
    chosen = given.get("docker", given.get(None, "none"))
    return (None if chosen.strip().lower() == "none" else image(chosen)), by_context


def is_virtual_type(value: str) -> bool:
    """Whether it has the form that virtual_type() reads."""
    return bool(_VIRTUAL_TYPE.fullmatch(value))


def virtual_type(value: str) -> tuple[float, float, Accelerator | None] | None:
    """`4CPU--16GB--H100:1` -> (cpus, memory, accelerator); None for another cloud's machine name."""
    match = _VIRTUAL_TYPE.fullmatch(value)
    if not match:
        return None
    kind = accelerator(f"{match[3]}:{match[4]}") if match[3] else None
    return amount(match[1])[0], size(match[2])[0], kind


def label_fault(key: str, value: str) -> str | None:
    """Why Kubernetes would refuse this label, or None."""
    prefix, slash, name = key.rpartition("/")
    if not _LABEL_NAME.fullmatch(name) or (slash and not (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix))):
        return f"{_shown(key)} is no valid label key (at most 63 letters, digits, `-`, `_`, `.`, after a prefix/)"
    if value and not _LABEL_NAME.fullmatch(value):
        return f"{_shown(value)} is no valid label value (at most 63 letters, digits, `-`, `_`, `.`)"
    return None


def build(config: Mapping[str, Any]) -> Resources:
    """The model of a `resources` map that has passed the checks (gpus is already accelerators)."""
    base = {key: value for key, value in config.items() if value is not None}
    any_of, ordered = base.pop("any_of", None), base.pop("ordered", None)
    one = _build_one(base)
    return replace(one, any_of=_overlaid(base, any_of or ()), ordered=_overlaid(base, ordered or ()))


def _overlaid(base: dict[str, Any], parts: Iterable[Mapping[str, Any]]) -> tuple[Resources, ...]:
    """Each alternative on top of the base; labels are merged, all else is replaced."""
    common = base.get("labels", {})
    return tuple(_build_one({**base, **part, "labels": {**common, **(part.get("labels") or {})}}) for part in parts)


def _build_one(config: Mapping[str, Any]) -> Resources:
    get = config.get
    cpus, cpus_plus = amount(config["cpus"]) if get("cpus") is not None else (None, False)
    memory, memory_plus, times = size(config["memory"]) if get("memory") is not None else (None, False, False)
    kinds, in_order = accelerators(get("accelerators"))
    virtual = virtual_type(config["instance_type"]) if get("instance_type") else None
    if virtual:
        cpus, memory = cpus or virtual[0], memory or virtual[1]
        kinds = kinds or ((virtual[2],) if virtual[2] else ())
    where, context = infra(config["infra"]) if get("infra") else _old_infra(config)
    chosen, by_context = images(get("image_id"))
    recovery = get("job_recovery")
    return Resources(
        cpus=cpus, cpus_at_least=cpus_plus,
        memory=memory * cpus if times and memory and cpus else (None if times else memory),
        memory_at_least=memory_plus, memory_per_cpu=memory if times else None,
        accelerators=kinds, accelerators_ordered=in_order, image_id=chosen, images=by_context,
        labels=get("labels") or {}, ports=ports(config["ports"]) if get("ports") is not None else (),
        disk_size=disk(config["disk_size"]) if get("disk_size") is not None else None,
        infra=where, context=context, use_spot=get("use_spot"), autostop=autostop(get("autostop")),
        priority=get("priority"), priority_class=(get("priority_class") or "").strip() or None,
        network_tier=_lower(get("network_tier")), disk_tier=_lower(get("disk_tier")),
        instance_type=get("instance_type"),
        job_recovery={"strategy": recovery} if isinstance(recovery, str) else recovery,
    )  # fmt: skip


def _old_infra(config: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """`cloud`, `region` and `zone`, the form before `infra`."""
    cloud = str(config.get("cloud") or "*").lower()
    parts = [cloud, config.get("region") or "*", config.get("zone") or "*"]
    context = None
    if cloud in ("k8s", "kubernetes"):
        parts = ["kubernetes", parts[1]]
        context = parts[1] if parts[1] != "*" else None
    while parts and parts[-1] == "*":
        parts.pop()
    return "/".join(parts) or None, context


def _lower(value: str | None) -> str | None:
    return value.lower() if value is not None else None


def _shown(value: object) -> str:
    text = str(value)
    return f'"{text[:57]}..."' if len(text) > 60 else f'"{text}"'
