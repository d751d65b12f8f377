"""How a task is, and why: Jobs, pods and events as kubelets and controllers write them."""

from typing import Any

import pytest

from kubectl_sky.state import INDEX, State, newest, ready, task_state

Object = dict[str, Any]


def job(**status: Any) -> Object:
    return {"metadata": {"name": "x", "labels": {}}, "spec": {"parallelism": 1}, "status": status}


def ended_job(kind: str, reason: str = "", message: str = "") -> Object:
    return job(conditions=[{"type": kind, "status": "True", "reason": reason, "message": message}])


def pod(name: str = "x-0", index: str = "0", created: str = "2026-01-01T00:00:00Z", **status: Any) -> Object:
    limits = {"resources": {"limits": {"memory": "4Gi"}}}
    return {
        "metadata": {"name": name, "labels": {INDEX: index}, "creationTimestamp": created},
        "spec": {"nodeName": "node-1", "containers": [{"name": "task", **limits}, {"name": "ssh"}]},
        "status": status,
    }


def up(**more: Any) -> Object:
    return pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}], **more)


def waiting(reason: str, message: str = "", kind: str = "containerStatuses") -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(phase="Pending", **{kind: [{"name": "task", "image": "img:1", "state": state}]})


def ended(code: int, reason: str = "Error", name: str = "task", pod_name: str = "x-0", index: str = "0") -> Object:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return pod(pod_name, index, phase="Failed", containerStatuses=[{"name": name, "state": state}])


def event(reason: str, message: str, about: str = "x-0") -> Object:
    return {"metadata": {}, "involvedObject": {"name": about}, "reason": reason, "message": message}


def test_the_plain_states() -> None:
    assert task_state(job(), [up()]) == State("Up")
    assert task_state(job(), []).phase == "Pending"
    assert task_state(job(), [pod(phase="Pending")]).phase == "Starting"
    assert task_state(ended_job("Complete"), []) == State("Completed")
    suspended = job() | {"spec": {"parallelism": 1, "suspend": True}}
    assert task_state(suspended, []) == State("Stopped")
    deleted = job()
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert task_state(deleted, [up()]) == State("Terminating")
    assert task_state(None, [up()]).reason == "NoJob"


def test_queued_by_kueue() -> None:
    suspended = job() | {"spec": {"parallelism": 1, "suspend": True}}
    suspended["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
    assert task_state(suspended, []).reason == "Queued"


def test_up_only_with_all_nodes() -> None:
    two = job() | {"spec": {"parallelism": 2}}
    assert task_state(two, [up()]).phase == "Starting"
    second = up(name="x-1", index="1")
    assert task_state(two, [up(), second]).phase == "Up"
    assert ready([up(), second]) == 2


def test_unschedulable_tells_what_the_scheduler_says() -> None:
    text = "0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No victims."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    state = task_state(job(), [pod(phase="Pending", conditions=[condition])])
    assert (state.phase, state.reason) == ("Pending", "Unschedulable")
    assert state.message == "none of 3 nodes can take it: 3 have too little CPU free"
    assert state.hint and "--cpus" in state.hint
    assert str(state) == "Pending (Unschedulable)"


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        ("ErrImagePull", "Starting"),
        ("ImagePullBackOff", "Failed"),
        ("InvalidImageName", "Failed"),
        ("ErrImageNeverPull", "Failed"),
    ],
)
def test_image(reason: str, phase: str) -> None:
    state = task_state(job(), [waiting(reason, "what a strange thing")])
    assert (state.phase, state.reason) == (phase, reason)
    assert "img:1" in state.message and "what a strange thing" in state.message


