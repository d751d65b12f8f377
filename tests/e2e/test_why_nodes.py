"""Why a task has no place, where its nodes may be changed: taints, cordons, GPUs that others hold, preemption."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Result, Sky, eventually, image, namespace
from tests.e2e.why_cases import apply

SMALL = ("--cpus", "0.1", "--memory", "0.1")
H100 = "nvidia.com/gpu.product=NVIDIA-H100-80GB-HBM3"


@pytest.fixture
def lab(own_cluster: OwnCluster) -> Iterator[Sky]:
    """A namespace of the cluster of one's own; its two nodes are as they were afterwards."""
    with namespace(own_cluster.kubeconfig) as sky:
        try:
            yield sky
        finally:
            for node in ("node-1", "node-2"):
                sky.kubectl("uncordon", node)
                sky.kubectl("taint", "node", node, "sku-", check=False)
                sky.kubectl("label", "node", node, "nvidia.com/gpu.product-")


def waiting(sky: Sky, *args: str) -> tuple[Result, Result]:
    """A launch that finds no place, and what is explained of it."""
    launched = sky.run("launch", "-c", "wait", "--provision-timeout", "4s", *args, "--", "true")
    return launched, sky.run("explain", "wait")


def fake_gpus(sky: Sky, node: str, count: int) -> None:
    patch = json.dumps({"status": {"capacity": {"nvidia.com/gpu": str(count)}}})
    sky.kubectl("patch", "node", node, "--subresource=status", "--type=merge", f"-p={patch}")
    sky.kubectl("label", "node", node, H100, "--overwrite")


def holder(sky: Sky, name: str, node: str, **limits: str) -> None:
    container = {"name": "c", "image": image("busybox"), "command": ["sleep", "600"], "resources": {"limits": limits}}
    spec = {"nodeSelector": {"kubernetes.io/hostname": node}, "containers": [container],
            "tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 0}  # fmt: skip
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    sky.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def test_tainted(lab: Sky) -> None:
    lab.kubectl("taint", "node", "node-1", "node-2", "sku=gpu:NoSchedule")
    launched = lab.run("launch", "-c", "wait", *SMALL, "--", "true")
    assert launched.code != 0 and "2 have the taint sku=gpu:NoSchedule (node-1, node-2)" in launched.err, launched


def test_cordoned_and_tainted(lab: Sky) -> None:
    """The pod is there before the taint is."""
    lab.kubectl("cordon", "node-1", "node-2")
    launched, told = waiting(lab, *SMALL)
    assert launched.code == 124 and "none of 2 nodes can take it: 2 are cordoned" in launched.err, launched
    lab.kubectl("taint", "node", "node-1", "sku=gpu:NoSchedule")
    lab.kubectl("uncordon", "node-1")
    eventually("the taint is told", lambda: "1 has the taint" in lab.run("explain", "wait").out)
    told = lab.run("explain", "wait")
    assert "- 1 has the taint sku=gpu:NoSchedule (node-1)" in told.out and "- 1 is cordoned (node-2)" in told.out, told
    assert "tolerations: [{key: sku, operator: Equal, value: gpu, effect: NoSchedule}]" in told.out, told
    assert len(told.out.splitlines()) <= 25


def test_gpus_that_others_hold(lab: Sky) -> None:
    for node in ("node-1", "node-2"):
        fake_gpus(lab, node, 8)
    holder(lab, "big", "node-1", **{"nvidia.com/gpu": "6"})
    holder(lab, "all", "node-2", **{"nvidia.com/gpu": "8"})
    launched, told = waiting(lab, "--gpus", "H100:4", *SMALL)
    text = "2 have too few H100 free: it asks for 4, the most is 2 of 8 on node-1, held by big (6)"
    assert text in told.out and text in launched.err, (launched, told)
    groups = json.loads(lab.ok("explain", "wait", "-o", "json").out)["nodes"]
    assert [(group["obstacle"], group["key"], group["names"]) for group in groups] == [
        ("full", "nvidia.com/gpu", ["node-1", "node-2"])
    ]
    under = lab.ok("status", "-v").out
    assert re.search(r"^wait .*\n  none of 2 nodes can take it: 2 have too few H100 free", under, re.MULTILINE), under


def test_preempted(lab: Sky, tmp_path: Path) -> None:
    lab.kubectl("cordon", "node-2")
    for name, value in (("why-low", 1), ("why-high", 1000)):
        apply("PriorityClass", name, "scheduling.k8s.io/v1", value=value)(lab)
    spec = {"priorityClassName": "why-low", "terminationGracePeriodSeconds": 1}
    task = {"resources": {"cpus": 1, "memory": 0.1}, "run": "echo up; sleep 600",
            "config": {"kubernetes": {"pod_config": {"spec": spec}}}}  # fmt: skip
    file = tmp_path / "task.yaml"
    file.write_text(json.dumps(task))
    process = lab.start("launch", "-c", "low", str(file))
    assert process.stdout and "up" in process.stdout.readline()
    container = {
        "name": "c",
        "image": image("busybox"),
        "command": ["sleep", "60"],
        "resources": {"requests": {"cpu": "1.5"}},
    }
    high = {"priorityClassName": "why-high", "containers": [container], "terminationGracePeriodSeconds": 0}
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "high"}, "spec": high}))  # fmt: skip
    _, err = process.communicate(timeout=90)
    assert process.returncode not in (0, 130), err
    assert "pods of a higher priority took its place" in err or "preempted" in err.lower(), err
    assert "priorityClassName" in err, err


