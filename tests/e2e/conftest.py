"""The real program on a real cluster: $KUBECONFIG's, or the project's own, which is brought up if it is not.

Images: on the project's cluster `sky-test/*:1` are on the nodes; for another cluster set SKY_TEST_IMAGES to a prefix
under which it finds them.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import outputs

# also where the tests run in the background of a script, which has it ignored: Ctrl-C is tested
signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).parents[2]
IMAGES = os.environ.get("SKY_TEST_IMAGES", "sky-test")
KINDS = "jobs,pods,services,secrets,configmaps"
# of the cluster that tests disturb: beside the shared one, and one for each of the processes that test side by side
OWN_NUMBER = str(
    int(os.environ.get("KUBECTL_SKY_CLUSTER_NUMBER", "0"))
    + 3 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # some tests have two more
    + 1
)


@dataclass
class Result:
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass
class Sky:
    """`kubectl sky` in one namespace."""

    namespace: str
    kubeconfig: str
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path = PROJECT

    def argv(self, *args: str) -> list[str]:
        """$KUBECTL_SKY is the built program to test; else it is run from the source."""
        program = os.environ.get("KUBECTL_SKY")
        start = [program] if program else [sys.executable, "-m", "kubectl_sky"]
        return [*start, "--namespace", self.namespace, *args]

    def environment(self) -> dict[str, str]:
        default = {"KUBECTL_SKY_DEFAULT_IMAGE": image("python"), "PYTHONPATH": str(PROJECT)}
        return {**os.environ, **default, "KUBECONFIG": self.kubeconfig, **self.env}

    def start(self, *args: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.argv(*args), env=self.environment(), cwd=self.cwd, text=True, stdin=pipe, stdout=pipe, stderr=pipe
        )

    def run(self, *args: str, stdin: str = "", timeout: float = 120) -> Result:
        done = subprocess.run(
            self.argv(*args), env=self.environment(), cwd=self.cwd, text=True, input=stdin, capture_output=True,
            timeout=timeout,
        )  # fmt: skip
        if done.returncode == 0:
            outputs.check(args, done.stdout)
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *args: str, **options: float) -> Result:
        """The same, and it must succeed."""
        result = self.run(*args, **options)  # type: ignore[arg-type]
        assert result.code == 0, result
        return result

    def kubectl(self, *args: str, check: bool = True, stdin: str = "") -> str:
        env = {**os.environ, "KUBECONFIG": self.kubeconfig}
        argv = ["kubectl", "--namespace", self.namespace, *args]
        done = subprocess.run(argv, env=env, text=True, input=stdin, capture_output=True, check=check, timeout=120)
        return done.stdout

    def objects(self) -> list[str]:
        """Everything of the namespace, as `kind/name`."""
        kinds = self.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
        wanted = ",".join(kind for kind in kinds if not kind.startswith("events"))
        return sorted(self.kubectl("get", wanted, "-o", "name", "--ignore-not-found").split())

    def pods(self, name: str) -> list[dict]:
        found = json.loads(self.kubectl("get", "pods", "-l", f"app.kubernetes.io/instance={name}", "-o", "json"))
        return found["items"]


def image(name: str) -> str:
    return f"{IMAGES}/{name}:1"


def loaded(name: str) -> str:
    """An image that only few tests use, on the nodes of the project's cluster."""
    if IMAGES == "sky-test":
        from runtime.recipe import build
        from tests.cluster import cluster, recipes

        cluster.load_once(build(recipes.MORE_IMAGES[name]))
    return image(name)


def eventually(what: str, check, seconds: float = 60) -> None:
    """Waits until `check()` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def until(file: str) -> str:
    """In a script: waits for a test to touch it; what several nodes do then does not hang on how fast each is."""
    return f"until [ -e /tmp/{file} ]; do sleep 0.1; done"


def touch(sky: Sky, file: str, *pods: dict[str, Any]) -> None:
    for pod in pods:
        sky.kubectl("exec", pod["metadata"]["name"], "-c", "task", "--", "touch", f"/tmp/{file}")


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    given = os.environ.get("KUBECONFIG")
    if given:
        return given
    from tests import cluster

    return str(cluster.ensure(nodes=3))


@dataclass(frozen=True)
class OwnCluster:
    """A cluster that may be disturbed: the project's own, beside the one of the other tests."""

    number: str

    @property
    def kubeconfig(self) -> str:
        return f"/var/lib/kubectl-sky-cluster{self.number}/admin.kubeconfig"

    def do(self, *words: str, seconds: float = 300) -> str:
        """python3 -m tests.cluster WORDS; returns what it printed."""
        env = {**os.environ, "KUBECTL_SKY_CLUSTER_NUMBER": self.number}
        argv = [sys.executable, "-m", "tests.cluster", *words]
        done = subprocess.run(argv, env=env, cwd=PROJECT, text=True, capture_output=True, timeout=seconds)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def turn(kubeconfig: str) -> Iterator[OwnCluster]:
    """The cluster that may be disturbed, for one test process at a time; with $SKY_TEST_KEEP it stays up afterwards."""
    if not kubeconfig.startswith("/var/lib/kubectl-sky-cluster"):
        pytest.skip("$KUBECONFIG's cluster is not ours to disturb")
    cluster = OwnCluster(OWN_NUMBER)
    with open(Path(tempfile.gettempdir(), f"kubectl-sky-e2e-{OWN_NUMBER}.lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield cluster
        if not os.environ.get("SKY_TEST_KEEP"):
            cluster.do("down")


@pytest.fixture
def own_cluster(turn: OwnCluster) -> OwnCluster:
    """Two nodes, whatever the test before did to them."""
    turn.do("up", "2")
    return turn


@contextmanager
def namespace(kubeconfig: str) -> Iterator[Sky]:
    """A new namespace, taken away at the end."""
    name = f"sky-e2e-{uuid.uuid4().hex[:8]}"
    sky = Sky(name, kubeconfig)
    sky.kubectl("create", "namespace", name)
    eventually("the namespace has a service account", lambda: sky.kubectl("get", "sa", "default", check=False))
    try:
        yield sky
    finally:
        sky.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def sky(kubeconfig: str) -> Iterator[Sky]:
    """A namespace of the test's own."""
    with namespace(kubeconfig) as sky:
        yield sky
