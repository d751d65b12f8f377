"""How a task is, and why: Jobs, pods and events as kubelets and controllers write them."""

from typing import Any

import pytest

from kubectl_sky.diagnosis.state import INDEX, State, newest, ready, task_state

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


def test_a_webhook_that_has_not_heard_of_the_job_yet() -> None:
    """Kueue's asks for the Job of each pod; the Job's controller tries again."""
    text = 'Error creating: admission webhook "mpod.kb.io" denied the request: Job.batch "x" not found'
    state = task_state(job(), [], [event("FailedCreate", text, "x")])
    assert (state.phase, state.message) == ("Pending", "waiting for the Job's pods")


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


# -- what the cluster really says, as it was seen on Kubernetes 1.37 with containerd 2.4 ---------------------------

RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)


def pull(said: str, image: str) -> State:
    status = {"name": "task", "image": image, "state": {"waiting": {"reason": "ImagePullBackOff", "message": said}}}
    return task_state(job(), [pod(phase="Pending", containerStatuses=[status])])


@pytest.mark.parametrize(
    ("said", "phase", "words", "step"),
    [
        ("rpc error: code = NotFound desc = failed to pull and unpack image \"R/x:1\": failed to resolve image: R/x:1: "
         "not found", "Failed", "R has no such image or tag", "image_id"),
        ("failed to resolve image: pull access denied, repository does not exist or may require authorization: "
         "authorization failed: no basic auth credentials", "Failed", "without logging in", "docker-registry"),
        ("unexpected status from HEAD request to https://R/v2/x/manifests/1: 403 Forbidden\ndenied\ndenied", "Failed",
         "refuses it to these credentials", "imagePullSecrets"),
        ("unexpected status from HEAD request to https://R/v2/x/manifests/1: 429 Too Many Requests", "Starting",
         "no more pulls for now", "wait"),
        ("unexpected status from HEAD request to https://R/v2/x/manifests/1: 500 Internal Server Error", "Starting",
         "in trouble", "wait"),
        ("rpc error: code = NotFound desc = get image config descriptor: no match for platform in manifest "
         "sha256:a610bcc2085a2dcb0592b3d68923bfb236cf2fa5128041ded6f946e14020ed17: not found", "Failed",
         "not built for the processor of the node node-1", "buildx"),
        ('failed to do request: Head "https://R/v2/x/manifests/1": tls: failed to verify certificate: x509: cannot '
         "validate certificate for 172.31.240.11 because it doesn't contain any IP SANs", "Failed",
         "does not trust the TLS certificate", "certs.d"),
        ('failed to do request: Head "https://R/v2/x/manifests/1": tls: first record does not look like a TLS '
         "handshake",
         "Failed", "plain HTTP", "certs.d"),
        ('failed to do request: Head "https://R/v2/x/manifests/1": dial tcp 127.0.0.1:1: connect: connection refused',
         "Failed", "does not answer the node", "name of the image"),
        ('failed to do request: Head "https://R/v2/x/manifests/1": dial tcp: lookup R on 10.255.255.53:53: read udp '
         "172.31.240.12:42064->10.255.255.53:53: i/o timeout", "Failed", "cannot find the host R", "DNS"),
    ],
)  # fmt: skip
def test_why_an_image_is_not_pulled(said: str, phase: str, words: str, step: str) -> None:
    for registry in ("localhost:5998", "ghcr.io"):
        image = f"{registry}/x:1"
        text = f'Back-off pulling image "{image}": ErrImagePull: {said}'.replace("R/", f"{registry}/")
        state = pull(text.replace("lookup R", f"lookup {registry}"), image)
        assert (state.phase, state.reason) == (phase, "ImagePullBackOff")
        assert words.replace("R ", f"{registry} ").replace("host R", f"host {registry}") in state.message, state
        assert state.hint and step in state.hint


def test_the_name_of_an_image_is_no_cause() -> None:
    state = pull('Back-off pulling image "ghcr.io/denied/x509:429": ErrImagePull: not found', "ghcr.io/denied/x509:429")
    assert "ghcr.io has no such image" in state.message


def test_before_1_32_only_an_event_says_why_an_image_is_not_pulled() -> None:
    stuck = waiting("ImagePullBackOff", 'Back-off pulling image "img:1"')
    events = [
        event("Failed", 'Failed to pull image "img:1": docker.io/library/img:1: not found'),
        event("BackOff", "…"),
    ]
    assert "docker.io has no such image" in task_state(job(), [stuck], events).message


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        (RUNC + 'exec: "/nope": stat /nope: no such file or directory', "CommandNotFound", "no program /nope"),
        (RUNC + 'exec: "nope": executable file not found in $PATH', "CommandNotFound", "no program nope"),
        (
            RUNC + 'exec: "/etc/passwd": permission denied',
            "NotExecutable",
            "/etc/passwd in its image is not executable",
        ),
        (RUNC + "error during container init: mkdir /proc/nope: no such file or directory", "WorkingDir", "/proc/nope"),
        (RUNC + 'error during container init: exec: "/x": exec format error', "WrongArchitecture", "processor"),
        (RUNC + "error during container init: something new", "StartError", "something new"),
    ],
)
def test_a_container_that_cannot_start(said: str, reason: str, words: str) -> None:
    end = {"terminated": {"exitCode": 128, "reason": "StartError", "message": said}}
    state = task_state(job(), [pod(phase="Failed", containerStatuses=[{"name": "task", "state": end}])])
    assert (state.phase, state.reason) == ("Failed", reason)
    assert state.message.startswith("container `task` of pod x-0 could not start: ") and words in state.message
    assert state.hint


