"""Listing tasks and taking them down, against objects in memory."""

import json
from typing import Any

import pytest

from kubectl_sky import teardown
from kubectl_sky.commands.down import agreed, check
from kubectl_sky.errors import ApiError, ClusterFailure, UsageError
from kubectl_sky.output import Progress
from kubectl_sky.overview import Board, job_of, matches

LABELS = {"app.kubernetes.io/managed-by": "kubectl-sky"}


def thing(kind: str, task: str, name: str, **labels: str) -> dict[str, Any]:
    made = {**LABELS, "app.kubernetes.io/instance": task, **labels}
    metadata = {"name": name, "namespace": "ml", "uid": f"{kind}-{name}", "labels": made}
    return {"kind": kind, "metadata": metadata, "spec": {}, "status": {}}


class Memory:
    """A cluster that holds objects; those in `stuck` do not go away. A Job takes its pods along."""

    namespace, context = "ml", "test"

    def __init__(self, *things: dict[str, Any], stuck: tuple[str, ...] = ()):
        self.things, self.stuck = list(things), stuck
        self.deleted: list[tuple[str, str | None]] = []

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        items = [one for one in self.things if path.endswith(f"/{one['kind'].lower()}s")]
        return {"items": items, "metadata": {"resourceVersion": "1"}}

    def get_bytes(self, path: str, **params: Any) -> bytes:
        return json.dumps(self.get(path, **params)).encode()

    def delete(self, path: str, body: dict[str, Any]) -> None:
        kind, name = path.split("/")[-2][:-1], path.split("/")[-1]
        self.deleted.append((f"{kind}/{name}", body["propagationPolicy"]))
        uid = body["preconditions"]["uid"]
        if uid not in {one["metadata"]["uid"] for one in self.things}:
            raise ApiError(404, "NotFound", "gone")
        self.things = [
            one
            for one in self.things
            if one["metadata"]["name"] in self.stuck or (one["metadata"]["uid"] != uid and job_of(one) != uid)
        ]


def pod(task: str, name: str, of: str) -> dict[str, Any]:
    """Of the Job with that uid."""
    made = thing("Pod", task, name)
    made["metadata"]["ownerReferences"] = [{"kind": "Job", "uid": of, "controller": True}]
    return made


def two_tasks() -> list[dict[str, Any]]:
    return [
        thing("Job", "a", "a"),
        pod("a", "a-0", of="Job-a"),
        thing("Secret", "a", "a-sky"),
        thing("ConfigMap", "b", "b-sky"),  # a launch that was killed before its Job
    ]


def take_down(cluster: Any, *names: str, seconds: float = 5) -> None:
    things = teardown.chosen(teardown.find(cluster), names, not names)
    teardown.delete(cluster, things)
    with Progress() as progress:
        teardown.wait(cluster, things, seconds, progress)


def test_down_takes_all_of_a_task_and_nothing_else() -> None:
    cluster = Memory(*two_tasks())
    take_down(cluster, "a")
    assert [one["metadata"]["name"] for one in cluster.things] == ["b-sky"]
    assert cluster.deleted == [("job/a", "Foreground"), ("secret/a-sky", "Background")]


def test_down_takes_what_has_no_job() -> None:
    cluster = Memory(*two_tasks())
    take_down(cluster, "b*")
    assert cluster.deleted == [("configmap/b-sky", "Background")]


def test_down_all_twice() -> None:
    cluster = Memory(*two_tasks())
    found = teardown.find(cluster)  # type: ignore[arg-type]
    take_down(cluster)
    assert cluster.things == []
    teardown.delete(cluster, found)  # type: ignore[arg-type]


def test_down_tells_what_stays_and_why() -> None:
    held = two_tasks()
    held[1]["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.com/keep"]}
    held[1]["spec"] = {"nodeName": "node-9"}
    with pytest.raises(ClusterFailure) as caught:
        take_down(Memory(*held, stuck=("a-0",)), "a", seconds=0.2)
    assert caught.value.exit_code == 124
    assert "pod/a-0: held by the finalizer example.com/keep; ending on node-9" in caught.value.message
    assert caught.value.hint and "kubectl delete pod a-0 --force" in caught.value.hint


def test_down_needs_a_yes_for_what_was_not_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubectl_sky.commands.down.can_ask", lambda: False)
    cluster: Any = Memory()
    assert agreed(["a"], cluster, certain=True)
    with pytest.raises(UsageError, match="would take down a, b"):
        agreed(["a", "b"], cluster, certain=False)


@pytest.mark.parametrize(
    ("names", "everything", "everywhere"), [([], False, False), (["a"], True, False), (["a"], False, True)]
)
def test_down_usage(names: list[str], everything: bool, everywhere: bool) -> None:
    with pytest.raises(UsageError):
        check(names, everything, everywhere)


def test_board() -> None:
    job = thing("Job", "train", "train")
    job["metadata"] |= {"annotations": {"kubectl-sky/resources": "2x(1 CPU)", "kubectl-sky/user": "ann"}}
    job["spec"] = {
        "parallelism": 2,
        "template": {"spec": {"containers": [{"name": "ssh"}, {"name": "task", "image": "i"}]}},
    }
    pods = [pod("train", f"train-{n}", of="Job-train") for n in (1, 0)]
    pods[0]["status"] = {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
    other = pod("train", "of-an-older-job", of="x")
    cluster: Any = Memory(job, *pods, other)
    board = Board(cluster, "ml")
    board.load()
    (row,) = board.rows(["tr*"])
    assert (row.name, row.user, row.image, row.resources) == ("train", "ann", "i", "2x(1 CPU)")
    assert (row.ready, row.wanted, row.state.phase) == (1, 2, "Starting")
    assert row.addresses() == ["<none>", "10.0.0.1"]
    assert board.rows(["x"]) == []


def test_names_and_globs() -> None:
    assert matches("train-1", ["train-*"])
    assert matches("a", ["b", "a"])
    assert not matches("train", ["tra"])
