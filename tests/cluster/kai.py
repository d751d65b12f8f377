"""The KAI scheduler on the cluster: its CRDs, its default queue, and its programs as daemons of the cluster's.

The newest version that Go's proxy serves makes a group of each pod of a Job. From 0.14.1 on a Job that says
`kai.scheduler/batch-min-member` is one group; that much is put into the copy that is built here (see GROUPER).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.cluster.binaries import go, module_copy, module_folder
from tests.cluster.control import answers, kubectl
from tests.cluster.process import daemons, spawn, wait_for
from tests.cluster.settings import CACHE, CONTROL, KUBECONFIG, ROOT, ClusterError, Version

MODULE, RELEASE = "github.com/NVIDIA/KAI-scheduler", "v0.12.0"
BIN = CACHE / "bin" / f"kai-{RELEASE}"
OFF = "0"  # as an address: nobody listens
CONF = ROOT / "kai.conf"  # of the scheduler; empty: as it comes
NAMED = f"--kubeconfig={KUBECONFIG}"
PROGRAMS = {
    "scheduler": [f"--scheduler-conf={CONF}", "--listen-address=127.0.0.1:9401", "--plugin-server-port=9402"],
    "binder": [NAMED, f"--metrics-bind-address={OFF}", f"--health-probe-bind-address={OFF}"],
    "podgrouper": [NAMED, f"--metrics-bind-address={OFF}", f"--health-probe-bind-address={OFF}"],
    "queuecontroller": [NAMED, f"--metrics-listen-address={OFF}", "--enable-webhook=false"],
    "podgroupcontroller": [NAMED, f"--health-probe-bind-address={OFF}", "--enable-podgroup-webhook=false"],
}
GROUPER = Path("pkg/podgrouper/podgrouper/plugins/job/job_grouper.go")
# as its later versions: all pods of a Job are a group, of the size that the Job says
CHANGES = (
    ("constants.PodGroupNamePrefix, pod.Name, topOwner", "constants.PodGroupNamePrefix, topOwner.GetName(), topOwner"),
    (
        "\n\treturn podGroupMetadata, nil",
        '\n\tif said, found := topOwner.GetAnnotations()["kai.scheduler/batch-min-member"]; found {\n'
        "\t\tfmt.Sscan(said, &podGroupMetadata.MinAvailable)\n\t}\n"
        "\treturn podGroupMetadata, nil",
    ),
)
ANY = {"quota": 0, "limit": -1, "overQuotaWeight": 1}  # as its chart has it: nothing is theirs, and all may be used
PRIORITIES = {"train": 50, "build-preemptible": 75, "build": 100, "inference": 125}


def start_kai(version: Version) -> None:
    """Beside the cluster's own scheduler, for the pods that ask for it."""
    build()
    there = module_folder(MODULE, RELEASE)
    kubectl(version, "apply", "--server-side", "-f", str(there / "deployments/kai-scheduler/crds"))
    served = ("get", "queues.scheduling.run.ai,podgroups.scheduling.run.ai,bindrequests.scheduling.run.ai")
    wait_for("KAI's CRDs", lambda: answers(version, *served))
    wanted = [*priorities(), queue("default-parent-queue"), queue("default-queue", "default-parent-queue")]
    apply(version, *wanted)
    CONF.touch()
    for program, flags in PROGRAMS.items():
        if not daemons(str(BIN / program)):
            # not all of them know the flag
            words = ["/usr/bin/env", f"KUBECONFIG={KUBECONFIG}", BIN / program, *flags]
            spawn(f"kai-{program}", words, CONTROL)
    told = ("get", "queue.scheduling.run.ai", "default-parent-queue", "-o", "jsonpath={.status.childQueues}")
    wait_for("KAI's queues", lambda: "default-queue" in kubectl(version, *told, check=False), log="kai-queuecontroller")


def build() -> None:
    """Once; minutes."""
    if all((BIN / program).exists() for program in PROGRAMS):
        return
    with module_copy(MODULE, RELEASE) as copy:
        made = copy / "made"
        (copy / GROUPER).write_text(changed((copy / GROUPER).read_text()))
        made.mkdir()
        packages = [f"./cmd/{program}" for program in PROGRAMS]
        go(f"KAI {RELEASE}", "build", "-mod=mod", "-ldflags", "-s -w", "-o", str(made), *packages, cwd=copy)
        BIN.mkdir(parents=True, exist_ok=True)
        for program in PROGRAMS:
            shutil.move(made / program, BIN / program)


def changed(text: str) -> str:
    """The grouper of Jobs, with CHANGES. Raises ClusterError."""
    for old, new in CHANGES:
        if text.count(old) != 1:
            raise ClusterError(f"KAI {RELEASE} is not as it was: {GROUPER} has not once {old!r}")
        text = text.replace(old, new)
    return text


def apply(version: Version, *objects: dict[str, Any]) -> None:
    wanted = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl(version, "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=wanted)


def queue(name: str, parent: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"resources": dict.fromkeys(("cpu", "gpu", "memory"), ANY)}
    if parent:
        spec["parentQueue"] = parent
    return {"apiVersion": "scheduling.run.ai/v2", "kind": "Queue", "metadata": {"name": name}, "spec": spec}


def priorities() -> list[dict[str, Any]]:
    """Those that its chart makes."""
    api = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    return [{**api, "metadata": {"name": name}, "value": value} for name, value in PRIORITIES.items()]
