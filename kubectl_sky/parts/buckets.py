"""Buckets: an init container with rclone copies them into an emptyDir before the task's container starts. Pure.

Each copy is a subPath of one volume: kubelet mounts it when the task's container starts, as the file or the folder that
it has become by then. The credentials are in a Secret that only rclone's container mounts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kubectl_sky.buckets.credentials import GOOGLE_FILE, Remote
from kubectl_sky.parts.part import Part
from kubectl_sky.taskfile.buckets import Bucket

CONTAINER = "buckets"
LINKS = "SKY_LINKS_BUCKETS"  # of the task's container: where links go (~/x) -> what to
HOLDER = "/sky/buckets"  # where copies are that are reached by a link
CONFIG = "/sky/rclone"
# $1 remote, $2 its URI, $3 the copy's name, and so on. The copies are open to all: the task's user is not known here.
# The last line of rclone goes to the container's status, from where `launch` and `explain` tell it.
SCRIPT = """\
umask 0
export HOME=/copies
while [ $# -gt 0 ]; do
  echo "copying $2"
  { rclone copyto --config /sky/rclone/rclone.conf --transfers 16 --checkers 16 --buffer-size 4M --fast-list \\
    --use-server-modtime --retries 2 --low-level-retries 4 --contimeout 15s --stats 10s --stats-one-line \\
    --stats-log-level NOTICE "$1" "/copies/$3" 2>&1; echo $? >/copies/.code; } | tee /copies/.log
  read -r code </copies/.code
  if [ "$code" != 0 ]; then
    echo "$2: $(grep -E 'ERROR|CRITICAL|NOTICE: Failed|Failed to' /copies/.log | tail -n 1)" >/dev/termination-log
    exit "$code"
  fi
  [ -e "/copies/$3" ] || mkdir "/copies/$3"
  shift 3
done
rm -f /copies/.log /copies/.code
"""
RESOURCES = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "1Gi"}}


def part(
    name: str, buckets: Sequence[Bucket], remotes: Mapping[tuple[str, ...], Remote],
    image: str, pull_policy: str, security: Mapping[str, Any], secret: str = "",
) -> Part:  # fmt: skip
    """`remotes` by Bucket.access; `security`: the container's context; `secret`: one of the user's, as rclone's env."""
    sections = {key: f"r{index}" for index, key in enumerate(remotes)}
    words = [
        word
        for index, one in enumerate(buckets)
        for word in (f"{sections[one.access]}:{one.path}", one.uri, str(index))
    ]
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": pull_policy,
        "command": ["/bin/sh", "-c", SCRIPT, "buckets", *words],
        "securityContext": security,
        "resources": RESOURCES,
        "volumeMounts": [
            {"name": "copies", "mountPath": "/copies"},
            {"name": "rclone", "mountPath": CONFIG, "readOnly": True},
        ],
    }
    files = {name: text for remote in remotes.values() for name, text in remote.files.items()}
    if GOOGLE_FILE in files:
        container["env"] = [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": f"{CONFIG}/{GOOGLE_FILE}"}]
    if secret:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    links = {one.dst: f"{HOLDER}/{index}" for index, one in enumerate(buckets) if one.dst[0] == "~"}
    links = dict(sorted(links.items()))  # ~/a before ~/a/b
    return Part(
        manifests=(_secret(name, _config(sections, remotes), files),),
        volumes=(
            {"name": "copies", "emptyDir": {}},
            {"name": "rclone", "secret": {"secretName": f"{name}-buckets", "defaultMode": 0o444}},
        ),
        mounts=tuple(
            {"name": "copies", "mountPath": links.get(one.dst, one.dst), "subPath": str(index)}
            for index, one in enumerate(buckets)
        ),
        env=({"name": LINKS, "value": json.dumps(links)},) if links else (),
        init_containers=(container,),
        notes=tuple(
            f"The credentials of {remote.source} go along for buckets, as Secret {name}-buckets"
            for remote in {one.source: one for one in remotes.values() if one.source}.values()
        ),
    )


def _config(sections: Mapping[tuple[str, ...], str], remotes: Mapping[tuple[str, ...], Remote]) -> str:
    """rclone.conf"""
    lines = []
    for key, remote in remotes.items():
        lines += [f"[{sections[key]}]", *(f"{name} = {value}" for name, value in remote.options.items()), ""]
    return "\n".join(lines)


def _secret(name: str, config: str, files: Mapping[str, str]) -> dict[str, Any]:
    data = {"rclone.conf": config, **files}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-buckets"},
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in data.items()},
    }