def test_run_as_non_root() -> None:
    state = task_state(
        job(), [waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")]
    )
    assert state.reason == "CreateContainerConfigError"
    assert state.hint and "runAsUser" in state.hint


def test_init_container() -> None:
    assert task_state(job(), [waiting("CrashLoopBackOff", kind="initContainerStatuses")]).phase == "Failed"
    broken = {"name": "tools", "state": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no space"}}}
    state = task_state(job(), [pod(phase="Pending", initContainerStatuses=[broken])])
    assert state.message == "container `tools` of pod x-0 ended with exit code 1: no space"


def test_oom_names_the_limit() -> None:
    state = task_state(ended_job("Failed", "BackoffLimitExceeded"), [ended(137, "OOMKilled")])
    assert state.reason == "OOMKilled"
    assert state.message == "container `task` of pod x-0 used more memory than its limit of 4Gi"
    assert "ran out of memory" in task_state(job(), [ended(137, "OOMKilled", "ssh")]).message


@pytest.mark.parametrize(
    ("code", "text"), [(3, "exit code 3"), (127, "command not found"), (139, "SIGSEGV"), (143, "SIGTERM")]
)
def test_exit_codes(code: int, text: str) -> None:
    state = task_state(ended_job("Failed"), [ended(code)])
    assert state.phase == "Failed"
    assert text in state.message


def test_the_cause_goes_before_its_effects() -> None:
    killed, cause = ended(143), ended(3, pod_name="x-1", index="1")
    assert "exit code 3" in task_state(ended_job("Failed"), [killed, cause]).message
    oom = ended(137, "OOMKilled", pod_name="x-2", index="2")
    assert task_state(ended_job("Failed"), [killed, cause, oom]).reason == "OOMKilled"


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("DeletionByTaintManager", "NodeLost"),
        ("DeletionByPodGC", "NodeLost"),
        ("EvictionByEvictionAPI", "Evicted"),
        ("PreemptionByScheduler", "Preempted"),
    ],
)
def test_disruptions(why: str, reason: str) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": why, "message": "because"}
    state = task_state(ended_job("Failed"), [pod(phase="Failed", conditions=[condition])])
    assert (state.phase, state.reason) == ("Failed", reason)
    assert "because" in state.message


def test_evicted_by_the_kubelet() -> None:
    state = task_state(job(), [pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")])
    assert state.reason == "Evicted"
    assert "low on resource: memory" in state.message


def test_all_pods_gone() -> None:
    assert task_state(ended_job("Failed", "BackoffLimitExceeded"), []).reason == "PodsGone"
    events = [event("TaintManagerEviction", "Marking for deletion Pod ml/x-0")]
    assert task_state(ended_job("Failed", "BackoffLimitExceeded"), [], events).reason == "NodeLost"


def test_deadline() -> None:
    assert task_state(ended_job("Failed", "DeadlineExceeded"), [ended(143)]).reason == "DeadlineExceeded"


def test_refused_pods() -> None:
    text = (
        'Error creating: pods "x-0-abc" is forbidden: exceeded quota: q, requested: cpu=3, used: cpu=0, limited: cpu=2'
    )
    state = task_state(job(), [], [event("FailedCreate", text, "x")])
    assert (state.phase, state.reason) == ("Failed", "Quota")
    assert (
        state.message == "its pods are refused: the namespace's quota 'q' is exceeded (cpu: 3 more asked, 0 of 2 used)"
    )
    assert state.hint and "more than the whole quota" in state.hint and "--cpus" in state.hint


def test_events_while_a_pod_is_created() -> None:
    creating = waiting("ContainerCreating")
    mount = event("FailedMount", 'MountVolume.SetUp failed for volume "etc" : secret "x-sky" not found')
    assert task_state(job(), [creating], [mount]).reason == "FailedMount"
    pulling = event("Pulling", 'Pulling image "img:1"')
    assert task_state(job(), [creating], [mount, pulling]).reason == "Pulling"
    assert task_state(job(), [creating], [pulling, event("Pulled", "done")]) == State(
        "Starting", "", "waiting for container task"
    )


def test_a_replaced_pod_does_not_matter() -> None:
    old, new = ended(1), up(name="x-0-new", created="2026-01-02T00:00:00Z")
    assert newest([new, old]) == [new]
    assert task_state(job(), [old, new]).phase == "Up"
