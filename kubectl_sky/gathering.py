"""Pods of a task that hold places while the scheduler has none for the others: taken away for a while, see gang.py."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from kubectl_sky import cluster_objects, gang, settings
from kubectl_sky.errors import ApiError

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress

Object = dict[str, Any]


class Gathering:
    """The time that the pods of `name` may hold on; a random one, so that of two launches one is first to let go."""

    def __init__(self, cluster: Cluster, name: str, num_nodes: int):
        self.cluster, self.name, self.num_nodes = cluster, name, num_nodes
        self._until: float | None = None

    def left(self) -> float:
        """Seconds until it should look again."""
        return max(0.0, self._until - time.monotonic()) if self._until else float("inf")

    def look(self, pods: Sequence[Object], progress: Progress) -> None:
        """Takes those with a place away when their time is over. Raises ApiError."""
        if self.num_nodes == 1 or not gang.holders(pods, self.num_nodes):
            self._until = None
        elif self._until is None:
            self._until = time.monotonic() + random.uniform(1, 2) * float(settings.load().gang_seconds)
        elif time.monotonic() >= self._until:
            self._until = None
            # as they are now: the last of them may just have come
            names = gang.holders(cluster_objects.pods(self.cluster, self.name), self.num_nodes)
            if names:
                progress.line(
                    f"Only {len(names)} of the {self.num_nodes} nodes have a place: they make room for others for a "
                    "while, then try again"
                )
                self._take_away(names)

    def _take_away(self, names: Sequence[str]) -> None:
        folder = cluster_objects.collection(self.cluster, "Pod")

        def take(name: str) -> None:
            try:
                self.cluster.delete(f"{folder}/{name}")
            except ApiError as error:
                if error.status != 404:
                    raise

        with ThreadPoolExecutor(min(len(names), 16)) as pool:
            list(pool.map(take, names))
