"""The table of the task file's fields: names, kinds, help. One source for checks, `explain` and the JSON Schema."""

from __future__ import annotations

from dataclasses import replace

from kubectl_sky import resources
from kubectl_sky.taskfile.field import Field
from kubectl_sky.taskfile.fields_config import CONFIG
from kubectl_sky.taskfile.fields_serve import POOL, SERVICE

LATER = "has no effect yet in this version"
NO_MEANING = "has no meaning on Kubernetes and is ignored"
JOBS_ONLY = "is for managed jobs; a launch ignores it"

_ACCELERATOR_COUNT = Field("", "number|null")
_LABELS = Field("labels", "map", "Labels on the pods; values are text.", value=Field("", "text"),
                examples=("{team: vision}",))  # fmt: skip


def _positive(value: float) -> None:
    if value <= 0:
        raise ValueError(f"must be positive, not {value:g}")


def _just_one(value: dict | str) -> None:
    if isinstance(value, dict) and len(value) != 1:
        raise ValueError(f"should have one entry, not {len(value)}")


def _once(value: int | list) -> None:
    if isinstance(value, list) and len(set(value)) != len(value):
        raise ValueError("should list each exit code once")


def _disk(value: dict) -> None:
    if str(value.get("storage_type") or "network").lower() != "instance" and value.get("name") is None:
        raise ValueError("`name` is missing: that of the disk")


_DISKS = Field("", "map", fields=(
    Field("path", "text", "Where it is mounted."),
    Field("name", "text", "Its name."),
    Field("disk_size", "int|text", "Its size in GB.", check=resources.disk),
    Field("disk_tier", "text", "Its speed."),
    Field("storage_type", "text", "instance or network."),
    Field("auto_delete", "bool", "Whether it goes with the machine."),
    Field("attach_mode", "text", "read_only or read_write."),
), required=("path",), check=_disk)  # fmt: skip

_AUTOSTOP = Field("autostop", "bool|int|text|map", "What to do when idle, and after which time.", (
    Field("idle_minutes", "int", "Minutes without a job.", minimum=0),
    Field("down", "bool", "Remove it, instead of stopping."),
    Field("wait_for", "text", "What counts as use.", choices=resources.WAIT_FOR),
    Field("hook", "text", "Old form of config.hooks."),
    Field("hook_timeout", "int", "Seconds that the hook may take.", minimum=1),
), check=resources.autostop,
    examples=("10", "10m", "1h", "true", "false", "{idle_minutes: 10, down: true}"))  # fmt: skip

_EXIT_CODE = Field("", "int", minimum=0, maximum=255)
_JOB_RECOVERY = Field("job_recovery", "text|map", "How a managed job recovers: a strategy, or a map.", (
    Field("strategy", "text", "FAILOVER, EAGER_NEXT_REGION or none."),
    Field("max_restarts_on_errors", "int", "How often it is started again after it failed.", minimum=0),
    Field("recover_on_exit_codes", "int|list", "Exit codes that always restart it.", item=_EXIT_CODE,
          minimum=0, maximum=255, check=_once),
    Field("min_nodes", "int", "Fewest nodes of the DYNAMIC_NODE_SET strategy.", minimum=0),
), note=JOBS_ONLY, examples=("FAILOVER", "{max_restarts_on_errors: 3}"))  # fmt: skip

_ACCELERATORS = Field(
    "accelerators", "text|map|list",
    "GPUs of each node by name or memory: one kind, any one of a map, or the first that is there of a list.",
    value=_ACCELERATOR_COUNT, item=Field("", "text|map", value=_ACCELERATOR_COUNT, check=resources.accelerators),
    check=resources.accelerators,
    examples=("A100", "A100:8", "A100:0.5", "{A100: 8}", "{A100:8, H100:8}", "[H100:8, A100:8]", "80GB+",
              "nvidia:32GB:2", "tpu-v5-lite-podslice:4"),
)  # fmt: skip

