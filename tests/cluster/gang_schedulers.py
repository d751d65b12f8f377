"""Volcano, and the coscheduling plugin, on the cluster: their CRDs, and their schedulers as daemons of the cluster's.

Their modules have requirements of their own (replace), so a copy of each is what is built.
"""

from __future__ import annotations

import json

from tests.cluster.binaries import go, module_copy, module_folder
from tests.cluster.control import answers, kubectl
from tests.cluster.process import daemons, end, spawn, wait_for
from tests.cluster.settings import CACHE, CONTROL, KUBECONFIG, ROOT, Version

VOLCANO, PLUGINS = ("volcano.sh/volcano", "v1.10.0"), ("sigs.k8s.io/scheduler-plugins", "v0.33.5")
BIN = CACHE / "bin" / "gang-schedulers"
# program -> its module and package
PROGRAMS = {
    "vc-scheduler": (VOLCANO, "./cmd/scheduler"),
    "vc-controller-manager": (VOLCANO, "./cmd/controller-manager"),
    "coscheduling": (PLUGINS, "./cmd/scheduler"),
}
PROFILE = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "clientConnection": {"kubeconfig": str(KUBECONFIG)},
    "leaderElection": {"leaderElect": False},
    "profiles": [
        {
            "schedulerName": "default-scheduler",
            "plugins": {
                "multiPoint": {"enabled": [{"name": "Coscheduling"}]},
                "queueSort": {"enabled": [{"name": "Coscheduling"}], "disabled": [{"name": "*"}]},
            },
        }
    ],
}


def build(program: str) -> None:
    """Once; minutes."""
    if (BIN / program).exists():
        return
    module, package = PROGRAMS[program]
    BIN.mkdir(parents=True, exist_ok=True)
    with module_copy(*module) as copy:
        partial = BIN / f"{program}.partial"
        go(program, "build", "-mod=mod", "-ldflags", "-s -w", "-o", str(partial), package, cwd=copy)
        partial.rename(BIN / program)


def start_volcano(version: Version) -> None:
    """Beside the cluster's own scheduler, for the pods that ask for it."""
    for program in ("vc-scheduler", "vc-controller-manager"):
        build(program)
    there = module_folder(*VOLCANO)
    kubectl(version, "apply", "--server-side", "-f", str(there / "config/crd/volcano/bases"))
    conf = there / "installer/helm/chart/volcano/config/volcano-scheduler.conf"
    shared = [f"--kubeconfig={KUBECONFIG}", "--leader-elect=false", "--enable-healthz=false"]
    if not daemons(str(BIN / "vc-scheduler")):
        spawn("vc-scheduler", [BIN / "vc-scheduler", *shared, f"--scheduler-conf={conf}"], CONTROL)
    if not daemons(str(BIN / "vc-controller-manager")):
        spawn(
            "vc-controller-manager",
            [BIN / "vc-controller-manager", *shared, "--controllers=+queue-controller,+pg-controller"],
            CONTROL,
        )
    state = ("get", "queue.scheduling.volcano.sh", "default", "-o", "jsonpath={.status.state}")
    wait_for("Volcano's queue", lambda: kubectl(version, *state, check=False) == "Open", log="vc-controller-manager")


def start_coscheduling(version: Version) -> None:
    """In place of the cluster's own scheduler."""
    build("coscheduling")
    kubectl(
        version,
        "apply",
        "--server-side",
        "-f",
        str(module_folder(*PLUGINS) / "config/crd/bases/scheduling.x-k8s.io_podgroups.yaml"),
    )
    end(daemons("kube-scheduler"), grace=2)
    if not daemons(str(BIN / "coscheduling")):
        config = ROOT / "coscheduling.json"
        config.write_text(json.dumps(PROFILE))
        spawn("coscheduling", [BIN / "coscheduling", f"--config={config}"], CONTROL)
    served = ("get", "podgroups.scheduling.x-k8s.io")
    wait_for("coscheduling", lambda: answers(version, *served), log="coscheduling")
