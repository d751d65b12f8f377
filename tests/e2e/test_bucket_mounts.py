"""Buckets that are mounted by a privileged sidecar, from a real S3 server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.conftest import Sky, eventually, image
from tests.e2e.s3_server import BUCKET, CLOSED, OBJECTS, OUT, Server
from tests.e2e.test_buckets import server, space, task, with_keys  # noqa: F401

MOUNTS = f"""
file_mounts:
  /data: {{source: s3://{BUCKET}/train, config: {{mount: {{read_only: true}}}}}}
  ~/all: {{name: {BUCKET}, mode: MOUNT_CACHED, config: {{mount_cached: {{buffer_size: 1M, read_only: true}}}}}}
  /out: {{name: {OUT}}}
  /one.txt: s3://{BUCKET}/hello.txt
"""
RUN = """
set -e
cat /data/a.csv "/data/with space.txt" ~/all/hello.txt /one.txt
wc -c < ~/all/big.bin
if echo x 2>/dev/null > /data/no; then exit 4; fi
mkdir -p /out/$SKYPILOT_NODE_RANK
echo first > /out/$SKYPILOT_NODE_RANK/log
echo second >> /out/$SKYPILOT_NODE_RANK/log
test ! -e /sky/rclone
id -u
"""


def test_mounts_of_several_nodes(space: Sky, server: Server, tmp_path: Path) -> None:  # noqa: F811
    """Any user reads and writes; what was closed is in the bucket when the task ends; no dead mount holds a pod."""
    sky = with_keys(space, server, KUBECTL_SKY_ALLOW_PRIVILEGED_MOUNTS="true")
    file = task(tmp_path, "mounted", MOUNTS, RUN, num_nodes=2, resources={"image_id": image("debian-nonroot")})
    result = sky.run("launch", "--down", file)
    assert result.code == 0, result
    assert result.out.count("hello from the bucket") == 4, result
    assert result.out.count(str(len(OBJECTS["big.bin"]))) == result.out.count("1001") == 2, result
    log = b"first\nsecond\n"
    assert server.written() == {"0/log": log, "1/log": log}
    gone = "its pods go: no dead mount holds them"
    eventually(gone, lambda: not [one for one in sky.objects() if "mounted" in one], 20)


def test_what_is_wrong_is_told(space: Sky, server: Server, tmp_path: Path) -> None:  # noqa: F811
    agreed = with_keys(space, server, KUBECTL_SKY_ALLOW_PRIVILEGED_MOUNTS="true")
    cases = {
        "unagreed": (space, OUT, "otherwise it needs a privileged container"),
        "mountdenied": (agreed, CLOSED, "may not read it"),
        "mountnone": (agreed, "sky-none", "no such bucket"),
    }
    files = {
        name: task(tmp_path, name, f"file_mounts: {{/d: {{source: s3://{case[1]}}}}}", "echo ran")
        for name, case in cases.items()
    }
    with ThreadPoolExecutor(3) as pool:
        asked = {name: pool.submit(cases[name][0].run, "launch", file) for name, file in files.items()}
    for name, (_, _, words) in cases.items():
        result = asked[name].result()
        print(name, result)
        assert result.code == (2 if name == "unagreed" else 1)
        assert words in result.err, result
    assert "mode: COPY" in asked["unagreed"].result().err
    assert not [one for one in space.objects() if "unagreed" in one]
    space.ok("down", "mountdenied", "mountnone")


def test_a_killed_mount_is_told_and_holds_no_pod(space: Sky, server: Server, tmp_path: Path) -> None:  # noqa: F811
    sky = with_keys(space, server)
    file = task(tmp_path, "lost", f"file_mounts: {{/out: {{name: {OUT}}}}}", "ls /out")
    sky.ok("launch", "--allow-privileged-mounts", file)
    pod = sky.pods("lost")[0]["metadata"]["name"]
    sky.kubectl("exec", pod, "-c", "bucket-mounts", "--", "sh", "-c", "kill -9 $(pidof rclone)", check=False)
    eventually("it is told", lambda: "the mount is lost" in sky.run("explain", "lost").out, 30)
    sky.ok("down", "lost", timeout=60)
