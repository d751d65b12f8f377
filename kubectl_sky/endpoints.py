"""Where the ports of a task can be reached: from its objects, so that any machine can tell. Pure, but for the clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from kubectl_sky import output
from kubectl_sky.parts import ports

Object = dict[str, Any]
READY, PENDING = "ready", "pending"
SOON = 60.0  # s in which a load balancer may take its time without a word
EXTERNAL = ("LoadBalancer", "Ingress", "Gateway")


@dataclass(frozen=True)
class Endpoint:
    """One way to one port. `address` "" while it is pending; `reason` then says why."""

    port: int
    via: str  # LoadBalancer | Ingress | Gateway | ClusterIP | port-forward
    address: str
    state: str = READY
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """What is in the cluster for a task. `gateways` by (namespace, name); `not_up`: why node 0 serves nothing yet."""

    job: Object
    services: Sequence[Object] = ()
    ingresses: Sequence[Object] = ()
    routes: Sequence[Object] = ()
    events: Sequence[Object] = ()
    gateways: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    not_up: str = ""


def endpoints(found: Found, command: str, now: datetime | None = None) -> list[Endpoint]:
    """All ways to all ports, by port, the way from outside first. `command`: what port-forward is called."""
    metadata = found.job["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    declared = (metadata.get("annotations") or {}).get(ports.ANNOTATION, "")
    made: list[Endpoint] = []
    services = [one for one in found.services if one["spec"].get("clusterIP") != "None"]
    for service in services:
        made += _of_service(service, found, now)
    for ingress in found.ingresses:
        made += _of_ingress(ingress, found)
    for route in found.routes:
        made += _of_route(route, found, namespace)
    wanted = ports.numbers(declared.split(",")) if declared else []
    if not services and (found.job["spec"].get("parallelism") or 1) > 1:
        made += [Endpoint(port, "Pod", f"{name}-0.{name}.{namespace}:{port}") for port in wanted]
    made += [Endpoint(port, "port-forward", f"{command} {name} {port}") for port in wanted]
    order = [*EXTERNAL, "ClusterIP", "Pod", "port-forward"]
    made = [_unless_up(one, found.not_up) for one in made]
    return sorted(made, key=lambda one: (one.port, order.index(one.via)))


def _unless_up(one: Endpoint, not_up: str) -> Endpoint:
    if not not_up or one.state == PENDING:
        return one
    return Endpoint(one.port, one.via, one.address, PENDING, not_up)


def _of_service(service: Object, found: Found, now: datetime | None) -> list[Endpoint]:
    metadata, spec = service["metadata"], service["spec"]
    inside = f"{metadata['name']}.{metadata['namespace']}"
    made = []
    for port in (one["port"] for one in spec["ports"]):
        made.append(Endpoint(port, "ClusterIP", f"{inside}:{port}"))
        if spec.get("type") == "LoadBalancer":
            host = _host(service)
            why = "" if host else _no_address(service, found.events, now)
            made.append(Endpoint(port, "LoadBalancer", f"{host}:{port}" if host else "", *_state(why)))
    return made


def _state(why: str) -> tuple[str, str]:
    return (PENDING, why) if why else (READY, "")


def _host(thing: Object) -> str:
    """The address in the status of a Service or an Ingress, "" before there is one."""
    for one in ((thing.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
        if host := one.get("hostname") or one.get("ip"):
            return f"[{host}]" if ":" in host else str(host)
    return ""


def _no_address(thing: Object, events: Sequence[Object], now: datetime | None) -> str:
    """Why a load balancer has no address: what the cluster said of it, else for how long."""
    if said := _warning(thing, events):
        return said
    made = datetime.fromisoformat(thing["metadata"]["creationTimestamp"].replace("Z", "+00:00"))
    lasted = ((now or datetime.now(timezone.utc)) - made).total_seconds()
    if lasted < SOON:
        return f"no address yet, asked for {output.duration(lasted)} ago"
    return (
        f"no address after {output.duration(lasted)}: nothing in this cluster seems to give load balancers addresses "
        "(a cloud's controller or MetalLB would)"
    )


def _warning(thing: Object, events: Sequence[Object]) -> str:
    uid = thing["metadata"].get("uid")
    own = [one for one in events if one.get("involvedObject", {}).get("uid") == uid and one.get("type") == "Warning"]
    return str(own[-1].get("message") or own[-1].get("reason")) if own else ""


def _of_ingress(ingress: Object, found: Found) -> list[Endpoint]:
    address = _host(ingress)
    kind = ingress["spec"].get("ingressClassName") or "the default class"
    waits = _warning(ingress, found.events) or f"no address yet from the controller of {kind}"
    made = []
    for rule in ingress["spec"].get("rules") or []:
        path = rule["http"]["paths"][0]
        host = rule.get("host") or address
        url = f"http://{host}{path['path'].partition('(')[0].rstrip('/')}/" if host else ""
        port = path["backend"]["service"]["port"]["number"]
        made.append(Endpoint(port, "Ingress", url, *_state("" if address else waits)))
    return made


def parents(route: Object, namespace: str) -> list[tuple[str, str]]:
    return [(one.get("namespace") or namespace, one["name"]) for one in route["spec"].get("parentRefs") or []]


def _of_route(route: Object, found: Found, namespace: str) -> list[Endpoint]:
    rule = route["spec"]["rules"][0]
    parent = parents(route, namespace)[0]
    addresses = (found.gateways.get(parent, {}).get("status") or {}).get("addresses") or []
    host = next(iter(route["spec"].get("hostnames") or []), None) or (addresses[0]["value"] if addresses else "")
    path = rule["matches"][0]["path"]["value"].rstrip("/")
    url = f"http://{host}{path}/" if host else ""
    why = _not_accepted(route, "/".join(parent)) or (
        "" if host else f"the Gateway {'/'.join(parent)} has no address yet"
    )
    return [Endpoint(rule["backendRefs"][0]["port"], "Gateway", url, *_state(why))]


def _not_accepted(route: Object, gateway: str) -> str:
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        return f"the Gateway {gateway} has not taken it yet"
    for condition in parents[0].get("conditions") or []:
        if condition["type"] in ("Accepted", "ResolvedRefs") and condition["status"] != "True":
            return f"the Gateway {gateway} refuses it: {condition.get('message') or condition.get('reason')}"
    return ""


def best(found: Sequence[Endpoint], port: int) -> Endpoint | None:
    """The one that a single address is asked for: from outside where the port is exposed so, else inside."""
    return next((one for one in found if one.port == port and one.via != "port-forward"), None)
