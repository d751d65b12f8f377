"""Many nodes: ranks, addresses, one for all and all for one."""

import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import Sky

SHOW = 'echo "$SKYPILOT_NODE_RANK/$SKYPILOT_NUM_NODES $(echo "$SKYPILOT_NODE_IPS" | tr "\\n" ",") $(hostname) $(cat data.txt)"'


@pytest.mark.parametrize("nodes", [2, 5])
def test_ranks_and_addresses(sky: Sky, tmp_path: Path, nodes: int) -> None:
    (tmp_path / "data.txt").write_text("data")
    task = {
        "name": "many", "num_nodes": nodes, "workdir": str(tmp_path), "resources": {"cpus": 0.1},
        "setup": "echo setup $SKYPILOT_SETUP_NODE_RANK", "run": SHOW + "; getent hosts many-1.many",
    }  # fmt: skip
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(task))
    out = sky.ok("launch", str(tmp_path / "task.yaml")).out
    ips = {
        int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]): pod["status"]["podIP"]
        for pod in sky.pods("many")
    }
    joined = ",".join(ips[rank] for rank in range(nodes))
    for rank in range(nodes):
        who = "(head, rank=0)" if rank == 0 else f"(worker{rank}, rank={rank})"
        assert f"{who} setup {rank}\n" in out
        assert re.search(rf"{re.escape(who)} {rank}/{nodes} {re.escape(joined)},? many-{rank} data\n", out), out
        assert re.search(rf"{re.escape(who)} {re.escape(ips[1])} +many-1\.many", out), out
    only = sky.ok("logs", "many", "--node", "1").out
    assert only.startswith("setup 1\n1/") and "rank=" not in only


def test_one_node_that_fails_ends_the_others(sky: Sky) -> None:
    run = "echo rank $SKYPILOT_NODE_RANK; [ $SKYPILOT_NODE_RANK = 1 ] && exit 42; sleep 300; echo never"
    result = sky.run("launch", "--cpus", "0.1", "--num-nodes", "3", "-c", "gang", "--", run, timeout=60)
    assert result.code == 42 and "never" not in result.out and "node 1" in result.err, result
    assert sky.ok("exec", "gang", "--num-nodes", "3", "--", "pgrep -f 'sleep 300' || echo none").out.count("none") == 3


def test_variables_have_the_exact_formats(sky: Sky) -> None:
    out = sky.ok("launch", "--cpus", "0.1", "-c", "vars", "--name", "v", "--", "env").out
    env = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    assert re.fullmatch(r"sky-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}_vars_1", env["SKYPILOT_TASK_ID"])
    assert env["SKYPILOT_NODE_IPS"] == sky.pods("vars")[0]["status"]["podIP"]
    info = json.loads(env["SKYPILOT_CLUSTER_INFO"])
    assert list(info) == ["cluster_name", "cloud", "region", "zone"] and info["cloud"] == "Kubernetes"
    assert (env["SKYPILOT_NUM_GPUS_PER_NODE"], env["SKYPILOT_INTERNAL_JOB_ID"]) == ("0", "1")
    assert not any(name.startswith("SKYPILOT_SETUP") for name in env)
