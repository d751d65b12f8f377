"""The fields of `config:`, the settings a task may change for itself."""

from __future__ import annotations

from kubectl_sky import resources
from kubectl_sky.taskfile.field import Field

_LATER = "has no effect yet in this version"
_OTHER_CLOUD = "is for another cloud and is ignored"


def _hook_text(value: str) -> None:
    if not 1 <= len(value.encode()) <= 16 * 1024:
        raise ValueError("should be 1 byte to 16 KiB long; put longer scripts into the workdir")


def _at_most_32(value: list) -> None:
    if len(value) > 32:
        raise ValueError(f"at most 32 hooks, not {len(value)}")


def _some_once(value: list) -> None:
    if not value or len(set(value)) != len(value):
        raise ValueError("should be a list of different events, or be left out for all of them")


def _no_name(value: dict) -> None:
    for key in ("name", "namespace"):
        if key in value:
            raise ValueError(f"`{key}` cannot be set here (use -c NAME and -n NAMESPACE)")


def _labels(value: dict) -> None:
    faults = [resources.label_fault(str(key), _text(one)) for key, one in value.items()]
    if found := [fault for fault in faults if fault]:
        raise ValueError("; ".join(found))


def _annotations(value: dict) -> None:
    # their keys are those of labels, their values any text
    _labels(dict.fromkeys(value, ""))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_EVENT = Field("", "text", choices=("stop", "preemption", "down"), exact_case=True)
_HOOK = Field("", "map", fields=(
    Field("run", "text", "Shell script.", check=_hook_text),
    Field("events", "list", "When: stop, preemption, down (all by default).", item=_EVENT, check=_some_once),
    Field("timeout", "int", "Seconds, 3600 by default.", minimum=1),
), required=("run",))  # fmt: skip

_POD_CONFIG = Field("pod_config", "map", "A partial pod (metadata, spec), merged into the task's pods.")
_VALUE = Field("", "text|int|number|bool")
_METADATA = Field("custom_metadata", "map", "For every object: `labels` and `annotations`.", (
    Field("labels", "map", "Labels of the objects.", value=_VALUE, check=_labels),
    Field("annotations", "map", "Annotations of the objects.", value=_VALUE, check=_annotations),
    Field("name", "any", internal=True),
    Field("namespace", "any", internal=True),
), check=_no_name)  # fmt: skip
_TIMEOUT = Field("provision_timeout", "int", "Seconds to wait for the pods, 600 by default; 0 or less: for ever.")
_MODE = Field("mode", "text", "ALL, or BUILD for images only.", choices=("ALL", "BUILD"), exact_case=True)

KUBERNETES = Field("kubernetes", "map", "Settings of Kubernetes.", (
    _POD_CONFIG,
    _METADATA,
    _TIMEOUT,
    Field("dws", "map", "GKE's Dynamic Workload Scheduler.", (
        Field("enabled", "bool", "Whether it is used."),
        Field("max_run_duration", "text|int", "Longest time of a run.", check=resources.minutes),
    ), note=_LATER),
    Field("kueue", "map", "Kueue.", (
        Field("local_queue_name", "text", "The LocalQueue."),
        Field("admission_timeout", "int", "Seconds to wait for admission, 86400 by default; -1 for ever."),
    )),
    Field("quota", "map", "The same as kueue.local_queue_name: `queue`.", (Field("queue", "text", "The LocalQueue."),)),
    Field("remote_identity", "text|map", "The pods' service account; or a map of contexts to them.",
          value=Field("", "text")),
    Field("enable_docker", "bool|text|map", "Docker in the pods.", (
        _MODE, Field("cache_volume", "text", "Volume for the cache."),
    ),
          choices=("ALL", "BUILD"), exact_case=True, required=("mode",), note=_LATER),
    Field("set_pod_resource_limits", "bool|number", "Limits equal to requests, a multiple, or none.", minimum=1),
))  # fmt: skip


def _other(name: str, *keys: str) -> Field:
    fields = tuple(Field(key, "any", "As in SkyPilot's settings.") for key in keys)
    return Field(name, "map", "Settings of another cloud.", fields, note=_OTHER_CLOUD)


CONFIG = Field("config", "map", "Settings for this task alone.", (
    KUBERNETES,
    Field("hooks", "list", "Scripts run when it is stopped, preempted or removed.", item=_HOOK, check=_at_most_32),
    Field("docker", "map", "Docker on virtual machines.", (
        Field("run_options", "text|list", "Arguments of docker run.", item=Field("", "text")),
    ), note=_OTHER_CLOUD),
    Field("nvidia_gpus", "map", "Settings of NVIDIA GPUs on virtual machines.", (
        Field("disable_ecc", "bool", "Whether error correction is off."),
    ), note=_OTHER_CLOUD),
    _other("ssh", "custom_metadata", "pod_config", "provision_timeout"),
    _other("gcp", "vpc_name", "subnet_names", "managed_instance_group", "enable_gvnic", "enable_gpu_direct",
           "placement_policy"),
    _other("azure", "remote_identity", "vpc_name"),
    _other("vast", "datacenter_only", "create_instance_kwargs"),
    _other("slurm", "sbatch_options", "quota", "cpu_partition"),
    Field("active_workspace", "text", "Workspace of a SkyPilot server.", note="has no effect: there is no API server"),
))  # fmt: skip
