"""How managed jobs are, from the objects of a cluster; and what the tasks of a pipeline must have in common; groups."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kubectl_sky import gang, leftovers, managed, names, teardown
from kubectl_sky import task as tasks
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.jobs import grouping, launching, pipeline
from kubectl_sky.remote import gang as in_pod

Object = dict[str, Any]
INDEX = "batch.kubernetes.io/job-completion-index"
AT = "2026-01-01T00:00:{:02}Z"


def job(status: Object | None = None, fan: Object | None = None, **annotations: str) -> Object:
    told = {managed.FAN: json.dumps(fan)} if fan else {}
    metadata = {"name": "j", "annotations": {**annotations, **told}}
    count = fan["count"] if fan else 1
    return {"metadata": metadata, "spec": {"parallelism": 1, "completions": count}, "status": status or {}}


def pod(number: int, index: int = 0, lost: int = 0, **state: Any) -> Object:
    """The `number`th; `running=True`, or `exit=`, with what the agent noted in `said`."""
    annotations = {INDEX: str(index), gang.LET_GO_BEFORE: str(lost)}
    metadata = {"name": f"j-{index}-{number}", "annotations": annotations, "creationTimestamp": AT.format(number)}
    if "exit" in state:
        end = {"exitCode": state["exit"], "startedAt": AT.format(number), "message": json.dumps(state.get("said"))}
        status = {"phase": "Failed" if state["exit"] else "Succeeded"}
        containers = [{"name": "task", "state": {"terminated": end}}]
    elif state.get("running"):
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        containers = [{"name": "task", "state": {"running": {"startedAt": AT.format(number)}}}]
    else:
        status, containers = {"phase": "Pending"}, []
    return {"metadata": metadata, "spec": {"nodeName": "n"}, "status": {**status, "containerStatuses": containers}}


def said(status: str, code: int, restarts: int = 0) -> Object:
    words = {"status": status, "exit": code, "reason": None, "rank": 0, "restarts": restarts}
    return {**words, "started": 1.0, "ended": 3.0}


def ended(kind: str, **more: Any) -> Object:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": AT.format(50)}], **more}


@pytest.mark.parametrize(
    ("pods", "status", "recoveries"),
    [
        ([], "PENDING", 0),
        ([pod(1)], "STARTING", 0),
        ([pod(1, running=True)], "RUNNING", 0),
        ([pod(1, exit=in_pod.TAKEN)], "RECOVERING", 1),
        ([pod(1, exit=in_pod.TAKEN), pod(2, lost=1)], "RECOVERING", 1),
        ([pod(2, lost=1, running=True)], "RUNNING", 1),  # the first pod is gone: deleted
        ([pod(1, exit=7, said=said("FAILED", 7, restarts=2))], "FAILED", 2),
        ([pod(3, lost=2, exit=0, said=said("SUCCEEDED", 0, restarts=1))], "SUCCEEDED", 3),
        ([pod(1, exit=143, said=said("CANCELLED", 143))], "CANCELLED", 0),
    ],
)
def test_how_a_job_is(pods: list[Object], status: str, recoveries: int) -> None:
    now = managed.outcome(job(), pods)
    assert (now.status, now.recoveries) == (status, recoveries)


def test_what_only_the_job_tells() -> None:
    assert managed.outcome(job(ended("Complete")), []).status == "SUCCEEDED"
    assert managed.outcome(job(ended("Failed")), []).status == "FAILED"
    cancelled = {managed.CANCELLED: AT.format(40)}
    assert managed.outcome(job(ended("Failed"), **cancelled), []).status == "CANCELLED"
    assert managed.outcome(job(**cancelled), [pod(1, running=True)]).status == "CANCELLING"


def test_the_tasks_of_a_pipeline() -> None:
    fan = {"count": 3, "serial": True, "names": ["a", "b", "c"]}
    runs = job({"completedIndexes": "0"}, fan)
    pods = [pod(1, 0, exit=0, said=said("SUCCEEDED", 0)), pod(2, 1, running=True)]
    found = [managed.outcome(runs, pods, (), index) for index in range(3)]
    assert [one.status for one in found] == ["SUCCEEDED", "RUNNING", "PENDING"] and found[
        2
    ].reason == "it waits for j/1"
    failed = job(ended("Failed", completedIndexes="0"), fan)
    pods[1] = pod(2, 1, exit=5, said=said("FAILED", 5))
    found = [managed.outcome(failed, pods, (), index) for index in range(3)]
    assert [(one.status, one.exit) for one in found] == [("SUCCEEDED", 0), ("FAILED", 5), ("CANCELLED", 143)]
    assert found[2].reason == "a task before it did not succeed"


def test_ranks_by_what_the_job_tells_of_its_indexes() -> None:
    ranks = job({"completedIndexes": "0,2-3", "failedIndexes": "1"}, {"count": 5, "serial": False, "names": []})
    found = [managed.outcome(ranks, [pod(1, 4, running=True)], (), index).status for index in range(5)]
    assert found == ["SUCCEEDED", "FAILED", "SUCCEEDED", "SUCCEEDED", "RUNNING"]


def parsed(*documents: str) -> list[tasks.Task]:
    return list(tasks.parse_all("\n---\n".join(documents), "p.yaml")[0].tasks)


def test_a_pipeline_has_pods_of_the_largest_of_its_tasks() -> None:
    made, notes = pipeline.joined(
        parsed(
            "name: p",
            "name: a\nrun: one\nresources: {cpus: 4}",
            "name: b\nsetup: s\nrun: two\nresources: {accelerators: H100:2, memory: 64}",
        )
    )
    assert [(one.name, one.count) for one in made.resources.accelerators] == [("H100", 2)]
    assert made.resources.cpus == 8 and made.resources.memory == 64
    assert notes == ["All tasks of the pipeline have pods of one size, that of the largest"]


@pytest.mark.parametrize(
    ("second", "field"),
    [
        ("run: b\nresources: {image_id: other}", "resources.image_id"),
        ("run: b\nnum_nodes: 2", "num_nodes"),
        ("run: b\nvolumes: {/data: claim}", "volumes"),
        ("run: b\nresources: {accelerators: T4}", "resources.accelerators"),
        ("name: b", "run"),
    ],
)
def test_tasks_whose_pods_differ_are_refused_at_their_place(second: str, field: str) -> None:
    with pytest.raises(TaskErrors) as error:
        pipeline.joined(parsed("run: a\nresources: {accelerators: H100}", second))
    assert field in str(error.value.message) and "p.yaml:" in str(error.value.message)


# -- job groups -------------------------------------------------------------------------------------------------------

GROUP = """\
name: Big_One
execution: parallel
---
name: trainer
num_nodes: 2
run: train
---
name: eval_a
run: eval
"""


def test_the_jobs_of_a_group_know_each_other() -> None:
    file, _ = tasks.parse_all(GROUP, "g.yaml", tasks.Overrides(name="other"))
    assert [one.name for one in file.tasks] == ["trainer", "eval_a"]  # --name is the group's
    group = grouping.called(str(file.name), file.tasks)
    assert group == grouping.Group("big-one", ("trainer", "eval-a"))
    hosts = grouping.hosts(group, file.tasks)
    assert hosts == ["trainer-0.big-one", "trainer-1.big-one", "eval-a-0.big-one"]
    told = launching.told_of_group(file.tasks, group.name, group.jobs, hosts)
    for one in told:
        (spec,) = one.jobs
        assert spec["managed"]["peers"] == hosts
        assert spec["managed"]["env"]["SKYPILOT_JOBGROUP_NAME"] == "big-one"
        assert len(spec["managed"]["env"]["SKYPILOT_TASK_IDS"].split("\n")) == 2
        assert one.labels()[names.GROUP] == "big-one"


@pytest.mark.parametrize("other", ["big_one", "Trainer"])
def test_a_name_that_is_there_twice_is_refused(other: str) -> None:
    file, _ = tasks.parse_all(GROUP.replace("eval_a", other), "g.yaml")
    with pytest.raises(UsageError, match="is there twice"):
        grouping.called(str(file.name), file.tasks)


def thing(kind: str, name: str, task: str, group: str = "", **metadata: Any) -> teardown.Thing:
    labels = {names.INSTANCE: task, **({names.GROUP: group} if group else {})}
    about = {"name": name, "uid": f"{kind}-{name}", "labels": labels, "creationTimestamp": AT.format(0), **metadata}
    return teardown.Thing(kind, names.whose(labels), {"metadata": about})


def test_a_groups_name_stands_for_all_of_it_but_not_for_a_task_of_that_name() -> None:
    service = thing("Service", "g", names.group_instance("g"), "g")
    members = [thing("Job", "a", "a", "g"), thing("Secret", "a-sky", "a"), thing("Job", "b", "b", "g")]
    other = thing("Job", "c", "c")
    assert teardown.chosen([service, *members, other], ["g"], False) == [service, *members]
    assert teardown.chosen([service, *members, other], ["a"], False) == members[:2]
    now, age = datetime(2026, 1, 2, tzinfo=timezone.utc), timedelta(minutes=10)
    assert not leftovers.of([service, *members, members[1]], now, age)
    assert [str(one.thing) for one in leftovers.of([service, other], now, age)] == ["service/g"]
    assert not leftovers.of([thing("Pod", "lost-0", "lost", deletionTimestamp=AT.format(9))], now, age)
