"""Local files on their way to buckets: a small Job takes them, and rclone copies them from there. Pure.

It ends before the task's own Job is made, so that nothing expensive waits for it. When the client goes away before all
was sent, it ends by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky import names
from kubectl_sky.own_containers import HARDENED, RESOURCES

if TYPE_CHECKING:  # the containers' names are known to whoever explains what they say
    from kubectl_sky.parts.rclone import Rclone
    from kubectl_sky.taskfile.buckets import Bucket

Fields = dict[str, Any]
RECEIVING, CHECKING, CONTAINER = "files", "bucket-check", "bucket-uploads"
FOLDER = "/files"
RECEIVE = ["/sky/tools/bin/python3", "-SE", "/sky/code/receive.py"]
SENT = ["/bin/sh", "-c", f"touch {FOLDER}/.sent"]
KEEP_SECONDS = 600  # after its end, to be looked at
# what the task's pod says of where it may run, and as whom
_KEPT = (
    "serviceAccountName", "automountServiceAccountToken", "imagePullSecrets", "nodeSelector", "tolerations",
    "priorityClassName", "dnsPolicy", "dnsConfig", "hostAliases",
)  # fmt: skip
# The brackets: it must not find itself.
RECEIVING_SCRIPT = """\
idle=0
until [ -e /files/.sent ] || [ -e /files/.end ]; do
  sleep 1
  idle=$((idle + 1))
  ! grep -qsa 'receive[.]py' /proc/[0-9]*/cmdline || idle=0
  [ $idle -lt 180 ] || touch /files/.end
done
"""
_OPTIONS = "--config /sky/rclone/rclone.conf --retries 2 --low-level-retries 4 --contimeout 15s"
_FAIL = """\
fail() {
  cat /tmp/log >&2
  echo "$1: $(grep -E 'ERROR|CRITICAL|Failed to' /tmp/log | tail -n 1)" >/dev/termination-log
  exit 1
}
"""
# $1 remote, $2 its URI, $3 the folder, and so on. Before any file is sent: a bucket is looked at first, and made only
# when there is none (3), as whoever may write to one need not have the right to make it. A long answer (124) is one.
CHECK_SCRIPT = f"""\
export HOME=/tmp
{_FAIL}
while [ $# -gt 0 ]; do
  timeout 20 rclone lsf {_OPTIONS} "$1" >/dev/null 2>/tmp/log
  code=$?
  if [ $code = 3 ]; then
    rclone mkdir {_OPTIONS} "$1" 2>/tmp/log || fail "$2"
  elif [ $code != 0 ] && [ $code -lt 124 ]; then
    fail "$2"
  fi
  shift 3
done
"""
# The same arguments. What is there already is not sent again.
SCRIPT = f"""\
export HOME=/tmp
{_FAIL}
until [ -e /files/.sent ]; do
  [ ! -e /files/.end ] || {{ echo "$2: the files did not come" >/dev/termination-log; exit 1; }}
  sleep 0.2 2>/dev/null || sleep 1
done
while [ $# -gt 0 ]; do
  echo "uploading to $2"
  rclone copy {_OPTIONS} --transfers 16 --checkers 16 --exclude '.git/**' "/files/$3" "$1" 2>/tmp/log || fail "$2"
  cat /tmp/log >&2
  shift 3
done
"""


def source(index: int) -> str:
    """Where what goes to the bucket of that index lies meanwhile."""
    return f"{FOLDER}/{index}"


def job(
    rclone: Rclone, buckets: Sequence[Bucket], receiver: Fields, code: Mapping[str, str], like: Fields
) -> list[Fields]:
    """[ConfigMap, Secret, Job]. `receiver`: the image and its imagePullPolicy; `like`: the spec of the task's pods."""
    labels = names.labels(rclone.name)
    words = [word for index, one in enumerate(buckets) for word in (rclone.path(one), one.uri, str(index))]
    files = {"name": "files", "mountPath": FOLDER}
    temporary = {"name": "tmp", "mountPath": "/tmp"}
    receiving = {
        **receiver,
        "name": RECEIVING,
        "command": ["/bin/sh", "-c", RECEIVING_SCRIPT],
        "env": [{"name": "SKY_RUN", "value": "/tmp"}],
        "securityContext": HARDENED,
        "resources": RESOURCES,
        "volumeMounts": [files, temporary, {"name": "code", "mountPath": "/sky/code", "readOnly": True}],
    }
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{rclone.name}-sky", "labels": labels},
        "data": dict(code),
    }
    own = rclone.part()
    secrets = [{**one, "metadata": {**one["metadata"], "labels": labels}} for one in own.manifests]
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        **{key: like[key] for key in _KEPT if key in like},
        "initContainers": [rclone.container(CHECKING, CHECK_SCRIPT, words, HARDENED, [temporary])],
        "containers": [receiving, rclone.container(CONTAINER, SCRIPT, words, HARDENED, [files, temporary])],
        "volumes": [
            {"name": "files", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "code", "configMap": {"name": f"{rclone.name}-sky"}},
            *own.volumes,
        ],
    }
    template = {"metadata": {"labels": labels}, "spec": spec}
    made = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": rclone.name, "labels": labels},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": KEEP_SECONDS, "template": template},
    }
    return [config_map, *secrets, made]
