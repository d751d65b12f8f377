"""Pod groups of the gang schedulers: found by what a cluster serves, and rendered as each wants them."""

from __future__ import annotations

from typing import Any

import pytest

from kubectl_sky import gang_schedulers, planning, podspec
from kubectl_sky import task as tasks
from kubectl_sky.errors import ApiError
from kubectl_sky.parts import gangs
from kubectl_sky.parts.gangs import COSCHEDULING, KAI, NATIVE, VOLCANO, WORKLOAD, Offer


class FakeApi:
    """Answers by path; anything else is 404. `allowed`: what a SelfSubjectAccessReview says."""

    namespace, context = "ns", "ctx"

    def __init__(self, answers: dict[str, Any], allowed: bool = True):
        self.answers, self.allowed = answers, allowed

    def get(self, path: str, **_: Any) -> Any:
        if path not in self.answers:
            raise ApiError(404, "NotFound", path)
        return self.answers[path]

    def create(self, _path: str, _body: Any, **__: Any) -> Any:
        return {"status": {"allowed": self.allowed}}


def groups(**served: list[str]) -> dict[str, Any]:
    names = {kind: gangs.GROUPS[kind] for kind in served}
    return {"groups": [{"name": names[k], "versions": [{"version": v} for v in vs]} for k, vs in served.items()]}


NATIVE_ANSWERS = {
    "/apis": groups(native=["v1", "v1beta1"]),
    "/apis/scheduling.k8s.io/v1beta1": {"resources": [{"name": "podgroups"}, {"name": "workloads"}]},
}


def read(answers: dict[str, Any], allowed: bool = True) -> tuple[Offer, ...]:
    return gang_schedulers.read(FakeApi(answers, allowed))  # type: ignore[arg-type]


def test_kubernetes_own() -> None:
    assert read(NATIVE_ANSWERS) == (Offer(NATIVE, "v1beta1"),)
    old = {
        "/apis": groups(native=["v1", "v1alpha1"]),
        "/apis/scheduling.k8s.io/v1alpha1": {"resources": [{"name": "workloads"}]},
    }
    assert read(old) == (Offer(WORKLOAD, "v1alpha1"),)
    assert read({"/apis": groups(native=["v1"])}) == ()
    assert read(NATIVE_ANSWERS, allowed=False) == ()
    assert read({}) == ()


def test_volcano_and_kai_only_with_a_queue() -> None:
    volcano = {"/apis": groups(volcano=["v1beta1"])}
    path = "/apis/scheduling.volcano.sh/v1beta1/queues/default"
    queue = {"metadata": {"name": "default"}, "status": {"state": "Open"}}
    assert read({**volcano, path: queue}) == (Offer(VOLCANO, "v1beta1", "default"),)
    assert read({**volcano, path: {**queue, "status": {"state": "Closed"}}}) == ()
    assert read(volcano) == ()
    kai = {"/apis": groups(kai=["v2", "v2alpha2"]), "/apis/scheduling.run.ai/v2/queues/default-queue": {
        "metadata": {"name": "default-queue"}}}  # fmt: skip
    assert read(kai) == read(kai, allowed=False) == (Offer(KAI, "v2", "default-queue"),)  # it makes its groups itself


def test_coscheduling() -> None:
    assert read({"/apis": groups(coscheduling=["v1alpha1"])}) == (Offer(COSCHEDULING, "v1alpha1"),)


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    ((None, NATIVE), ("default-scheduler", NATIVE), ("volcano", VOLCANO), ("my-own", COSCHEDULING)),
)
def test_a_scheduler_that_the_user_named_decides(scheduler: str | None, kind: str) -> None:
    offers = (Offer(NATIVE, "v1beta1"), Offer(VOLCANO, "v1beta1", "default"), Offer(COSCHEDULING, "v1alpha1"))
    found = gangs.chosen(offers, scheduler, {})
    assert found and found.kind == kind
    assert gangs.chosen(offers[:2], "my-own", {}) is None


def test_a_queue_of_kai_decides() -> None:
    offers = (Offer(NATIVE, "v1beta1"), Offer(KAI, "v2", "default-queue"))
    named = {KAI: "team-a"}
    assert gangs.chosen(offers, None, named) == gangs.chosen((), None, named) == Offer(KAI, "v2", "team-a")
    assert gangs.chosen(offers, "kai-scheduler", {}) == Offer(KAI, "v2", "default-queue")
    assert gangs.chosen((), "kai-scheduler", {}) == Offer(KAI, "v2")  # it may not be seen, and is named all the same
    assert gangs.chosen((), "my-own", named) is None
    one = gangs.part("t", 1, Offer(KAI, queue="team-a"))
    assert one.pod == {"schedulerName": "kai-scheduler"} and not one.job_annotations and not one.notes
    assert one.labels == one.job_labels == {"kai.scheduler/queue": "team-a"}


