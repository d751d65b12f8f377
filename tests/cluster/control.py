"""The control plane: etcd, API server, controllers, scheduler and DNS, in a net namespace of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.process import run, spawn, wait_for
from tests.cluster.settings import (
    CONTROL,
    CONTROL_IP,
    DEFAULT_VERSION,
    KUBECONFIG,
    PKI,
    POD_PREFIX,
    ROOT,
    SERVICE_PREFIX,
    TOKENS,
    VERSIONS,
    Version,
)

ETCD = "http://127.0.0.1:2379"
# what the components may do: (binding, role, user)
BINDINGS = (("dns", "cluster-admin", "system:coredns"), ("proxy", "system:node-proxier", "system:kube-proxy"))

COREFILE = f""".:53 {{
  bind {CONTROL_IP}
  errors
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {ROOT}/coredns.kubeconfig test
    pods verified
    ttl 5
  }}
  cache 5 {{
    denial 16 1
  }}
}}
"""


def kubectl(version: Version, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
    """Runs kubectl as the cluster's administrator; returns its output."""
    return run(version.bin / "kubectl", "--kubeconfig", KUBECONFIG, *arguments, check=check, stdin=stdin)


def answers(version: Version, *arguments: str) -> bool:
    """Does kubectl end well with these arguments?"""
    argv = [str(version.bin / "kubectl"), "--kubeconfig", str(KUBECONFIG), "--request-timeout=5s", *arguments]
    return subprocess.run(argv, capture_output=True).returncode == 0


def start_apiserver(version: Version, audit: Path | None = None) -> None:
    """Starts the API server and waits until it answers. `audit`: the policy by which it logs to ROOT/audit.log."""
    gates = [f"--feature-gates={version.feature_gates}"] if version.feature_gates else []
    flags = [
        f"--etcd-servers={ETCD}",
        f"--service-cluster-ip-range={SERVICE_PREFIX}.0/16",
        f"--advertise-address={CONTROL_IP}",
        "--secure-port=6443",
        f"--tls-cert-file={PKI}/api.crt",
        f"--tls-private-key-file={PKI}/api.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/kubelet-client.crt",
        f"--kubelet-client-key={PKI}/kubelet-client.key",
        # for API servers beside this one, as Kueue's
        f"--requestheader-client-ca-file={PKI}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={PKI}/front-proxy.crt",
        f"--proxy-client-key-file={PKI}/front-proxy.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--token-auth-file={TOKENS}",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI}/sa.pub",
        f"--service-account-signing-key-file={PKI}/sa.key",
        "--enable-admission-plugins=NodeRestriction",
        "--profiling=false",
        "--allow-privileged",  # as everybody's is
        *gates,
        *([f"--audit-policy-file={audit}", f"--audit-log-path={ROOT}/audit.log"] if audit else []),
        *([f"--runtime-config={version.apis}"] if version.apis else []),
    ]
    spawn("apiserver", [version.bin / "kube", "kube-apiserver", *flags], CONTROL)
    wait_for("the API server", lambda: answers(version, "get", "--raw", "/readyz"), log="apiserver")


def start_control_plane(version: Version) -> None:
    """Starts everything but the nodes."""
    kube = version.bin / "kube"
    etcd = ["--data-dir", ROOT / "etcd", "--listen-client-urls", ETCD, "--advertise-client-urls", ETCD]
    etcd += ["--listen-peer-urls", "http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level", "error"]
    newest = VERSIONS[DEFAULT_VERSION].bin / "kube"  # only its module has etcd and CoreDNS
    spawn("etcd", [newest, "etcd", *etcd], CONTROL)
    start_apiserver(version)
    start_controllers(version)
    gates = [f"--feature-gates={version.feature_gates}"] if version.feature_gates else []
    scheduler = [f"--kubeconfig={ROOT}/kube-scheduler.kubeconfig", "--leader-elect=false", *gates]
    spawn("scheduler", [kube, "kube-scheduler", *scheduler], CONTROL)
    for name, role, user in BINDINGS:
        kubectl(version, "create", "clusterrolebinding", name, f"--clusterrole={role}", f"--user={user}")
    (ROOT / "Corefile").write_text(COREFILE)
    (ROOT / "resolv.conf").write_text(f"nameserver {CONTROL_IP}\n")
    spawn("coredns", [newest, "coredns", "-conf", ROOT / "Corefile", "-quiet"], CONTROL)
    start_proxy(version, "control", CONTROL)  # the API server calls webhooks by their services' addresses


def start_controllers(version: Version, grace: int = 20) -> None:
    """Starts the controller manager. A node of which nothing is heard for `grace` seconds is not ready."""
    flags = [
        f"--kubeconfig={ROOT}/kube-controller-manager.kubeconfig",
        f"--root-ca-file={PKI}/ca.crt",
        f"--service-account-private-key-file={PKI}/sa.key",
        "--use-service-account-credentials",
        "--leader-elect=false",
        f"--node-monitor-grace-period={grace}s",
    ]
    gates = [f"--feature-gates={version.feature_gates}"] if version.feature_gates else []
    spawn("controller-manager", [version.bin / "kube", "kube-controller-manager", *flags, *gates], CONTROL)


def start_proxy(version: Version, name: str, netns: str) -> None:
    """Starts kube-proxy in a net namespace."""
    flags = [
        f"--kubeconfig={ROOT}/kube-proxy.kubeconfig",
        f"--hostname-override={name}",
        f"--cluster-cidr={POD_PREFIX}.0.0/16",
        "--conntrack-max-per-core=0",
        "--proxy-mode=iptables",
        "--healthz-bind-address=127.0.0.1:10256",
    ]
    spawn(f"{name}-proxy", [version.bin / "kube", "kube-proxy", *flags], netns)
