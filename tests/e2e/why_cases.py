"""The reasons for which a task does not run, as data: how each is brought about, and what must be told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.conftest import Sky, image
from tests.e2e.why_registry import PORT

Spec = dict[str, Any]
SELF = {"labelSelector": {"matchLabels": {"app.kubernetes.io/instance": "NAME"}}}
BAD = "config: kubernetes: pod_config"


@dataclass(frozen=True)
class Case:
    """`spec` is put on top of the task's pod, `task` of its container; `NAME` in both is the task's own name.

    `words` must be in what is told, `step` in the next step (both regular expressions). `before` prepares a namespace
    of its own; `after` disturbs the task once it runs, with `attached` while a launch follows it, which must say why.
    `refused`: nothing is made, so there is nothing to explain.
    """

    name: str
    words: str
    step: str
    spec: Spec = field(default_factory=dict)
    task: Spec = field(default_factory=dict)
    image: str | None = None
    num_nodes: int = 1
    before: Callable[[Sky], None] | None = None
    after: Callable[[Sky, str], None] | None = None
    seconds: int = 8
    refused: bool = False
    attached: bool = False

    def yaml(self) -> str:
        """The task file; JSON is YAML."""
        pod = {**self.spec, "containers": [self.task] if self.task else []}
        resources: Spec = {"cpus": 0.02, "memory": 0.1}
        if self.image:
            resources["image_id"] = self.image
        run = "echo up; sleep 600"
        config = {"kubernetes": {"pod_config": {"spec": pod}}}
        task = {"num_nodes": self.num_nodes, "resources": resources, "run": run, "config": config}
        return json.dumps(task).replace("NAME", self.name)


def volume(source: Spec) -> Spec:
    return {"volumes": [{"name": "data", **source}]}


DATA = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}


def claim(name: str) -> Spec:
    return volume({"persistentVolumeClaim": {"claimName": name}})


def env(source: Spec) -> Spec:
    return {"env": [{"name": "WANTED", "valueFrom": source}]}


def helper(*script: str, **more: Any) -> Spec:
    """A container of the user's that runs before the task."""
    return {"initContainers": [{"name": "prepare", "image": image("busybox"), "command": [*script], **more}]}


def sidecar(*command: str, **more: Any) -> Spec:
    return {"name": "own", "image": image("busybox"), "command": [*command], **more}


# -- what is done to the namespace, and to the task -----------------------------------------------------------------


def apply(kind: str, name: str, version: str = "v1", **content: Any) -> Callable[[Sky], None]:
    manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}
    return lambda sky: sky.kubectl("apply", "-f", "-", stdin=json.dumps(manifest)) and None


def quota(hard: str) -> Callable[[Sky], None]:
    return lambda sky: sky.kubectl("create", "quota", "tight", f"--hard={hard}") and None


def restricted(sky: Sky) -> None:
    sky.kubectl("label", "namespace", sky.namespace, "pod-security.kubernetes.io/enforce=restricted")


def evict(sky: Sky, name: str) -> None:
    pod = sky.pods(name)[0]["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": sky.namespace}}
    path = f"/api/v1/namespaces/{sky.namespace}/pods/{pod}/eviction"
    sky.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def delete_pod(sky: Sky, name: str) -> None:
    sky.kubectl("delete", "pod", sky.pods(name)[0]["metadata"]["name"], "--wait=false", "--grace-period=1")


def queue(sky: Sky, name: str) -> None:
    """As Kueue does with a Job that it takes in."""
    sky.kubectl("label", "job", name, "kueue.x-k8s.io/queue-name=gpus")
    sky.kubectl("patch", "job", name, "--type=merge", '-p={"spec":{"suspend":true}}')


# -- the table ------------------------------------------------------------------------------------------------------

LARGE = [{"type": "Container", "min": {"cpu": "500m"}}]
TIGHT = [{"type": "Container", "max": {"cpu": "5m"}}]
SPREAD = {"maxSkew": 1, "topologyKey": "example.com/none", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
HOST = "kubernetes.io/hostname"


def affinity(kind: str, term: Spec) -> Spec:
    return {"affinity": {kind: {REQUIRED: [term]}}}


def node_affinity(**expression: Any) -> Spec:
    terms = [{"matchExpressions": [expression]}]
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}}


