"""Accelerators of many vendors side by side: each request lands on the right node; `gpus` counts as the scheduler."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import OWN_NUMBER, OwnCluster, Sky, eventually, namespace

CLUSTER = OwnCluster(str(int(OWN_NUMBER) + 1))
VENDORS = (
    "gke-a100-spot", "nvidia-mig-mixed", "eks-karpenter-spot", "coreweave-h100", "amd-mi300x", "aks-a100-spot",
    "nvidia-time-slicing",
)  # fmt: skip
NODE = {vendor: f"node-{index}" for index, vendor in enumerate(VENDORS, start=1)}
ROUNDS = int(os.environ.get("SKY_TEST_ROUNDS", "16"))  # 200 before a release

pytestmark = pytest.mark.skipif(
    not os.environ.get("KUBECONFIG", "/var/lib/kubectl-sky").startswith("/var/lib/kubectl-sky"),
    reason="$KUBECONFIG's nodes are not ours to label",
)


@pytest.fixture(scope="module")
def dressed() -> Iterator[str]:
    """The kubeconfig of a cluster with a node of each vendor.

    What the second has comes from a device plugin; other counts than the vendor's tell that it has them.
    """
    CLUSTER.do("up", str(len(VENDORS)))
    CLUSTER.do("dress", *VENDORS)
    CLUSTER.do("device-plugin", NODE["nvidia-mig-mixed"], "nvidia.com/gpu=2", "nvidia.com/mig-1g.10gb=6")
    yield CLUSTER.kubeconfig
    if not os.environ.get("SKY_TEST_KEEP"):
        CLUSTER.do("down")


@pytest.fixture
def sky(dressed: str) -> Iterator[Sky]:
    with namespace(dressed) as sky:
        yield sky


CASES = {
    "A100:2": "gke-a100-spot",
    "MIG-1g.10gb:2": "nvidia-mig-mixed",
    "H100:0.12": "nvidia-mig-mixed",
    "A10G:4": "eks-karpenter-spot",
    "H100:8": "coreweave-h100",
    "nvidia:80GB+:4": "coreweave-h100",
    "MI300X:8": "amd-mi300x",
    "amd:190GB+:1": "amd-mi300x",
    "T4:0.25": "nvidia-time-slicing",
}


def test_each_request_lands_on_the_right_node(sky: Sky) -> None:
    def one(case: tuple[int, str]) -> tuple[str, str]:
        number, gpus = case
        sky.ok("launch", "-c", f"t{number}", "--gpus", gpus, "--", "true")
        node = sky.pods(f"t{number}")[0]["spec"]["nodeName"]
        sky.ok("down", "-y", f"t{number}")
        return gpus, node

    with ThreadPoolExecutor(3) as pool:
        landed = dict(pool.map(one, enumerate(CASES)))
    assert landed == {gpus: NODE[vendor] for gpus, vendor in CASES.items()}


def test_spot_nodes_are_for_those_who_ask(sky: Sky) -> None:
    refused = sky.run("launch", "-c", "s", "--gpus", "A100-80GB", "--", "true")
    assert refused.code == 1 and "only spot nodes have A100-80GB: --use-spot" in refused.err, refused
    assert sky.objects() == [one for one in sky.objects() if "configmap/kube-root-ca" in one or "serviceaccount" in one]
    sky.ok("launch", "-c", "s", "--use-spot", "--gpus", "A100-80GB", "--", "true")
    assert sky.pods("s")[0]["spec"]["nodeName"] == NODE["aks-a100-spot"]
    sky.ok("launch", "-c", "any", "--use-spot", "--gpus", "A10G:1", "--", "true")
    assert sky.pods("any")[0]["spec"]["nodeName"] == NODE["eks-karpenter-spot"]
    none = sky.run("launch", "-c", "none", "--no-use-spot", "--gpus", "A10G:1", "--", "true")
    assert none.code == 1 and "A10G" in none.err, none


def test_a_device_plugins_devices_are_handed_out(sky: Sky) -> None:
    """A whole H100 is on two nodes, under two labels; only the plugin's says in the container which one it gave."""
    result = sky.ok("launch", "-c", "mig", "--gpus", "MIG-1g.10gb:3", "--", "echo $FAKE_DEVICES")
    assert len(result.out.strip().split(",")) == 3 and "mig-1g.10gb-" in result.out, result


