"""Ports: the words of port-forward, the objects that expose them, what a cluster cannot do, endpoints."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from kubectl_sky import exposing, planning, portmap
from kubectl_sky.errors import ApiError, ClusterFailure, Failure, UsageError
from kubectl_sky.parts import ports
from kubectl_sky.parts.ports import Exposure
from kubectl_sky.portmap import Forward
from kubectl_sky.resources import Resources
from kubectl_sky.task import Task


@pytest.mark.parametrize(
    ("words", "forwards"),
    [
        (["8080"], [Forward(8080, 8080)]),
        (["9000:8080", ":22"], [Forward(9000, 8080), Forward(0, 22)]),
        (["8000-8002", "8001"], [Forward(8000, 8000), Forward(8001, 8001), Forward(8002, 8002)]),
        ([], [Forward(80, 80), Forward(443, 443)]),
    ],
)
def test_words_of_port_forward(words: list[str], forwards: list[Forward]) -> None:
    assert portmap.parse(words, [80, 443]) == forwards


def test_all_faults_of_the_words_at_once() -> None:
    with pytest.raises(UsageError) as told:
        portmap.parse(["0", "70000", "a:1", "80:", "9-8", "1-2:3", "8080"], ())
    assert [line.split(":")[0].strip() for line in told.value.message.splitlines()[1:]] == [
        "0", "70000", "a", "80", "9-8", "1-2"
    ]  # fmt: skip
    with pytest.raises(UsageError, match="local port 80 cannot lead to two"):
        portmap.parse(["80", "80:81"], ())
    with pytest.raises(UsageError, match="101 ports are too many"):
        portmap.parse(["8000-8100"], ())


def test_a_taken_port_is_told_and_a_free_one_found() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"port {port} of 127.0.0.1 is in use") as told:
            portmap.bound([Forward(port, 8080), Forward(0, 22)], ["127.0.0.1"])
        assert told.value.hint and ":8080" in told.value.hint
        (found,) = portmap.bound([Forward(0, 8080)], ["127.0.0.1"])
        assert found.local not in (0, port) and found.remote == 8080


def test_a_port_that_only_root_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(port: int, addresses: list[str]) -> int:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(portmap, "_free", refuse)
    with pytest.raises(Failure, match="Permission denied") as told:
        portmap.bound([Forward(80, 80)], ["127.0.0.1"])
    assert told.value.hint and "8080:80" in told.value.hint


def test_addresses() -> None:
    assert portmap.check_addresses("127.0.0.1, ::1") == ["127.0.0.1", "::1"]
    assert portmap.url("::1", 80) == "http://[::1]:80"
    with pytest.raises(UsageError, match="no IP address"):
        portmap.check_addresses("example.com")


# -- what is made ---------------------------------------------------------------------------------------------------


def made(way: str, nodes: int = 1, wanted: tuple[str, ...] = ("8080", "9000"), **more: str) -> list[Any]:
    return list(ports.part("web", nodes, wanted, Exposure(way, "team", **more)).manifests)


def test_ports_are_named_in_the_pod_and_nothing_is_exposed_unless_asked() -> None:
    part = ports.part("web", 1, ("8080", "9000-9001"), Exposure())
    assert [one["containerPort"] for one in part.ports] == [8080, 9000, 9001]
    assert not part.manifests
    assert len(ports.part("web", 1, ("1-65535",), Exposure()).ports) == ports.MOST
    assert ports.told(("8080", "9000-9001"), Exposure()) == {ports.ANNOTATION: "8080,9000-9001"}
    assert ports.told((), Exposure(ports.INGRESS)) == {}


def test_services_lead_to_node_0() -> None:
    (service,) = made(ports.LOAD_BALANCER)
    assert service["spec"]["type"] == "LoadBalancer"
    assert [port["port"] for port in service["spec"]["ports"]] == [8080, 9000]
    assert ports.INDEX not in service["spec"]["selector"]  # older clusters do not have that label
    (service,) = made(ports.CLUSTER_IP, nodes=2)
    # NAME itself is the headless Service of all nodes
    assert (service["metadata"]["name"], service["spec"]["type"]) == ("web-head", "ClusterIP")
    assert service["spec"]["selector"][ports.INDEX] == "0"


def test_ingress_by_path_and_by_host() -> None:
    _, ingress = made(ports.INGRESS, ingress_class="other")
    assert ingress["spec"]["ingressClassName"] == "other"
    paths = [rule["http"]["paths"][0] for rule in ingress["spec"]["rules"]]
    assert [one["path"] for one in paths] == ["/team/web/8080", "/team/web/9000"]
    assert "annotations" not in ingress["metadata"]
    _, ingress = made(ports.INGRESS, controller=ports.NGINX)
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/team/web/8080(/|$)(.*)"
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/rewrite-target"] == "/$2"
    _, ingress = made(ports.INGRESS, controller=ports.NGINX, host="{name}-{port}.{namespace}.example.com")
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == [
        "web-8080.team.example.com", "web-9000.team.example.com"
    ]  # fmt: skip
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/"


def test_routes_of_a_gateway() -> None:
    _, first, second = made(ports.GATEWAY, gateway="infra/public")
    assert [first["metadata"]["name"], second["metadata"]["name"]] == ["web-8080", "web-9000"]
    assert first["spec"]["parentRefs"] == [{"name": "public", "namespace": "infra"}]
    rule = first["spec"]["rules"][0]
    assert rule["matches"][0]["path"]["value"] == "/team/web/8080"
    assert rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == "/"
    assert rule["backendRefs"] == [{"name": "web", "port": 8080}]
    _, first, _ = made(ports.GATEWAY, gateway="public", host="{name}-{port}.example.com")
    assert first["spec"]["hostnames"] == ["web-8080.example.com"]
    assert first["spec"]["parentRefs"] == [{"name": "public"}]
    assert "filters" not in first["spec"]["rules"][0]


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flag", "declared", "settings", "message"),
    [
        ("public", ("80",), {}, "there is no 'public'"),
        ("loadbalancer", (), {}, "names no ports"),
        ("ingress", ("1-200",), {}, "200 ports are too many"),
        ("gateway", ("80",), {}, "`gateway` names none"),
        ("ingress", ("80",), {"EXPOSE_HOST": "{nom}.example.com"}, "no other braces"),
        ("ingress", ("80",), {"EXPOSE_HOST": "{name}_x"}, "is no host name"),
        ("ingress", ("80-81",), {"EXPOSE_HOST": "{name}.example.com"}, "same for all 2 ports"),
        (None, ("80",), {"EXPOSE": "yes"}, "there is no 'yes'"),
    ],
)
def test_refused_without_a_cluster(
    monkeypatch: pytest.MonkeyPatch, flag: str | None, declared: tuple[str, ...], settings: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("KUBECTL_SKY_CONFIG", "/dev/null/none")
    for key, value in settings.items():
        monkeypatch.setenv(f"KUBECTL_SKY_{key}", value)
    with pytest.raises(UsageError, match=message):
        exposing.wanted(flag, Resources(ports=declared))


def test_the_flag_wins_over_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_SKY_CONFIG", "/dev/null/none")
    monkeypatch.setenv("KUBECTL_SKY_EXPOSE", "loadbalancer")
    assert exposing.wanted(None, Resources(ports=("80",))).way == "loadbalancer"
    assert exposing.wanted("none", Resources(ports=("80",))).way == "none"
    assert exposing.wanted(None, Resources()).way == "none"
    # then SkyPilot's kubernetes.ports
    assert exposing.wanted(None, Resources(ports=("80",)), "ingress").way == "loadbalancer"
    monkeypatch.delenv("KUBECTL_SKY_EXPOSE")
    assert exposing.wanted(None, Resources(ports=("80",)), "ingress").way == "ingress"
    assert exposing.wanted("none", Resources(ports=("80",)), "ingress").way == "none"
    assert exposing.wanted(None, Resources(ports=("80",)), "podip").way == "none"


class FakeCluster:
    context, namespace = "test", "team"

    def __init__(self, **answers: Any):
        self.answers = {key.replace("_", "/"): value for key, value in answers.items()}

    def get(self, path: str, **params: Any) -> Any:
        for end, answer in self.answers.items():
            if path.endswith(end):
                return answer
        raise ApiError(404, "NotFound", f"{path} not found")

    def create(self, path: str, body: Any, **params: Any) -> Any:
        assert params == {"dryRun": "All"}
        if "quota" in self.answers:
            raise ApiError(403, "Forbidden", f"exceeded quota for {body['kind']}")
        return body


def classes(*names: str, default: str = "") -> dict[str, Any]:
    mark = {exposing.DEFAULT_CLASS: "true"}
    return {
        "items": [
            {
                "metadata": {"name": name, **({"annotations": mark} if name == default else {})},
                "spec": {"controller": f"example.com/{name}"},
            }
            for name in names
        ]
    }


def checked(cluster: FakeCluster, nodes: int = 1, **exposure: str) -> Exposure:
    task = Task(num_nodes=nodes, resources=Resources(ports=("8080",)))
    options = planning.Options("web", exposure=Exposure(**exposure))
    return exposing.checked(cluster, task, options).exposure  # type: ignore[arg-type]


def test_the_ingress_class_that_is_meant() -> None:
    found = checked(FakeCluster(ingressclasses=classes("a", "b", default="b")), way="ingress")
    assert (found.ingress_class, found.controller, found.namespace) == ("b", "example.com/b", "team")
    assert checked(FakeCluster(ingressclasses=classes("a")), way="ingress").ingress_class == "a"
    both = FakeCluster(ingressclasses=classes("a", "b"))
    assert checked(both, way="ingress", ingress_class="a").controller == "example.com/a"
    for cluster, given, message in (
        (FakeCluster(), "", "has no Ingress"),
        (FakeCluster(ingressclasses=classes()), "", "no ingress class, so nothing"),
        (both, "", "no default ingress class; there are: a, b"),
        (both, "nginx", "no ingress class 'nginx'"),
    ):
        with pytest.raises(ClusterFailure, match=message):
            checked(cluster, way="ingress", ingress_class=given)


def test_a_gateway_must_be_there() -> None:
    there = FakeCluster(infra_gateways_public={}, v1={})
    assert checked(there, way="gateway", gateway="infra/public").gateway == "infra/public"
    with pytest.raises(ClusterFailure, match="no Gateway 'public' in namespace team"):
        checked(there, way="gateway", gateway="public")
    with pytest.raises(ClusterFailure, match="has no Gateway API"):
        checked(FakeCluster(), way="gateway", gateway="infra/public")


def test_node_0_of_several_needs_a_label() -> None:
    with pytest.raises(ClusterFailure, match=r"from Kubernetes 1.28 on; test has 1.27"):
        checked(FakeCluster(version={"major": "1", "minor": "27+"}), nodes=2, way="clusterip")
    assert checked(FakeCluster(version={"major": "1", "minor": "28"}), nodes=2, way="clusterip").way == "clusterip"
    assert checked(FakeCluster(), nodes=1, way="clusterip").way == "clusterip"


def test_what_the_server_refuses_is_known_before() -> None:
    with pytest.raises(ClusterFailure, match="cannot be exposed by a Service: exceeded quota"):
        checked(FakeCluster(quota=True), way="loadbalancer")


def test_a_task_that_is_up_is_exposed_as_it_was_made() -> None:
    job = {"metadata": {"annotations": {ports.EXPOSE: "ingress"}}}
    assert exposing.misfits(Exposure("loadbalancer"), job) == ["expose: asked for loadbalancer, has ingress"]
    assert exposing.misfits(Exposure("ingress"), job) == []
    assert exposing.misfits(Exposure(), job) == []
