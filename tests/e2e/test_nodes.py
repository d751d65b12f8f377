"""Tasks of several nodes: who is who, what each is told, and that they end together."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Sky, eventually, namespace, touch, until

# One line of JSON: what a job is told
TELL = """python3 -c 'import json, os
print(json.dumps({key: value for key, value in os.environ.items() if key.startswith("SKYPILOT_")}))'
"""


def task_file(folder: Path, **task: object) -> str:
    file = folder / "task.yaml"
    file.write_text(yaml.safe_dump({"resources": {"cpus": 0.1, "memory": 0.1}, **task}))
    return str(file)


def by_rank(out: str) -> dict[int, list[str]]:
    """The lines of each node, without their prefixes; every line must have one."""
    lines: dict[int, list[str]] = {}
    for line in out.splitlines():
        found = re.fullmatch(r"\((head|worker(\d+)), rank=(\d+)\) (.*)", line)
        assert found, line
        assert (found[2] or "0") == found[3], line
        lines.setdefault(int(found[3]), []).append(found[4])
    return lines


def by_index(sky: Sky, name: str) -> list[dict[str, Any]]:
    """The pods by rank."""
    index = "batch.kubernetes.io/job-completion-index"
    return sorted(sky.pods(name), key=lambda pod: int(pod["metadata"]["annotations"][index]))


def addresses(sky: Sky, name: str) -> list[str]:
    """The pods' addresses by rank."""
    return [pod["status"]["podIP"] for pod in by_index(sky, name)]


@pytest.fixture(scope="module")
def pair(kubeconfig: str) -> Iterator[Sky]:
    """`pair` is up: two nodes."""
    with namespace(kubeconfig) as sky:
        sky.ok("launch", "--cpus", "0.1", "--num-nodes", "2", "-c", "pair", "--", "echo rank $SKYPILOT_NODE_RANK")
        yield sky


@pytest.mark.parametrize("nodes", (1, 2, 5))
def test_what_the_nodes_are_told(sky: Sky, tmp_path: Path, nodes: int) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "data.txt").write_text("data\n")
    script = f"pwd\ncat data.txt\n{TELL}"
    out = sky.ok(
        "launch", task_file(tmp_path, name="told", num_nodes=nodes, workdir=str(work), setup=script, run=script)
    ).out
    lines = by_rank(out) if nodes > 1 else {0: out.splitlines()}
    assert sorted(lines) == list(range(nodes))
    ips = "\n".join(addresses(sky, "told"))
    context = sky.kubectl("config", "current-context").strip()
    (job_id,) = {json.loads(told[2])["SKYPILOT_TASK_ID"] for told in lines.values()}
    assert re.fullmatch(r"sky-\d{4}(-\d\d){5}-\d{6}_told_1", job_id)
    for rank, (folder, data, *in_setup, again, data_again, in_run) in lines.items():
        assert (folder, data, again, data_again) == ("/root/sky_workdir", "data") * 2
        known = json.loads(in_run)
        info = json.loads(known.pop("SKYPILOT_CLUSTER_INFO"))
        assert list(info.items()) == [
            ("cluster_name", "told"), ("cloud", "Kubernetes"), ("region", context), ("zone", None)
        ]  # fmt: skip
        assert known.pop("SKYPILOT_USER")
        assert known == {
            "SKYPILOT_NODE_IPS": ips,
            "SKYPILOT_NUM_NODES": str(nodes),
            "SKYPILOT_NODE_RANK": str(rank),
            "SKYPILOT_NUM_GPUS_PER_NODE": "0",
            "SKYPILOT_TASK_ID": job_id,
            "SKYPILOT_INTERNAL_JOB_ID": "1",
        }
        setup = {key: value for key, value in json.loads(in_setup[0]).items() if key.startswith("SKYPILOT_SETUP_")}
        assert setup == {
            "SKYPILOT_SETUP_NODE_IPS": ips,
            "SKYPILOT_SETUP_NODE_RANK": str(rank),
            "SKYPILOT_SETUP_NUM_GPUS_PER_NODE": "0",
        }


def test_one_that_fails_ends_the_others(pair: Sky) -> None:
    fails = f"[ $SKYPILOT_NODE_RANK = 1 ] && {{ {until('fail')}; exit 5; }}"
    script = f'trap "echo ending; exit 0" TERM; echo set; {fails}; sleep 100 & wait'
    with pair.start("exec", "pair", "--num-nodes", "2", "--", script) as client:
        assert client.stdout and {by_rank(client.stdout.readline()).popitem()[0] for _ in range(2)} == {0, 1}
        touch(pair, "fail", by_index(pair, "pair")[1])
        began = time.monotonic()
        out, err = client.communicate(timeout=60)
    assert client.returncode == 5 and "on node 1 with exit code 5" in err, err
    assert by_rank(out) == {0: ["ending"]}
    assert time.monotonic() - began < 4.5
    left = pair.ok("exec", "pair", "--num-nodes", "2", "--", "pgrep -x sleep || echo none")
    assert by_rank(left.out) == {0: ["none"], 1: ["none"]}