_ONE_RESOURCE: tuple[Field, ...] = (
    Field("infra", "text", "Where to run: any context, or the one named.", check=resources.infra,
          examples=("k8s", "kubernetes", "k8s/my-context", "'*'")),
    Field("cloud", "text", "Old form of infra.", choices=resources.CLOUDS, examples=("kubernetes", "k8s")),
    Field("region", "text", "Old form: with cloud: kubernetes, the context."),
    Field("zone", "text", "A zone of another cloud.", note=NO_MEANING),
    Field("cpus", "number|text", "CPUs of each node; + is at least.", check=resources.amount,
          examples=("4", "0.5", "4+")),
    Field("memory", "number|text", "Memory of each node in GB (all units are binary); + is at least, x times the CPUs.",
          check=resources.size, examples=("16", "16+", "16GB", "16Gi", "512MB", "3x")),
    _ACCELERATORS,
    replace(_ACCELERATORS, name="gpus", help="The same as accelerators.", examples=("A100:8",)),
    Field("accelerator_args", "map", "Options of TPU machines on GCP.", (
        Field("runtime_version", "text", "Version of the TPU's software."),
        Field("tpu_name", "text", "Name of the TPU."),
        Field("tpu_vm", "bool", "Whether it runs on the TPU's own machine."),
        Field("gcp_queued_resource", "bool", "Whether to wait in GCP's queue."),
    ), note=NO_MEANING),
    Field("instance_type", "text", "CPUs, memory and GPUs as SkyPilot prints them.", check=resources.virtual_type,
          examples=("4CPU--16GB", "4CPU--16GB--H100:1")),
    Field("use_spot", "bool", "true: only spot nodes; false: none of them."),
    _JOB_RECOVERY,
    Field("disk_size", "int|text", "Ephemeral storage of each node in GB; 256 is not set, as in SkyPilot.",
          check=resources.disk, examples=("100", "100GB", "1TB")),
    Field("ephemeral_storage", "int|text", "Old form of disk_size.", note="is ignored, as in SkyPilot; use disk_size",
          check=resources.disk),
    Field("disk_tier", "text", "Speed of a cloud's disk.", choices=("low", "medium", "high", "ultra", "best"),
          note=NO_MEANING),
    Field("network_tier", "text", "best: the fastest network, such as InfiniBand.", choices=("standard", "best")),
    Field("local_disk", "text", "Local disks of cloud machines.", note=NO_MEANING, check=resources.local_disk),
    Field("max_hourly_cost", "number", "Highest price of a machine.", check=_positive, note=NO_MEANING),
    Field("ports", "text|int|list", "Ports that are served: port-forward reaches them, launch --expose opens them.",
          item=Field("", "text|int"), check=resources.ports,
          examples=("8080", "8000-8010", "8000,9000", "[8080, 9000-9010]")),
    Field("image_id", "text|map", "Container image; or a map of context to image.", value=Field("", "text"),
          check=resources.images,
          examples=("ubuntu:24.04", "docker:ubuntu:24.04", "{my-context: ubuntu:24.04}")),
    _LABELS,
    _AUTOSTOP,
    Field("priority", "int", "-1000 to 1000, the highest first.", minimum=-1000, maximum=1000),
    Field("priority_class", "text", "Name of a priority class.", note=LATER),
    Field("volumes", "list", "Disks of GCP machines.", item=_DISKS, note=NO_MEANING + "; use the task's `volumes`"),
    Field("_docker_login_config", "map", internal=True),
    Field("_is_image_managed", "bool", internal=True),
    Field("_requires_fuse", "bool", internal=True),
    Field("_cluster_config_overrides", "map", internal=True),
    Field("_no_missing_accel_warnings", "bool", internal=True),
)  # fmt: skip

_ALTERNATIVE = Field("", "map", fields=_ONE_RESOURCE)
RESOURCES = Field("resources", "map", "What each node needs.", (
    *_ONE_RESOURCE,
    Field("any_of", "list", "Alternatives in any order, each on top of the rest.", item=_ALTERNATIVE,
          examples=("[{accelerators: H100}, {accelerators: A100, use_spot: true}]",)),
    Field("ordered", "list", "Alternatives, the preferred one first.", item=_ALTERNATIVE,
          examples=("[{accelerators: H100}, {accelerators: A100}]",)),
))  # fmt: skip

_GIT = (
    Field("url", "text", "A git repository."),
    Field("ref", "text", "Branch, tag or commit."),
)
_SECRET_FILE = Field("", "map", fields=(Field("mount_path", "text", "The file that it becomes."),))
_SIZE_GB = Field("", "number")

TASK = Field("task", "map", "A task: what to run, with what, on what.", (
    Field("name", "text", "Name of the task.", examples=("train", "train-1.2")),
    Field("workdir", "text|map", "Folder (or git repository) that becomes ~/sky_workdir on every node.", _GIT,
          required=("url",), examples=(".", "~/project", "{url: https://github.com/me/project, ref: main}")),
    Field("num_nodes", "int", "Number of nodes.", minimum=1, maximum=100_000),
    RESOURCES,
    Field("envs", "any", "Environment variables; null ones must come with --env.",
          examples=("{EPOCHS: '3', MODEL: null}",)),
    Field("secrets", "any", "Like envs, and kept out of output; null ones must come with --secret.",
          examples=("{HF_TOKEN: null}", "['secrets:HF_TOKEN']")),
    Field("managed_secrets", "list", "Secrets kept by a SkyPilot server.",
          item=Field("", "text|map", value=_SECRET_FILE, check=_just_one)),
    Field("setup", "text", "Shell script run on every node before `run`."),
    Field("run", "text", "Shell script run on every node."),
    Field("file_mounts", "any", "Files and folders for the nodes: destination to source.",
          examples=("{/data: ./data}", "{/data: 's3://bucket/folder'}", "{/out: {name: my-bucket, mode: MOUNT}}")),
    Field("volumes", "any", "Volumes: destination to name or options.",
          examples=("{/data: my-volume}", "{/scratch: {size: 10Gi}}")),
    CONFIG,
    SERVICE,
    POOL,
    Field("event_callback", "text", "Shell script run when a managed job changes state.", note=LATER),
    Field("api_server_access", "bool", "Access to SkyPilot's API server.",
          note="has no effect: there is no API server"),
    Field("inputs", "map", "Size of inputs, for cost estimates.", value=_SIZE_GB, check=_just_one,
          note=NO_MEANING),
    Field("outputs", "map", "Size of outputs, for cost estimates.", value=_SIZE_GB, check=_just_one,
          note=NO_MEANING),
    Field("experimental", "map", "Old form of config.", (Field("config_overrides", "any", "What config has now."),)),
    Field("volume_mounts", "any", internal=True),
    Field("file_mounts_mapping", "any", internal=True),
    Field("_metadata", "any", internal=True),
    Field("_user_specified_yaml", "any", internal=True),
))  # fmt: skip
