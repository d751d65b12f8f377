"""A managed job that checkpoints while its node is drained, deleted, or loses its kubelet: it resumes and ends once."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Sky, eventually, image, namespace
from tests.e2e.test_jobs import rows, status

pytestmark = pytest.mark.heavy
ROUNDS = int(os.environ.get("SKY_TEST_ROUNDS", "30"))
RUN = """\
mkdir -p /ckpt/$SKYPILOT_TASK_ID; cd /ckpt/$SKYPILOT_TASK_ID
step=$(cat step 2>/dev/null || echo 0); echo begins at $step >> told
while [ $step -lt $STEPS ]; do step=$((step + 1)); echo $step > new; mv new step; sleep 0.5; done
echo ended >> told
cat told
"""
# as soon as a node is not reachable, not after five minutes
SOON = """\
config:
  kubernetes:
    pod_config:
      spec:
        tolerations:
          - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
          - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}
"""


def drain(cluster: OwnCluster, sky: Sky, node: str) -> None:
    sky.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
    sky.kubectl("uncordon", node)


def delete(cluster: OwnCluster, sky: Sky, node: str) -> None:
    cluster.do("stop-kubelet", node)  # its machine is gone
    sky.kubectl("delete", "node", node)
    eventually("the pod is gone", lambda: not [pod for pod in sky.pods("ck") if on(pod, node)], 120)
    cluster.do("start-kubelet", node)
    eventually("the node is back", lambda: node in sky.kubectl("get", "nodes", "-o", "name"), 60)


def silence(cluster: OwnCluster, sky: Sky, node: str) -> None:
    cluster.do("stop-kubelet", node)
    eventually("its pods are to go", lambda: any("deletionTimestamp" in pod["metadata"] for pod in sky.pods("ck")), 90)
    cluster.do("start-kubelet", node)


def on(pod: dict, node: str) -> bool:
    return pod["spec"].get("nodeName") == node and pod["status"].get("phase") not in ("Failed", "Succeeded")


def test_thirty_losses(own_cluster: OwnCluster, tmp_path: Path) -> None:
    own_cluster.do("storage")
    with namespace(own_cluster.kubeconfig) as sky:
        shared = ("--storage-class", "shared", "--access-mode", "ReadWriteMany")
        sky.ok("volumes", "apply", "--name", "ck", "--size", "1Gi", *shared)
        resources = f"resources: {{cpus: 0.1, memory: 0.2, image_id: {image('busybox')}}}\n"
        file = tmp_path / "ck.yaml"
        file.write_text(f"name: ck\nvolumes: {{/ckpt: ck}}\n{resources}{SOON}run: {json.dumps(RUN)}\n")
        took = []
        for number in range(ROUNDS):
            how = (drain, delete, silence)[number % 3]
            # a container that nobody ends runs on: the job is still at it when the cluster notices
            steps = {drain: 12, delete: 200, silence: 100}[how]
            sky.ok("jobs", "launch", "-d", "--env", f"STEPS={steps}", str(file))
            eventually("it runs", lambda: status(sky, "ck") == "RUNNING", 120)
            time.sleep(1.5)
            (pod,) = (pod for pod in sky.pods("ck") if pod["status"]["phase"] == "Running")
            began = time.monotonic()
            how(own_cluster, sky, pod["spec"]["nodeName"])
            eventually(f"it has ended after {how.__name__}", lambda: status(sky, "ck") == "SUCCEEDED", 300)
            took.append((how.__name__, round(time.monotonic() - began)))
            print(f"round {number}: {how.__name__}, over {took[-1][1]} s after it began", flush=True)
            shown = rows(sky)["ck"]
            told = sky.ok("jobs", "logs", "ck").out.splitlines()
            told = told[told.index("begins at 0") :]
            assert (shown["recoveries"], told.count("ended")) == (1, 1), (how.__name__, shown, told)
            assert len(told) == 3 and 0 < int(told[1].split()[-1]) < steps, (how.__name__, told)
            sky.ok("down", "ck", "-y")
