"""kubectl sky status --endpoints, --endpoint PORT"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from kubectl_sky.endpoints import EXTERNAL, PENDING, Endpoint, best, endpoints
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.globs import is_glob
from kubectl_sky.output import Format, listing, table

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster


def show(cluster: Cluster, wanted: Sequence[str], port: int | None, form: Format, headers: bool) -> int:
    """All endpoints of one cluster, or the address of one port. Failure: no ports, not this one, not ready."""
    if len(wanted) != 1 or is_glob(wanted[0]):
        raise UsageError("endpoints are those of one cluster", "kubectl sky status --endpoints NAME")
    if form not in (Format.TABLE, Format.WIDE, Format.JSON, Format.YAML):
        raise UsageError(f"-o {form.value}: endpoints have no such format", "-o takes: json, yaml")
    from kubectl_sky import exposed

    name = wanted[0]
    forwarding = cluster.connection.command("port-forward")
    found = endpoints(exposed.read(cluster, name), forwarding)
    if not found:
        raise Failure(f"{name} names no ports", f"any port can be reached: {forwarding} {name} PORT")
    if port is not None:
        print(address(found, name, port, forwarding))
    elif form in (Format.JSON, Format.YAML):
        print(listing([asdict(one) for one in found], form), end="")
    else:
        rows = [[str(one.port), one.via, one.address or "<pending>", _state(one)] for one in found]
        print(table(rows, ("port", "via", "address", "state") if headers else ()), end="")
    return 0


def _state(one: Endpoint) -> str:
    return f"{one.state}: {one.reason}" if one.reason else one.state


def address(found: Sequence[Endpoint], name: str, port: int, forwarding: str) -> str:
    """What `--endpoint PORT` prints. Failure where there is no address (yet)."""
    hint = f"from this machine: {forwarding} {name} {port}"
    one = best(found, port)
    if one is None and all(other.port != port for other in found):
        known = ", ".join(str(number) for number in dict.fromkeys(other.port for other in found))
        raise Failure(f"{name} does not name port {port}; it names: {known}", hint)
    if one is None:
        raise Failure(f"port {port} of {name} is not exposed", f"{hint}; or launch it with --expose HOW")
    if one.state == PENDING and (one.via in EXTERNAL or not one.address):
        raise Failure(f"port {port} of {name} cannot be reached yet: {one.reason}", hint)
    return one.address
