"""A device plugin of kubelet's with devices that do not exist, as a process: device_plugin NODE_DIR RESOURCE=COUNT...

A container that gets some has their names in $FAKE_DEVICES, such as `gpu-0,gpu-3`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster.plugin_server import Method, block_signals, serve, until_told
from tests.cluster.protobuf import decode, encode, entry

VERSION = "v1beta1"


def list_and_watch(devices: list[str], request: bytes, context: Any) -> Iterator[bytes]:
    """All devices, once: they stay healthy until the plugin ends."""
    yield encode(*((1, encode((1, device), (2, "Healthy"))) for device in devices))
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait()


def allocate(request: bytes, context: Any) -> bytes:
    """For each container of the AllocateRequest a response with its environment."""
    containers = [decode(container)[1] for container in decode(request)[1]]
    names = [b",".join(sorted(devices)).decode() for devices in containers]
    return encode(*((1, encode((1, entry("FAKE_DEVICES", name)))) for name in names))


def nothing(request: bytes, context: Any) -> bytes:
    """The empty message: no options, no preference, nothing to do before a start."""
    return b""


def methods(resource: str, count: int) -> dict[str, Method]:
    """The service v1beta1.DevicePlugin of one resource."""
    devices = [f"{resource.rpartition('/')[2]}-{index}" for index in range(count)]

    def watch(request: bytes, context: Any) -> Iterator[bytes]:
        yield from list_and_watch(devices, request, context)

    return {
        "GetDevicePluginOptions": nothing,
        "ListAndWatch": watch,
        "Allocate": allocate,
        "GetPreferredAllocation": nothing,
        "PreStartContainer": nothing,
    }


def main(node_dir: str, *amounts: str) -> None:
    """Registers each RESOURCE=COUNT with the kubelet of the node, until SIGTERM."""
    block_signals()
    registry = Path(node_dir, "kubelet/plugins_registry")
    start = partial(serve, registry, "DevicePlugin")
    servers = []
    for amount in amounts:
        resource, _, count = amount.partition("=")
        servers.append(start(resource, VERSION, {f"{VERSION}.DevicePlugin": methods(resource, int(count))}))
    until_told(servers)


if __name__ == "__main__":
    main(*sys.argv[1:])
