"""kubeconfig -> who and where: server, certificates, credentials. Nothing here contacts the API server."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubectl_sky import system
from kubectl_sky.api.connection import Connection
from kubectl_sky.errors import ClusterFailure, Failure
from kubectl_sky.output import near

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Keys of a cluster or user entry whose values are paths relative to the file that names them.
_PATH_KEYS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


@dataclass
class Access:
    """One context, resolved. PEM values are bytes; `credentials()` -> the Authorization header, or None."""

    context: str
    namespace: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    in_cluster: bool = False
    any_namespace: bool = False  # neither the context nor a flag names one
    plugin_answer: dict[str, Any] = field(default_factory=dict)

    @property
    def server(self) -> str:
        return str(self.cluster.get("server") or "http://localhost:8080").rstrip("/")

    def pem(self, entry: dict[str, Any], key: str) -> bytes | None:
        """`key`-data, or the file that `key` names."""
        if entry.get(f"{key}-data"):
            return base64.b64decode(entry[f"{key}-data"])
        return _read(entry[key], key) if entry.get(key) else None

    def client_certificate(self) -> tuple[bytes, bytes] | None:
        """Certificate and key of the client as PEM, from the credential plugin or from the user entry."""
        answer = self.plugin_answer
        if answer.get("clientCertificateData"):
            return answer["clientCertificateData"].encode(), answer.get("clientKeyData", "").encode()
        certificate, key = self.pem(self.user, "client-certificate"), self.pem(self.user, "client-key")
        return (certificate, key) if certificate and key else None

    def authorization(self, refresh: bool = False) -> str | None:
        """Value of the Authorization header; `refresh` asks plugins and files again."""
        user = self.user
        if user.get("tokenFile"):
            return "Bearer " + _read(user["tokenFile"], "tokenFile").decode().strip()
        if user.get("token"):
            return f"Bearer {user['token']}"
        if user.get("username"):
            pair = f"{user['username']}:{user.get('password', '')}"
            return "Basic " + base64.b64encode(pair.encode()).decode()
        if user.get("exec"):
            if refresh or not self.plugin_answer:
                self.plugin_answer = run_plugin(user["exec"], self.cluster)
            token = self.plugin_answer.get("token")
            return f"Bearer {token}" if token else None
        if user.get("auth-provider"):
            return auth_provider_token(self.user, self.cluster)
        return None


def load(connection: Connection) -> Access:
    """The context that `connection` asks for. Failure: no kubeconfig, no such context, cluster or user."""
    config, looked = read_files(connection.kubeconfig)
    if config is None:
        if not connection.kubeconfig and not connection.server and os.environ.get("KUBERNETES_SERVICE_HOST"):
            return _overridden(_in_cluster(), connection)
        if not connection.server:
            raise ClusterFailure(
                f"no kubeconfig found (looked at {', '.join(looked)})",
                "set KUBECONFIG or --kubeconfig to the file your cluster's provider gave you; "
                "`kubectl config view` shows what is in use",
            )
        config = {}
    return _overridden(_from_files(config, connection, looked), connection)


def contexts(connection: Connection) -> list[str]:
    """The names of all contexts of the kubeconfig, in its order."""
    config, _ = read_files(connection.kubeconfig)
    return list((config or {}).get("contexts") or ())


def read_files(flag: str | None) -> tuple[dict[str, Any] | None, list[str]]:
    """Merged kubeconfig (the first file to set a value wins; missing files are skipped) and where it was looked for."""
    if flag:
        if not os.path.exists(flag):
            raise ClusterFailure(f"the kubeconfig {flag} does not exist", "check the path given with --kubeconfig")
        names = [flag]
    else:
        names = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
        names = names or [os.path.join("~", ".kube", "config")]
    found = [config for name in names if (config := _read_config(os.path.expanduser(name))) is not None]
    if not found:
        return None, names
    merged: dict[str, Any] = {"clusters": {}, "users": {}, "contexts": {}}
    for config in found:
        for kind, one in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            for entry in config.get(kind) or []:
                if isinstance(entry, dict) and "name" in entry:
                    merged[kind].setdefault(str(entry["name"]), entry.get(one) or {})
        if config.get("current-context"):
            merged.setdefault("current-context", config["current-context"])
    return merged, names


def _read_config(path: str) -> dict[str, Any] | None:
    if not os.path.exists(path):
        return None
    try:
        config = yaml.load(_read(path, "the kubeconfig"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ClusterFailure(f"the kubeconfig {path} is not valid YAML: {error}") from None
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise ClusterFailure(f"{path} is not a kubeconfig", "check $KUBECONFIG and --kubeconfig")
    base = os.path.dirname(os.path.abspath(path))
    for kind, one in (("clusters", "cluster"), ("users", "user")):
        for entry in config.get(kind) or []:
            values = entry.get(one) if isinstance(entry, dict) else None
            for key in _PATH_KEYS:
                if isinstance(values, dict) and values.get(key):
                    values[key] = os.path.join(base, str(values[key]))
    return config


def _from_files(config: dict[str, Any], connection: Connection, looked: list[str]) -> Access:
    contexts = config.get("contexts") or {}
    name = connection.context or config.get("current-context") or ""
    if not name and not connection.server and not connection.cluster:
        hint = f"kubectl config use-context {sorted(contexts)[0]}" if contexts else "kubectl config get-contexts"
        raise ClusterFailure(f"no current context is set in {', '.join(looked)}", hint)
    if name and name not in contexts and (connection.context or not connection.server):
        raise ClusterFailure(f"there is no context {name!r} in {', '.join(looked)}", near(name, sorted(contexts)))
    context = contexts.get(name) or {}

    def entry(kind: str, given: str | None, key: str) -> dict[str, Any]:
        wanted, entries = given or context.get(key), config.get(kind) or {}
        if wanted and wanted not in entries:
            raise ClusterFailure(f"there is no {key} {wanted!r} in {', '.join(looked)}", near(wanted, sorted(entries)))
        return dict(entries.get(wanted) or {})

    return Access(
        context=name,
        namespace=context.get("namespace") or "default",
        any_namespace=not context.get("namespace"),
        cluster=entry("clusters", connection.cluster, "cluster"),
        user=entry("users", connection.user, "user"),
    )


def _in_cluster() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    host = f"[{host}]" if ":" in host else host
    if not (SERVICE_ACCOUNT / "token").exists():
        raise ClusterFailure(
            "no kubeconfig found, and this pod has no service account token",
            "set KUBECONFIG, or automountServiceAccountToken: true on this pod",
        )
    namespace = SERVICE_ACCOUNT / "namespace"
    return Access(
        context="in-cluster",
        namespace=(namespace.read_text("utf-8").strip() if namespace.exists() else "") or "default",
        cluster={"server": f"https://{host}:{port}", "certificate-authority": str(SERVICE_ACCOUNT / "ca.crt")},
        user={"tokenFile": str(SERVICE_ACCOUNT / "token")},
        in_cluster=True,
    )


def _overridden(access: Access, connection: Connection) -> Access:
    """`access` with the values that were given as flags."""
    cluster, user = access.cluster, access.user
    for key, value in (("server", connection.server), ("tls-server-name", connection.tls_server_name)):
        if value:
            cluster[key] = value
    if connection.insecure_skip_tls_verify:
        cluster["insecure-skip-tls-verify"] = True
    if connection.certificate_authority:
        cluster.pop("certificate-authority-data", None)
        cluster["certificate-authority"] = connection.certificate_authority
    for key, value in (("client-certificate", connection.client_certificate), ("client-key", connection.client_key)):
        if value:
            user.pop(f"{key}-data", None)
            user[key] = value
    if connection.token or connection.username:
        for key in ("token", "tokenFile", "username", "password", "exec", "auth-provider"):
            user.pop(key, None)
        given = {"token": connection.token, "username": connection.username, "password": connection.password}
        user.update({key: value for key, value in given.items() if value})
    for key, who in (("as", connection.as_user), ("as-uid", connection.as_uid)):
        if who:
            user[key] = who
    if connection.as_group:
        user["as-groups"] = list(connection.as_group)
    if connection.namespace:
        access.namespace, access.any_namespace = connection.namespace, False
    return access


def _read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ClusterFailure(f"cannot read {path} ({what}): {error.strerror}") from None


def run_plugin(plugin: dict[str, Any], cluster: dict[str, Any]) -> dict[str, Any]:
    """Run a credential plugin (client.authentication.k8s.io) and return its `status`."""
    command = str(plugin.get("command") or "")
    mode = plugin.get("interactiveMode") or "IfAvailable"
    interactive = mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if mode == "Always" and not interactive:
        raise ClusterFailure(f"the credential plugin `{command}` needs a terminal", f"log in first: run {command}")
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.get("provideClusterInfo"):
        spec["cluster"] = _cluster_info(cluster)
    version = plugin.get("apiVersion") or "client.authentication.k8s.io/v1"
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": spec}
    env = {**os.environ, **{str(e["name"]): str(e.get("value", "")) for e in plugin.get("env") or []}}
    env["KUBERNETES_EXEC_INFO"] = json.dumps(info)
    try:
        done = subprocess.run(
            [system.program(command), *(str(arg) for arg in plugin.get("args") or [])],
            check=False,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if interactive else subprocess.PIPE,
            env=env,
            timeout=None if interactive else 120,
        )
    except FileNotFoundError:
        hint = plugin.get("installHint") or "install it, or make sure it is on PATH"
        raise ClusterFailure(f"the credential plugin `{command}` of your kubeconfig was not found", hint) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterFailure(f"the credential plugin `{command}` did not run: {error}") from None
    return _plugin_status(command, done)


def _plugin_status(command: str, done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    said = (done.stderr or b"").decode("utf-8", "replace").strip()[-2000:]
    login = f"log in again with your provider's tool ({os.path.basename(command)} got no credentials)"
    if done.returncode:
        text = f"the credential plugin `{command}` failed (exit code {done.returncode})"
        raise ClusterFailure(f"{text}: {said}" if said else text, login)
    try:
        status = json.loads(done.stdout)["status"]
    except (ValueError, KeyError, TypeError):
        raise ClusterFailure(f"the credential plugin `{command}` printed no ExecCredential", login) from None
    if not isinstance(status, dict) or not (status.get("token") or status.get("clientCertificateData")):
        raise ClusterFailure(f"the credential plugin `{command}` gave neither a token nor a certificate", login)
    return status


def _cluster_info(cluster: dict[str, Any]) -> dict[str, Any]:
    keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    info = {key: cluster[key] for key in keys if cluster.get(key)}
    if cluster.get("certificate-authority") and "certificate-authority-data" not in info:
        pem = _read(cluster["certificate-authority"], "certificate-authority")
        info["certificate-authority-data"] = base64.b64encode(pem).decode()
    for extension in cluster.get("extensions") or []:
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def auth_provider_token(user: dict[str, Any], cluster: dict[str, Any]) -> str | None:
    """Authorization header of a legacy `auth-provider` entry (oidc, gcp, azure), by the official client."""
    kube_config = official("kubernetes.config.kube_config")
    name = "it"
    config = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": user}],
    }
    provider = (user.get("auth-provider") or {}).get("name")
    try:
        loader = kube_config.KubeConfigLoader(config)
        loader._load_authentication()
    except Exception as error:  # the provider libraries raise anything
        raise Failure(f"no credentials from the auth-provider `{provider}`: {error}", "log in again") from None
    return getattr(loader, "token", None)


def official(module: str) -> Any:
    """A module of the `kubernetes` package without running that package's own `__init__`s.

    They import every API and ~700 models (0.5 s); nothing here needs them.
    """
    names = ("kubernetes", "kubernetes.client", "kubernetes.client.models", "kubernetes.config")
    missing = [name for name in names if name not in sys.modules]
    spec = importlib.util.find_spec("kubernetes") if "kubernetes" in missing else None
    for name in missing:
        package = types.ModuleType(name)
        roots = spec.submodule_search_locations if spec else sys.modules["kubernetes"].__path__
        package.__path__ = [os.path.join(root, *name.split(".")[1:]) for root in roots or ()]
        sys.modules[name] = package
    client = sys.modules["kubernetes.client"]
    if not hasattr(client, "ApiClient"):
        client.Configuration = importlib.import_module("kubernetes.client.configuration").Configuration  # type: ignore[attr-defined]
        client.rest = importlib.import_module("kubernetes.client.rest")  # type: ignore[attr-defined]
        client.ApiClient = importlib.import_module("kubernetes.client.api_client").ApiClient  # type: ignore[attr-defined]
    return importlib.import_module(module)