def test_a_queue_of_volcano_decides() -> None:
    offers, named = (Offer(NATIVE, "v1beta1"), Offer(VOLCANO, "v1beta1", "default")), {VOLCANO: "team-a"}
    assert (
        gangs.chosen(offers, None, named) == gangs.chosen((), "volcano", named) == Offer(VOLCANO, "v1beta1", "team-a")
    )
    assert gangs.chosen((), "my-own", named) is None
    one = gangs.part("t", 1, Offer(VOLCANO, "v1beta1", "team-a"))
    assert one.pod == {"schedulerName": "volcano"} and not one.manifests and not one.notes
    assert one.annotations == one.job_annotations == {"scheduling.volcano.sh/queue-name": "team-a"}


def test_what_each_wants() -> None:
    native = gangs.part("t", 3, Offer(NATIVE, "v1beta1"))
    assert native.manifests[0]["apiVersion"] == "scheduling.k8s.io/v1beta1"
    assert native.manifests[0]["spec"] == {"schedulingPolicy": {"gang": {"minCount": 3}}}
    assert native.pod == {"schedulingGroup": {"podGroupName": "t"}}
    workload = gangs.part("t", 3, Offer(WORKLOAD, "v1alpha1"))
    assert workload.manifests[0]["kind"] == "Workload" and workload.pod["workloadRef"]["name"] == "t"
    volcano = gangs.part("t", 3, Offer(VOLCANO, "v1beta1", "default"))
    assert volcano.manifests[0]["spec"] == {"minMember": 3, "queue": "default"}
    assert volcano.pod == {"schedulerName": "volcano"}
    queue = {"scheduling.volcano.sh/queue-name": "default"}
    assert volcano.annotations == {"scheduling.k8s.io/group-name": "t", **queue}
    kai = gangs.part("t", 3, Offer(KAI, "v2", "default-queue"))
    assert kai.labels == kai.job_labels == {"kai.scheduler/queue": "default-queue"}
    assert kai.job_annotations == {"kai.scheduler/batch-min-member": "3"} and not kai.manifests
    own = gangs.part("t", 3, Offer(COSCHEDULING, "v1alpha1"))
    assert own.manifests[0]["spec"] == {"minMember": 3} and not own.pod
    assert own.labels == {"scheduling.x-k8s.io/pod-group": "t"}


@pytest.mark.parametrize(
    "said",
    (
        "resources: {labels: {scheduling.volcano.sh/queue-name: team-a}}",
        "config: {kubernetes: {custom_metadata: {annotations: {scheduling.volcano.sh/queue-name: team-a}}}}",
        "config: {kubernetes: {pod_config: {metadata: {annotations: {scheduling.volcano.sh/queue-name: team-a}}}}}",
    ),
)
def test_the_queue_of_volcano_wherever_it_is_said(said: str) -> None:
    for nodes in (1, 2):
        task = tasks.parse(f"num_nodes: {nodes}\nrun: x\n{said}", "t.yaml")[0]
        plan = planning.plan(planning.blind(task), planning.Options("t"), podspec.Facts(), podspec.Identity("", ""))
        *others, job = podspec.render(plan)
        pods = job["spec"]["template"]
        assert pods["spec"]["schedulerName"] == "volcano"
        assert pods["metadata"]["annotations"]["scheduling.volcano.sh/queue-name"] == "team-a"
        assert job["metadata"]["annotations"]["scheduling.volcano.sh/queue-name"] == "team-a"
        groups = [one["spec"] for one in others if one["kind"] == "PodGroup"]
        assert groups == [{"minMember": 2, "queue": "team-a"}] * (nodes > 1)


@pytest.mark.parametrize(
    "said",
    (
        "resources: {labels: {kai.scheduler/queue: team-a}}",
        "config: {kubernetes: {custom_metadata: {labels: {kai.scheduler/queue: team-a}}}}",
        "config: {kubernetes: {pod_config: {metadata: {labels: {kai.scheduler/queue: team-a}}}}}",
        # what the task says itself goes before what is said of all tasks, also where KAI looks first: at the Job
        "resources: {labels: {kai.scheduler/queue: team-a}}\n"
        "config: {kubernetes: {custom_metadata: {labels: {kai.scheduler/queue: all}}}}",
    ),
)
def test_the_queue_of_kai_wherever_labels_are_said(said: str) -> None:
    for nodes in (1, 2):
        task = tasks.parse(f"num_nodes: {nodes}\nrun: x\n{said}", "t.yaml")[0]
        key = podspec.Identity("", "")
        plan = planning.plan(planning.blind(task), planning.Options("t"), podspec.Facts(), key)
        job = podspec.render(plan)[-1]
        pods = job["spec"]["template"]
        assert pods["spec"]["schedulerName"] == "kai-scheduler"
        for about in (job["metadata"], pods["metadata"]):
            assert about["labels"]["kai.scheduler/queue"] == "team-a"
        members = job["metadata"]["annotations"].get("kai.scheduler/batch-min-member")
        assert members == ("2" if nodes == 2 else None)
