"""A task and the facts of a cluster -> manifests. A pure function: the same input gives the same output."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kubectl_sky import (
    autostop,
    gang,
    hooks,
    jobspec,
    managed,
    names,
    needs,
    own_containers,
    podmerge,
    quantity,
    record,
    scheduling,
)
from kubectl_sky.autostop import Policy
from kubectl_sky.capacity import device_request
from kubectl_sky.capacity.device_request import DeviceRequest
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.config import applying
from kubectl_sky.config.layers import Effective
from kubectl_sky.managed import Managed
from kubectl_sky.parts import pulling
from kubectl_sky.parts.claims import CLAIM
from kubectl_sky.parts.gangs import Offer
from kubectl_sky.parts.part import Part
from kubectl_sky.record import Record
from kubectl_sky.remote import gang as in_pod
from kubectl_sky.settings import Settings
from kubectl_sky.task import Task
from kubectl_sky.volumes.storage import Storage

Manifest = dict[str, Any]

RESTRICTED_UID = 1000  # of the task where Pod Security forbids root and nobody chose a uid
GRACE_SECONDS = 30
KEEP_DOWN_SECONDS = 3600  # how long, at most, a task that ended by --down stays to be looked at
HIDDEN = "<hidden: --show-secrets>"
ETC = ("task.json", "id_ed25519", "id_ed25519.pub", "known_hosts")  # what of the Secret the pods see
PYTHON = ["/sky/tools/bin/python3", "-SE"]


@dataclass(frozen=True)
class Facts:
    """What a context offers, as far as it matters for a pod."""

    context: str = ""
    image_volumes: bool = False
    pod_security: str = "privileged"  # the level that the namespace enforces
    nodes: tuple[Node, ...] | None = None  # None: may not be read
    runtime_classes: frozenset[str] = frozenset()
    failure_rules: bool = True  # a Job's, for the ends of its pods
    per_index: bool = True  # a Job's indexes fail one by one
    indexed: bool = True  # Jobs number their pods
    sidecars: bool = True  # init containers that go on running
    storage: Storage | None = None  # None: no cluster was asked, or the task has no volumes
    csi: frozenset[str] = frozenset()  # drivers of volumes in the pod itself; read for buckets that are mounted
    pull_secrets: tuple[str, ...] = ()  # of the service account, read where the task brings its own
    gang_schedulers: tuple[Offer, ...] = ()  # read where the task has several nodes


@dataclass(frozen=True)
class Identity:
    """The task's own ssh key (OpenSSH format), by which its nodes know each other."""

    private: str
    public: str


@dataclass(frozen=True)
class Plan:
    """All that a rendering depends on."""

    task: Task
    name: str
    facts: Facts
    settings: Settings
    identity: Identity
    code: dict[str, str]  # file name -> text, of what runs in the pod
    user: str
    job: dict[str, Any] | None  # the first job; None when files must be sent before it
    request: DeviceRequest | None = None  # of accelerators
    parts: tuple[Part, ...] = ()
    autostop: Policy | None = None
    managed: Managed | None = None
    record: Record | None = None  # of the launch
    provision: float = math.inf  # s within which all nodes should be up
    annotations: dict[str, str] = field(default_factory=dict)

    @cached_property
    def config(self) -> Effective:
        """What the configuration says for the task in its context."""
        return self.task.settings(self.facts.context)

    @property
    def notes(self) -> list[str]:
        """What its parts say to the user."""
        return [note for part in self.parts for note in part.notes]


def render(plan: Plan) -> list[Manifest]:
    """[Secret, ConfigMap, (Service, what parts add,) Job], in the order in which they should be created."""
    manifests = [_secret(plan), _config_map(plan)]
    if plan.task.num_nodes > 1:
        manifests.append(_service(plan))
    manifests += [_labelled(plan, manifest) for part in plan.parts for manifest in part.manifests]
    return applying.to_objects([*manifests, _job(plan)], plan.config)


def hidden(rendered: list[Manifest]) -> list[Manifest]:
    """The manifests without the values of what is secret."""
    blank = _encode(HIDDEN)
    return [{**m, "data": dict.fromkeys(m["data"], blank)} if m["kind"] == "Secret" else m for m in rendered]


def has_secrets(plan: Plan) -> bool:
    """Whether its Secrets hold what only the user knows."""
    given = [manifest for part in plan.parts for manifest in part.manifests if manifest["kind"] == "Secret"]
    return bool(plan.task.secrets or given)


def _labelled(plan: Plan, manifest: Mapping[str, Any]) -> Manifest:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **names.labels(plan.name)}}}