def test_one_that_fails_at_once_ends_those_that_only_start(pair: Sky) -> None:
    began = time.monotonic()
    script = "[ $SKYPILOT_NODE_RANK = 0 ] && exit 5; sleep 100"
    assert pair.run("exec", "pair", "--num-nodes", "2", "--", script).code == 5
    assert time.monotonic() - began < 5


def test_one_that_will_not_end_is_killed(pair: Sky) -> None:
    script = 'trap "" TERM; [ $SKYPILOT_NODE_RANK = 0 ] && { sleep 0.5; exit 6; }; sleep 100'
    result = pair.run("exec", "pair", "--num-nodes", "2", "--", script, timeout=30)
    assert result.code == 6 and "on node 0" in result.err, result


def test_a_node_that_is_up_later_is_not_waited_for_any_longer(sky: Sky) -> None:
    """Copying the tools delays each node's sshd: the first try to reach it may come too early."""
    sky.env["KUBECTL_SKY_IMAGE_VOLUMES"] = "false"
    began = time.monotonic()
    sky.ok("launch", "--cpus", "0.1", "--num-nodes", "3", "-c", "late", "--", "true")
    assert time.monotonic() - began < 11


def test_setup_fails_on_one(sky: Sky, tmp_path: Path) -> None:
    setup = "[ $SKYPILOT_SETUP_NODE_RANK = 1 ] && exit 4; sleep 100"
    result = sky.run("launch", task_file(tmp_path, name="bad", num_nodes=2, setup=setup, run="echo never"))
    assert (result.code, result.out) == (4, "") and "failed in setup on node 1" in result.err, result


def test_logs_of_one_node(pair: Sky) -> None:
    assert by_rank(pair.ok("logs", "pair", "1").out) == {0: ["rank 0"], 1: ["rank 1"]}
    assert pair.ok("logs", "pair", "1", "--node", "1").out == "rank 1\n"
    assert pair.ok("logs", "pair", "1", "--node", "0").out == "rank 0\n"
    for pod in pair.pods("pair"):
        rank = pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]
        assert f"rank {rank}\n" in pair.kubectl("logs", pod["metadata"]["name"], "-c", "task")


def test_a_job_on_fewer_nodes(pair: Sky) -> None:
    assert pair.ok("exec", "pair", "--num-nodes", "1", "--", "echo of $SKYPILOT_NUM_NODES").out == "of 1\n"
    for flags in ([], ["--tail", "1"]):  # as it was followed: without prefixes
        assert pair.ok("logs", "pair", *flags).out == "of 1\n"
    more = pair.run("exec", "pair", "--num-nodes", "3", "--", "true")
    assert more.code == 2 and "2 node" in more.err


def test_lines_are_never_mixed(pair: Sky) -> None:
    script = "for i in $(seq 300); do printf 'aaaaaaaaaa'; printf 'bbbbbbbbbb\\n'; done; printf 'no end'"
    lines = by_rank(pair.ok("exec", "pair", "--num-nodes", "2", "--", script).out)
    for rank in (0, 1):
        assert lines[rank] == ["aaaaaaaaaabbbbbbbbbb"] * 300 + ["no end"]


def test_nodes_find_each_other_by_name(pair: Sky) -> None:
    script = "hostname; for rank in 0 1; do getent hosts pair-$rank.pair | cut -d' ' -f1; done"
    lines = by_rank(pair.ok("exec", "pair", "--num-nodes", "2", "--", script).out)
    assert lines == {rank: [f"pair-{rank}", *addresses(pair, "pair")] for rank in (0, 1)}


def test_ssh_to_each_node(pair: Sky) -> None:
    assert pair.ok("ssh", "pair", "hostname").out == "pair-0\n"
    assert pair.ok("ssh", "--node", "1", "pair", "hostname").out == "pair-1\n"


@pytest.mark.heavy
def test_a_wait_for_a_node_that_is_up_and_not_reached_ends(sky: Sky) -> None:
    rendered = sky.ok(
        "render", "-c", "apart", "--num-nodes", "2", "--cpus", "0.1", "--show-secrets", "-o", "json", "--", "true"
    )
    listed = json.loads(rendered.out)
    listed["items"] = [one for one in listed["items"] if one["kind"] != "Service"]  # the nodes have no names
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    eventually("its pods run", lambda: "2/2" in sky.ok("status", "apart").out)
    result = sky.run("logs", "apart")
    assert result.code == 1 and "waiting for node 1, which is up, but node 0 of apart does not reach it" in result.err
    assert "kubectl sky down" in result.err
