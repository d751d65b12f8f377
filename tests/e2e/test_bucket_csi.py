"""Buckets that a CSI driver mounts: kubelet's own way to it, with a driver that takes the place of GKE's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sky.parts.bucket_csi import GCSFUSE
from tests import cluster
from tests.cluster.binaries import ensure_programs
from tests.e2e.conftest import Sky, eventually, image
from tests.e2e.s3_server import BUCKET, OUT, Server
from tests.e2e.test_buckets import server, space, task  # noqa: F401

NODE = "node-1"
MOUNTS = f"""
file_mounts:
  /data: {{source: gs://{BUCKET}/train, config: {{mount: {{read_only: true}}}}}}
  ~/out: {{source: gs://{OUT}}}
config: {{kubernetes: {{pod_config: {{spec: {{nodeSelector: {{kubernetes.io/hostname: {NODE}}}}}}}}}}}
"""
RUN = """
set -e
cat /data/a.csv "/data/with space.txt"
if echo x 2>/dev/null > /data/no; then exit 4; fi
echo made > ~/out/by-csi
ls -d /sky/rclone 2>/dev/null && exit 5
id -u
"""


@pytest.fixture(scope="module")
def driver(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: F811
    """On one node, of the S3 server instead of Google's."""
    ensure_programs({"rclone": "rclone", "fusermount3": "fuse3"})
    config = tmp_path_factory.mktemp("rclone") / "rclone.conf"
    lines = {
        "type": "s3", "provider": "Other", "endpoint": server.url, "region": "us-east-1",
        "access_key_id": server.key, "secret_access_key": server.secret,
    }  # fmt: skip
    config.write_text("[bucket]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items()))
    cluster.csi_plugin(NODE, GCSFUSE, str(config))
    yield GCSFUSE
    cluster.csi_plugin(NODE, GCSFUSE, "")


def test_mounts_without_any_right(driver: str, space: Sky, server: Server, tmp_path: Path) -> None:  # noqa: F811
    """Pod Security "restricted"; a folder of a bucket, read-only; what is written is in the bucket."""
    space.kubectl("label", "namespace", space.namespace, "pod-security.kubernetes.io/enforce=restricted")
    file = task(tmp_path, "csi", MOUNTS, RUN, resources={"image_id": image("debian-nonroot")})
    shown = space.ok("launch", "--dry-run=server", "-o", "yaml", file).out
    assert "privileged" not in shown and "csi-buckets" not in shown and f"driver: {driver}" in shown
    assert 'gke-gcsfuse/volumes: "true"' in shown or "gke-gcsfuse/volumes: 'true'" in shown
    result = space.run("launch", file)
    assert result.code == 0, result
    assert result.out.splitlines()[-3:] == ["1,2", "5", "1000"], result
    assert f"gs://{OUT} is mounted by {driver}" in result.err
    assert server.written()["by-csi"] == b"made\n"
    space.ok("down", "csi", timeout=60)
    eventually("its pod is gone: no dead mount holds it", lambda: not space.pods("csi"), 20)
