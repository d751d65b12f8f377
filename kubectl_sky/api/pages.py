"""Long lists, in pages: the next one is asked for while one is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kubectl_sky.errors import Expired

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

PAGE = 500  # objects in one answer: some MB
_TOKEN = re.compile(rb'"metadata":\s*{[^}]*"continue":\s*"([^"]+)"')
# who set which field: half of an answer, and nobody here reads it
_FIELDS = re.compile(rb',"managedFields":\[[^\[\]]*\]')


def bodies(cluster: Cluster, path: str, size: int | None, params: Mapping[str, Any]) -> Iterator[bytes]:
    """The answers, each a list; the token of the next comes before the items. Raises Expired when it took too long."""
    with ThreadPoolExecutor(1) as pool:
        body = cluster.get_bytes(path, **params, limit=size)
        while True:
            token = _TOKEN.search(body, 0, 4096)
            more = {**params, "limit": size, "continue": token[1].decode()} if token else None
            following = pool.submit(cluster.get_bytes, path, **more) if more else None
            yield body
            if not following:
                return
            body = following.result()


def parsed(body: bytes, ballast: re.Pattern[bytes] = _FIELDS) -> dict[str, Any]:
    """A list, without what is thrown away: most of the time would go into parsing that."""
    try:
        found: dict[str, Any] = json.loads(ballast.sub(b"", body))
    except ValueError:  # a text in it has a bracket
        found = json.loads(body)
    return found


def everything(cluster: Cluster, path: str, **params: Any) -> tuple[list[dict[str, Any]], str]:
    """All items of a collection, as they were at one moment, and its resourceVersion, to watch from."""
    try:
        return _joined(bodies(cluster, path, PAGE, params))
    except Expired:
        return _joined(bodies(cluster, path, None, params))


def _joined(found: Iterator[bytes]) -> tuple[list[dict[str, Any]], str]:
    items: list[dict[str, Any]] = []
    version = ""
    for body in found:
        page = parsed(body)
        items += page["items"]
        version = version or page["metadata"]["resourceVersion"]
    return items, version
