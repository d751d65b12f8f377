"""What a job printed after the connection to its pod was lost, and before the pod ended: from the container's log.

A node's part of a job's log is what its container prints, byte for byte. So the rest begins where as many bytes have
come as were printed here, if they were the same bytes: kubelets drop the beginning of a log above 10 MB.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kubectl_sky import reading
from kubectl_sky.errors import ApiError, ClusterFailure
from kubectl_sky.follow import Printer

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


class CountingPrinter(Printer):
    """A Printer that knows how much of each rank it was given: bytes, and their checksum."""

    heard: dict[int, tuple[int, int]]

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.heard = {}

    def write(self, rank: int, data: bytes) -> None:
        count, checksum = self.heard.get(rank, (0, 0))
        self.heard[rank] = count + len(data), zlib.crc32(data, checksum)
        super().write(rank, data)

    def write_rest(self, rank: int, log: Iterable[bytes]) -> bool:
        """What of the rank's whole log was not written yet. Nothing, and False, if it does not begin with what was."""
        left, checksum = self.heard.get(rank, (0, 0))
        come = 0
        for piece in log:
            known, rest = piece[:left], piece[left:]
            left, come = left - len(known), zlib.crc32(known, come)
            if rest:
                if come != checksum:
                    return False
                super().write(rank, rest)
        return not left and come == checksum


def print_rest(cluster: Cluster, pods: Mapping[int, dict[str, Any]], printer: CountingPrinter) -> None:
    """Of the pods, by rank. Says so when it cannot; but that a pod is gone for good is told with the job's state."""
    for rank, pod in pods.items():
        try:
            missing = "" if printer.write_rest(rank, reading.container_log(cluster, pod)) else "its log was cut"
        except ClusterFailure as error:
            missing = "" if isinstance(error, ApiError) and error.status == 404 else error.message
        if missing:
            print(f"node {rank}: some of its output is not shown: {missing}", file=sys.stderr)
