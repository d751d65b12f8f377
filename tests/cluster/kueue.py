"""Kueue on the cluster: its own manifests, and its controller as a daemon of the cluster's instead of a pod.

It makes its certificates itself and keeps them in a Secret; the kubelet that would mount that is played here.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.binaries import go, module_folder
from tests.cluster.control import answers, kubectl
from tests.cluster.process import daemons, spawn, wait_for
from tests.cluster.settings import CACHE, CONTROL, CONTROL_IP, KUBECONFIG, ROOT, Version

KUEUE = "v0.19.0"
MODULE = "sigs.k8s.io/kueue"
PROGRAM = CACHE / "bin" / f"kueue-{KUEUE}" / "kueue"
NAMESPACE, SECRET = "kueue-system", "kueue-webhook-server-cert"
HOME = ROOT / "kueue"  # its configuration and certificates
PORTS = {"kueue-webhook-service": 9443, "kueue-visibility-server": 8082}
# what answers once it runs: queue positions, and its webhooks
FLAVOR = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "x"}}


def start_kueue(version: Version) -> None:
    """Builds Kueue once, and installs and starts it unless it runs."""
    if not PROGRAM.exists():
        # it would put the certificate of its second server into the machine's root folder
        flags = f"-s -w -X {MODULE}/pkg/visibility.certDir=visibility"
        go(f"Kueue {KUEUE}", "install", "-ldflags", flags, f"{MODULE}/cmd/kueue@{KUEUE}", bin_dir=PROGRAM.parent)
    if daemons(str(PROGRAM)):
        return
    HOME.mkdir(exist_ok=True)
    source = module_folder(MODULE, KUEUE)
    wanted = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*manifests(version, source), *endpoints()]})
    kubectl(version, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=wanted)
    config = HOME / "config.json"
    config.write_text(json.dumps(configuration(source)))
    words = ["/usr/bin/env", f"--chdir={HOME}", PROGRAM, f"--config={config}", f"--kubeconfig={KUBECONFIG}"]
    spawn("kueue", words, CONTROL)
    wait_for("Kueue's certificates", lambda: has_certificates(version), log="kueue")
    wait_for("Kueue", lambda: runs(version), log="kueue")


def manifests(version: Version, source: Path) -> Iterator[dict[str, Any]]:
    """Its own, but for the pod and what finds it."""
    import yaml  # which the other verbs do not need

    text = kubectl(version, "kustomize", str(source / "config" / "default"))
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for one in yaml.safe_load_all(text):
        name = one["metadata"]["name"]
        if one["kind"] == "Service":
            if name not in PORTS:
                continue
            del one["spec"]["selector"]
        if one["kind"] not in ("Deployment", "Namespace", "ConfigMap"):
            yield one


def endpoints() -> list[dict[str, Any]]:
    """Where the services' servers are."""
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": port_name(name), "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [CONTROL_IP], "conditions": {"ready": True}}],
        }
        for name, port in PORTS.items()
    ]


def port_name(service: str) -> str:
    """As the service calls it."""
    return "https" if "visibility" in service else ""


def configuration(source: Path) -> dict[str, Any]:
    """Its default one, for a controller that is alone and not in a pod."""
    import yaml

    made = yaml.safe_load((source / "config/components/manager/controller_manager_config.yaml").read_text())
    made["namespace"] = NAMESPACE
    made["leaderElection"] = {"leaderElect": False}
    made["webhook"]["certDir"] = str(HOME / "webhook")
    made["internalCertManagement"] = {"enable": True, "webhookSecretName": SECRET}
    return dict(made)


def has_certificates(version: Version) -> bool:
    """Whether it has made its certificates; they are put where a pod would see its Secret."""
    said = kubectl(version, "get", "secret", SECRET, "-n", NAMESPACE, "-o", "jsonpath={.data}", check=False)
    found = {name: base64.b64decode(text) for name, text in json.loads(said or "{}").items()}
    if "tls.crt" not in found:
        return False
    folder = HOME / "webhook"
    folder.mkdir(exist_ok=True)
    for name, data in found.items():
        new = folder / f"{name}.new"
        new.write_bytes(data)
        os.rename(new, folder / name)
    return True


def runs(version: Version) -> bool:
    """Whether its webhooks and its queue positions can be asked."""
    flavor = HOME / "flavor.json"
    flavor.write_text(json.dumps(FLAVOR))
    asked = answers(version, "create", "--dry-run=server", "-f", str(flavor))
    return asked and answers(version, "get", "--raw", "/apis/visibility.kueue.x-k8s.io/v1beta2")
