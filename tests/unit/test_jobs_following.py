"""Following managed jobs whose pods end while nobody looks: what they printed is printed, and once."""

from __future__ import annotations

import io
from typing import Any

import pytest

from kubectl_sky import gang
from kubectl_sky.diagnosis.why import Found
from kubectl_sky.errors import ApiError
from kubectl_sky.jobs import following, remainder
from kubectl_sky.jobs.following import Place
from kubectl_sky.jobs.remainder import CountingPrinter
from kubectl_sky.managed import Outcome
from kubectl_sky.output import Progress


def pod(name: str, index: int = 0) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "annotations": {gang.INDEX: str(index)}}}


@pytest.mark.parametrize(
    ("place", "nodes", "heard", "names"),
    [
        (Place("t"), 1, set(), ["a", "b"]),
        (Place("t"), 1, {"a"}, ["b"]),
        (Place("t", index=1, of=2), 2, set(), ["b"]),  # a job a pod
        (Place("t"), 2, set(), ["a", "b"]),  # a pod a node
        (Place("t"), 2, {"a"}, []),  # node 0 tells what all print
    ],
)
def test_whose_output_has_not_come(place: Place, nodes: int, heard: set[str], names: list[str]) -> None:
    left = following._unheard([pod("a"), pod("b", 1)], place, nodes, heard)
    assert [one["metadata"]["name"] for one in left] == names


@pytest.mark.parametrize(
    ("before", "log", "rest", "whole"),
    [
        ([b"one\n"], [b"one\ntwo\n"], b"two\n", True),
        ([b"on", b"e\ntw"], [b"o", b"ne\n", b"two\nth", b"ree"], b"o\nthree", True),
        ([b"one\n"], [b"one\n"], b"", True),
        ([], [b"one\n"], b"one\n", True),
        ([b"one\n"], [b"two\nthree\n"], b"", False),  # its beginning was dropped
        ([b"one\n"], [b"two\n"], b"", False),
        ([b"one\n"], [], b"", False),
    ],
)
def test_the_rest_of_a_log(before: list[bytes], log: list[bytes], rest: bytes, whole: bool) -> None:
    out = io.BytesIO()
    printer = CountingPrinter(1, out=out)
    for piece in before:
        printer.write(0, piece)
    assert printer.write_rest(0, log) == whole
    assert out.getvalue() == b"".join(before) + rest


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([b"one\ntwo\n"], ""),
        ([b"two\n"], "node 0: some of its output is not shown: its log was cut\n"),
        (ApiError(404, "NotFound", "pods 'a' not found"), ""),  # its job says so
        (
            ApiError(500, "", "no word of the kubelet"),
            "node 0: some of its output is not shown: no word of the kubelet\n",
        ),
    ],
)
def test_what_cannot_be_shown_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: Any, said: str
) -> None:
    def log(*_: Any) -> list[bytes]:
        if isinstance(answer, Exception):
            raise answer
        return list(answer)

    printer = CountingPrinter(1, out=io.BytesIO())
    printer.write(0, b"one\n")
    monkeypatch.setattr(remainder.reading, "container_log", log)
    cluster: Any = None
    remainder.print_rest(cluster, {0: pod("a")}, printer)
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(("heard", "printed"), [(b"", ["a"]), (b"x", [])])
def test_a_job_that_is_over_before_it_is_followed(
    monkeypatch: pytest.MonkeyPatch, heard: bytes, printed: list[str]
) -> None:
    """It ends between the look and the first word: what takes three seconds on a busy machine, and cannot be timed."""
    found = Found({"spec": {"completions": 1}}, (pod("a"),), ())
    looks = [(found, Outcome("RUNNING", 0), pod("a")), (found, Outcome("SUCCEEDED", 0), None)]
    came: list[str] = []

    def followed(*_: Any) -> None:
        printer = CountingPrinter(1, out=io.BytesIO())
        if heard:
            printer.write(0, heard)
        raise following._Gone(printer)

    def containers(_: Any, pods: list[dict[str, Any]], *__: Any) -> None:
        came.extend(one["metadata"]["name"] for one in pods)

    monkeypatch.setattr(following, "_await", lambda *_: looks.pop(0))
    monkeypatch.setattr(following, "_one_pod", followed)
    monkeypatch.setattr(following.reading, "print_containers", containers)
    cluster: Any = None
    assert following.to_the_end(cluster, Place("t"), Progress()) == 0
    assert came == printed