@pytest.mark.parametrize(
    ("said", "reason", "words"),
    [
        ("exceeded quota: q, requested: cpu=30m, used: cpu=0, limited: cpu=100m", "Quota", "30m more asked, 0 of 100m"),
        ("failed quota: tight: must specify limits.cpu for: ssh,task,tools", "QuotaUnspecified", "limits.cpu"),
        ("minimum cpu usage per Container is 500m, but request is 10m", "LimitRange", "minimum 500m of cpu a"),
        ('spec.containers[0].resources.requests: Invalid value: "10m": must be less than or equal to cpu limit of 5m',
         "LimitRange", "asks for 10m of cpu and may have 5m"),
        ('violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)', "PodSecurity", "hostNetwork"),
        ('error looking up service account ml/nope: serviceaccount "nope" not found', "NoServiceAccount", "'nope'"),
        ("no PriorityClass with name nope was found", "NoPriorityClass", "'nope'"),
        ('pod rejected: RuntimeClass "nope" not found', "NoRuntimeClass", "'nope'"),
        ('admission webhook "policy.example.com" denied the request: no latest tags', "Webhook", "no latest tags"),
        ("ValidatingAdmissionPolicy 'owners' with binding 'b' denied request: a pod needs an owner", "AdmissionPolicy",
         "a pod needs an owner"),
    ],
)  # fmt: skip
def test_what_refuses_pods(said: str, reason: str, words: str) -> None:
    text = f'Error creating: pods "x-0-abc" is forbidden: {said}'
    state = task_state(job(), [], [event("FailedCreate", text, "x")])
    assert (state.phase, state.reason) == ("Failed", reason)
    assert words in state.message and state.hint


def claim_of(message: str, reason: str = "FailedBinding") -> State:
    text = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    waits = pod(phase="Pending", conditions=[condition])
    waits["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    return task_state(job(), [waits], [event(reason, message, "data")])


def test_claims_without_a_volume() -> None:
    none = claim_of("no persistent volumes available for this claim and no storage class is set")
    assert none.reason == "NoStorageClass" and "names no storage class" in none.message
    absent = claim_of('storageclass.storage.k8s.io "fast" not found', "ProvisioningFailed")
    assert absent.reason == "NoStorageClass" and "'fast'" in absent.message
    slow = "Waiting for a volume to be created either by the external provisioner 'ebs.csi.aws.com' or manually by …"
    assert "'ebs.csi.aws.com' has to make it" in claim_of(slow, "ExternalProvisioning").message


@pytest.mark.parametrize("said", [
    'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
    '0/3 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "x-0-v".',
])  # fmt: skip
def test_claims_made_for_a_pod_tell_why_it_waits(said: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "SchedulerError", "message": said}
    waits = pod(phase="Pending", conditions=[condition])
    waits["spec"]["volumes"] = [{"name": "v", "ephemeral": {}}]
    name = f"{waits['metadata']['name']}-v"
    failed = event("ProvisioningFailed", "failed to provision volume: disk quota exceeded", name)
    again = event("ExternalProvisioning", "Waiting for a volume …", name)
    state = task_state(job(), [waits], [failed, again])
    assert state.reason == "ProvisioningFailed"
    assert name in state.message and "disk quota exceeded" in state.message
    waits["status"]["conditions"] = []
    waits["spec"].pop("nodeName", None)  # the scheduler has a node in mind
    assert task_state(job(), [waits], [failed, again]) == state


@pytest.mark.parametrize(
    ("reason", "said", "step"),
    [
        ("OutOfcpu", "Pod was rejected: Node didn't have enough resource: cpu, requested: 64000, used: 0", "node-1"),
        ("UnexpectedAdmissionError", "Pod was rejected: Allocate failed due to no healthy devices present; cannot "
         "allocate unhealthy devices nvidia.com/gpu, which is unexpected", "device plugin"),
        ("NodePorts", "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports", "hostPort"),
        ("Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ", "--disk-size"),
        ("Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ', "sizeLimit"),
        ("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi", "--memory"),
    ],
)  # fmt: skip
def test_what_the_node_ends(reason: str, said: str, step: str) -> None:
    state = task_state(job(), [pod(phase="Failed", reason=reason, message=said)])
    assert (state.phase, state.reason) == ("Failed", reason)
    assert state.hint and step in state.hint and "Predicate" not in state.message


def test_a_deleted_pod_is_not_blamed_for_its_signal() -> None:
    gone = ended(143)
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    state = task_state(job(), [gone])
    assert (state.phase, state.reason, state.message) == ("Failed", "Deleted", "pod x-0 was deleted")
    cause = ended(3, pod_name="x-1", index="1")
    assert "exit code 3" in task_state(job(), [gone, cause]).message


@pytest.mark.parametrize(
    ("reason", "said", "words"),
    [
        ("TriggeredScaleUp", "pod triggered scale-up: [{pool 1->2 (max: 4)}]", "adds a node for it"),
        ("NotTriggerScaleUp", "pod didn't trigger scale-up: 2 max node group size reached", "max node group size"),
        ("Nominated", "Pod should schedule on: nodeclaim/default-x2v7", "adds a node for it"),
    ],
)
def test_autoscalers(reason: str, said: str, words: str) -> None:
    text = "0/3 nodes are available: 3 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text}
    state = task_state(job(), [pod(phase="Pending", conditions=[condition])], [event(reason, said)])
    assert "none of 3 nodes can take it" in state.message and words in state.message


def test_a_job_that_failed_while_its_pod_goes() -> None:
    going = up()
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    state = task_state(
        ended_job("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"), [going]
    )
    assert (state.phase, state.reason, state.message) == ("Failed", "Deleted", "pod x-0 is being deleted")
