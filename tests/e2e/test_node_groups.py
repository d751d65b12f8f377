"""Node groups that have no node yet: a launch that only fits there waits for the node, and runs on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.e2e.conftest import OwnCluster, eventually, namespace

GROUPS = """node_groups:
  '*':
    - name: h100-pool
      labels: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
      allocatable: {cpu: 2, memory: 4Gi, nvidia.com/gpu: 8}
      max: 2
"""


def test_a_launch_waits_for_the_scale_up(own_cluster: OwnCluster, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(GROUPS)
    with namespace(own_cluster.kubeconfig) as plain:
        sky = replace(plain, env={"KUBECTL_SKY_CONFIG": str(tmp_path / "config.yaml")})
        words = ("launch", "-c", "late", "--gpus", "H100:2", "--cpus", "0.2", "--memory", "0.2", "--", "echo ran")
        refused = plain.run(*words)
        assert refused.code == 1 and "can ever run this task" in refused.err, refused
        shown = sky.ok("launch", "--dry-run=client", *words[1:])
        assert "1" in shown.err and "on new h100-pool" in shown.err, shown
        started = sky.start(*words)
        try:
            eventually(
                "a pod waits for a node", lambda: [p["status"]["phase"] for p in sky.pods("late")] == ["Pending"]
            )
            own_cluster.do("dress", "nvidia-h100")  # the autoscaler has made it
            out, err = started.communicate(timeout=60)
            assert (started.returncode, out) == (0, "ran\n"), err
        finally:
            started.kill()
            own_cluster.do("undress")
