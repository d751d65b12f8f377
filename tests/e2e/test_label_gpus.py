"""kubectl sky label-gpus, with real probe Jobs on nodes that say they have GPUs.

What a stand-in nvidia-smi finds on a node is in files of the test machine, which is all nodes' file system.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Result, Sky, eventually, image

PRODUCTS = Path("/tmp/kubectl-sky-gpus")
NODES = ("node-1", "node-2")
KEY = "skypilot.co/accelerator"
SELECTOR = "job=sky-gpu-labeler"
# (what nvidia-smi prints, the label)
REAL = [
    ("NVIDIA A100-SXM4-80GB, 81920 MiB", "a100-80gb"),
    ("NVIDIA A100-SXM4-40GB, 40960 MiB", "a100"),
    ("NVIDIA A100-PCIE-40GB, 40960 MiB", "a100"),
    ("NVIDIA A100 80GB PCIe, 81920 MiB", "a100-80gb"),
    ("NVIDIA A10, 23028 MiB", "a10"),
    ("NVIDIA A10G, 23028 MiB", "a10g"),
    ("NVIDIA L40, 46068 MiB", "l40"),
    ("NVIDIA L40S, 46068 MiB", "l40s"),
    ("NVIDIA L4, 23034 MiB", "l4"),
    ("Tesla T4, 15360 MiB", "t4"),
    ("NVIDIA H100 80GB HBM3, 81559 MiB", "h100"),
    ("NVIDIA H100 PCIe, 81559 MiB", "h100"),
    ("NVIDIA H100 NVL, 95830 MiB", "h100-nvl"),
    ("NVIDIA H200, 143771 MiB", "h200"),
    ("NVIDIA GH200 480GB, 97871 MiB", "gh200"),
    ("NVIDIA GH200 144G HBM3e, 146831 MiB", "gh200-144gb"),
    ("NVIDIA B200, 183359 MiB", "b200"),
    ("NVIDIA GB200, 189471 MiB", "gb200"),
    ("NVIDIA RTX 6000 Ada Generation, 49140 MiB", "rtx6000-ada"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition, 97887 MiB", "rtxpro6000"),
    ("NVIDIA RTX A6000, 49140 MiB", "a6000"),
    ("Quadro RTX 6000, 24220 MiB", "rtx6000"),
    ("NVIDIA GeForce RTX 4090, 24564 MiB", "rtx4090"),
    ("NVIDIA GeForce RTX 3090, 24576 MiB", "rtx3090"),
    ("Tesla V100-SXM2-16GB, 16160 MiB", "v100"),
    ("Tesla V100-SXM2-32GB, 32510 MiB", "v100-32gb"),
    ("Tesla P100-PCIE-16GB, 16280 MiB", "p100"),
    ("NVIDIA A30, 24576 MiB", "a30"),
    ("NVIDIA A40, 46068 MiB", "a40"),
    ("MIG of NVIDIA A100-SXM4-80GB, 81920 MiB", "a100-80gb-mig-1g.10gb"),
]
MIG = "GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-1)\n" + "".join(
    f"  MIG 1g.10gb     Device  {n}: (UUID: MIG-{n})\n" for n in range(8)
)


class Lab:
    """The cluster with its nodes' GPUs."""

    def __init__(self, cluster: OwnCluster):
        env = {"KUBECTL_SKY_RUNTIME_IMAGE": image("nvidia-smi")}
        self.sky = Sky("kube-system", cluster.kubeconfig, env)

    def reset(self) -> None:
        """Two nodes with eight GPUs each of which nothing is known, and no jobs."""
        self.kubectl("delete", "jobs", "-l", SELECTOR, "--ignore-not-found", "--cascade=foreground")
        amount = {"nvidia.com/gpu": "8"}
        status = json.dumps({"status": {"capacity": amount, "allocatable": amount}})
        for node in NODES:
            self.kubectl("patch", "node", node, "--subresource=status", "-p", status)
            self.kubectl("label", "node", node, f"{KEY}-", f"{KEY}s-")
            self.say(node, "Tesla T4, 15360 MiB")

    def say(self, node: str, printed: str) -> None:
        """What nvidia-smi prints on a node."""
        PRODUCTS.mkdir(exist_ok=True)
        (PRODUCTS / f"{node}.csv").write_text(printed.removeprefix("MIG of ") + "\n")
        (PRODUCTS / f"{node}.list").write_text(MIG if printed.startswith("MIG of ") else "")

    def kubectl(self, *args: str) -> str:
        return self.sky.kubectl(*args)

    def run(self, *args: str, **options: float) -> Result:
        return self.sky.run("label-gpus", *args, **options)  # type: ignore[arg-type]

    def labels(self) -> dict[str, str]:
        items = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        found = {item["metadata"]["name"]: item["metadata"]["labels"] for item in items}
        assert all(labels.get(KEY) == labels.get(f"{KEY}s") for labels in found.values())
        return {name: labels.get(KEY, "") for name, labels in found.items()}

    def jobs(self) -> list[str]:
        return self.kubectl("get", "jobs", "-l", SELECTOR, "-o", "name").split()


