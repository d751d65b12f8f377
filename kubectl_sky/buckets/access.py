"""From a task's buckets to the part of its manifests: here this machine's credentials are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kubectl_sky.buckets import credentials
from kubectl_sky.buckets.credentials import Remote
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.parts import buckets
from kubectl_sky.parts.part import Part
from kubectl_sky.parts.rclone import Rclone
from kubectl_sky.settings import PREFIX, Settings
from kubectl_sky.task import Task
from kubectl_sky.taskfile.buckets import COPY, S3, Bucket, read
from kubectl_sky.taskfile.field import join
from kubectl_sky.taskfile.problem import Problem


def parts(task: Task, name: str, settings: Settings) -> Iterator[Part]:
    """The task's own variables come before this machine's. Raises TaskErrors: what cannot be mounted or read."""
    wanted = read(task.file_mounts)
    if not wanted:
        return
    environment = {**os.environ, **task.envs, **task.secrets}
    endpoints = _endpoints(settings)
    remotes: dict[tuple[str, ...], Remote] = {}
    problems = [_not_mounted(task, one) for one in wanted if one.mode != COPY]
    for one in wanted:
        if one.access in remotes:
            continue
        try:
            remotes[one.access] = credentials.remote(
                one, environment, Path.home(), endpoints, bool(settings.bucket_secret)
            )
        except UsageError as error:
            problems.append(task.problem(join("file_mounts", one.dst), error.message, error.hint))
    if problems:
        raise TaskErrors(problems)
    image, policy = settings.own_image(settings.rclone_image), settings.image_pull_policy
    rclone = Rclone(name, remotes, image, policy, settings.bucket_secret)
    yield rclone.part()
    yield buckets.part(rclone, wanted)


def _not_mounted(task: Task, bucket: Bucket) -> Problem:
    hint = (
        "`mode: COPY` copies it before the task starts; or with a CSI driver (s3.csi.aws.com, "
        "gcsfuse.csi.storage.gke.io, blob.csi.azure.com) an administrator makes a claim: name that under `volumes:`"
    )
    path = join("file_mounts", bucket.dst)
    return task.problem(path, f"{bucket.uri} is not mounted by kubectl sky (mode {bucket.mode})", hint)


def _endpoints(settings: Settings) -> dict[str, str]:
    """`r2=https://...,s3=...` Raises UsageError."""
    found = {}
    for item in filter(None, (text.strip() for text in settings.bucket_endpoints.split(","))):
        scheme, _, url = item.partition("=")
        if scheme not in S3 or not url.startswith(("http://", "https://")):
            known = f"SCHEME one of {', '.join(S3)}"
            setting = f"bucket_endpoints ({PREFIX}BUCKET_ENDPOINTS)"
            raise UsageError(f"{setting}: {item!r} should be SCHEME=URL, {known}")
        found[scheme] = url
    return found