PLACE = [
    Case("labels", r"none of \d nodes.*lack the labels.*pool=a100", "label node|gpus|change",
         {"nodeSelector": {"pool": "a100"}}, refused=True),
    Case("greater", r"lack the labels.*cores > 64", "label node|gpus|change",
         node_affinity(key="cores", operator="Gt", values=["64"]), refused=True),
    Case("cpu", r"CPUs?\b.*2.*6[45]|6[45].*CPU.* 2", "--cpus|gpus",
         task={"resources": {"requests": {"cpu": "64"}}}, refused=True),
    Case("device", r"no nvidia.com/gpu|nvidia.com/gpu", "gpus|device plugin",
         task={"resources": {"limits": {"nvidia.com/gpu": "1"}}}, refused=True),
    Case("apart", r"1 of its 4 pods \(rank \d\) has no place.*must not be beside.*anti-affinity", "fewer --num-nodes",
         affinity("podAntiAffinity", {**SELF, "topologyKey": HOST}), num_nodes=4, refused=True),
    Case("beside", r"no pod beside which it must be", "podAffinity",
         affinity("podAffinity", {"labelSelector": {"matchLabels": {"no": "such"}}, "topologyKey": HOST})),
    Case("spread", r"label that its topologySpreadConstraints", "topologyKey", {"topologySpreadConstraints": [SPREAD]}),
    Case("ports", r"ports that it wants in use", "hostPort", num_nodes=4,
         task={"ports": [{"containerPort": 7123, "hostPort": 7123}]}, refused=True),
    Case("gate", r"scheduling gate \(example.com/hold\)", "whoever set the gate",
         {"schedulingGates": [{"name": "example.com/hold"}]}),
    Case("scheduler", r"waits for the scheduler 'nobody'", "schedulerName", {"schedulerName": "nobody"}),
    Case("queue", r"Kueue queue 'gpus'", "without the queue, or have Kueue installed", after=queue),
    Case("outof", r"the node \S+ had no room for it any more: .*cpu", "describe.* node", {"nodeName": "NODE"},
         task={"resources": {"requests": {"cpu": "900m"}}}, num_nodes=3),
]  # fmt: skip
REFUSED = [
    Case("quota", r"quota 'tight' is exceeded \(cpu: .* more asked, 0 of 5m used", "--cpus",
         before=quota("cpu=5m,memory=1Gi")),
    Case("unsaid", r"quota 'tight' wants every container to say its limits.cpu", "pod_config",
         before=quota("limits.cpu=4")),
    Case("least", r"LimitRange allows minimum 500m of cpu a Container, and 10m is its request", "limitrange",
         before=apply("LimitRange", "large", spec={"limits": LARGE})),
    Case("most", r"asks for 10m of cpu and may have 5m", "limitrange",
         before=apply("LimitRange", "small", spec={"limits": TIGHT})),
    Case("security", r"Pod Security 'restricted\S*'(.*\n)+.*(hostNetwork|host namespaces)", "namespace",
         {"hostNetwork": True}, before=restricted),
    Case("account", r"no service account 'nobody'", "create.* serviceaccount nobody", {"serviceAccountName": "nobody"}),
    Case("priority", r"no PriorityClass 'none'", "get.* priorityclasses", {"priorityClassName": "none"}),
    Case("runtime", r"no RuntimeClass 'none'", "get.* runtimeclasses", {"runtimeClassName": "none"}),
]  # fmt: skip
VOLUMES = [
    Case("noclaim", r"PersistentVolumeClaim 'none' does not exist", "claimName", claim("none")),
    Case("noclass", r"claim 'unclassed' has no volume: it names no storage class", "storageclasses",
         claim("unclassed")),
    Case("badclass", r"no storage class 'none'", "storageclasses", claim("badclass")),
    Case("nosecret", r"volume 'data' cannot be mounted: the Secret 'none' does not exist", "pod_config",
         volume({"secret": {"secretName": "none"}}), DATA),
    Case("noconfig", r"volume 'data' cannot be mounted: the ConfigMap 'none' does not exist", "pod_config",
         volume({"configMap": {"name": "none"}}), DATA),
    Case("hostpath", r"node has no /none", "DirectoryOrCreate",
         volume({"hostPath": {"path": "/none", "type": "Directory"}}), DATA),
    Case("driver", r"no storage driver 'none.example.com'", "csidrivers",
         volume({"csi": {"driver": "none.example.com"}}), DATA),
]  # fmt: skip
CONTAINERS = [
    Case("nocommand", r"could not start: its image has no program /none", "command", task={"command": ["/none"]}),
    Case("nopath", r"could not start: its image has no program none", "command", task={"command": ["none"]}),
    Case("noexec", r"could not start: /etc/passwd in its image is not executable", "chmod",
         task={"command": ["/etc/passwd"]}),
    Case("workdir", r"could not start: its working directory .*cannot be used", "workingDir",
         task={"workingDir": "/proc/none"}),
    Case("format", r"not for the processor of the node.*exec format error", "architecture",
         {**helper("sh", "-c", "echo garbage > /data/x; chmod +x /data/x", volumeMounts=DATA["volumeMounts"]),
          **volume({"emptyDir": {}})}, {"command": ["/data/x"], **DATA}),
    Case("nonroot", r"must not run as root.*its image runs as root", "runAsUser",
         task={"securityContext": {"runAsNonRoot": True}}),
    Case("envmap", r"ConfigMap 'none' does not exist", "pod_config",
         task=env({"configMapKeyRef": {"name": "none", "key": "a"}})),
    Case("envkey", r"ConfigMap \S+/kube-root-ca.crt has no key 'none'", "pod_config",
         task=env({"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "none"}})),
    Case("prepare", r"init container `prepare` of pod \S+ ended with exit code 3(.*\n)+.*no such dataset",
         "kubectl logs",
         helper("sh", "-c", "echo no such dataset; exit 3")),
    Case("memory", r"init container `prepare` .*used more memory than its limit of 40Mi", "--memory",
         helper("python3", "-c", "x = []\nwhile True: x.append(bytearray(10**7))", image=image("python"),
                resources={"limits": {"memory": "40Mi"}})),
]  # fmt: skip
ENDED = [
    Case("evicted", r"was evicted from the node", "launch it again", after=evict, attached=True),
    Case("deleted", r"(is being|was) deleted|somebody deleted them", "launch it again",
         after=delete_pod, attached=True),
    Case("emptydir", r"evicted it: Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\"", "sizeLimit",
         {**volume({"emptyDir": {"sizeLimit": "1Mi"}}),
          **helper("dd", "if=/dev/zero", "of=/data/x", "bs=1M", "count=10", volumeMounts=DATA["volumeMounts"])},
         seconds=40, after=lambda sky, name: None),
    Case("disk", r"evicted it: .*ephemeral.*1Mi", "--disk-size",
         {**helper("sh", "-c", "dd if=/dev/zero of=/tmp/x bs=1M count=10; sleep 60",
                   resources={"limits": {"ephemeral-storage": "1Mi"}})}, seconds=40),
    Case("deadline", r"longer than its activeDeadlineSeconds", "activeDeadlineSeconds",
         {"activeDeadlineSeconds": 4}, after=lambda sky, name: None),
]  # fmt: skip
IMAGES = [
    Case(name, rf"image \S+ (cannot|could not) be pulled: {words}", step, {"nodeSelector": {HOST: "NODE"}},
         image=f"docker:localhost:{PORT}/{name}:1", seconds=25)
    for name, words, step in (
        ("absent", rf"localhost:{PORT} has no such image or tag", "image_id"),
        ("private", "its registry .*without logging in", "create.* secret docker-registry"),
        ("denied", "its registry .*refuses it to these credentials", "imagePullSecrets"),
        ("limited", "its registry .*allows no more pulls for now", "wait"),
        ("broken", "its registry .*is in trouble", "wait"),
        ("foreign", "it was not built for the processor of the node", "docker buildx"),
    )
] + [
    Case("refused", "localhost:1 does not answer the node", "name of the image",
         image="docker:localhost:1/x:1", seconds=25),
    Case("untrusted", r"the node does not trust the TLS certificate", "certs.d",
         image=f"docker:ADDRESS:{PORT}/x:1", seconds=25),
    Case("never", r"is not on the node, and may not be pulled", "imagePullPolicy", task={"imagePullPolicy": "Never"},
         image="docker:absent:1"),
]  # fmt: skip
SHARED = [*PLACE, *REFUSED, *VOLUMES, *CONTAINERS, *ENDED, *IMAGES]
