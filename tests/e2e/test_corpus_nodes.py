"""SkyPilot's own examples of several nodes, run: what they hand to torchrun, mpirun, Ray, vLLM and sglang.

Those programs are stood for by one that says how it was called; the scripts are as they are published.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.e2e.conftest import Sky
from tests.e2e.test_corpus import CONFORMANCE

SAYS = "torchrun mpirun ray vllm python sudo ps sleep"
STANDS = f"""mkdir -p ~/says ~/examples/mingpt ~/examples/.venv/bin; touch ~/examples/.venv/bin/activate
for name in {SAYS}; do printf '#!/bin/sh\\necho "%s $*"\\n' $name > ~/says/$name; chmod +x ~/says/$name; done"""


def said(sky: Sky, name: str) -> dict[int, list[str]]:
    """What the programs say on each of two nodes when the example runs, a call a line."""
    task = yaml.safe_load((CONFORMANCE / "corpus" / name).read_text())
    script = f"export PATH=~/says:$PATH; cd\n{task['run']}"
    envs = [word for key, value in (task.get("envs") or {}).items() for word in ("--env", f"{key}={value}")]
    lines = sky.ok("exec", "pair", "--num-nodes", "2", *envs, "--", script).out.splitlines()
    prefixes = ("(head, rank=0) ", "(worker1, rank=1) ")
    return {rank: [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]
            for rank, prefix in enumerate(prefixes)}  # fmt: skip


def test_what_examples_of_several_nodes_make_of_their_variables(sky: Sky) -> None:
    sky.ok("launch", "-c", "pair", "--num-nodes", "2", "--cpus", "0.1", "--", STANDS)
    pods = sorted(sky.pods("pair"), key=lambda pod: pod["metadata"]["name"])
    first, second = (pod["status"]["podIP"] for pod in pods)

    train = said(sky, "examples__distributed-pytorch__train.yaml")
    for rank in (0, 1):
        where = f"--master_addr={first} --master_port=8008 --node_rank={rank}"
        assert train[rank][-1] == f"torchrun --nnodes=2 --nproc_per_node=0 {where} main.py"
    rdzv = said(sky, "examples__distributed-pytorch__train-rdzv.yaml")
    assert "--rdzv_endpoint=localhost:29500 " in rdzv[0][-1] and f"--rdzv_endpoint={first}:29500 " in rdzv[1][-1]
    names = {line.partition("--rdzv_id ")[2] for line in (rdzv[0][-1], rdzv[1][-1])}
    assert len(names) == 1 and names.pop().startswith("sky-")  # one job has one id on all nodes

    nccl = said(sky, "examples__coreweave_infiniband__coreweave_nccl_test.yaml")
    assert nccl[0][:2] == ["Head node", f"All nodes: {first}:0,{second}:0"] and nccl[1] == ["Worker nodes"]
    assert nccl[0][2].startswith(f"mpirun --allow-run-as-root --tag-output -H {first}:0,{second}:0 -np 0 -N 0 ")

    served = said(sky, "llm__deepseek-r1__deepseek-r1-671B.yaml")
    for rank in (0, 1):
        assert f"--dist-init-addr {first}:5000 --nnodes 2 --node-rank {rank} " in served[rank][-1]

    kimi = said(sky, "llm__kimi-k2__kimi-k2.sky.yaml")
    assert "ray start --head --disable-usage-stats --port 6379" in kimi[0]
    assert f"ray start --address {first}:6379 --disable-usage-stats" in kimi[1]
    assert kimi[0][-1].startswith("vllm serve moonshotai/Kimi-K2-Instruct --port 8081")
    assert "--pipeline-parallel-size 2 " in kimi[0][-1] and kimi[1][-1] == "sleep infinity"


def test_these_are_all_examples_of_several_nodes() -> None:
    """None that comes with the corpus later is left out."""
    several = set()
    for path in sorted(Path(CONFORMANCE / "corpus").glob("*.yaml")):
        text = path.read_text(errors="replace")
        if "num_nodes: 2" in text and "SKYPILOT_NODE_RANK" in text:
            several.add(path.name)
    assert several
    assert all(f'"{name}"' in Path(__file__).read_text() for name in several), several
