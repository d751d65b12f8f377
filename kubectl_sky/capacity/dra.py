"""Dynamic resource allocation: the devices that ResourceSlices tell of, the DeviceClasses that ask for them.

Source: resource.k8s.io/v1, from Kubernetes 1.34 on (before, it was off by default); attributes as the drivers of
NVIDIA, AMD and Intel name them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kubectl_sky import accelerators, quantity
from kubectl_sky.capacity.nodes import Device
from kubectl_sky.errors import ApiError

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
GROUP = "/apis/resource.k8s.io"
API = f"{GROUP}/v1"
PRODUCT = ("productName", "product_name", "model", "deviceName")


@dataclass(frozen=True)
class Dynamic:
    """`devices` by node; `claimed` how many of them are allocated, by (node, device's name)."""

    devices: Mapping[str, tuple[Device, ...]] = field(default_factory=dict)
    claimed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


NONE = Dynamic()


def read(cluster: Cluster) -> Dynamic:
    """NONE where the cluster does not have it, or it may not be read."""
    slices = _listed(cluster, "resourceslices")
    if not slices:
        return NONE
    with ThreadPoolExecutor(2) as pool:
        classes, claims = pool.map(lambda kind: _listed(cluster, kind), ("deviceclasses", "resourceclaims"))
    return understand(slices, classes, claims)


def _listed(cluster: Cluster, kind: str) -> list[Object]:
    try:
        items: list[Object] = cluster.get(f"{API}/{kind}")["items"]
        return items
    except ApiError as error:
        if error.status in (403, 404):
            return []
        raise


def understand(slices: Iterable[Object], classes: Iterable[Object], claims: Iterable[Object]) -> Dynamic:
    """The devices of each node that a DeviceClass can ask for. Pure."""
    taken = {
        (result["driver"], result["pool"], result["device"])
        for claim in claims
        for result in ((claim.get("status") or {}).get("allocation") or {}).get("devices", {}).get("results") or ()
        if not result.get("adminAccess")  # that only watches
    }
    counts: Counter[tuple[str, Device]] = Counter()
    claimed: Counter[tuple[str, str]] = Counter()
    known = list(classes)
    widest = sorted(known, key=lambda one: len(_expressions(one)))  # others ask for only some of a driver's devices
    for one in _newest(slices):
        spec = one["spec"]
        if not spec.get("nodeName"):
            continue  # devices of a network belong to no node
        for device in spec.get("devices") or ():
            kind = _device(spec["driver"], device, widest)
            if kind:
                counts[spec["nodeName"], kind] += 1
                claimed[spec["nodeName"], kind.name] += (spec["driver"], spec["pool"]["name"], device["name"]) in taken
    devices: dict[str, tuple[Device, ...]] = {}
    for (node, kind), count in counts.items():
        found = Device(**{**kind.__dict__, "total": count})
        devices[node] = (*devices.get(node, ()), found)
    names = tuple(one["metadata"]["name"] for one in known)
    return Dynamic(devices, {key: count for key, count in claimed.items() if count}, names)


def _newest(slices: Iterable[Object]) -> list[Object]:
    """Those of each pool's newest generation: a driver may still be replacing the older ones."""
    found = list(slices)
    last: dict[tuple[str, str], int] = {}
    for one in found:
        pool = one["spec"]["pool"]
        key = (one["spec"]["driver"], pool["name"])
        last[key] = max(last.get(key, 0), pool.get("generation", 0))
    return [
        one
        for one in found
        if one["spec"]["pool"].get("generation", 0) == last[one["spec"]["driver"], one["spec"]["pool"]["name"]]
    ]


def _device(driver: str, device: Object, classes: Iterable[Object]) -> Device | None:
    """One device (total 0: they are counted by kind); None when no class asks for it or it is no accelerator."""
    attributes = {
        key.rpartition("/")[2]: next(iter(value.values()), "")
        for key, value in (device.get("attributes") or {}).items()
    }
    product = next((str(attributes[key]) for key in PRODUCT if attributes.get(key)), "")
    chosen = next(
        (c["metadata"]["name"] for c in classes if _selects(c, driver, str(attributes.get("type", "")))), None
    )
    if not chosen or not (product or "gpu" in driver):
        return None
    capacity = (device.get("capacity") or {}).get("memory") or {}
    size = quantity.parse(capacity["value"]) / quantity.GIB if capacity.get("value") else None
    profile = str(attributes.get("profile", ""))
    name = accelerators.canonical(f"{product}-MIG-{profile}" if profile else product, size) if product else ""
    return Device(name, chosen, 0, size or accelerators.memory(name), claim=True, product=product, driver=driver)


def _selects(device_class: Object, driver: str, kind: str) -> bool:
    """Whether a class is for such devices. Its CEL expressions are not evaluated, but read as everybody writes them."""
    text = " && ".join(_expressions(device_class))
    drivers = re.findall(r"""device\.driver\s*==\s*["']([^"']+)["']""", text)
    kinds = re.findall(r"""\.type\s*==\s*["']([^"']+)["']""", text)
    if not drivers:
        return device_class["metadata"]["name"] == driver
    return driver in drivers and (not kinds or not kind or kind in kinds)


def _expressions(device_class: Object) -> list[str]:
    """The conditions of a class, all of which must hold."""
    texts = [s["cel"]["expression"] for s in device_class.get("spec", {}).get("selectors") or () if "cel" in s]
    return [part.strip() for text in texts for part in text.split("&&")]
