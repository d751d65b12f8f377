"""kubeconfig files -> where and who: lists of files, overrides, plugins, proxies, pods."""

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sky.api import kubeconfig, transport
from kubectl_sky.api.connection import Connection
from kubectl_sky.api.kubeconfig import Access, load
from kubectl_sky.errors import ClusterFailure, Failure


def config(
    name: str, current: bool = True, cluster: Any = None, user: Any = None, namespace: str = ""
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "clusters": [{"name": f"{name}-c", "cluster": cluster or {"server": f"https://{name}:6443/"}}],
        "users": [{"name": f"{name}-u", "user": user or {"token": f"{name}-token"}}],
        "contexts": [{"name": name, "context": {"cluster": f"{name}-c", "user": f"{name}-u", "namespace": namespace}}],
    }
    return {**made, "current-context": name} if current else made


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_default_place_and_namespace(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", config("a"))
    access = load(Connection())
    assert (access.context, access.namespace, access.server) == ("a", "default", "https://a:6443")
    assert access.authorization() == "Bearer a-token"
    assert load(Connection(namespace="ml")).namespace == "ml"


def test_list_of_files_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "1", config("a", namespace="first"))
    two = write(tmp_path / "2", {**config("b"), "contexts": [*config("b")["contexts"], *config("a")["contexts"]]})
    monkeypatch.setenv("KUBECONFIG", f"{one}:{tmp_path}/missing::{two}")
    assert (load(Connection()).context, load(Connection()).namespace) == ("a", "first")
    assert load(Connection(context="b")).server == "https://b:6443"
    # a file without current-context leaves it to the next
    write(tmp_path / "1", config("a", current=False))
    assert load(Connection()).context == "b"


def test_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    write(tmp_path / "k" / "ca.pem", "CA")
    write(tmp_path / "k" / "t", "secret\n")
    cluster, user = {"server": "https://a", "certificate-authority": "ca.pem"}, {"tokenFile": "t"}
    access = load(Connection(kubeconfig=write(tmp_path / "k" / "config", config("a", cluster=cluster, user=user))))
    assert access.pem(access.cluster, "certificate-authority") == b"CA"
    assert access.authorization() == "Bearer secret"
    assert transport.can_refresh(access)


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path / "c", config("a"))
    access = load(Connection(kubeconfig=path, server="https://x", token="mine", tls_server_name="n", as_user="ann"))
    assert (access.server, access.authorization()) == ("https://x", "Bearer mine")
    assert (access.cluster["tls-server-name"], access.user["as"]) == ("n", "ann")
    login = load(Connection(kubeconfig=path, username="u", password="p")).authorization()
    assert login == "Basic " + base64.b64encode(b"u:p").decode()


@pytest.mark.parametrize(
    ("connection", "message", "hint"),
    [
        (Connection(context="prd"), "no context 'prd'", "did you mean `prod`?"),
        (Connection(cluster="x"), "no cluster 'x'", "there are: prod-c"),
        (Connection(user="prod-v"), "no user 'prod-v'", "did you mean `prod-u`?"),
    ],
)
def test_wrong_names(tmp_path: Path, connection: Connection, message: str, hint: str) -> None:
    write(tmp_path / ".kube" / "config", config("prod"))
    with pytest.raises(ClusterFailure, match=message) as caught:
        load(connection)
    assert caught.value.hint == hint


def test_no_kubeconfig(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterFailure, match=r"no kubeconfig found \(looked at ~/.kube/config\)"):
        load(Connection())
    with pytest.raises(ClusterFailure, match="/nope does not exist"):
        load(Connection(kubeconfig="/nope"))
    assert load(Connection(server="http://x")).server == "http://x"


@pytest.mark.parametrize("text", ["a: b: c", "[]", "just text", "\x00"])
def test_broken_kubeconfig(tmp_path: Path, text: str) -> None:
    with pytest.raises(Failure):
        load(Connection(kubeconfig=write(tmp_path / "c", text)))


@pytest.mark.parametrize("text", ["", "contexts: null\n", "contexts: []\ncurrent-context: ''\n"])
def test_empty_kubeconfig(tmp_path: Path, text: str) -> None:
    with pytest.raises(ClusterFailure, match="no current context"):
        load(Connection(kubeconfig=write(tmp_path / "c", text)))


def test_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ClusterFailure, match="no service account token"):
        load(Connection())
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("ml")
    access = load(Connection())
    assert (access.server, access.namespace, access.authorization()) == ("https://[fd00::1]:443", "ml", "Bearer t")


