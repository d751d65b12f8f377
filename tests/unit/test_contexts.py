"""Which contexts a command is about, from flags, settings and the task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubectl_sky import choosing, cli, contexts, finding, kube
from kubectl_sky.api.connection import Connection
from kubectl_sky.errors import ClusterFailure, Failure, UsageError
from kubectl_sky.resources import Resources
from kubectl_sky.task import Task

NAMES = ("dev", "prod-east", "prod-west")


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contexts of NAMES; the first is the current one. No settings."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u"}} for name in NAMES],
        "current-context": "dev",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("KUBECTL_SKY_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECTL_SKY_ALLOWED_CONTEXTS", raising=False)


def connection(*words: str) -> Connection:
    scan = cli.Scan()
    assert scan.until_verb(list(words)) == []
    return scan.connection()


def chosen(connection: Connection, task: Task | None = None) -> list[str]:
    return [one.context for one in choosing.clusters(contexts.first(connection), task or Task())]


@pytest.mark.parametrize(
    ("words", "one", "several"),
    [
        ((), None, ()),
        (("--context", "dev"), "dev", ()),
        (("--context", "dev", "--context=dev"), "dev", ()),
        (("--context", "prod-east", "--context=dev"), None, ("prod-east", "dev")),
        (("--context", "prod-*"), None, ("prod-*",)),
    ],
)
def test_context_more_than_once(words: tuple[str, ...], one: str | None, several: tuple[str, ...]) -> None:
    found = connection(*words)
    assert (found.context, found.contexts) == (one, several)


def test_the_order_of_the_flags_is_that_of_preference() -> None:
    assert chosen(connection("--context", "prod-west", "--context", "dev")) == ["prod-west", "dev"]
    assert chosen(connection("--context", "prod-*")) == ["prod-east", "prod-west"]
    assert chosen(connection("--context", "dev", "--context", "*")) == ["dev", "prod-east", "prod-west"]


def test_flags_come_before_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "prod-west,dev")
    assert chosen(connection()) == ["prod-west", "dev"]
    assert chosen(connection("--context", "prod-east")) == ["prod-east"]
    assert chosen(connection("--context", "prod-east", "--context", "dev")) == ["prod-east", "dev"]


def test_globs_in_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "prod-*,dev")
    assert chosen(connection()) == ["prod-east", "prod-west", "dev"]
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "test-*")
    with pytest.raises(UsageError, match=r"allowed_contexts: no context matches 'test-\*'"):
        chosen(connection())


def test_globs_in_the_list_of_skypilot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".sky").mkdir()
    (tmp_path / ".sky" / "config.yaml").write_text("kubernetes: {allowed_contexts: ['prod-*', gone]}\n")
    assert contexts.allowed(Connection()) == ["prod-east", "prod-west"]
    assert "the kubeconfig has no context 'gone'" in capsys.readouterr().err


def test_globs_of_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(resources=Resources(context="prod-*"))
    assert chosen(connection(), task) == ["prod-east", "prod-west"]
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "prod-west,dev")
    assert chosen(connection(), task) == ["prod-west"]  # a glob is over what is allowed
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "dev")
    with pytest.raises(UsageError, match="matches none of the contexts that are allowed"):
        chosen(connection(), task)
    with pytest.raises(UsageError, match=r"no context matches 'test-\*'"):
        chosen(connection(), Task(resources=Resources(context="test-*")))


def test_unknown_ones_are_named() -> None:
    with pytest.raises(UsageError, match="--context: there is no context 'nowhere'") as error:
        contexts.first(connection("--context", "dev", "--context", "nowhere"))
    assert error.value.hint == "there are: dev, prod-east, prod-west"


def test_what_knows_one_context_refuses_several() -> None:
    with pytest.raises(UsageError, match="one context at a time"):
        kube.connect(connection("--context", "dev", "--context", "prod-east"))


def test_without_a_list_nothing_is_asked() -> None:
    """The server is none: a request would fail."""
    [(cluster, found)] = finding.grouped(connection(), "down", ["a", "b-*"])
    assert (cluster.context, found) == ("dev", ["a", "b-*"])
    assert finding.cluster(connection("--context", "prod-east"), "logs", ["a"]).context == "prod-east"


def test_with_a_list_all_are_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBECTL_SKY_ALLOWED_CONTEXTS", "prod-west,gone")
    with pytest.raises(ClusterFailure, match="no context answers: prod-west, dev"):
        finding.cluster(connection(), "logs", ["a"])
    assert "context prod-west is left out: " in capsys.readouterr().err
    assert finding.cluster(connection(), "status", []).context == "dev"
    assert finding.cluster(connection("--context", "dev"), "logs", ["a"]).context == "dev"


def test_names_in_several_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"dev": {"a", "both"}, "prod-east": {"b", "both"}, "prod-west": set()}
    monkeypatch.setattr(finding, "_has", lambda place, name, kind: name in there[place.context])
    several = connection("--context", "*", "-n", "ml")
    assert finding.cluster(several, "logs", ["b"]).context == "prod-east"
    groups = finding.grouped(several, "down", ["b", "none", "a"])
    assert [(one.context, some) for one, some in groups] == [("dev", ["a"]), ("prod-east", ["b", "none"])]
    with pytest.raises(UsageError, match="both is in several contexts: dev, prod-east") as error:
        finding.cluster(several, "logs", ["both"])
    assert "kubectl sky logs -n ml --context prod-east both" in (error.value.hint or "")
    with pytest.raises(UsageError, match="they are in several contexts: a in context dev; b in context prod-east"):
        finding.cluster(several, "queue", ["a", "b"])
    with pytest.raises(Failure, match="there is no cluster 'none' in contexts dev, prod-east, prod-west"):
        finding.grouped(several, "down", ["none"])
