"""Task files as people publish them: the API server accepts what each becomes, in a dry run; nothing is created."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from kubectl_sky import task as tasks
from kubectl_sky.taskfile import mounts
from tests.e2e.conftest import PROJECT, Result, Sky, namespace

CONFORMANCE = PROJECT / "tests/conformance"

# file -> what a launch says; valid files that cannot be one launch here, and why
REFUSED = {
    "examples__chain_dag__2_jobs.yaml": "a pipeline of 2 tasks is no cluster of one task",
    "examples__elastic_training__job.yaml": "a job group of 2 tasks is no cluster of one task",
    "tests__test_yamls__test_managed_jobs_retry.yaml": "a pipeline of 2 tasks is no cluster of one task",
}
# file -> why the test cluster has no place for it: rendered, and given to the server without a look at nodes
NOT_HERE = {
    "examples__disk_size.yaml": "a disk of 512 GB",
    "sky__recipes__examples__basic_pool.yaml": "4 CPUs, the nodes have 2",
    "tests__test_yamls__pvc_volume.yaml": "a volume that exists, and a default StorageClass",
}
# file -> what it wants from the command line
GIVEN = {
    "llm__kimi-k2__kimi-k2.sky.yaml": ("--secret", "HF_TOKEN=x"),
    "tests__test_yamls__test_managed_jobs_mount_cached_writer.yaml": ("--env", "TEST_BUCKET=some-bucket"),
}


def valid() -> list[str]:
    """The corpus files that are valid here, wherever their own files are."""
    with open(CONFORMANCE / "corpus.tsv", encoding="utf-8") as file:
        names = [row[0] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)][1:]
    return [name for name in names if parsed(name, Path("/"))]


def parsed(name: str, base: Path) -> tuple[tasks.Task, ...]:
    with mock.patch.object(mounts, "_exists", lambda path, as_folder=False: True):
        try:
            return tasks.parse_all((CONFORMANCE / "corpus" / name).read_bytes(), name, base=base)[0].tasks
        except tasks.TaskErrors:
            return ()


def make_local_files(task: tasks.Task) -> None:
    """The folders and files that it takes along."""
    if isinstance(task.workdir, Path):
        task.workdir.mkdir(parents=True, exist_ok=True)
    for mount in task.file_mounts:
        if isinstance(mount.src, Path) and not mount.src.exists():
            mount.src.parent.mkdir(parents=True, exist_ok=True)
            mount.src.write_text("text\n")


@pytest.fixture(scope="module")
def shared(kubeconfig: str) -> Iterator[Sky]:
    with namespace(kubeconfig) as sky:
        yield sky


def dry_run(sky: Sky, file: Path, task: tasks.Task) -> Result:
    """By launch; with `render` where the test cluster has no such nodes, which a launch would say."""
    given = ("-c", "corpus", *GIVEN.get(file.name, ()))
    if file.name not in NOT_HERE and not any(one.accelerators for one in task.resources.candidates()[0]):
        return sky.run("launch", str(file), *given, "--dry-run=server")
    rendered = sky.ok("render", str(file), *given, "--show-secrets")
    return Result(0, sky.kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered.out), rendered.err)


@pytest.mark.parametrize("name", valid())
def test_the_server_accepts_it(shared: Sky, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / name
    file.write_bytes((CONFORMANCE / "corpus" / name).read_bytes())
    found = parsed(name, tmp_path)
    for task in found:
        make_local_files(task)
    agreed = {"KUBECTL_SKY_ALLOW_PRIVILEGED_MOUNTS": "true"}  # a bucket is mounted; no node has a plugin for FUSE
    sky = Sky(shared.namespace, shared.kubeconfig, agreed, cwd=tmp_path)
    if name in REFUSED:
        refused = sky.run("launch", str(file), "--dry-run=server")
        assert refused.code == 2 and REFUSED[name] in refused.err, refused
        return
    result = dry_run(sky, file, found[0])
    assert result.code == 0, result
    assert any(line.startswith(("job/corpus ", "job.batch/corpus ")) for line in result.out.splitlines()), result
    assert "server dry run" in result.out


def test_nothing_was_created(shared: Sky) -> None:
    assert shared.kubectl("get", "jobs,pods,services,secrets,pvc", "-o", "name") == ""