def test_tasks_without_gpus_keep_off_gpu_nodes(sky: Sky) -> None:
    """All nodes have GPUs here: it is a preference. Which labels it knows shows in the pod."""
    sky.ok("launch", "-c", "cpu", "--cpus", "0.1", "--", "true")
    affinity = sky.pods("cpu")[0]["spec"]["affinity"]["nodeAffinity"]
    [preferred] = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    keys = {one["key"] for one in preferred["preference"]["matchExpressions"]}
    assert {"cloud.google.com/gke-accelerator", "nvidia.com/gpu.product", "amd.com/gpu.product-name"} <= keys


def test_the_runtime_class_of_gpus_is_used_where_there_is_one(sky: Sky) -> None:
    made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "runc"}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    try:
        sky.ok("launch", "-c", "gpu", "--gpus", "A10G:1", "--", "true")
        sky.ok("launch", "-c", "amd", "--gpus", "MI300X:1", "--", "true")
        classes = [sky.pods(name)[0]["spec"].get("runtimeClassName") for name in ("gpu", "amd")]
        assert classes == ["nvidia", None]
    finally:
        sky.kubectl("delete", "runtimeclass", "nvidia")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--gpus", "B200:8"), "no node has B200; there are: A100, A100-80GB, A10G, H100"),
        (("--gpus", "H100:16"), "the nearest node with H100 is node-4, which has H100 8 (asked for 16)"),
        (("--gpus", "A100:0.5"), "Kubernetes hands out whole devices, and no node slices them: ask for A100:1"),
        (("--gpus", "T4:1"), "T4 is handed out in parts here: ask for T4:0.25"),
        (("--gpus", "A100:1", "--cpus", "500"), "CPUs 2 (asked for 500)"),
        (("--gpus", "A100:8", "--num-nodes", "2"), "there is room for 1 of 2 nodes, even if all were empty"),
        (("--cpus", "500"), "CPUs 2 (asked for 500"),
    ],
)
def test_the_impossible_is_refused_before_anything_is_made(sky: Sky, flags: tuple[str, ...], words: str) -> None:
    result = sky.run("launch", "-c", "no", *flags, "--", "true")
    assert result.code == 1 and words in result.err, result
    assert not sky.pods("no") and "secret/no-sky" not in sky.objects()


def test_alternatives_are_weighed(sky: Sky, tmp_path: Path) -> None:
    parts = ["- {accelerators: B200:8}", "- {accelerators: H100:1}", "- {accelerators: MI300X:1}"]
    text = "name: pick\nresources:\n  any_of:\n" + "".join(f"    {part}\n" for part in parts) + "run: 'true'\n"
    file, config = tmp_path / "task.yaml", tmp_path / "config.yaml"
    file.write_text(text)
    config.write_text("pricing: {accelerators: {H100: 2.5, MI300X: 1.9}}\n")
    sky.env["KUBECTL_SKY_CONFIG"] = str(config)
    table = sky.ok("launch", "-v", str(file)).err
    assert "Considered resources (1 node):" in table, table
    lines = [line for line in table.splitlines() if line.startswith("Kubernetes")]
    assert "no node has B200" in lines[0] and "costs more" in lines[1] and "✔" in lines[-1], table
    assert sky.pods("pick")[0]["spec"]["nodeName"] == NODE["amd-mi300x"]


# -- dynamic resource allocation --------------------------------------------------------------------------------------


