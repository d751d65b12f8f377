"""network_tier: best on the nodes of each kind of cluster."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_sky import planning, podspec
from kubectl_sky import task as tasks
from kubectl_sky.capacity import nodes
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.optimizer import Place, candidates, choose

GPUS = {"nvidia.com/gpu": "8"}


def node(amounts: dict[str, str], labels: dict[str, str] | None = None, name: str = "n") -> Node:
    return nodes.read(
        {
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", **(labels or {})}},
            "status": {"allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", **amounts},
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }
    )  # fmt: skip


def planned(there: list[Node] | None, task: str, level: str = "privileged") -> podspec.Plan:
    task_ = tasks.parse(task, "t.yaml")[0]
    candidate = choose(candidates(task_, [Place("", there)]), ordered=True)
    facts = podspec.Facts(nodes=None if there is None else tuple(there), pod_security=level)
    return planning.plan(candidate, planning.Options("train"), facts, podspec.Identity("", ""))


def task(gpus: int = 8, num_nodes: int = 1, tier: str = "best") -> str:
    return f"num_nodes: {num_nodes}\nresources: {{accelerators: 'H100:{gpus}', network_tier: {tier}}}\nrun: x"


def rendered(plan: podspec.Plan) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod's spec, and its task container."""
    spec = podspec.render(plan)[-1]["spec"]["template"]["spec"]
    return spec, spec["containers"][0]


@pytest.mark.parametrize(("amounts", "labels", "gpus", "wanted", "env"), [
    ({"rdma/ib": "1"}, {"ib.coreweave.cloud/speed": "400G"}, 8, {"rdma/ib": "1"}, {"NCCL_IB_HCA": "ibp"}),
    ({"nvidia.com/rdma_ib": "8"}, {"node-role.together.ai/gpu": ""}, 4, {"nvidia.com/rdma_ib": "4"},
     {"NCCL_IB_HCA": "mlx5"}),
    ({"vpc.amazonaws.com/efa": "32"}, {}, 2, {"vpc.amazonaws.com/efa": "8"}, {"FI_PROVIDER": "efa"}),
    ({"vpc.amazonaws.com/efa": "1"}, {}, 1, {"vpc.amazonaws.com/efa": "1"}, {"FI_PROVIDER": "efa"}),
    ({}, {"nebius.com/gpu-name": "H100"}, 8, {}, {"NCCL_IB_HCA": "mlx5"}),
    ({"rdma/hca_shared_devices_a": "63"}, {}, 8, {"rdma/hca_shared_devices_a": "1"}, {}),
])  # fmt: skip
def test_the_network_of_each_cloud(amounts, labels, gpus, wanted, env):
    plan = planned([node(GPUS, name="without"), node({**GPUS, **amounts}, labels)], task(gpus))
    _, container = rendered(plan)
    for kind in ("requests", "limits"):
        devices = {k: v for k, v in container["resources"][kind].items() if "/" in k and k != "nvidia.com/gpu"}
        assert devices == wanted
    assert container["securityContext"]["capabilities"] == {"add": ["IPC_LOCK"]}
    assert env.items() <= {one["name"]: one.get("value") for one in container["env"]}.items()
    assert not plan.notes


def test_efa_works_in_one_zone_only():
    there = [node({**GPUS, "vpc.amazonaws.com/efa": "32"}, name=name) for name in "ab"]
    affinity = rendered(planned(there, task(num_nodes=2)))[0]["affinity"]
    [term] = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "topology.kubernetes.io/zone"
    assert term["labelSelector"] == {"matchLabels": {"app.kubernetes.io/instance": "train"}}
    assert "podAntiAffinity" in affinity  # what the scheduling asks for stays
    assert "podAffinity" in rendered(planned(there, task()))[0]["affinity"]  # bin packing, and nothing required
    assert "required" not in str(rendered(planned(there, task()))[0]["affinity"]["podAffinity"])


@pytest.mark.parametrize(("there", "level", "why"), [
    ([node(GPUS)], "privileged", "no node that the task can go to has a fast network"),
    ([node({**GPUS, "rdma/ib": "0"})], "privileged", "no node that the task can go to"),
    ([node(GPUS, {"oci.oraclecloud.com/rdma.cluster": "x"})], "privileged", "OCI's RDMA needs the host's network"),
    ([node(GPUS, {"node.kubernetes.io/instance-type": "a3-highgpu-8g"})], "privileged", "GKE's GPUDirect needs"),
    ([node({**GPUS, "rdma/ib": "1"})], "baseline", "Pod Security level baseline forbids"),
    (None, "privileged", "the nodes are not known"),
])  # fmt: skip
def test_where_there_is_none_one_note_and_the_pod_as_ever(there, level, why):
    plan = planned(there, task(), level)
    [note] = plan.notes
    assert note.startswith("network_tier: best is ignored: ")
    assert why in note
    assert rendered(plan)[1] == rendered(planned(there, task(tier="standard"), level))[1]


def test_only_nodes_that_the_task_can_go_to_count():
    cpus = nodes.read({"metadata": {"name": "c", "labels": {}},
                       "status": {"allocatable": {"cpu": "64", "memory": "512Gi", "pods": "9", "rdma/ib": "1"},
                                  "conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip
    assert planned([cpus, node(GPUS)], task()).notes
    assert not planned([cpus], "resources: {network_tier: best}\nrun: x").notes
