"""The examples as they are, but for the image: no registry can be reached from the test cluster, and no internet.

What would download something runs with what is there, or not at all; each such test says which.
"""

from __future__ import annotations

import json
import re
import urllib.request
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import PROJECT, Sky, eventually, image, loaded

PYTHON = ("--cpus", "0.1", "--memory", "0.5", "--image-id", image("python"))
EXAMPLES = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "examples").rglob("*.yaml"))


def test_hello(sky: Sky) -> None:
    assert sky.ok("launch", "examples/hello.yaml", *PYTHON).out == "hello from node 0 of 1\n"


def test_env_and_secrets(sky: Sky) -> None:
    file = "examples/env-secrets.yaml"
    missing = sky.run("launch", file, *PYTHON)
    assert missing.code != 0 and "API_TOKEN" in missing.err and not sky.pods("env-secrets"), missing
    sky.env["API_TOKEN"] = "0123456789"
    out = sky.ok("launch", file, *PYTHON, "--env", "MODEL=small", "--secret", "API_TOKEN").out
    assert out == 'model small\nquotes " and $dollars stay as they are\nthe token has 10 characters\n'


def test_custom_image(sky: Sky) -> None:
    """On the tests' own busybox."""
    out = sky.ok("launch", "examples/custom-image.yaml", "--cpus", "0.1", "--image-id", image("busybox")).out
    assert out.startswith("BusyBox v")


def test_workdir_and_the_exec_after_it(sky: Sky) -> None:
    file = "examples/workdir/task.yaml"
    lines = sky.ok("launch", file, *PYTHON).out.splitlines()
    assert [line.split(" loss")[0] for line in lines] == [f"step {step}/5" for step in range(1, 6)]
    assert len(sky.ok("exec", "train", file, "--env", "STEPS=7").out.splitlines()) == 7


def test_rendezvous_of_two_nodes(sky: Sky) -> None:
    lines = sky.ok("launch", "examples/rendezvous/task.yaml", *PYTHON).out.splitlines()
    expected = [
        f"({name}, rank={rank}) rank {rank}/2 step {step}: all-reduce = [3, 30, {2 * step}]"
        for rank, name in enumerate(("head", "worker1"))
        for step in range(3)
    ]
    assert sorted(lines) == sorted(expected)


def wheel(folder: Path) -> None:
    """A package that stands for tabulate 0.9.0, with the one function that the example uses."""
    info = "tabulate-0.9.0.dist-info"
    files = {
        "tabulate.py": """def tabulate(rows, headers):
    return '\\n'.join(' '.join(row) for row in [headers, *rows])
""",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tabulate\nVersion: 0.9.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "tabulate-0.9.0-py3-none-any.whl", "w") as archive:
        for name, text in {**files, f"{info}/RECORD": "".join(f"{name},,\n" for name in files)}.items():
            archive.writestr(name, text)


def test_pip(sky: Sky, tmp_path: Path) -> None:
    """pip really installs in setup, but from a package that the test puts into the workdir: pods have no internet."""
    for path in (PROJECT / "examples/pip").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    wheel(tmp_path)
    offline = ("--env", "PIP_NO_INDEX=1", "--env", "PIP_FIND_LINKS=.", "--workdir", str(tmp_path))
    out = sky.ok("launch", "examples/pip/task.yaml", *PYTHON, *offline).out
    assert re.search(r"what value\npython 3\.\d+\.\d+\nmachine \w+\n", out), out


def test_web_from_the_users_machine(sky: Sky) -> None:
    sky.ok("launch", "examples/web.yaml", "-d", *PYTHON)
    connect = "import socket; socket.create_connection(('127.0.0.1', 8080))"
    eventually("the server listens", lambda: sky.run("exec", "web", "--", "python3", "-c", connect).code == 0)
    with sky.start("port-forward", "web", ":8080") as forward:
        try:
            assert forward.stdout
            address = re.match(r"Forwarding (\S+) -> 8080 ", forward.stdout.readline())
            assert address
            assert urllib.request.urlopen(address[1], timeout=20).read() == b"hello from the cluster\n"
        finally:
            forward.kill()


def test_mpi_over_four_nodes(sky: Sky) -> None:
    """The image has what the setup would install; no ssh, which the task's own stands for."""
    small = ("--cpus", "0.1", "--memory", "0.5", "--image-id", loaded("mpi"))
    lines = sky.ok("launch", "examples/mpi.yaml", *small).out.splitlines()
    hello = [line.removeprefix("(head, rank=0) ") for line in lines if "hello" in line]
    assert sorted(hello) == [f"hello from MPI rank {rank} of 4 on mpi-{rank}" for rank in range(4)]


@pytest.mark.heavy
def test_torchrun_over_three_nodes(sky: Sky) -> None:
    small = ("--cpus", "0.2", "--memory", "2", "--image-id", loaded("torch"))
    lines = sky.ok("launch", "examples/torchrun.yaml", *small, timeout=400).out.splitlines()
    sums = [line.partition(") ")[2] for line in lines if "the sum" in line]
    assert sorted(sums) == [f"rank {rank} of 3: the sum is 6" for rank in range(3)]


@pytest.mark.heavy
def test_ray_head_and_workers(sky: Sky) -> None:
    small = ("--cpus", "0.2", "--memory", "3", "--image-id", loaded("torch"))
    out = sky.ok("launch", "examples/ray.yaml", *small, timeout=400).out
    assert "ran on: ray-0 ray-1 ray-2" in out


@pytest.mark.parametrize("file", ("examples/gpu.yaml", "examples/jupyter.yaml"))
def test_what_needs_gpus_or_downloads_is_accepted_by_the_server(sky: Sky, file: str) -> None:
    """These do not run here: no node has a GPU, and pip and apt have nowhere to download from."""
    kinds = [item["kind"] for item in json.loads(sky.ok("render", file, "-o", "json").out)["items"]]
    assert {"Job", "Secret", "ConfigMap"} <= set(kinds)
    if file != "examples/gpu.yaml":
        assert "created (server dry run)" in sky.ok("launch", file, "--dry-run=server").out
    else:
        none = sky.run("launch", file, "--provision-timeout", "3s")
        assert (none.code != 0 and "GPU" in none.err.upper()) or "T4" in none.err, none


def test_every_example_is_covered_here() -> None:
    """Or, that of volumes, in test_volumes.py."""
    here = "".join(Path(__file__).with_name(name).read_text() for name in ("test_examples.py", "test_volumes.py"))
    assert all(f'"{name}"' in here for name in EXAMPLES), EXAMPLES
    names = [yaml.safe_load((PROJECT / name).read_text())["name"] for name in EXAMPLES]
    assert len(set(names)) == len(names) == 13
