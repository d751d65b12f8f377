"""Why a task does not run: each reason made for real, told in one screen with the right next step."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e import why_registry
from tests.e2e.conftest import Result, Sky, eventually, namespace
from tests.e2e.why_cases import SHARED, Case

SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Told:
    launch: Result
    explain: Result | None
    seconds: float


def bring_about(case: Case, sky: Sky, folder: Path, node: str, address: str) -> Told:
    """Launches the task and asks why it does not run."""
    began = time.monotonic()
    file = folder / f"{case.name}.yaml"
    file.write_text(case.yaml().replace('"NODE"', f'"{node}"').replace("ADDRESS", address))
    argv = ["launch", "-c", case.name, str(file), "--provision-timeout", f"{case.seconds}s"]
    if case.attached and case.after:
        launched = disturbed(sky, argv, lambda: case.after(sky, case.name))
    else:
        launched = sky.run(*argv, *(["-d"] if case.after else []))
    if case.after and not case.attached and launched.code == 0:
        case.after(sky, case.name)
        eventually(f"{case.name} runs no more", lambda: not is_up(sky, case.name))
    return Told(launched, None if case.refused else sky.run("explain", case.name), time.monotonic() - began)


def disturbed(sky: Sky, argv: list[str], disturb: Callable[[], None]) -> Result:
    """What a launch says whose task is disturbed once it runs."""
    process = sky.start(*argv)
    assert process.stdout and "up" in process.stdout.readline()
    disturb()
    out, err = process.communicate(timeout=90)
    return Result(process.returncode, out, err)


def is_up(sky: Sky, name: str) -> bool:
    told = sky.run("explain", name, "-o", "json")
    return told.code == 0 and json.loads(told.out)["status"]["phase"] in ("Up", "Terminating", "Starting")


@pytest.fixture(scope="module")
def told(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Told]]]:
    """All cases, side by side, each with rules of its own in a namespace of its own."""
    folder = tmp_path_factory.mktemp("why")
    with ExitStack() as stack:
        shared = stack.enter_context(namespace(kubeconfig))
        node, address = why_registry.start(shared)
        for name, spec in (("unclassed", {}), ("badclass", {"storageClassName": "none"})):
            make_claim(shared, name, spec)
        spaces = {}
        for case in SHARED:
            spaces[case.name] = shared if not case.before else stack.enter_context(namespace(kubeconfig))
            if case.before:
                case.before(spaces[case.name])
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            # those that take longest first
            cases = sorted(SHARED, key=lambda case: -case.seconds)
            made = {
                case.name: pool.submit(bring_about, case, spaces[case.name], folder, node, address) for case in cases
            }
        yield made


def make_claim(sky: Sky, name: str, spec: dict) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    manifest = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def check(case: Case, told: Told) -> None:
    by_launch = case.refused or case.attached
    answer = told.explain if told.explain and not by_launch else replace(told.launch, out=told.launch.err)
    print(f"--- {case.name} ({told.seconds:.0f} s)\n{told.launch.err}\n{told.explain or ''}")
    assert "Traceback" not in told.launch.err + answer.err
    text = answer.out
    assert len(text.splitlines()) <= 25
    assert re.search(case.words, text), text
    assert case.refused or (told.explain and told.explain.code == 0)
    steps = text if by_launch else text.partition("\nNext:\n")[2]
    assert re.search(case.step, steps), steps
    if not case.after:
        assert told.launch.code != 0
        assert re.search(case.words, told.launch.err), "the launch says it too"


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case.name)
def test_reason(case: Case, told: dict[str, Future[Told]]) -> None:
    check(case, told[case.name].result())


def test_there_are_enough_of_them() -> None:
    assert len(SHARED) >= 25
