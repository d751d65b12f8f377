"""What an old Kubernetes has, and what is refused there before anything is made."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_sky import facts, managed, planning, podspec, task, versions
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.overview import job_of

OLD = podspec.Facts(context="old", indexed=False)


def planned(nodes: int, count: int = 1, found: podspec.Facts = OLD, group: str = "") -> podspec.Plan:
    made = task.parse(f"name: t\nnum_nodes: {nodes}\nrun: x\n", "t.yaml")[0]
    options = planning.Options("t", managed=managed.Managed(({},), count, group=group) if count > 1 or group else None)
    return planning.plan(planning.blind(made), options, found, podspec.Identity("", ""))


def test_one_pod_needs_no_number() -> None:
    def job(found: podspec.Facts) -> dict[str, Any]:
        return next(one for one in podspec.render(planned(1, found=found)) if one["kind"] == "Job")["spec"]

    assert "completionMode" not in job(OLD)
    assert job(podspec.Facts())["completionMode"] == "Indexed"


def test_several_are_refused_with_the_line() -> None:
    with pytest.raises(TaskErrors) as refused:
        planned(2)
    (problem,) = refused.value.problems
    assert (problem.line, problem.field) == (2, "num_nodes")
    assert "context old has Kubernetes before 1.22" in problem.message
    with pytest.raises(UsageError, match=r"context old has Kubernetes before 1\.22"):
        planned(1, count=2)
    with pytest.raises(UsageError, match=r"context old has Kubernetes before 1\.22"):
        planned(1, group="g")


@pytest.mark.parametrize(("minor", "numbers"), [("20", False), ("21+", False), ("22", True), ("37", True)], ids=str)
def test_which_servers_number_pods(minor: str, numbers: bool) -> None:
    assert (versions.server({"major": "1", "minor": minor}) >= facts.INDEXED_SERVER) is numbers


# (pod failure policies, limits by index) of 1.25, 1.26, 1.29; (jobs side by side, one after the other)
@pytest.mark.parametrize(
    ("known", "many", "limit", "actions", "excused"),
    [
        ((False, False), (1, False), 6, None, True),
        ((True, False), (1, False), 6, ["Ignore", "Ignore", "FailJob"], False),
        ((False, False), (3, False), 18, None, True),
        ((True, False), (3, False), 18, ["Ignore", "Ignore"], True),
        ((True, True), (3, False), 18, ["Ignore", "Ignore", "FailIndex"], False),
        ((False, False), (3, True), 0, None, False),  # its next task begins when this one has ended with 0
        ((True, False), (3, True), 18, ["Ignore", "Ignore", "FailJob"], False),
    ],
)
def test_a_failed_managed_job_does_not_run_again(
    known: tuple[bool, bool], many: tuple[int, bool], limit: int, actions: list[str] | None, excused: bool
) -> None:
    one = managed.Managed(({},), *many, rules=known[0], per_index=known[1])
    fields = one.job_fields()
    rules = fields["podFailurePolicy"]["rules"] if "podFailurePolicy" in fields else None
    assert (fields["backoffLimit"], rules and [rule["action"] for rule in rules]) == (limit, actions)
    assert one.as_dict().get("excused", False) is excused


def test_whose_a_pod_is_without_the_labels_of_later_servers() -> None:
    owners = [{"kind": "Other", "uid": "x"}, {"kind": "Job", "uid": "j", "controller": True}]
    assert job_of({"metadata": {"ownerReferences": owners}}) == "j"
    assert job_of({"metadata": {}}) == ""