@pytest.fixture(scope="module")
def cluster_with_gpus(turn: OwnCluster) -> Iterator[Lab]:
    turn.do("up", "2")
    lab = Lab(turn)
    yield lab
    shutil.rmtree(PRODUCTS, ignore_errors=True)
    for node in NODES:
        lab.kubectl("label", "node", node, f"{KEY}-", f"{KEY}s-")


@pytest.fixture
def lab(cluster_with_gpus: Lab) -> Lab:
    cluster_with_gpus.reset()
    return cluster_with_gpus


def test_thirty_real_products(lab: Lab) -> None:
    """Each by a probe of its own, two nodes side by side."""
    assert len(REAL) >= 30
    for start in range(0, len(REAL), len(NODES)):
        now = dict(zip(NODES, REAL[start : start + len(NODES)], strict=True))
        for node, (printed, _) in now.items():
            lab.say(node, printed)
        result = lab.run("--overwrite")
        assert result.code == 0, result
        assert lab.labels() == {node: label for node, (_, label) in now.items()}
        for node, (printed, label) in now.items():
            product = printed.removeprefix("MIG of ").rpartition(", ")[0]
            assert f"{node}: labelled {label} ({product}, nvidia-smi)" in result.out, result
    assert lab.jobs() == []


def test_what_it_says(lab: Lab) -> None:
    result = lab.run()
    assert result.code == 0, result
    assert result.out.splitlines()[:4] == [
        "Created GPU labeler job for node node-1",
        "Created GPU labeler job for node node-2",
        "GPU labeling started - this may take a few minutes to complete.",
        f"To check the status of GPU labeling jobs, run `kubectl get jobs -n kube-system -l {SELECTOR}`",
    ]
    assert result.out.splitlines()[-1] == "GPU labeling completed: 2 labelled."
    again = lab.run()
    assert again.code == 0
    assert "Nothing to do: all GPU nodes are labelled already." in again.out
    assert "Created" not in again.out


def test_different_gpus_on_a_node(lab: Lab) -> None:
    lab.say("node-1", "Tesla T4, 15360 MiB\nNVIDIA L4, 23034 MiB\nNVIDIA L4, 23034 MiB")
    result = lab.run("node-1")
    assert result.code == 0, result
    assert lab.labels() == {"node-1": "l4", "node-2": ""}
    assert "2 L4, 1 T4" in result.out


def test_another_label_tells_it_at_once(lab: Lab) -> None:
    lab.kubectl("label", "node", "node-1", "nvidia.com/gpu.product=NVIDIA-L40S")
    try:
        result = lab.run("-o", "json")
    finally:
        lab.kubectl("label", "node", "node-1", "nvidia.com/gpu.product-")
    assert result.code == 0, result
    one, two = json.loads(result.out)["items"]
    assert (one["label"], one["source"]) == ("l40s", "label nvidia.com/gpu.product")
    assert (two["label"], two["source"], two["status"]) == ("t4", "nvidia-smi", "labelled")
    assert "Created GPU labeler job for node node-1" not in result.err


def test_dry_run_changes_nothing(lab: Lab) -> None:
    result = lab.run("--dry-run")
    assert result.code == 0, result
    assert result.out.count("probe") == 2
    assert lab.labels() == dict.fromkeys(NODES, "")
    assert lab.jobs() == []


HOG = """
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  nodeName: node-1
  terminationGracePeriodSeconds: 0
  containers:
  - name: hog
    image: IMAGE
    command: [sleep, "600"]
    resources: {limits: {cpu: CPU, nvidia.com/gpu: "8"}}
"""


def test_full_tainted_and_cordoned_nodes(lab: Lab) -> None:
    """All GPUs and nearly all CPUs of one node are held; nobody may go to the other."""
    cpu = int(lab.kubectl("get", "node", "node-1", "-o", "jsonpath={.status.allocatable.cpu}"))
    lab.sky.kubectl("apply", "-f", "-", stdin=HOG.replace("IMAGE", image("nvidia-smi")).replace("CPU", f"{cpu}000m"))
    lab.kubectl("taint", "node", "node-2", "nvidia.com/gpu=present:NoSchedule", "team=ml:NoExecute")
    lab.kubectl("cordon", "node-2")
    try:
        result = lab.run()
        assert result.code == 0, result
        assert lab.labels() == dict.fromkeys(NODES, "t4")
    finally:
        lab.kubectl("uncordon", "node-2")
        lab.kubectl("taint", "node", "node-2", "nvidia.com/gpu-", "team-")
        lab.kubectl("delete", "pod", "hog", "--force")