def _metadata(plan: Plan, name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "labels": names.labels(plan.name), **more}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _secret(plan: Plan) -> Manifest:
    task = {
        "name": plan.name,
        "num_nodes": plan.task.num_nodes,
        "gpus": needs.gpus(plan.task),
        "cpus": needs.cpus(plan.task),
        "memory": needs.memory(plan.task),
        "visible": device_request.visible(plan.request.key if plan.request else ""),
        "context": plan.facts.context,
        "user": plan.user,
        "autostop": plan.autostop and plan.autostop.as_dict(),
        **({"managed": plan.managed.as_dict(), "autostop": managed.POLICY.as_dict()} if plan.managed else {}),
        **({"domain": plan.managed.group} if plan.managed and plan.managed.group else {}),  # of its nodes' names
        "expects": bool(plan.task.run or plan.task.setup),
        "job": plan.job,
        **({"queued": True} if plan.config.queue else {}),
        "envs": {} if plan.job else jobspec.variables(plan.task),
    }
    files = {
        "task.json": json.dumps(task),
        "id_ed25519": plan.identity.private,
        "id_ed25519.pub": plan.identity.public,
        "known_hosts": f"kubectl-sky {plan.identity.public}",
        **({record.FILE: json.dumps(plan.record.as_dict())} if plan.record else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(plan, f"{plan.name}-sky"),
        "type": "Opaque",
        "data": {name: _encode(text) for name, text in files.items()},
    }


def _config_map(plan: Plan) -> Manifest:
    metadata = _metadata(plan, f"{plan.name}-sky")
    scripts = hooks.of(plan.task)
    data = {**plan.code, **({hooks.FILE: json.dumps(scripts)} if scripts else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _service(plan: Plan) -> Manifest:
    selector = {key: names.labels(plan.name)[key] for key in (names.MANAGED_BY, names.INSTANCE)}
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(plan, plan.name), "spec": spec}


def _job(plan: Plan) -> Manifest:
    task, facts = plan.task, plan.facts
    annotations = {
        "kubectl-sky/user": plan.user,
        "kubectl-sky/resources": needs.summary(task),
        **({"kubectl-sky/task-name": task.name} if task.name else {}),
        **(autostop.annotated(plan.autostop) if plan.autostop else {}),
        **hooks.annotated(task),
        **(plan.managed.annotations() if plan.managed else {}),
        **plan.annotations,
        **_merged(plan, "job_annotations"),
    }
    metadata = _metadata(plan, plan.name, annotations=annotations)
    metadata["labels"] |= _merged(plan, "job_labels")
    if plan.managed:
        metadata["labels"] |= plan.managed.labels()
    pod_labels = {**task.resources.labels, **names.labels(plan.name), **_merged(plan, "labels")}
    if plan.request:
        pod_labels[scheduling.GPU_POD] = "true"
    marks = _merged(plan, "annotations")
    about = {"labels": pod_labels, **({"annotations": marks} if marks else {})}
    pod = applying.to_template({"metadata": about, "spec": _pod(plan)}, plan.config)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            **({"completionMode": "Indexed"} if facts.indexed else {}),
            "completions": task.num_nodes,
            "parallelism": task.num_nodes,
            "backoffLimit": 0,
            **gang.job_fields(task.num_nodes, facts.failure_rules),
            **(plan.managed.job_fields() if plan.managed else {}),
            "ttlSecondsAfterFinished": kept_seconds(plan.autostop, plan.settings),
            "template": pulling.with_secrets(pod, plan.parts, facts.pull_secrets),
        },
    }


def sketch(
    task: Task, request: DeviceRequest | None, nodes: Sequence[Node] | None, context: str = ""
) -> dict[str, Any]:
    """The spec of a pod of the task, as far as it matters to the scheduler."""
    containers = [
        {"name": "task", "resources": _resources(task, request)},
        {"name": "ssh", "resources": own_containers.RESOURCES},
    ]
    where = scheduling.fields("", task.num_nodes, request, task.resources.use_spot, nodes)
    merged = applying.to_template({"spec": {"containers": containers, **where}}, task.settings(context))
    return dict(merged["spec"])


def kept_seconds(policy: Policy | None, settings: Settings) -> int | None:
    """How long what is left of an ended task stays to be looked at; None: until it is started again or taken down."""
    if policy is None:
        return settings.kept_seconds
    return min(KEEP_DOWN_SECONDS, settings.kept_seconds) if policy.down else None


def service_account(task: Task, context: str) -> str:
    """Whose name the pods bear."""
    return str(configured(task, context).get("serviceAccountName") or "default")


def configured(task: Task, context: str) -> dict[str, Any]:
    """What the configuration says of the pods' spec."""
    bare = applying.to_template({"spec": {"containers": [{"name": "task"}]}}, task.settings(context))
    return dict(bare["spec"])


