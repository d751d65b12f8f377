"""Long lists: page by page, without what nobody reads, and whole when the pages have expired."""

from __future__ import annotations

import json
from typing import Any, cast

from kubectl_sky.api import pages
from kubectl_sky.capacity import inventory
from kubectl_sky.errors import Expired
from kubectl_sky.kube import Cluster

HEAVY = {"name": "n", "managedFields": [{"fieldsV1": {"f:spec": {}}}]}


class Server:
    """Answers lists in pages of two; `expires` at the second page, once."""

    def __init__(self, count: int, expires: bool = False):
        self.items = [{"metadata": {**HEAVY, "name": f"n{number}"}} for number in range(count)]
        self.expires, self.asked = expires, 0

    def get_bytes(self, path: str, **params: Any) -> bytes:
        self.asked += 1
        start = int(params.get("continue") or 0)
        if start and self.expires:
            raise Expired(410, "Expired", "too old")
        size = 2 if params.get("limit") else len(self.items)
        metadata: dict[str, Any] = {"resourceVersion": "1"}
        if start + size < len(self.items):
            metadata["continue"] = str(start + size)
        answer = {"kind": "List", "metadata": metadata, "items": self.items[start : start + size]}
        return json.dumps(answer, separators=(",", ":")).encode()


def collected(server: Server) -> list[str]:
    return inventory.collect(cast(Cluster, server), "/x", lambda item: str(item["metadata"]["name"]))


def test_all_pages_in_order() -> None:
    server = Server(5)
    assert collected(server) == ["n0", "n1", "n2", "n3", "n4"] and server.asked == 3


def test_expired_pages_are_read_again_in_one_piece() -> None:
    server = Server(5, expires=True)
    assert collected(server) == ["n0", "n1", "n2", "n3", "n4"] and server.asked == 3


def test_what_is_watched_afterwards_is_read_in_pages_too() -> None:
    for server in (Server(5), Server(5, expires=True)):
        items, version = pages.everything(cast(Cluster, server), "/x")
        assert [one["metadata"] for one in items] == [{"name": f"n{number}"} for number in range(5)]
        assert version == "1" and server.asked == 3


def test_ballast_is_not_parsed_and_a_bracket_in_a_text_does_no_harm() -> None:
    heavy = {"metadata": {"name": "a", "managedFields": [{"f": {}}]}, "spec": {"x": 1, "env": [{"name": "A"}]}}
    body = json.dumps({"items": [heavy]}, separators=(",", ":")).encode()
    [item] = pages.parsed(body, inventory._BALLAST)["items"]
    assert item == {"metadata": {"name": "a"}, "spec": {"x": 1}}
    heavy["spec"]["env"] = [{"name": "A", "value": "a]b"}]
    [item] = pages.parsed(json.dumps({"items": [heavy]}, separators=(",", ":")).encode())["items"]
    assert item["spec"]["env"] == [{"name": "A", "value": "a]b"}]
