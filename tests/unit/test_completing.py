"""What is completed without a cluster; and that nothing is ever said but an answer."""

from __future__ import annotations

import pytest

from kubectl_sky import completing


@pytest.mark.parametrize(
    ("words", "some", "directive"),
    [
        ([""], {"launch", "volumes", "version"}, 4),
        (["la"], {"launch", "label-gpus"}, 4),
        (["volumes", ""], {"apply", "ls", "delete"}, 4),
        (["--con"], {"--context"}, 4),
        (["launch", "--idle"], {"--idle-minutes-to-autostop"}, 4),
        (["launch", "--name"], {"--name", "--namespace"}, 4),
        (["launch", "--wait-for", "jobs"], {"jobs", "jobs_and_ssh"}, 4),
        (["launch", "-d", "ta"], {"yaml", "yml"}, 8),
        (["launch", "-c", "x", "--workdir", ""], set(), 16),
        (["-n", "x", "validate", "a.yaml", ""], {"yaml", "yml"}, 8),
        (["status", "--color", ""], {"auto", "always", "never"}, 4),
        (["cp", "./a"], set(), 0),
        (["nonsense", ""], set(), 0),
        ([], set(), 0),
    ],
)
def test_answers(words: list[str], some: set[str], directive: int) -> None:
    *lines, end = completing.answer(words).splitlines()
    found = {line.split("\t")[0] for line in lines}
    assert end == f":{directive}" and (some <= found if some else not found)


def test_a_cluster_that_is_away_completes_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert completing.answer(["down", ""]) == ":0\n"