def test_an_autoscaler_adds_nodes(sky: Sky, tmp_path: Path) -> None:
    """What it says is posted in its place: the launch waits longer by itself, and says so."""
    spec = {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"no": "such"}}, "topologyKey": "kubernetes.io/hostname"}]}}}  # fmt: skip
    file = tmp_path / "task.yaml"
    config = {"kubernetes": {"provision_timeout": 4, "pod_config": {"spec": spec}}}
    file.write_text(json.dumps({"resources": {"cpus": 0.1}, "run": "true", "config": config}))
    process = sky.start("launch", "-c", "scaled", str(file))
    eventually("its pod is there", lambda: sky.pods("scaled"))
    pod = sky.pods("scaled")[0]["metadata"]
    about = {"kind": "Pod", "apiVersion": "v1", "name": pod["name"], "namespace": sky.namespace, "uid": pod["uid"]}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "scale"}, "involvedObject": about,
             "type": "Normal", "reason": "TriggeredScaleUp",
             "message": "pod triggered scale-up: [{pool 0->1 (max: 4)}]", "count": 1,
             "source": {"component": "cluster-autoscaler"}}  # fmt: skip
    sky.kubectl("create", "-f", "-", stdin=json.dumps(event))
    eventually("its limit is over, and it goes on", lambda: "adds a node for it" in sky.run("explain", "scaled").out)
    with pytest.raises(Exception, match="timed out"):
        process.wait(6)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert "An autoscaler adds nodes: waiting 15m in all" in err, err
    assert "the autoscaler adds a node for it (pod triggered scale-up: [{pool 0->1 (max: 4)}])" in err, err


def test_without_the_right_to_read_nodes(sky: Sky, tmp_path: Path) -> None:
    """The scheduler's own message is told in plain words, and that more is not known."""
    sky.kubectl("create", "rolebinding", "somebody", "--clusterrole=edit", "--user=somebody")
    file = tmp_path / "task.yaml"
    config = {"kubernetes": {"pod_config": {"spec": {"nodeSelector": {"pool": "a100"}}}}}
    file.write_text(json.dumps({"resources": {"cpus": 0.1}, "run": "true", "config": config}))
    launched = sky.run("launch", "-c", "wait", str(file), "--provision-timeout", "4s", "--as", "somebody")
    assert launched.code == 124, launched
    told = sky.run("explain", "wait", "--as", "somebody")
    for text in (launched.err, told.out):
        assert re.search(r"none of \d nodes can take it: \d lack the labels that it requires: pool=a100", text), text
    assert "what is on the nodes is not known: user 'somebody' may not list nodes" in told.out, told
