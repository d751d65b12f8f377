"""A task's ports: named in the pod, and, where that is asked for, the objects that make them reachable. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kubectl_sky import names
from kubectl_sky.parts.part import Part

NONE, CLUSTER_IP, LOAD_BALANCER, INGRESS, GATEWAY = "none", "clusterip", "loadbalancer", "ingress", "gateway"
WAYS = (LOAD_BALANCER, INGRESS, GATEWAY, CLUSTER_IP, NONE)
ANNOTATION = "kubectl-sky/ports"  # of the Job: `8080,9000-9010`
EXPOSE = "kubectl-sky/expose"  # of the Job: how, unless not at all
GATEWAY_API = "gateway.networking.k8s.io/v1"
INDEX = "batch.kubernetes.io/job-completion-index"  # label of an Indexed Job's pods from Kubernetes 1.28 on
NGINX = "k8s.io/ingress-nginx"
MOST = 100  # more are not listed in a pod, and not exposed
HOST = re.compile(r"(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Exposure:
    """How ports are made reachable from outside the pod.

    `host`: a template such as `{name}-{port}.apps.example.com`; "": a path /NAMESPACE/NAME/PORT instead.
    `gateway`: NAME or NAMESPACE/NAME. `controller` is the ingress class's, known when the cluster was asked.
    """

    way: str = NONE
    namespace: str = "default"
    host: str = ""
    ingress_class: str = ""
    gateway: str = ""
    controller: str = ""

    def host_of(self, name: str, port: int) -> str:
        """ValueError: the template makes no host name."""
        try:
            host = self.host.format(name=name, namespace=self.namespace, port=port)
        except (KeyError, IndexError, ValueError):
            raise ValueError("it takes {name}, {namespace} and {port}, no other braces") from None
        if host and not HOST.fullmatch(host):
            raise ValueError(f"{host!r} is no host name")
        return host

    def path_of(self, name: str, port: int) -> str:
        return "/" if self.host else f"/{self.namespace}/{name}/{port}"


def numbers(ports: Sequence[str]) -> list[int]:
    """`("8080", "9000-9002")` -> [8080, 9000, 9001, 9002]"""
    found: list[int] = []
    for part in ports:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def told(ports: Sequence[str], exposure: Exposure) -> dict[str, str]:
    """What the Job says about its ports."""
    if not ports:
        return {}
    return {ANNOTATION: ",".join(ports), **({EXPOSE: exposure.way} if exposure.way != NONE else {})}


def service_name(name: str, nodes: int) -> str:
    """Of several nodes the task's own name stands for all of them."""
    return name if nodes == 1 else f"{name}-head"


def part(name: str, nodes: int, ports: Sequence[str], exposure: Exposure) -> Part:
    """The container ports (at most MOST; they only tell), and the objects of the exposure."""
    wanted = numbers(ports)
    named = tuple({"containerPort": port} for port in wanted[:MOST])
    if exposure.way == NONE or not wanted:
        return Part(ports=named, notes=(f"Ports {', '.join(ports)}: kubectl sky port-forward {name}",))
    service = _service(name, nodes, wanted, exposure)
    made: list[dict[str, Any]] = [service]
    if exposure.way == INGRESS:
        made.append(_ingress(name, service["metadata"]["name"], wanted, exposure))
    elif exposure.way == GATEWAY:
        made += [_route(name, service["metadata"]["name"], port, exposure) for port in wanted]
    note = f"Ports {', '.join(ports)} by {exposure.way}: kubectl sky status --endpoints {name}"
    return Part(manifests=tuple(made), ports=named, notes=(note,))


def _service(name: str, nodes: int, ports: list[int], exposure: Exposure) -> dict[str, Any]:
    """For node 0, where a task's server runs."""
    selector = {names.MANAGED_BY: "kubectl-sky", names.INSTANCE: name}
    if nodes > 1:
        selector[INDEX] = "0"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service_name(name, nodes)},
        "spec": {
            "type": "LoadBalancer" if exposure.way == LOAD_BALANCER else "ClusterIP",
            "selector": selector,
            "ports": [{"name": f"port-{port}", "port": port, "targetPort": port} for port in ports],
        },
    }


def _ingress(name: str, service: str, ports: list[int], exposure: Exposure) -> dict[str, Any]:
    """ingress-nginx takes the path off before the task sees it; there is no standard way to ask others for that."""
    strip = exposure.controller == NGINX and not exposure.host
    rules = []
    for port in ports:
        path = exposure.path_of(name, port)
        backend = {"service": {"name": service, "port": {"number": port}}}
        matched = {"path": f"{path}(/|$)(.*)", "pathType": "ImplementationSpecific"} if strip else {
            "path": path, "pathType": "Prefix"
        }  # fmt: skip
        host = exposure.host_of(name, port)
        rules.append({**({"host": host} if host else {}), "http": {"paths": [{**matched, "backend": backend}]}})
    prefix = "nginx.ingress.kubernetes.io/"
    rewrite = {f"{prefix}use-regex": "true", f"{prefix}rewrite-target": "/$2"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, **({"annotations": rewrite} if strip else {})},
        "spec": {
            **({"ingressClassName": exposure.ingress_class} if exposure.ingress_class else {}),
            "rules": rules,
        },
    }


def _route(name: str, service: str, port: int, exposure: Exposure) -> dict[str, Any]:
    """One a port, as each may have a host of its own. The path is taken off before the task sees it."""
    namespace, _, gateway = exposure.gateway.rpartition("/")
    host, path = exposure.host_of(name, port), exposure.path_of(name, port)
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": [{"name": service, "port": port}],
    }
    if path != "/":
        rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
        rule["filters"] = [{"type": "URLRewrite", "urlRewrite": rewrite}]
    return {
        "apiVersion": GATEWAY_API,
        "kind": "HTTPRoute",
        "metadata": {"name": f"{name}-{port}"},
        "spec": {
            "parentRefs": [{"name": gateway, **({"namespace": namespace} if namespace else {})}],
            **({"hostnames": [host]} if host else {}),
            "rules": [rule],
        },
    }
