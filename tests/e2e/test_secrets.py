"""A secret is in its Secret and in the task's own environment, and nowhere else: everything is searched for it.

A mark that is no secret goes the same ways, and must be found: so each search is known to see something.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Sky, namespace

NAME = "planted"
SEARCH = """
import glob, json, os, sys
marks, found = json.load(sys.stdin), []
files = glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ")
for place in ("/sky/run", "/tmp"):
    files += [os.path.join(top, name) for top, _, names in os.walk(place) for name in names]
for file in files:
    try:
        if not os.path.isfile(file):
            continue
        data = open(file, "rb").read()
    except OSError:
        continue
    found += [[file, name] for name, forms in marks.items() if any(form.encode() in data for form in forms)]
print(json.dumps(found))
"""


def forms(value: str) -> list[str]:
    """The value as it is, and what base64 makes of it wherever it stands in what is encoded."""
    data = value.encode()
    encoded = [base64.b64encode(data[start:])[4:-4].decode() for start in range(3)]
    return [value, *encoded]


@dataclass(frozen=True)
class Planted:
    """What was planted: `secrets` and the open `mark`; and what was seen of it."""

    sky: Sky
    folder: Path
    secrets: dict[str, str]
    mark: str
    out: str = ""
    cmdlines: set[str] = field(default_factory=set)

    def seen(self, text: str) -> list[str]:
        """The names of the secrets that are in a text."""
        return [name for name, value in self.secrets.items() if any(form in text for form in forms(value))]


@contextmanager
def watched(values: list[str]) -> Iterator[set[str]]:
    """Which of the values are on the command line of any process of this machine, meanwhile."""
    found: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = file.read_bytes().decode(errors="replace")
                except OSError:
                    continue
                found.update(value for value in values if value in text)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def planted(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """A task on two nodes that was given secrets in each way, and runs."""
    folder = tmp_path_factory.mktemp("secrets")
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    names = ("IN_FILE", "BY_FLAG", "BY_SECRET_FILE", "SKYPILOT_DOCKER_PASSWORD", "LATER")
    secrets = {name: f"planted-{uuid.uuid4()}" for name in names}
    mark = f"mark-{uuid.uuid4()}"
    login = {"SKYPILOT_DOCKER_USERNAME": "ann", "SKYPILOT_DOCKER_SERVER": "registry.example"}
    (folder / "task.yaml").write_text(
        yaml.safe_dump({
            "num_nodes": 2,
            "resources": {"cpus": 0.05, "memory": 0.2, "labels": {"mark": mark}},
            "secrets": {"IN_FILE": secrets["IN_FILE"], "BY_FLAG": None, **login},
            "setup": "echo set up with ${#IN_FILE}",
            "run": f'echo $MARK "$IN_FILE$BY_FLAG$BY_SECRET_FILE" | sha256sum; echo $MARK; sh -c "sleep 600; : {mark}"',
        })
    )  # fmt: skip
    given = ("BY_SECRET_FILE", "SKYPILOT_DOCKER_PASSWORD")
    (folder / "secret.env").write_text("".join(f"{name}={secrets[name]}\n" for name in given))
    env = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "BY_FLAG": secrets["BY_FLAG"]}
    env["LATER"] = secrets["LATER"]
    flags = ["--secret", "BY_FLAG", "--secret-file", str(folder / "secret.env"), "--env", f"MARK={mark}", "-v=9"]
    with namespace(kubeconfig) as space, watched([*secrets.values(), mark]) as cmdlines:
        sky = replace(space, env=env)
        launched = sky.ok("launch", "-d", "-c", NAME, str(folder / "task.yaml"), *flags)
        later = sky.ok("exec", NAME, "--num-nodes", "2", "--secret", "LATER", "-v=9", "--", "echo ${#LATER}")
        told = [sky.run(verb, NAME, "-v=9", *more) for verb, *more in (("status", "-o", "json"), ("explain",))]
        told.append(sky.run("logs", NAME, "1", "--no-follow"))
        yield Planted(sky, folder, secrets, mark, "\n".join(map(str, [launched, later, *told])), cmdlines)


def test_the_task_has_them(planted: Planted) -> None:
    assert "set up with 44" in planted.out and planted.out.count(") 44\n") == 2


def test_what_is_printed(planted: Planted) -> None:
    assert not planted.seen(planted.out) and planted.mark in planted.out
    logs = "".join(
        planted.sky.kubectl("logs", pod["metadata"]["name"], "--all-containers") for pod in planted.sky.pods(NAME)
    )
    assert not planted.seen(logs) and planted.mark in logs


@pytest.mark.parametrize("place", ("secrets", "envs"))
def test_what_is_rendered(planted: Planted, place: str) -> None:
    """A password to pull with is a secret among the envs too."""
    file = planted.folder / f"{place}.yaml"
    login = {"SKYPILOT_DOCKER_USERNAME": "ann", "SKYPILOT_DOCKER_SERVER": "registry.example"}
    login["SKYPILOT_DOCKER_PASSWORD"] = planted.secrets["SKYPILOT_DOCKER_PASSWORD"]
    file.write_text(yaml.safe_dump({place: login, "run": "a", "resources": {"labels": {"mark": planted.mark}}}))
    for verb in (
        ["render"],
        ["launch", "--dry-run=server", "-o", "json"],
        ["launch", "--dry-run=client", "-o", "yaml"],
    ):
        shown = planted.sky.ok(*verb, "-c", "other", str(file))
        assert not planted.seen(str(shown)) and planted.mark in shown.out
    shown = planted.sky.ok("render", "-c", "other", str(file), "--show-secrets")
    assert planted.seen(shown.out)


def test_objects(planted: Planted) -> None:
    """Of every kind, events too."""
    kinds = planted.sky.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    items = json.loads(planted.sky.kubectl("get", ",".join(kinds), "-o", "json"))["items"]
    holds: dict[str, list[str]] = {}
    marked = set()
    for item in items:
        text, key = json.dumps(item), f"{item['kind']}/{item['metadata']['name']}"
        for part in (
            text,
            *(base64.b64decode(v).decode() for v in (item.get("data") or {}).values() if is_secret(item)),
        ):
            if names := planted.seen(part):
                holds[key] = sorted({*holds.get(key, []), *names})
        if planted.mark in text:
            marked.add(item["kind"])
    of_task = ["BY_FLAG", "BY_SECRET_FILE", "IN_FILE"]
    login = ["SKYPILOT_DOCKER_PASSWORD"]  # also in what a later start asks again
    assert holds == {f"Secret/{NAME}-sky": [*of_task, *login], f"Secret/{NAME}-pull": login}
    assert {"Job", "Pod"} <= marked and any(item["kind"] == "Event" for item in items)


def is_secret(item: dict) -> bool:
    return bool(item["kind"] == "Secret")


@pytest.mark.parametrize("container", ("task", "ssh"))
def test_inside_the_pods(planted: Planted, container: str) -> None:
    """Command lines, environments and files of all processes; PID 1 of the task's container is ours."""
    marks = {name: forms(value) for name, value in {**planted.secrets, "mark": planted.mark}.items()}
    python = ["/sky/tools/bin/python3", "-SE", "-c", SEARCH]
    for pod in planted.sky.pods(NAME):
        argv = ["exec", "-i", pod["metadata"]["name"], "-c", container, "--", *python]
        found = json.loads(planted.sky.kubectl(*argv, stdin=json.dumps(marks)))
        own = [name for file, name in found if container == "task" and is_environment(file) and name != "mark"]
        others = [(file, name) for file, name in found if name != "mark" and not (own and is_environment(file))]
        assert not others
        if container == "task":
            assert {*own} == {"IN_FILE", "BY_FLAG", "BY_SECRET_FILE"}
            assert any(file.endswith("/cmdline") for file, name in found if name == "mark")


def is_environment(file: str) -> bool:
    """Of a process of the task."""
    return file.endswith("/environ") and file != "/proc/1/environ"


def test_this_machine(planted: Planted) -> None:
    """No command line while it was launched, used and looked at; no file is left."""
    assert planted.cmdlines == {planted.mark}
    began = time.time() - 300
    given = {planted.folder / name for name in ("task.yaml", "secret.env", "envs.yaml", "secrets.yaml")}
    looked = 0
    for file in (*planted.folder.rglob("*"), *Path("/tmp").glob("*")):
        if file in given or not file.is_file() or file.stat().st_mtime < began or file.stat().st_size > 10**7:
            continue
        looked += 1
        assert not planted.seen(file.read_bytes().decode(errors="replace")), file
    assert looked, "kubectl's cache at least"
