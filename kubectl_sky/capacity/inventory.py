"""Reading what a cluster has: its nodes, what pods hold of them. In pages, of which only the little we need is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from kubectl_sky.api import pages
from kubectl_sky.api.pages import PAGE
from kubectl_sky.capacity import dra, nodes, usage
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.capacity.usage import Usage
from kubectl_sky.errors import ApiError, Expired

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

T = TypeVar("T")
# lists that are most of an answer, and that nobody here reads; only those that hold no other list
_BALLAST = re.compile(rb',"(?:managedFields|images|env|tolerations)":\[[^\[\]]*\]')
# what holds room, and no more: pods that are placed and not over
PLACED = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"


@dataclass(frozen=True)
class Inventory:
    """`nodes` None: they may not be read. `usage` None: pods of all namespaces may not be, so what is free is unknown.

    `why_not`: what the API server said to that. `classes`: the DeviceClasses of dynamic resource allocation.
    """

    nodes: tuple[Node, ...] | None
    usage: Usage | None
    why_not: str = ""
    classes: tuple[str, ...] = ()


Enough = Callable[[list[Node]], bool]


def read(cluster: Cluster, with_pods: bool = True, with_claims: bool = True, enough: Enough | None = None) -> Inventory:
    """All nodes, with the devices of ResourceSlices, and what pods hold of them; side by side.

    `enough`: no more pages of nodes are read when it says so.
    """
    with ThreadPoolExecutor(3) as pool:
        listed = pool.submit(_allowed, lambda: _nodes(cluster, enough))
        pods = pool.submit(_allowed, lambda: _placed(cluster)) if with_pods else None
        claims = pool.submit(dra.read, cluster) if with_claims else None
    found, why_not = listed.result()
    held, unread = pods.result() if pods else (None, "")
    dynamic = claims.result() if claims else dra.NONE
    if found is not None and dynamic.devices:
        found = [nodes.with_devices(node, dynamic.devices.get(node.name, ())) for node in found]
    counted = Usage(held, dynamic.claimed) if held is not None else None
    return Inventory(None if found is None else tuple(found), counted, why_not or unread, dynamic.classes)


def _nodes(cluster: Cluster, enough: Enough | None) -> list[Node]:
    path = "/api/v1/nodes"
    if enough:
        first = cluster.get(path, limit=PAGE)
        found = [nodes.read(item) for item in first["items"]]
        if not first["metadata"].get("continue") or enough(found):
            return found
    return collect(cluster, path, nodes.read)


def _placed(cluster: Cluster) -> list[usage.Holding]:
    found = collect(cluster, "/api/v1/pods", usage.read, fieldSelector=PLACED)
    return [holding for holding in found if holding]


def _allowed(read: Callable[[], list[T]]) -> tuple[list[T] | None, str]:
    """What `read` returns, or None and why not when it is forbidden."""
    try:
        return read(), ""
    except ApiError as error:
        if error.status != 403:
            raise
        return None, error.message


def collect(cluster: Cluster, path: str, convert: Callable[[dict[str, Any]], T], **params: Any) -> list[T]:
    """All items of a collection, converted page by page; in one piece when it took so long that its pages expired."""
    try:
        return list(_pages(cluster, path, PAGE, convert, params))
    except Expired:
        return list(_pages(cluster, path, None, convert, params))


def _pages(
    cluster: Cluster, path: str, size: int | None, convert: Callable[[dict[str, Any]], T], params: dict[str, Any]
) -> Iterator[T]:
    for body in pages.bodies(cluster, path, size, params):
        yield from map(convert, pages.parsed(body, _BALLAST)["items"])
