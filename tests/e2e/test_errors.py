"""Whatever is wrong with the input or the way to the cluster: one clear message with the next step, in bounded time."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import PROJECT, Result, Sky

BROKEN = PROJECT / "tests/unit/broken"
FILES = sorted(path.name for path in BROKEN.glob("*.yaml"))
SMALL = ("--cpus", "0.1", "-c", "any")
VERBS = {
    "launch": ("launch", *SMALL, "--", "true"),
    "exec": ("exec", "any", "--", "true"),
    "logs": ("logs", "any"),
    "ssh": ("ssh", "any", "--", "true"),
    "down": ("down", "-y", "any"),
    "status": ("status",),
    "status of one": ("status", "any"),
}


def fine(result: Result) -> Result:
    """A message, and never a traceback or an object of a library."""
    assert result.code != 0 and "error: " in result.err, result
    assert not re.search(r"Traceback|unexpected|urllib3|0x[0-9a-f]{6}|HTTPSConnection", result.err), result
    return result


def each(run: Callable[[tuple[str, ...]], Result], commands: dict[str, tuple[str, ...]]) -> dict[str, Result]:
    """The results of several commands, run side by side."""
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(commands, pool.map(run, commands.values()), strict=True))


# -- task files -----------------------------------------------------------------------------------------------------


def expected(name: str) -> list[str]:
    return (BROKEN / name).with_suffix(".txt").read_text("utf-8").replace("BASE", str(BROKEN)).splitlines()


def test_broken_task_files_create_nothing(sky: Sky) -> None:
    assert len(FILES) >= 40
    before = sky.objects()
    sky.cwd = BROKEN
    results = each(lambda command: sky.run(*command), {name: ("launch", "-c", "any", name) for name in FILES})
    for name, result in results.items():
        assert fine(result).code == 2 and result.out == "", (name, result)
        first, *lines = result.err.splitlines()
        assert re.fullmatch(r"error: \d+ problems? in the task:", first), (name, result)
        assert [line[2:] for line in lines] == expected(name), (name, result)
        assert all(re.match(r"  [\w-]+\.yaml(:\d+:\d+)?: ", line) for line in lines), (name, result)
    assert sky.objects() == before


def test_files_that_are_none(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"run: " + b"x" * 10_000_000)
    before = sky.objects()
    for name in ("missing.yaml", str(tmp_path), str(tmp_path / "large.yaml")):
        began = time.monotonic()
        result = fine(sky.run("launch", *SMALL, name))
        assert result.code == 2 and name in result.err, result
        assert time.monotonic() - began < 3
    assert sky.objects() == before


def test_missing_files_of_a_good_task_create_nothing(sky: Sky, tmp_path: Path) -> None:
    before = sky.objects()
    for flags in (("--workdir", str(tmp_path / "none")), ("--env-file", str(tmp_path / "none.env"))):
        result = fine(sky.run("launch", *SMALL, *flags, "--", "true"))
        assert result.code == 2 and flags[1] in result.err, result
    assert sky.objects() == before


# -- the way to the cluster -----------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(sky: Sky, tmp_path: Path) -> Callable[..., Sky]:
    """The same, with a kubeconfig of which something is changed."""

    made = itertools.count()

    def make(server: str | None = None, user: dict[str, str] | None = None) -> Sky:
        config = json.loads(sky.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        if server:
            config["clusters"][0]["cluster"]["server"] = server
        if user is not None:
            config["users"][0]["user"] = user
        path = tmp_path / f"kubeconfig{next(made)}"
        path.write_text(json.dumps(config))
        return replace(sky, kubeconfig=str(path))

    return make


def test_no_kubeconfig(sky: Sky, tmp_path: Path) -> None:
    sky = replace(sky, kubeconfig=str(tmp_path / "none"), env={"HOME": str(tmp_path)})
    for name, result in each(lambda command: sky.run(*command), VERBS).items():
        assert "kubeconfig" in fine(result).err and len(result.err.splitlines()) >= 2, (name, result)


def test_a_wrong_context_names_the_near_one(sky: Sky) -> None:
    context = sky.kubectl("config", "current-context").strip()
    for name, result in each(lambda command: sky.run(*command, "--context", context + "x"), VERBS).items():
        if "--" not in VERBS[name]:
            assert f"{context + 'x'!r}" in fine(result).err and context in result.err.replace(context + "x", ""), result
    result = fine(sky.run("--context", context + "x", *VERBS["launch"]))
    assert f"{context + 'x'!r}" in result.err and context in result.err.replace(context + "x", "")


def test_nobody_listens(elsewhere: Callable[..., Sky]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sky = elsewhere(server=f"https://127.0.0.1:{port}")
    began = time.monotonic()
    for name, result in each(lambda command: sky.run(*command), VERBS).items():
        assert f"https://127.0.0.1:{port}: connection refused" in fine(result).err, (name, result)
        assert "kubectl cluster-info" in result.err, (name, result)
    assert time.monotonic() - began < 15


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        taken = []
        threading.Thread(target=lambda: [taken.append(server.accept()) for _ in range(1000)], daemon=True).start()
        yield server.getsockname()[1]


def test_a_server_that_never_answers(elsewhere: Callable[..., Sky], silent: int) -> None:
    sky, plain = (elsewhere(server=f"{scheme}://127.0.0.1:{silent}") for scheme in ("https", "http"))
    began = time.monotonic()
    slow = sky.start("logs", "any"), plain.start("logs", "any")
    for name, result in each(lambda command: sky.run("--request-timeout", "1s", *command), VERBS).items():
        assert f"https://127.0.0.1:{silent}" in fine(result).err, (name, result)
    assert time.monotonic() - began < 15
    for process, scheme in zip(slow, ("https", "http"), strict=True):
        out, err = process.communicate(timeout=60)
        assert f"{scheme}://127.0.0.1:{silent}" in fine(Result(process.returncode, out, err)).err, err
    assert time.monotonic() - began < 45


def test_credentials_that_are_not_accepted(elsewhere: Callable[..., Sky]) -> None:
    sky = elsewhere(user={"token": "expired-or-never-valid"})
    for name, result in each(lambda command: sky.run(*command), VERBS).items():
        assert "does not accept your credentials" in fine(result).err, (name, result)
        assert "log in again" in result.err, (name, result)


RIGHTS = {
    "launch": r"may not (get|create) (jobs|secrets|configmaps)",
    "exec": "may not list pods",
    "logs": "may not get jobs",
    "ssh": "may not (list pods|get secrets)",
    "down": "may not list ",
    "status": "may not list ",
    "status of one": "may not (list|get) ",
}


def test_no_rights_names_the_rule(sky: Sky) -> None:
    for name, result in each(lambda command: sky.run("--as", "nobody", *command), VERBS).items():
        assert re.search(rf"user 'nobody' {RIGHTS[name]}\S* in namespace '{sky.namespace}'", fine(result).err), result
        assert all(word in result.err for word in ("apiGroups:", "resources:", "verbs:")), (name, result)


def test_a_missing_namespace(sky: Sky) -> None:
    other = replace(sky, namespace=f"{sky.namespace}-none")
    commands = {name: command for name, command in VERBS.items() if name != "status"}
    for name, result in each(lambda command: other.run(*command), commands).items():
        assert f"there is no namespace '{other.namespace}'" in fine(result).err, (name, result)
        assert f"kubectl create namespace {other.namespace}" in result.err, (name, result)


def test_unknown_names(sky: Sky) -> None:
    commands = {name: command for name, command in VERBS.items() if name not in ("launch", "status")}
    for name, result in each(lambda command: sky.run(*command), commands).items():
        assert f"there is no cluster 'any' in namespace {sky.namespace}" in fine(result).err, (name, result)
        assert result.code == 1 and len(result.err.splitlines()) == 2, (name, result)


def test_no_kubectl_on_the_path(sky: Sky, tmp_path: Path) -> None:
    before = sky.objects()
    (tmp_path / "ssh-keygen").symlink_to("/usr/bin/ssh-keygen")
    sky.env["PATH"] = str(tmp_path)
    result = fine(sky.run("launch", *SMALL, "--", "true"))
    assert "kubectl was not found on PATH" in result.err
    assert sky.objects() == before


def test_output_into_a_closed_pipe(sky: Sky) -> None:
    argv = sky.argv("launch", *SMALL, "--", "yes | head -200000")
    with subprocess.Popen(argv, env=sky.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert os.read(process.stdout.fileno(), 2) == b"y\n"
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait(60) == 141 and "Traceback" not in err and "error" not in err, err
