"""What kubelet's plugins have in common: a gRPC server on a socket in the folder that kubelet watches.

kubelet calls every socket that appears in its plugins_registry folder and asks what is there. (Device plugins have an
older way too, by a socket of kubelet's; its path is the same for all kubelets of a machine, so it is no use here.)
"""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]

from tests.cluster.process import say
from tests.cluster.protobuf import decode, encode

# a method gets the encoded request, and returns the encoded response or, of a stream, yields the responses
Method = Callable[[bytes, Any], bytes | Iterator[bytes]]


@dataclass(frozen=True)
class Server:
    """A plugin that is being served."""

    grpc: Any
    registered: threading.Event  # kubelet has answered


def serve(registry: Path, kind: str, name: str, version: str, services: Mapping[str, Mapping[str, Method]]) -> Server:
    """Starts a plugin, returns it. `kind`: DevicePlugin or DRAPlugin; `version`: the one API that it speaks."""

    def get_info(request: bytes, context: Any) -> bytes:
        return encode((1, kind), (2, name), (4, version))  # PluginInfo; no endpoint: it is this socket

    def notify(request: bytes, context: Any) -> bytes:
        error = decode(request).get(2)
        say(f"{name}: {error[0].decode() if error else 'registered'}")
        registered.set()
        return b""

    registered = threading.Event()
    registration = {"GetInfo": get_info, "NotifyRegistrationStatus": notify}
    server = grpc.server(ThreadPoolExecutor(16))
    for service, methods in {"pluginregistration.Registration": registration, **services}.items():
        handlers = {method: handler(function) for method, function in methods.items()}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    server.add_insecure_port(f"unix:{registry / name.replace('/', '-')}.sock")
    server.start()
    return Server(server, registered)


def handler(method: Method) -> Any:
    """gRPC's handler of a method, without any (de)serializer: bytes in, bytes out."""
    if inspect.isgeneratorfunction(method):
        return grpc.unary_stream_rpc_method_handler(method)
    return grpc.unary_unary_rpc_method_handler(method)


def block_signals() -> None:
    """To be called before any thread is started: SIGTERM waits for until_told()."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


def until_told(servers: list[Server]) -> None:
    """Waits for SIGTERM, and takes the servers and their sockets away: kubelet then knows that the plugin is gone."""
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for server in servers:
        server.grpc.stop(0).wait()
