"""Buckets that are copied: an init container does it before the task's container starts. Pure.

Each copy is a subPath of one volume: kubelet mounts it when the task's container starts, as the file or the folder that
it has become by then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubectl_sky.own_containers import HARDENED
from kubectl_sky.parts.part import Part

if TYPE_CHECKING:  # the containers' names are known to whoever explains what they say
    from kubectl_sky.parts.rclone import Rclone
    from kubectl_sky.taskfile.buckets import Bucket

CONTAINER = "buckets"
LINKS = "SKY_LINKS_BUCKETS"  # of the task's container: where links go (~/x) -> what to
HOLDER = "/sky/buckets"  # where copies are that are reached by a link
# $1 remote, $2 its URI, $3 the copy's name, and so on. The copies are open to all: the task's user is not known here.
# The last line of rclone goes to the container's status, from where `launch` and `explain` tell it.
SCRIPT = """\
umask 0
export HOME=/copies
while [ $# -gt 0 ]; do
  echo "copying $2"
  { rclone copyto --config /sky/rclone/rclone.conf --transfers 16 --checkers 16 --buffer-size 4M --fast-list \\
    --use-server-modtime --retries 2 --low-level-retries 4 --contimeout 15s --stats 5s --stats-one-line \\
    --stats-log-level NOTICE "$1" "/copies/$3" 2>&1; echo $? >/copies/.code; } | tee /copies/.log
  read -r code </copies/.code
  if [ "$code" != 0 ]; then
    echo "$2: $(grep -E 'ERROR|CRITICAL|Failed to' /copies/.log | tail -n 1)" >/dev/termination-log
    exit "$code"
  fi
  if [ ! -e "/copies/$3" ]; then
    case $1 in
      */*) echo "$2: directory not found" >/dev/termination-log; exit 3 ;;
      *) mkdir "/copies/$3" ;;  # a bucket may be empty
    esac
  fi
  shift 3
done
rm -f /copies/.log /copies/.code
"""


def part(rclone: Rclone, buckets: Sequence[Bucket]) -> Part:
    """The init container, the volume, and where the copies are in the task's container."""
    words = [word for index, one in enumerate(buckets) for word in (rclone.path(one), one.uri, str(index))]
    container = rclone.container(CONTAINER, SCRIPT, words, HARDENED, [{"name": "copies", "mountPath": "/copies"}])
    places = {one.dst: f"{HOLDER}/{index}" for index, one in enumerate(buckets) if one.dst.startswith("~")}
    links = dict(sorted(places.items()))  # ~/a before ~/a/b
    return Part(
        volumes=({"name": "copies", "emptyDir": {}},),
        mounts=tuple(
            {"name": "copies", "mountPath": places.get(one.dst, one.dst), "subPath": str(index)}
            for index, one in enumerate(buckets)
        ),
        env=({"name": LINKS, "value": json.dumps(links)},) if links else (),
        init_containers=(container,),
    )
