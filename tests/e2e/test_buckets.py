"""Buckets as file_mounts, from a real S3 server into real pods."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.settings import HOST_IP
from tests.e2e import s3_server
from tests.e2e.conftest import Result, Sky, image, namespace
from tests.e2e.s3_server import BUCKET, CLOSED, OBJECTS, Server

MOUNTS = f"""
file_mounts:
  /data: s3://{BUCKET}/train
  ~/deep/all: {{source: s3://{BUCKET}, mode: COPY}}
  /one.txt: s3://{BUCKET}/hello.txt
"""
# the last lines look for what must not be there
RUN = """
set -e
cat /data/a.csv /data/deep/er/b.csv "/data/with space.txt" /one.txt
test ! -e /data/no.csv
cat ~/deep/all/trained/no.csv
wc -c < ~/deep/all/big.bin
echo mine > /data/new; echo more >> /data/a.csv; mkdir ~/deep/all/train/deep/mine; rm ~/deep/all/hello.txt
for f in /proc/[0-9]*/environ; do tr '\\0' '\\n' < $f 2>/dev/null | grep -E '^(AWS|RCLONE)_' && exit 3; done
test ! -e /sky/rclone
ls /sky/buckets
echo done as $(id -u)
"""


@pytest.fixture(scope="module")
def server(kubeconfig: str) -> Iterator[Server]:
    if not kubeconfig.startswith("/var/lib/kubectl-sky-cluster"):
        pytest.skip("pods of $KUBECONFIG's cluster may not reach this machine")
    with s3_server.serve(HOST_IP) as made:
        yield made


@pytest.fixture(scope="module")
def space(kubeconfig: str, server: Server) -> Iterator[Sky]:
    with namespace(kubeconfig) as sky:
        yield with_keys(sky, server)


def with_keys(sky: Sky, server: Server, **changed: str) -> Sky:
    return replace(sky, env={**server.env, "KUBECTL_SKY_RCLONE_IMAGE": image("rclone"), **changed})


def task(folder: Path, name: str, mounts: str = MOUNTS, run: str = RUN, **fields: Any) -> str:
    indented = "".join(f"  {line}\n" for line in run.splitlines())
    file = folder / f"{name}.yaml"
    fields["resources"] = {"cpus": 0.1, "memory": 0.25, **fields.pop("resources", {})}
    more = "".join(f"{key}: {json.dumps(value)}\n" for key, value in fields.items())
    file.write_text(f"name: {name}\n{mounts}\n{more}run: |\n{indented}")
    return str(file)


def check_copied(result: Result, uid: str) -> None:
    assert result.code == 0, result
    said = [line.split(") ", 1)[-1] for line in result.out.splitlines()]
    wanted = ["1,2", "3,4", "5", "hello from the bucket", "not below train/", str(len(OBJECTS["big.bin"])), "1"]
    assert said[-8:] == [*wanted, f"done as {uid}"], result


def test_copies_for_any_user(space: Sky, server: Server, tmp_path: Path) -> None:
    """A prefix, a whole bucket and one file; the task may change its copies; the keys are nowhere but in the Secret."""
    images = {"root": image("python"), "nonroot": image("debian-nonroot")}
    files = {name: task(tmp_path, name, resources={"image_id": one}) for name, one in images.items()}
    with ThreadPoolExecutor(2) as pool:
        asked = {name: pool.submit(space.run, "launch", file) for name, file in files.items()}
    check_copied(asked["root"].result(), "0")
    check_copied(asked["nonroot"].result(), "1001")
    assert "Secret root-buckets" in asked["root"].result().err, "the user is told that keys go along"
    secret = json.loads(space.kubectl("get", "secret", "root-buckets", "-o", "json"))
    assert server.secret in base64.b64decode(secret["data"]["rclone.conf"]).decode()
    for kind in (
        space.kubectl("get", "pods,jobs,configmaps,events,replicasets,secrets", "-o", "json"),
        *logs(space, "root"),
    ):
        left = kind.replace(secret["data"]["rclone.conf"], "")
        for value in (server.secret, server.key):
            assert value not in left
            assert base64.b64encode(value.encode()).decode().rstrip("=") not in left
    assert "Its buckets stay as they were copied" in space.run("launch", files["root"]).err
    other = space.run("launch", "-c", "root", task(tmp_path, "other", f"file_mounts: {{/data: s3://{BUCKET}}}", "true"))
    assert other.code == 2
    assert f"asked for s3://{BUCKET} at /data" in other.err
    space.ok("down", "root", "nonroot")
    assert not [one for one in space.objects() if "root" in one and "kube-root-ca" not in one]


def logs(sky: Sky, name: str) -> list[str]:
    pod = sky.pods(name)[0]
    every = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    return [sky.kubectl("logs", pod["metadata"]["name"], "-c", one["name"], check=False) for one in every]


def test_what_is_wrong_is_told_before_the_job_runs(space: Sky, server: Server, tmp_path: Path) -> None:
    cases = {
        "nobucket": (space, "s3://sky-none/x", "no such bucket"),
        "noprefix": (space, f"s3://{BUCKET}/none", "nothing at that path"),
        "denied": (space, f"s3://{CLOSED}", "may not read it"),
        "nosuchkey": (
            with_keys(space, server, AWS_ACCESS_KEY_ID="AKIDNONE"),
            f"s3://{BUCKET}",
            "wrong or have expired",
        ),
        "wrongkey": (with_keys(space, server, AWS_SECRET_ACCESS_KEY="wr0ngs3cret"), f"s3://{BUCKET}", "wrong or have"),
        "away": (
            with_keys(space, server, AWS_ENDPOINT_URL=f"http://{HOST_IP}:9"),
            f"s3://{BUCKET}",
            "cannot be reached",
        ),
    }
    files = {
        name: task(tmp_path, name, f"file_mounts: {{/d: '{case[1]}'}}", "echo ran") for name, case in cases.items()
    }
    with ThreadPoolExecutor(6) as pool:
        asked = {name: pool.submit(cases[name][0].run, "launch", file) for name, file in files.items()}
    for name, (sky, uri, words) in cases.items():
        result = asked[name].result()
        print(name, result)
        assert result.code == 1
        assert "ran" not in result.out
        assert uri in result.err
        assert words in result.err, result
        assert "wr0ngs3cret" not in result.err
    told = space.ok("explain", "denied").out
    assert "may not read it" in told
    assert "s3:ListBucket" in told
    space.ok("down", *cases)


def test_several_restricted_nodes_and_a_secret_of_the_namespace(
    kubeconfig: str, server: Server, tmp_path: Path
) -> None:
    with namespace(kubeconfig) as sky:
        sky.kubectl("label", "namespace", sky.namespace, "pod-security.kubernetes.io/enforce=restricted")
        keys = [
            f"--from-literal={name}={value}" for name, value in server.env.items() if name.endswith(("_ID", "_KEY"))
        ]
        sky.kubectl("create", "secret", "generic", "team", *keys)
        sky = replace(sky, env={
            "KUBECTL_SKY_RCLONE_IMAGE": image("rclone"), "KUBECTL_SKY_BUCKET_SECRET": "team",
            "KUBECTL_SKY_BUCKET_ENDPOINTS": f"s3={server.url}", "AWS_ACCESS_KEY_ID": "unused",
            "AWS_SECRET_ACCESS_KEY": "unused",
        })  # fmt: skip
        result = sky.run("launch", task(tmp_path, "two", run="cat /data/a.csv; echo x > /data/y; id -u", num_nodes=2))
        assert result.code == 0, result
        assert result.out.count("1,2") == result.out.count("1000") == 2, result
        config = json.loads(sky.kubectl("get", "secret", "two-buckets", "-o", "json"))["data"]["rclone.conf"]
        assert "unused" not in base64.b64decode(config).decode()


def test_render_hides_them(space: Sky, server: Server, tmp_path: Path) -> None:
    file = task(tmp_path, "hidden")
    for argv in (["render", file], ["launch", file, "--dry-run=server", "-o", "yaml"]):
        shown = space.ok(*argv)
        assert server.secret not in shown.out + shown.err
        assert "--show-secrets" in shown.err
        data = base64.b64encode(f"secret_access_key = {server.secret}"[:30].encode()).decode()[:20]
        assert data not in shown.out
    assert not [one for one in space.objects() if "hidden" in one]