def test_an_image_that_cannot_be_pulled(lab: Lab) -> None:
    result = lab.run("--image", "localhost:1/no/such:1", "--timeout", "90s")
    assert result.code == 1, result
    assert "node-1: not labelled: " in result.err
    assert "the image localhost:1/no/such:1 cannot be pulled" in result.err
    assert "--image" in result.err
    assert "GPU labeling ended: 2 not labelled." in result.out
    assert lab.jobs() == []
    assert lab.run().code == 0  # again, with one that is there
    assert lab.labels() == dict.fromkeys(NODES, "t4")


def test_nothing_found(lab: Lab) -> None:
    lab.say("node-2", "No devices were found")
    result = lab.run()
    assert result.code == 1, result
    assert lab.labels() == {"node-1": "t4", "node-2": ""}
    assert "node-2: not labelled: no GPU was found on it; nvidia-smi: No devices were found" in result.err
    assert "drivers" in result.err


def test_a_namespace_that_forbids_privileged_pods(lab: Lab) -> None:
    lab.kubectl("create", "namespace", "sky-restricted")
    lab.kubectl("label", "namespace", "sky-restricted", "pod-security.kubernetes.io/enforce=restricted")
    try:
        result = lab.run("-n", "sky-restricted")
        assert result.code == 0, result
        assert "Privileged pods are not allowed" in result.out
        assert "kubectl get jobs -n sky-restricted -l" in result.out
        assert lab.labels() == dict.fromkeys(NODES, "t4")
    finally:
        lab.kubectl("delete", "namespace", "sky-restricted", "--wait=false")


def test_no_wait_and_again(lab: Lab) -> None:
    result = lab.run("--no-wait")
    assert result.code == 0, result
    assert "run `kubectl sky label-gpus` again" in result.out
    assert len(lab.jobs()) == 2
    wait_complete(lab)
    assert lab.labels() == dict.fromkeys(NODES, "")
    again = lab.run()
    assert again.code == 0, again
    assert "Found GPU labeler job for node node-1" in again.out
    assert lab.labels() == dict.fromkeys(NODES, "t4")
    assert lab.jobs() == []


def test_what_a_killed_client_left_goes(lab: Lab) -> None:
    """It was killed between the label and the end of its job."""
    lab.run("--no-wait")
    wait_complete(lab)
    lab.kubectl("label", "node", *NODES, f"{KEY}=t4", f"{KEY}s=t4")
    assert "Nothing to do" in lab.run().out
    assert lab.jobs() == []


def wait_complete(lab: Lab) -> None:
    lab.kubectl("wait", "--for=condition=complete", "jobs", "-l", SELECTOR, "--timeout=60s")


def test_cleanup(lab: Lab) -> None:
    lab.run("--no-wait")
    result = lab.run("--cleanup")
    assert result.code == 0, result
    assert result.out.count("Deleted GPU labeler job") == 2
    assert lab.jobs() == []
    assert "No GPU labeler jobs" in lab.run("--cleanup").err


@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.6, 1.0, 1.5])
def test_killed_and_again(lab: Lab, seconds: float) -> None:
    process = lab.sky.start("label-gpus")
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    result = lab.run()
    assert result.code == 0, result
    assert lab.labels() == dict.fromkeys(NODES, "t4")
    eventually("no jobs are left", lambda: lab.jobs() == [], 10)


def test_interrupted(lab: Lab) -> None:
    process = lab.sky.start("label-gpus", "--image", "localhost:1/no/such:1")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, (out, err)
    assert "its jobs go on" in err


def test_not_in_time(lab: Lab) -> None:
    result = lab.run("--timeout", "0.1s")
    assert result.code == 1, result
    assert "not done within 0.1 s" in result.err
    assert lab.run().code == 0
    assert lab.labels() == dict.fromkeys(NODES, "t4")


def test_without_the_rights(lab: Lab) -> None:
    result = lab.run("--as", "edit")
    assert result.code == 1, result
    assert "may not list nodes" in result.err
    assert 'resources: ["nodes"]' in result.err
    assert 'verbs: ["get", "list", "patch"]' in result.err
    assert lab.jobs() == []


def test_may_read_nodes_but_not_label_them(lab: Lab) -> None:
    lab.kubectl("create", "clusterrole", "sky-nodes", "--verb=get,list", "--resource=nodes")
    lab.kubectl("create", "clusterrolebinding", "sky-nodes", "--clusterrole=sky-nodes", "--user=edit")
    try:
        result = lab.run("--as", "edit")
    finally:
        lab.kubectl("delete", "clusterrolebinding/sky-nodes", "clusterrole/sky-nodes")
    assert result.code == 1, result
    assert "may not patch nodes" in result.err
    assert lab.jobs() == []
