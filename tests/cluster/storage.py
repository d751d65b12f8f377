"""Volumes on demand: Rancher's local-path-provisioner, as a daemon of the cluster's, and two storage classes.

`local` is a folder of the node that the first pod is on (ReadWriteOnce), which only root may write until kubelet gives
it to a pod's fsGroup. `shared` is a folder that all nodes see (ReadWriteMany): they are one machine. Neither is the
default: tests of claims without a class need a cluster that has none.
"""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.binaries import go
from tests.cluster.control import kubectl
from tests.cluster.process import daemons, spawn, wait_for
from tests.cluster.settings import CACHE, CONTROL, KUBECONFIG, ROOT, Version

PROVISIONER = "v0.0.30"
PROGRAM = CACHE / "bin" / f"local-path-provisioner-{PROVISIONER}" / "local-path-provisioner"
NAMESPACE, NAME = "local-path-storage", "rancher.io/local-path"
IMAGE = "sky-test/busybox:1"  # of the pods that make and delete the folders
SETUP = """\
#!/bin/sh
set -eu
case "$VOL_DIR" in */shared/*) mode=0777 ;; *) mode=0755 ;; esac
mkdir -m "$mode" -p "$VOL_DIR"
"""
TEARDOWN = """\
#!/bin/sh
set -eu
rm -rf "$VOL_DIR"
"""
CONFIG = {
    "storageClassConfigs": {
        "local": {
            "nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [f"{ROOT}/volumes/local"]}],
        },
        "shared": {"sharedFileSystemPath": f"{ROOT}/volumes/shared"},
    }
}
HELPER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "helper-pod"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "helper-pod", "image": IMAGE, "imagePullPolicy": "IfNotPresent"}],
    },
}


def storage_class(name: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": NAME,
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Delete",
    }


def objects() -> list[dict[str, Any]]:
    """What the provisioner reads, and its storage classes."""
    scripts = {"setup": SETUP, "teardown": TEARDOWN}
    data = {"config.json": json.dumps(CONFIG), "helperPod.yaml": json.dumps(HELPER), **scripts}
    metadata = {"name": "local-path-config", "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        storage_class("local", defaultVolumeType="local"),
        storage_class("shared"),
    ]


def start_provisioner(version: Version) -> None:
    """Builds the provisioner once, and starts it unless it runs."""
    if not PROGRAM.exists():
        module = f"github.com/rancher/local-path-provisioner@{PROVISIONER}"
        go(f"local-path-provisioner {PROVISIONER}", "install", "-ldflags", "-s -w", module, bin_dir=PROGRAM.parent)
    kubectl(version, "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()}))
    if daemons(str(PROGRAM)):
        return
    flags = [
        f"--kubeconfig={KUBECONFIG}", f"--namespace={NAMESPACE}", f"--provisioner-name={NAME}",
        f"--helper-image={IMAGE}", "--service-account-name=default", "--configmap-name=local-path-config",
    ]  # fmt: skip
    spawn("local-path-provisioner", [PROGRAM, "start", *flags], CONTROL)
    log = ROOT / "local-path-provisioner.log"
    wait_for("local-path-provisioner", lambda: "Started provisioner controller" in log.read_text(), 60, log=log.stem)
