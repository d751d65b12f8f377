"""Certificates, users (by token) and kubeconfig files."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.cluster.process import run
from tests.cluster.settings import API_SERVER, CONTROL_IP, KUBECONFIG, PKI, ROOT, SERVICE_PREFIX, TOKENS, Node

NAMES = ("localhost", *("kubernetes" + rest for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local")))
# user -> group; the name of the kubeconfig file is the last part of the user's name
USERS = {
    "admin": "system:masters",
    "edit": "",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
    "system:coredns": "",
}


def make_certificates() -> None:
    """The certificate authority, the API server's three certificates and the service accounts' key, in PKI."""
    PKI.mkdir(parents=True)
    addresses = [f"IP:{ip}" for ip in ("127.0.0.1", CONTROL_IP, f"{SERVICE_PREFIX}.1")]
    (PKI / "names").write_text("subjectAltName=" + ",".join([*addresses, *(f"DNS:{name}" for name in NAMES)]))
    run("openssl", "genrsa", "-out", PKI / "sa.key", "2048")
    run("openssl", "rsa", "-in", PKI / "sa.key", "-pubout", "-out", PKI / "sa.pub")
    request("ca", "/CN=test-ca", "-x509", "-days", "3650", "-out", f"{PKI}/ca.crt")
    request("api", "/CN=kube-apiserver", "-out", f"{PKI}/api.csr")
    request("kubelet-client", "/O=system:masters/CN=apiserver-kubelet", "-out", f"{PKI}/kubelet-client.csr")
    request("front-proxy", "/CN=front-proxy", "-out", f"{PKI}/front-proxy.csr")
    for name in ("api", "kubelet-client", "front-proxy"):
        files = ["-in", f"{PKI}/{name}.csr", "-out", f"{PKI}/{name}.crt", "-extfile", f"{PKI}/names"]
        authority = ["-CA", f"{PKI}/ca.crt", "-CAkey", f"{PKI}/ca.key", "-CAcreateserial"]
        run("openssl", "x509", "-req", "-days", "3650", *files, *authority)


def request(name: str, subject: str, *arguments: str) -> None:
    """A new key PKI/NAME.key and a request (or, with -x509, a certificate) for it."""
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-keyout", PKI / f"{name}.key", "-subj", subject, *arguments)


def make_users(nodes: Sequence[Node]) -> None:
    """The API server's token file, and a kubeconfig for each user and node."""
    users = {**USERS, **{f"system:node:{node.name}": "system:nodes" for node in nodes}}
    TOKENS.write_text("".join(f'{user}-token,{user},{user},"{group}"\n' for user, group in users.items()))
    for user in users:
        short = user.rpartition(":")[2]
        cluster = {"server": API_SERVER, "certificate-authority": str(PKI / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": short, "user": {"token": f"{user}-token"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": short, "namespace": "default"}}],
        }
        path = KUBECONFIG if short == "admin" else ROOT / f"{short}.kubeconfig"
        path.write_text(json.dumps(config, indent=1))
        path.chmod(0o600)
