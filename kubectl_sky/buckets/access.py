"""From a task's buckets to the part of its manifests: here this machine's credentials are looked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from kubectl_sky.buckets import credentials
from kubectl_sky.buckets.credentials import Remote
from kubectl_sky.errors import TaskErrors, UsageError
from kubectl_sky.parts import bucket_csi, bucket_mounts, buckets
from kubectl_sky.parts.part import Part
from kubectl_sky.parts.rclone import Rclone
from kubectl_sky.podspec import Facts
from kubectl_sky.settings import PREFIX, Settings
from kubectl_sky.task import Task
from kubectl_sky.taskfile.buckets import COPY, S3, Bucket, read
from kubectl_sky.taskfile.field import join
from kubectl_sky.taskfile.mounts import destination
from kubectl_sky.taskfile.problem import Problem


def parts(task: Task, name: str, settings: Settings, facts: Facts, agreed: bool = False) -> Iterator[Part]:
    """`agreed`: to a privileged container.

    Raises TaskErrors: what cannot be mounted, and for which bucket the endpoint or the credentials are no good.
    """
    wanted = read(task.file_mounts)
    if not wanted:
        return
    agreed = agreed or settings.allow_privileged_mounts == "true"
    remotes, problems = _remotes(task, settings, wanted)
    mounted = [one for one in wanted if one.mode != COPY]
    by_driver = [one for one in mounted if one.access in remotes and _driver(one, remotes, facts)]
    by_rclone = [one for one in mounted if one not in by_driver]
    problems += [_not_mounted(task, one, reason) for one in by_rclone if (reason := _why_not(one, agreed, facts))]
    places = [destination(place) for place in task.volumes]
    problems += [_taken(task, one) for one in wanted if one.dst in places]
    if problems:
        raise TaskErrors(problems)
    if by_driver:
        yield bucket_csi.part(name, by_driver, remotes)
    copied = [one for one in wanted if one.mode == COPY]
    if not copied and not by_rclone:
        return
    rclone = _rclone(name, settings, {one.access: remotes[one.access] for one in (*copied, *by_rclone)})
    yield rclone.part()
    if copied:
        yield buckets.part(rclone, copied)
    if by_rclone:
        yield bucket_mounts.part(rclone, by_rclone)


def _driver(bucket: Bucket, remotes: Mapping[tuple[str, ...], Remote], facts: Facts) -> str:
    return bucket_csi.driver(bucket, remotes[bucket.access], facts.csi)


def access(task: Task, name: str, settings: Settings, wanted: Iterable[Bucket]) -> Rclone:
    """rclone with what it needs for these buckets. Raises TaskErrors: of endpoints and credentials."""
    remotes, problems = _remotes(task, settings, wanted)
    if problems:
        raise TaskErrors(problems)
    return _rclone(name, settings, remotes)


def _remotes(
    task: Task, settings: Settings, wanted: Iterable[Bucket]
) -> tuple[dict[tuple[str, ...], Remote], list[Problem]]:
    """By Bucket.access, and what is wrong with the others. The task's own variables come before this machine's."""
    remotes: dict[tuple[str, ...], Remote] = {}
    problems: list[Problem] = []
    environment, endpoints = {**os.environ, **task.envs, **task.secrets}, _endpoints(settings)
    for one in wanted:
        try:
            remotes[one.access] = remotes.get(one.access) or credentials.remote(
                one, environment, Path.home(), endpoints, bool(settings.bucket_secret)
            )
        except UsageError as error:
            problems.append(task.problem(join("file_mounts", one.dst), error.message, error.hint))
    return remotes, problems


def _rclone(name: str, settings: Settings, remotes: Mapping[tuple[str, ...], Remote]) -> Rclone:
    image, policy = settings.own_image(settings.rclone_image), settings.image_pull_policy
    return Rclone(name, remotes, image, policy, settings.bucket_secret)


def _taken(task: Task, bucket: Bucket) -> Problem:
    return task.problem(join("file_mounts", bucket.dst), "a volume is mounted at the same place", "choose another")


def _why_not(bucket: Bucket, agreed: bool, facts: Facts) -> tuple[str, str] | None:
    """(reason, what else there is) when a bucket that no CSI driver takes cannot be mounted."""
    if not agreed:
        if bucket.kind == "azure" and bucket_csi.BLOB in facts.csi:
            return f"{bucket_csi.BLOB} needs the account's key", "set AZURE_STORAGE_KEY"
        hint = "or agree to a privileged container beside the task's: --allow-privileged-mounts"
        return "no CSI driver here does it, and otherwise it needs a privileged container", hint
    if facts.pod_security != "privileged":
        return f"the namespace's Pod Security level {facts.pod_security} forbids the privileged container", ""
    if not facts.sidecars:
        return "it needs Kubernetes 1.29 or newer", ""
    return None


def _not_mounted(task: Task, bucket: Bucket, reason: tuple[str, str]) -> Problem:
    choices = [
        "`mode: COPY` copies it before the task starts",
        "or a claim on it that its CSI driver made, under `volumes:`",
        reason[1],
    ]
    text = f"{bucket.uri} cannot be mounted (mode {bucket.mode}): {reason[0]}"
    return task.problem(join("file_mounts", bucket.dst), text, "; ".join(filter(None, choices)))


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