def test_devices_are_claimed_where_the_cluster_offers_a_class(sky: Sky) -> None:
    node = NODE["amd-mi300x"]
    CLUSTER.do("dra-plugin", node, "2", "--product", "NVIDIA B200", "--memory", "180Gi")
    try:
        sky.ok("launch", "-c", "claims", "--gpus", "B200:2", "--", "true")
        assert sky.pods("claims")[0]["spec"]["nodeName"] == node
        assert counts(sky)["B200", node] == (0, 2)
        assert "resourceclaimtemplate.resource.k8s.io/claims" in sky.objects()
        again = sky.run("launch", "-c", "more", "--gpus", "B200:1", "--provision-timeout", "3s", "--", "true")
        assert again.code == 124, again
        sky.ok("down", "-y", "claims", "more")
        eventually("the claims are gone", lambda: "resourceclaim" not in " ".join(sky.objects()))
        assert counts(sky)["B200", node] == (2, 2)
    finally:
        CLUSTER.do("dra-plugin", node, "0")


# -- what is free -----------------------------------------------------------------------------------------------------


def counts(sky: Sky) -> dict[tuple[str, str], tuple[int, int]]:
    """(GPU, node) -> (free, total), by `gpus`."""
    [context] = json.loads(sky.ok("gpus", "-o", "json").out)["contexts"]
    return {(row["gpu"], row["name"]): (row["free"], row["total"]) for row in context["nodes"]}


def scheduled(sky: Sky) -> dict[str, int]:
    """Node -> nvidia.com/gpu that its pods hold, as `kubectl describe node` adds it up."""
    held = {}
    for node in NODE.values():
        text = sky.kubectl("describe", "node", node).partition("Allocated resources:")[2]
        found = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["nvidia.com/gpu"]]
        held[node] = int(found[0]) if found else 0
    return held


def test_what_is_free_is_what_the_scheduler_has_left(sky: Sky) -> None:
    """Random launches and downs; then pods that ask for exactly what is free start, and for one more do not."""
    choices, up, seed = ("H100:1", "H100:2", "A100:3", "A10G:1", "A100:1", "H100:4"), [], random.Random(4)
    for number in range(ROUNDS):
        if up and seed.random() < 0.4:
            sky.ok("down", "-y", up.pop(seed.randrange(len(up))))
            continue
        name = f"r{number}"
        result = sky.run(
            "launch", "-d", "-c", name, "--gpus", seed.choice(choices), "--provision-timeout", "8s", "--", "sleep 600"
        )
        if result.code == 0:
            up.append(name)
        else:
            assert result.code == 124, result
            sky.ok("down", "-y", name)
    found = counts(sky)
    held = scheduled(sky)
    for (gpu, node), (free, total) in found.items():
        if gpu in ("A100", "H100", "A10G") and node != NODE["nvidia-mig-mixed"]:
            assert total - free == held[node], (gpu, node, found, held)
    node = NODE["coreweave-h100"]
    free = found["H100", node][0]
    for name, wanted, phase in (("more", free + 1, "Pending"), ("exact", free, "Running")):
        if wanted:
            assert pinned(sky, name, node, wanted, phase) == phase


def pinned(sky: Sky, name: str, node: str, count: int, expected: str) -> str:
    """The phase of a plain pod that asks for GPUs of one node, a while after it was made."""
    limits = {"limits": {"nvidia.com/gpu": str(count)}}
    container = {"name": "c", "image": "sky-test/busybox:1", "command": ["sleep", "600"], "resources": limits}
    selector = {"kubernetes.io/hostname": node}
    spec = {"containers": [container], "nodeSelector": selector, "terminationGracePeriodSeconds": 0}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def phase() -> str:
        return sky.kubectl("get", "pod", name, "-o", "jsonpath={.status.phase}")

    if expected == "Pending":
        told = "jsonpath={.status.conditions[0].reason}"
        eventually("it is told", lambda: sky.kubectl("get", "pod", name, "-o", told) == "Unschedulable")
    else:
        eventually("it runs", lambda: phase() == expected)
    return phase()