def plugin(tmp_path: Path, script: str, **more: Any) -> Access:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path), **more}}
    return load(Connection(kubeconfig=write(tmp_path / "c", config("a", user=user))))


def credential(**status: str) -> str:
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


def test_plugin_token_is_asked_for_once_and_again_on_refresh(tmp_path: Path) -> None:
    script = (
        f"echo x >> {tmp_path}/runs; echo \"$KUBERNETES_EXEC_INFO\" > {tmp_path}/info; echo '{credential(token='t')}'"
    )
    access = plugin(tmp_path, script, provideClusterInfo=True, env=[{"name": "A", "value": "b"}])
    assert access.authorization() == access.authorization() == "Bearer t"
    assert (tmp_path / "runs").read_text() == "x\n"
    access.authorization(refresh=True)
    assert (tmp_path / "runs").read_text() == "x\nx\n"
    spec = json.loads((tmp_path / "info").read_text())["spec"]
    assert spec == {"interactive": False, "cluster": {"server": "https://a:6443/"}}


def test_plugin_certificate(tmp_path: Path) -> None:
    access = plugin(tmp_path, f"echo '{credential(clientCertificateData='C', clientKeyData='K')}'")
    assert access.authorization() is None
    assert access.client_certificate() == (b"C", b"K")


def test_plugin_does_not_read_our_stdin(tmp_path: Path) -> None:
    access = plugin(tmp_path, f"cat >/dev/null; echo '{credential(token='t')}'")
    assert access.authorization() == "Bearer t"


@pytest.mark.parametrize(
    ("script", "more", "text"),
    [
        ("echo please log in >&2; exit 3", {}, r"failed \(exit code 3\): please log in"),
        ("echo no json", {}, "printed no ExecCredential"),
        ("echo '{\"status\": {}}'", {}, "neither a token nor a certificate"),
        ("true", {"interactiveMode": "Always"}, "needs a terminal"),
        ("true", {"command": "/no/such"}, "was not found"),
    ],
)
def test_plugin_failures(tmp_path: Path, script: str, more: dict[str, str], text: str) -> None:
    with pytest.raises(ClusterFailure, match=text) as caught:
        plugin(tmp_path, script, **more).authorization()
    assert caught.value.hint


def test_auth_provider_of_the_official_client(tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 4102444800, "pad": ""}).encode()).decode().rstrip("=")
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": f"h.{claims}.s"}}}
    access = load(Connection(kubeconfig=write(tmp_path / "c", config("a", user=user))))
    assert access.authorization() == f"Bearer h.{claims}.s"


# -- proxies --------------------------------------------------------------------------------------------------------


def reach(**cluster: str) -> Access:
    return Access("a", "default", {"server": "https://k8s.example.com:6443", **cluster}, {})


def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert transport.proxy_for(reach()) is None
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    assert transport.proxy_for(reach()) == "http://proxy:3128"
    assert transport.proxy_for(reach(**{"proxy-url": "socks5://p:1"})) == "socks5://p:1"
    monkeypatch.setenv("NO_PROXY", ".example.com")
    assert transport.proxy_for(reach()) is None


@pytest.mark.parametrize(
    ("host", "rules", "bypassed"),
    [
        ("a.example.com", "example.com", True),
        ("example.com", "example.com", True),
        ("notexample.com", "example.com", False),
        ("a.example.com", "*.example.com, x", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "11.0.0.0/8,nonsense/99", False),
        ("10.1.2.3", "10.1.2.3:6443", True),
        ("10.1.2.3", "10.1.2.3:443", False),
        ("x", "*", True),
        ("localhost", "", True),
        ("127.0.0.1", None, True),
        ("x", None, False),
    ],
)
def test_no_proxy(host: str, rules: str | None, bypassed: bool) -> None:
    assert transport.bypassed(host, 6443, rules) is bypassed


def test_missing_socks_is_told() -> None:
    try:
        import socks  # noqa: F401
    except ImportError:
        with pytest.raises(ClusterFailure, match="PySocks"):
            transport.pool(reach(**{"proxy-url": "socks5://p:1"}))


def test_bad_client_certificate(tmp_path: Path) -> None:
    user = {
        "client-certificate-data": base64.b64encode(b"x").decode(),
        "client-key-data": base64.b64encode(b"y").decode(),
    }
    with pytest.raises(ClusterFailure, match="client certificate"):
        transport.pool(Access("a", "default", {"server": "https://x"}, user))