def _pod(plan: Plan) -> dict[str, Any]:
    task, facts = plan.task, plan.facts
    restricted = facts.pod_security == "restricted"
    told = [*gang.env(task.num_nodes, plan.provision), *(plan.managed.own_env() if plan.managed else [])]
    ssh = own_containers.ssh(plan.settings, told, _added(plan, "own_mounts"))
    containers = [_task_container(plan, restricted), ssh, *_added(plan, "containers")]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS + hooks.grace(task),
        "containers": containers,
        "volumes": [*_volumes(plan), *_added(plan, "volumes")],
    }
    first = [*([] if facts.image_volumes else [own_containers.tools(plan.settings)]), *_added(plan, "init_containers")]
    if first:
        pod["initContainers"] = first
    if restricted:
        pod["securityContext"] = {
            "runAsNonRoot": True,
            "runAsUser": RESTRICTED_UID,
            "runAsGroup": RESTRICTED_UID,
            "fsGroup": RESTRICTED_UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    if task.num_nodes > 1:
        pod["subdomain"] = plan.name
    spot, classes = task.resources.use_spot, facts.runtime_classes
    pod |= scheduling.fields(plan.name, task.num_nodes, plan.request, spot, facts.nodes, classes)
    for part in plan.parts:
        pod = podmerge.merge(pod, dict(part.pod))
    return pod


def _added(plan: Plan, what: str) -> list[Any]:
    """What all parts add to one of the pod's lists."""
    return [one for part in plan.parts for one in getattr(part, what)]


def _merged(plan: Plan, what: str) -> dict[str, Any]:
    """What all parts say in one of their labels and annotations."""
    return {key: value for part in plan.parts for key, value in getattr(part, what).items()}


def _task_container(plan: Plan, restricted: bool) -> dict[str, Any]:
    task = plan.task
    env: list[dict[str, Any]] = [
        {"name": "SKY_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "SKY_GRACE", "value": str(GRACE_SECONDS - 5)},
    ]
    if not needs.gpus(task):  # on some clusters every container of a GPU image sees all GPUs otherwise
        env.append({"name": "NVIDIA_VISIBLE_DEVICES", "value": "none"})
    env += gang.env(task.num_nodes, plan.provision)
    if plan.managed:
        env.append({"name": in_pod.MANAGED, "value": "1"})
    container: dict[str, Any] = {
        "name": "task",
        "image": image(plan),
        "imagePullPolicy": plan.settings.image_pull_policy,
        "command": [*PYTHON, "/sky/code/supervisor.py"],
        "env": [*env, *_added(plan, "env")],
        **({"ports": ports} if (ports := _added(plan, "ports")) else {}),
        "resources": _resources(task, plan.request),
        "volumeMounts": [
            {"name": "run", "mountPath": "/sky/run"},
            {"name": "code", "mountPath": "/sky/code", "readOnly": True},
            _tools_mount(plan),
            {"name": "shm", "mountPath": "/dev/shm"},
            *_added(plan, "mounts"),
        ],
    }
    if restricted:
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return container


def image(plan: Plan) -> str:
    return plan.task.resources.image_id or plan.settings.own_image(plan.settings.default_image)


def _resources(task: Task, request: DeviceRequest | None) -> dict[str, Any]:
    """Requests; limits for memory that was asked for (and for GPUs, which know nothing else)."""
    # our own container's share comes off it: the pod asks for what the task says, and fits where that fits
    cpu = quantity.number(max(needs.cpus(task) - own_containers.CPU, own_containers.CPU))
    size = quantity.gibibytes(needs.memory(task))
    requests: dict[str, Any] = {"cpu": cpu, "memory": size}
    limits: dict[str, Any] = {}
    if task.resources.memory:
        limits["memory"] = requests["memory"]
    if task.resources.disk_size:
        requests["ephemeral-storage"] = f"{task.resources.disk_size}Gi"
    if request and request.claim:
        return {"requests": requests, "claims": [{"name": CLAIM}], **({"limits": limits} if limits else {})}
    if request:
        requests[request.key] = limits[request.key] = str(request.count)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _tools_mount(plan: Plan) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": "tools", "mountPath": "/sky/tools", "readOnly": True}
    return {**mount, "subPath": "sky/tools"} if plan.facts.image_volumes else mount


def _volumes(plan: Plan) -> list[dict[str, Any]]:
    tools: dict[str, Any] = {"name": "tools", "emptyDir": {}}
    if plan.facts.image_volumes:
        policy = plan.settings.image_pull_policy
        tools = {
            "name": "tools",
            "image": {"reference": plan.settings.own_image(plan.settings.runtime_image), "pullPolicy": policy},
        }
    return [
        {"name": "run", "emptyDir": {}},
        tools,
        {"name": "code", "configMap": {"name": f"{plan.name}-sky"}},
        {"name": "etc", "secret": {"secretName": f"{plan.name}-sky", "items": [{"key": k, "path": k} for k in ETC]}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
