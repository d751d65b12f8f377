"""What a feature of a task adds to its manifests: podspec puts all of them together. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """`manifests` are made before the Job, and owned by it; they need a name only, labels come from podspec.

    `volumes` of the pod; `mounts`, `env` and `ports` of the task's container, `own_mounts` of ours; more containers;
    `pod`: other fields of its spec; `labels` and `annotations` of the pods, and those of the Job.
    `pull_secrets`: names of Secrets for images, beside those of pod_config; `notes`: lines for the user.
    """

    manifests: tuple[Fields, ...] = ()
    volumes: tuple[Fields, ...] = ()
    mounts: tuple[Fields, ...] = ()
    own_mounts: tuple[Fields, ...] = ()
    env: tuple[Fields, ...] = ()
    ports: tuple[Fields, ...] = ()
    init_containers: tuple[Fields, ...] = ()
    containers: tuple[Fields, ...] = ()
    pod: Fields = field(default_factory=dict)
    labels: Fields = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    job_labels: Mapping[str, str] = field(default_factory=dict)
    job_annotations: Mapping[str, str] = field(default_factory=dict)
    pull_secrets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
