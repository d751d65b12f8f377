"""The transcripts of the documents, played on real clusters (scenes.py says which, and what is there before)."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests import cluster
from tests.cluster.settings import HOST_IP
from tests.e2e import private_registry, s3_server, test_contexts
from tests.e2e.conftest import PROJECT, OwnCluster, Sky, image, loaded, namespace
from tests.e2e.player import Page, in_a_table, missing, of_tables, play, same, steps
from tests.e2e.scenes import IN_TABLES, PLAYED
from tests.e2e.test_gpus import NODE, VENDORS
from tests.e2e.test_skew import old_objects

PROGRAM = f'#!/bin/sh\nexec {sys.executable} -m kubectl_sky "$@"\n'
# ssh and scp look for the home in the passwd file, and not at $HOME
OF_HOME = '#!/bin/sh\n[ -e "$HOME/.ssh/config" ] && set -- -F "$HOME/.ssh/config" "$@"\nexec /usr/bin/NAME "$@"\n'


def user_of(sky: Sky, folder: Path) -> Sky:
    """kubectl, with this program as its plugin, in the namespace of the test; a home and programs of the test's own."""
    programs, home = folder / "bin", folder / "home" / "ann"
    for one in (programs, home):
        one.mkdir(parents=True)
    for name, text in {
        "kubectl-sky": PROGRAM,
        "ssh": OF_HOME.replace("NAME", "ssh"),
        "scp": OF_HOME.replace("NAME", "scp"),
        "code": '#!/bin/sh\necho "opened $*"\n',
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    config = folder / "kubeconfig"
    config.write_text(Path(sky.kubeconfig).read_text())
    env = {"HOME": str(home), "PATH": ":".join([str(programs), sky.environment()["PATH"]])}
    user = replace(sky, kubeconfig=str(config), env={**env, **sky.env}, cwd=folder)
    user.kubectl("config", "set-context", "--current", "--namespace", sky.namespace)
    return user


@contextmanager
def on(kubeconfig: str, folder: Path) -> Iterator[Page]:
    """In a namespace of its own on that cluster."""
    with namespace(kubeconfig) as sky:
        try:
            yield Page(user_of(sky, folder), "")
        finally:
            sky.run("down", "--all", "-y")


@pytest.fixture
def plain(kubeconfig: str, tmp_path: Path) -> Iterator[Page]:
    with on(kubeconfig, tmp_path) as page:
        yield page


@pytest.fixture
def volumes(plain: Page) -> Iterator[Page]:
    """With a default storage class."""
    cluster.provision_storage()
    default = "storageclass.kubernetes.io/is-default-class"
    plain.user.kubectl("annotate", "storageclass", "local", f"{default}=true", "--overwrite")
    yield plain
    plain.user.kubectl("annotate", "storageclass", "local", f"{default}-")


@pytest.fixture
def images(plain: Page) -> Page:
    """Those of MPI and PyTorch, on the nodes."""
    for name in ("mpi", "torch"):
        loaded(name)
    (plain.user.cwd / "examples").symlink_to(PROJECT / "examples")
    return plain


@pytest.fixture
def lifecycle(volumes: Page) -> Page:
    """With what the first version made."""
    (volumes.user.cwd / "old.json").write_text(old_objects())
    return volumes


@pytest.fixture
def buckets(plain: Page) -> Iterator[Page]:
    with s3_server.serve(HOST_IP) as server:
        server.client.create_bucket(Bucket="sky-new")
        server.client.put_object(Bucket="sky-new", Key="large", Body=bytes(400 << 20))
        env = {**server.env, "KUBECTL_SKY_RCLONE_IMAGE": image("rclone")}
        shown = {"sky-new": "my-data", s3_server.CLOSED: "my-data"}
        yield replace(plain, user=replace(plain.user, env={**plain.user.env, **env}), shown=shown)


@pytest.fixture
def private(plain: Page) -> Page:
    """With a registry that asks for a login, on one node, for which the page has ghcr.io."""
    registry = private_registry.start(plain.user, uuid.uuid4().hex)
    login = {"USERNAME": private_registry.USER, "PASSWORD": registry.password, "SERVER": private_registry.SERVER}
    for name, changed in {"registry.env": {}, "wrong.env": {"PASSWORD": "wrong"}}.items():
        lines = [f"SKYPILOT_DOCKER_{key}={value}\n" for key, value in {**login, **changed}.items()]
        (plain.user.cwd / name).write_text("".join(lines))
    (plain.user.cwd / ".sky.yaml").write_text(json.dumps({"kubernetes": {"pod_config": {"spec": registry.pod}}}))
    return replace(plain, shown={private_registry.SERVER: "ghcr.io"})


@pytest.fixture(scope="module")
def own(turn: OwnCluster) -> OwnCluster:
    """One for all pages that need GPUs, Kueue or a second cluster."""
    turn.do("up", str(len(VENDORS)))
    return turn


@pytest.fixture
def gpus(own: OwnCluster, tmp_path: Path) -> Iterator[Page]:
    """A node of each vendor; what the second has comes from a device plugin."""
    own.do("dress", *VENDORS)
    devices = ("nvidia.com/gpu=2", "nvidia.com/mig-1g.10gb=6")
    own.do("device-plugin", NODE["nvidia-mig-mixed"], *devices)
    with on(own.kubeconfig, tmp_path) as page:
        yield page
    own.do("device-plugin", NODE["nvidia-mig-mixed"])
    own.do("undress")


@pytest.fixture
def nvidia_smi(gpus: Page) -> Page:
    """With an image that has a stand-in of it."""
    env = {**gpus.user.env, "KUBECTL_SKY_DEFAULT_IMAGE": image("nvidia-smi")}
    return replace(gpus, user=replace(gpus.user, env=env))


@pytest.fixture
def kueue(own: OwnCluster, tmp_path: Path) -> Iterator[Page]:
    """A queue with room for one task of 0.8 CPUs."""
    own.do("kueue", seconds=1800)
    with on(own.kubeconfig, tmp_path) as page:
        page.user.kubectl("apply", "-f", "-", stdin=(Path(__file__).parent / "fixtures" / "kueue.yaml").read_text())
        yield page


@pytest.fixture
def contexts(plain: Page, own: OwnCluster, kubeconfig: str) -> Iterator[Page]:
    """team-a and team-b, and one that does not answer; the namespace is in both."""
    user, there = plain.user, Sky(plain.user.namespace, own.kubeconfig)
    config = test_contexts.merged({"team-a": kubeconfig, "team-b": own.kubeconfig}, dead="away")
    for context in config["contexts"]:
        context["context"]["namespace"] = user.namespace
    Path(user.kubeconfig).write_text(json.dumps(config))
    there.kubectl("create", "namespace", there.namespace)
    env = {**user.env, "KUBECTL_SKY_ALLOWED_CONTEXTS": "team-a,team-b"}
    try:
        yield replace(plain, user=replace(user, env=env))
    finally:
        there.ok("down", "--all", "-y")
        there.kubectl("delete", "namespace", there.namespace, "--wait=false")


STAGES = {
    "images.md": "private",
    "gpus.md": "gpus",
    "README.md": "nvidia_smi",
    "kueue.md": "kueue",
    "clusters.md": "contexts",
    "multi-node.md": "images",
    "lifecycle.md": "lifecycle",
    "volumes.md": "volumes",
    "buckets.md": "buckets",
}


def test_what_counts_as_the_same() -> None:
    assert same("pod/train-0-9gx7d     9s    there") == same("pod/train-0-abcde  12m3s there")
    assert same("in all   1.54 s") == same("in all 0.3 s") != same("in all 3")
    assert same("67%, 1.9 MiB/s, ETA 7s") == same("8%, 145.921 KiB/s, ETA 1m2s")
    assert same("$ 7.20    $ 0.04") == same("$ 7.20  $ 0.13") != same("$ 7.21  $ 0.13")
    assert missing(["a 3s", "..."], "x\na   4s\n") == []
    assert missing(["b", "c"], "a\nb\n") == ["c"]
    assert missing(["1 RUNNING"], "1 FAILED\n") == ["1 RUNNING"]


def test_commands_and_what_they_print() -> None:
    assert steps("$ a 1   # why\nx\n\n$ b\n") == [("a 1", ["x", ""]), ("b", [])]


@pytest.mark.heavy
@pytest.mark.parametrize("page", PLAYED)
def test_played(request: pytest.FixtureRequest, page: str) -> None:
    stage: Page = request.getfixturevalue(STAGES.get(page, "plain"))
    for scene in PLAYED[page]:
        play(replace(stage, name=page), scene)


@pytest.mark.heavy
def test_the_commands_of_tables(gpus: Page) -> None:
    """Who comes from something else types them one after the other."""
    page = replace(gpus, name="migrating.md", user=replace(gpus.user, cwd=gpus.user.cwd / "work"))
    page.user.cwd.mkdir()
    for name, text in IN_TABLES.items():
        (page.user.cwd / name).write_text(text)
    (page.user.cwd / "folder").mkdir()
    for line in of_tables("migrating.md"):
        in_a_table(page, line)
