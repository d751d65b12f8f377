"""Buckets that are mounted: rclone in a privileged sidecar, by FUSE. Pure.

Only a privileged container may let a mount of its own be seen by others (mountPropagation: Bidirectional); the task's
container gets it by HostToContainer. A file is uploaded when it is closed: nothing is lost when the task ends.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky.parts.part import Part

if TYPE_CHECKING:  # the containers' names are known to whoever explains what they say
    from kubectl_sky.parts.rclone import Rclone
    from kubectl_sky.taskfile.buckets import Bucket

CONTAINER, GUARDING = "bucket-mounts", "bucket-guard"
LINKS = "SKY_LINKS_MOUNTS"
HOLDER = "/sky/mounts"
PRIVILEGED = {"privileged": True, "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False}
# A dead mount would hold the pod on its node for ever. So whatever ends rclone, its mount is taken away: by its own
# container when it can, else by this one, which starts before it and is ended after it. Its arguments are the folders.
GUARD = """\
clear() { while grep -q " /mounts/$1 fuse" /proc/self/mounts; do umount -l "/mounts/$1" || return; done; }
trap 'for n in "$@"; do clear "$n"; done; exit 0' TERM
while sleep 1 & wait $!; do
  for n in "$@"; do stat "/mounts/$n" >/dev/null 2>&1 || umount -l "/mounts/$n"; done
done
"""
# $1 remote, $2 its URI, $3 its folder, $4 `made` if it is to be made where there is none, $5 options of rclone, and so
# on. It is asked for first: a mount itself looks at nothing.
SCRIPT = """\
clear() { while grep -q " /mounts/$1 fuse" /proc/self/mounts; do umount -l "/mounts/$1" || return; done; }
end() {
  for n in $folders; do clear "$n"; done
  [ -z "$pids" ] || kill $pids 2>/dev/null
  wait
  exit "$1"
}
fail() {
  said=$(grep -E 'ERROR|CRITICAL|Failed|Fatal' "$2" | tail -n 1)
  echo "$1: ${said:-$(tail -n 1 "$2")}" >/dev/termination-log
  cat "$2" >&2
  end 1
}
ask() {
  timeout 20 rclone "$1" --config /sky/rclone/rclone.conf --retries 2 --low-level-retries 4 --contimeout 15s "$2" \\
    >/dev/null 2>"$3"
}
dead() { read -r _ _ state _ 2>/dev/null <"/proc/$1/stat" || state=Z; [ "$state" = Z ]; }
pids= all= folders=
if [ -e /cache/.mounted ]; then
  echo "$2: rclone was killed, and the mount does not come back in a running task" >/dev/termination-log
  exit 1
fi
trap 'end 0' TERM
while [ $# -gt 0 ]; do
  clear "$3"
  ask lsf "$1" "/tmp/$3"
  code=$?
  # 3: there is none; and whoever may use one that is there need not have the right to make it
  if [ $code = 3 ] && [ "$4" = made ]; then
    ask mkdir "$1" "/tmp/$3"
    code=$?
  fi
  [ $code = 0 ] || [ $code -ge 124 ] || fail "$2" "/tmp/$3"
  rclone mount --config /sky/rclone/rclone.conf --allow-other --allow-non-empty --umask 0 --cache-dir /cache \\
    --vfs-write-back 0s $5 "$1" "/mounts/$3" 2>"/tmp/$3" &
  pids="$pids $!" folders="$folders $3" all="$all $! $2 $3"
  shift 5
done
touch /cache/.mounted
while sleep 1 & wait $!; do
  set -- $all
  while [ $# -gt 0 ]; do
    if dead "$1"; then
      [ -s "/tmp/$3" ] || echo "rclone was killed" >"/tmp/$3"
      fail "$2" "/tmp/$3"
    fi
    shift 3
  done
done
"""
_TUNED = (
    "transfers", "buffer_size", "vfs_cache_max_size", "vfs_cache_max_age", "vfs_read_ahead", "vfs_read_chunk_size",
    "vfs_read_chunk_streams",
)  # fmt: skip


def part(rclone: Rclone, buckets: Sequence[Bucket]) -> Part:
    """The sidecar, a volume for each bucket, and where it is in the task's container."""
    names = [f"mount-{index}" for index in range(len(buckets))]
    words = [
        word
        for index, one in enumerate(buckets)
        for word in (rclone.path(one), one.uri, str(index), "made" if one.named else "there", " ".join(_options(one)))
    ]
    mounts: list[dict[str, Any]] = [
        {"name": name, "mountPath": f"/mounts/{index}", "mountPropagation": "Bidirectional"}
        for index, name in enumerate(names)
    ]
    guard = rclone.container(GUARDING, GUARD, [str(index) for index in range(len(names))], PRIVILEGED, mounts)
    mounts.append({"name": "mount-cache", "mountPath": "/cache"})
    container = rclone.container(CONTAINER, SCRIPT, words, PRIVILEGED, mounts)
    places = {one.dst: f"{HOLDER}/{index}" for index, one in enumerate(buckets) if one.dst.startswith("~")}
    links = dict(sorted(places.items()))
    return Part(
        volumes=tuple({"name": name, "emptyDir": {}} for name in [*names, "mount-cache"]),
        mounts=tuple(
            {"name": name, "mountPath": places.get(one.dst, one.dst), "mountPropagation": "HostToContainer"}
            for name, one in zip(names, buckets, strict=True)
        ),
        env=({"name": LINKS, "value": json.dumps(links)},) if links else (),
        init_containers=(
            {**guard, "restartPolicy": "Always"},
            {**container, "restartPolicy": "Always", "startupProbe": _probe(len(buckets))},
        ),
    )


def _probe(count: int) -> dict[str, Any]:
    """Whether all are mounted: the task's container starts then."""
    tests = " && ".join(f"grep -q ' /mounts/{index} fuse' /proc/self/mounts" for index in range(count))
    return {"exec": {"command": ["/bin/sh", "-c", tests]}, "periodSeconds": 1, "failureThreshold": 600}


def _options(bucket: Bucket) -> list[str]:
    tuned = dict(bucket.config)
    options = ["--read-only"] if tuned.get("read_only") else []
    if bucket.mode == "MOUNT":
        return ["--vfs-cache-mode", "writes", *options]
    options += [word for name in _TUNED if name in tuned for word in (f"--{name.replace('_', '-')}", str(tuned[name]))]
    return ["--vfs-cache-mode", "full", *options]
