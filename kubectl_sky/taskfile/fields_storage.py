"""The fields of a bucket under `file_mounts:` and of a volume under `volumes:`."""

from __future__ import annotations

import re

from kubectl_sky import resources
from kubectl_sky.taskfile.field import Field

STORES = ("S3", "GCS", "AZURE", "R2", "IBM", "OCI", "NEBIUS", "COREWEAVE", "VASTDATA", "HF", "VOLUME")
SCHEMES = ("s3", "gs", "https", "r2", "cos", "oci", "nebius", "cw", "vastdata", "hf", "az")
_BYTES = re.compile(r"[0-9]+([bkmgtp]|[BKMGTP])?")
_SPAN = re.compile(r"((?:[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:ms|[smhdwMy]))+|[-+]?(?:\d+(?:\.\d+)?|\.\d+))")
_SUB_PATH = re.compile(r"[a-zA-Z0-9._-][a-zA-Z0-9./_-]*")
_QUANTITY = re.compile(r"[0-9]+([kmgtp](b|i|ib)?|[KMGTP](B|I|i|b|IB|iB)?)?")


def _bytes(value: str) -> None:
    if not _BYTES.fullmatch(value):
        raise ValueError(f'"{value}" should be a size such as 64M or 1G')


def _span(value: str) -> None:
    if not _SPAN.fullmatch(value):
        raise ValueError(f'"{value}" should be a time such as 5s, 1m30s or 1h')


def _sub_path(value: str) -> None:
    if not _SUB_PATH.fullmatch(value) or ".." in value.split("/"):
        raise ValueError(f'"{value}" should be a relative path of letters, digits and . _ - /')


def _quantity(value: str | int) -> None:
    if not _QUANTITY.fullmatch(str(value)):
        raise ValueError(f'"{value}" should be a size such as 10Gi or 100GB')


_DISK = "is for disks of GCP and is ignored"

_CACHED = Field("mount_cached", "map", "Tuning of MOUNT_CACHED.", (
    Field("transfers", "int", "Files sent to the bucket at the same time.", minimum=1),
    Field("buffer_size", "text", "Memory for each open file.", check=_bytes),
    Field("vfs_cache_max_size", "text", "Most disk space of the cache.", check=_bytes),
    Field("vfs_cache_max_age", "text", "How long a file stays in the cache after its last use.", check=_span),
    Field("vfs_read_ahead", "text", "How much is read ahead.", check=_bytes),
    Field("vfs_read_chunk_size", "text", "Size of the first read.", check=_bytes),
    Field("vfs_read_chunk_streams", "int", "Reads at the same time.", minimum=0),
    Field("vfs_write_back", "text", "How long after its end a file is sent.", check=_span,
          note="has no effect: a file is sent when it is closed"),
    Field("read_only", "bool", "Not to be written."),
))  # fmt: skip

STORAGE = Field("", "map", "A bucket.", (
    Field("name", "text", "Name of the bucket."),
    Field("source", "text|list", "Local folder, list of local paths, or URI of a bucket.", item=Field("", "text")),
    Field("store", "text", "Kind of bucket.", choices=STORES),
    Field("mode", "text", "MOUNT (default), COPY or MOUNT_CACHED.", choices=("MOUNT", "COPY", "MOUNT_CACHED")),
    Field("persistent", "bool", "Keep the bucket afterwards (default).",
          note="has no effect: buckets are never deleted here"),
    Field("type", "text", "Preset of MOUNT_CACHED.",
          choices=("MODEL_CHECKPOINT_RO", "MODEL_CHECKPOINT_RW", "DATASET_RO", "DATASET_RW"),
          note="has no effect yet in this version; config.mount_cached has"),
    Field("config", "map", "Tuning.", (
        _CACHED,
        Field("mount", "map", "Tuning of MOUNT.", (
            Field("read_only", "bool", "Not to be written."),
            Field("hf_mount_args", "list", "More arguments of hf-mount.", item=Field("", "text"),
                  note="has no effect: rclone mounts the bucket"),
        )),
        Field("disk_size", "int|text", "Size, of store: volume.", check=resources.disk, note=_DISK),
        Field("disk_tier", "text", "Of store: volume.", note=_DISK),
        Field("storage_type", "text", "Of store: volume.", note=_DISK),
        Field("attach_mode", "text", "Of store: volume.", note=_DISK),
    )),
    Field("_is_sky_managed", "bool", internal=True),
    Field("_bucket_sub_path", "text", internal=True),
    Field("_force_delete", "bool", internal=True),
))  # fmt: skip

FILE_MOUNTS = Field("file_mounts", "map", value=Field("", "text|map", fields=STORAGE.fields))

VOLUME = Field("", "text|map", "A volume: its name, or a map.", (
    Field("name", "text", "An existing volume."),
    Field("sub_path", "text", "A folder in it.", check=_sub_path),
    Field("size", "text|int", "Makes a new volume that goes away with the task.", check=_quantity),
    Field("type", "text", "Kind of volume.", exact_case=True,
          choices=("k8s-pvc", "k8s-hostpath", "runpod-network-volume")),
    Field("labels", "map", "Labels of the new volume.", value=Field("", "text")),
    Field("config", "map", "Settings of a new volume.", (
        Field("storage_class_name", "text", "Its StorageClass; else the cluster's default."),
        Field("access_mode", "text", "How many nodes may mount it; ReadWriteOnce by default.", exact_case=True,
              choices=("ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany")),
        Field("namespace", "text", "That of the volume."),
        Field("host_path", "text", "The folder, of a k8s-hostpath volume."),
        Field("cleanup_on_deletion", "bool", "Whether the folder goes with the volume.",
              note="has no effect: new volumes go with the task, all else stays"),
    )),
    Field("host_path", "text", "A folder of the node (our addition)."),
    Field("nfs", "text", "A folder of an NFS server, as server:/path (our addition)."),
    Field("read_only", "bool", "Not to be written (our addition)."),
))  # fmt: skip

VOLUMES = Field("volumes", "map", value=VOLUME)
