"""status --endpoints: what the objects of a task say of the ways to its ports."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from kubectl_sky.commands import status_endpoints
from kubectl_sky.endpoints import PENDING, READY, Endpoint, Found, endpoints
from kubectl_sky.errors import Failure
from kubectl_sky.parts import ports
from kubectl_sky.parts.ports import Exposure

MADE = "2026-11-25T10:00:00Z"
NOW = datetime(2026, 11, 25, 10, 5, tzinfo=timezone.utc)


def job(nodes: int = 1, declared: str = "8080") -> dict[str, Any]:
    annotations = {ports.ANNOTATION: declared} if declared else {}
    return {
        "metadata": {"name": "web", "namespace": "team", "annotations": annotations},
        "spec": {"parallelism": nodes},
    }


def things(way: str, status: dict[str, Any], **more: str) -> dict[str, list[Any]]:
    """The objects that a launch makes, as the server has them; the last with `status`."""
    found: dict[str, list[Any]] = {"services": [], "ingresses": [], "routes": []}
    made = [dict(one) for one in ports.part("web", 1, ("8080",), Exposure(way, "team", **more)).manifests]
    made[-1]["status"] = status
    for one in made:
        metadata = {**one["metadata"], "namespace": "team", "uid": one["kind"], "creationTimestamp": MADE}
        key = {"Service": "services", "Ingress": "ingresses", "HTTPRoute": "routes"}[one["kind"]]
        found[key].append({**one, "metadata": metadata})
    return found


def told(**found: Any) -> list[Endpoint]:
    return endpoints(Found(found.pop("job", job()), **found), "kubectl sky port-forward", NOW)


def test_without_exposure() -> None:
    assert told() == [Endpoint(8080, "port-forward", "kubectl sky port-forward web 8080")]
    assert told(job=job(declared="")) == []
    pod, forward = told(job=job(nodes=2))
    assert (pod.via, pod.address, forward.via) == ("Pod", "web-0.web.team:8080", "port-forward")


def test_a_load_balancer_with_and_without_an_address() -> None:
    first, inside, _ = told(**things("loadbalancer", {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}))
    assert first == Endpoint(8080, "LoadBalancer", "10.0.0.9:8080")
    assert inside == Endpoint(8080, "ClusterIP", "web.team:8080")
    first, inside, _ = told(**things("loadbalancer", {}))
    assert (first.address, first.state, inside.state) == ("", PENDING, READY)
    assert "no address after 5m: nothing in this cluster seems to give" in first.reason
    event = {"type": "Warning", "message": "quota of addresses is used up", "involvedObject": {"uid": "Service"}}
    first, *_ = told(**things("loadbalancer", {}), events=[event])
    assert first.reason == "quota of addresses is used up"


def test_an_ingress() -> None:
    first, *_ = told(**things("ingress", {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}))
    assert first == Endpoint(8080, "Ingress", "http://lb.example.com/team/web/8080/")
    first, *_ = told(**things("ingress", {}, ingress_class="slow"))
    assert (first.state, first.reason) == (PENDING, "no address yet from the controller of slow")
    address = {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}
    first, *_ = told(**things("ingress", address, host="{name}-{port}.example.com"))
    assert first.address == "http://web-8080.example.com/"
    first, *_ = told(**things("ingress", address, controller=ports.NGINX))
    assert first.address == "http://10.0.0.9/team/web/8080/"


def test_the_route_of_a_gateway() -> None:
    accepted = {"parents": [{"conditions": [{"type": "Accepted", "status": "True"}]}]}
    gateways = {("infra", "public"): {"status": {"addresses": [{"value": "10.0.0.9"}]}}}
    first, *_ = told(**things("gateway", accepted, gateway="infra/public"), gateways=gateways)
    assert first == Endpoint(8080, "Gateway", "http://10.0.0.9/team/web/8080/")
    first, *_ = told(**things("gateway", accepted, gateway="infra/public"))
    assert first.reason == "the Gateway infra/public has no address yet"
    refused = {"parents": [{"conditions": [{"type": "Accepted", "status": "False", "message": "not from here"}]}]}
    first, *_ = told(**things("gateway", refused, gateway="infra/public"), gateways=gateways)
    assert first.reason == "the Gateway infra/public refuses it: not from here"
    first, *_ = told(**things("gateway", {}, gateway="infra/public"), gateways=gateways)
    assert first.reason == "the Gateway infra/public has not taken it yet"


def test_a_task_that_is_not_up_serves_nothing() -> None:
    made = told(**things("clusterip", {}), not_up="web is Pending: no node has room")
    assert {(one.state, one.reason) for one in made} == {(PENDING, "web is Pending: no node has room")}


def test_the_address_of_one_port() -> None:
    found = told(**things("loadbalancer", {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}))
    assert status_endpoints.address(found, "web", 8080, "FORWARD") == "10.0.0.9:8080"
    for listed, port, message in (
        (found, 22, "does not name port 22; it names: 8080"),
        (told(), 8080, "port 8080 of web is not exposed"),
        (told(**things("loadbalancer", {})), 8080, "cannot be reached yet: no address after 5m"),
    ):
        with pytest.raises(Failure, match=message) as told_:
            status_endpoints.address(listed, "web", port, "FORWARD")
        assert told_.value.hint and f"FORWARD web {port}" in told_.value.hint
