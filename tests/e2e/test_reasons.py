"""Why a task ended or does not start: the command says it, soon and in one sentence."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Result, Sky, namespace

SMALL = ("--cpus", "0.1")
HOG = "x = []\nwhile True: x.append(bytearray(10_000_000))"


def finish(process: subprocess.Popen[str], seconds: float) -> Result:
    out, err = process.communicate(timeout=seconds)
    return Result(process.returncode, out, err)


def following(sky: Sky, name: str, *flags: str, script: str = "echo up; sleep 600") -> subprocess.Popen[str]:
    """A launch whose first line of output has come."""
    process = sky.start("launch", "-c", name, *SMALL, *flags, "--", script)
    assert process.stdout
    assert "up" in process.stdout.readline()
    return process


# -- memory ---------------------------------------------------------------------------------------------------------


def test_out_of_memory_of_the_job(sky: Sky) -> None:
    result = sky.run("launch", "-c", "hog", *SMALL, "--memory", "0.2", "--", "python3", "-c", HOG)
    assert result.code == 137, result
    assert "out of memory" in result.err and "205Mi" in result.err, result
    assert "--memory" in result.err.splitlines()[-1], result
    assert sky.ok("exec", "hog", "echo still here").out == "still here\n"


def test_out_of_memory_in_a_shells_child(sky: Sky) -> None:
    """The shell itself ends with 137 then; its child was killed."""
    script = f"echo begin; python3 -c '{HOG}'; code=$?; echo code $code; exit $code"
    result = sky.run("launch", "-c", "hog", *SMALL, "--memory", "0.2", "--", script)
    assert result.code == 137 and "code 137" in result.out, result
    assert "out of memory" in result.err, result


# -- the container, the pod, the node -------------------------------------------------------------------------------


def test_the_task_container_is_killed(sky: Sky) -> None:
    process = following(sky, "shot")
    head = sky.pods("shot")[0]["metadata"]["name"]
    sky.kubectl("exec", head, "-c", "task", "--", "sh", "-c", "kill 1", check=False)
    result = finish(process, 60)
    assert result.code not in (0, 130), result
    assert re.search(r"container `task`|SIGTERM|ended", result.err), result


def test_the_pod_is_deleted(sky: Sky) -> None:
    process = following(sky, "gone")
    head = sky.pods("gone")[0]["metadata"]["name"]
    sky.kubectl("delete", "pod", head, "--wait=false")
    result = finish(process, 60)
    assert result.code not in (0, 130), result
    assert re.search("deleted|gone", result.err), result
    logs = sky.run("logs", "gone")
    assert logs.code == 1 and "Traceback" not in logs.err, logs


def test_somebody_takes_it_down(sky: Sky) -> None:
    process = following(sky, "gone")
    sky.ok("down", "-y", "gone")
    result = finish(process, 60)
    assert result.code not in (0, 130), result
    assert re.search("deleted|gone|no cluster|taken down", result.err), result


def test_the_node_is_deleted(own_cluster: OwnCluster) -> None:
    """Its kubelet dies, and somebody takes the node away. The cluster is made anew after it."""
    with namespace(own_cluster.kubeconfig) as sky:
        sky.kubectl("cordon", "node-1")
        process = following(sky, "lost")
        assert sky.pods("lost")[0]["spec"]["nodeName"] == "node-2"
        os.kill(kubelet(own_cluster, "node-2"), signal.SIGKILL)
        sky.kubectl("delete", "node", "node-2")
        began = time.monotonic()
        result = finish(process, 150)
        print(f"told after {time.monotonic() - began:.1f} s: {result.err}")
        assert result.code not in (0, 130) and "node" in result.err.splitlines()[-2], result
        assert re.search(r"node-2.*(deleted|went away)|went away|node .*gone", result.err), result
        assert time.monotonic() - began < 120, result  # Kubernetes itself waits 40 s before it removes the pods


def kubelet(cluster: OwnCluster, node: str) -> int:
    root = os.path.dirname(cluster.kubeconfig)
    found = subprocess.run(
        ["pgrep", "-f", f"kubelet --config={root}/{node}/kubelet.yaml"], text=True, capture_output=True, check=True
    )
    return int(found.stdout.split()[0])


# -- what does not start --------------------------------------------------------------------------------------------


def test_an_image_that_does_not_exist(sky: Sky) -> None:
    began = time.monotonic()
    result = sky.run("launch", "-c", "noimage", *SMALL, "--image-id", "localhost:1/none:1", "--", "true")
    assert result.code == 1 and "image localhost:1/none:1 cannot be pulled" in result.err, result
    assert "check the name of the image" in result.err, result
    assert time.monotonic() - began < 60
    malformed = sky.run("launch", "-c", "badimage", *SMALL, "--image-id", "UPPER:::x", "--", "true", timeout=60)
    assert malformed.code in (1, 2) and "UPPER:::x" in malformed.err, malformed


def test_no_room_says_why_and_the_timeout_ends_it(sky: Sky) -> None:
    """Two do not fit on one node; the first ones hold all nodes."""
    nodes = len(json.loads(sky.kubectl("get", "nodes", "-o", "json"))["items"])
    large = ("--cpus", "0.05", "--memory", "13")
    sky.ok("launch", "-c", "hold", *large, "--num-nodes", str(nodes), "-d", "--", "sleep 600")
    result = sky.run("launch", "-c", "large", *large, "--provision-timeout", "5s", "--", "true")
    assert result.code == 124, result
    why = rf"{nodes} have too little memory free: it asks for 13 GiB, the most is .* GiB on .* held by hold-\d-\w+ \(13"
    assert re.search(why, result.err.split("error:")[0]), result  # while it waits
    assert "has not started within 5s" in result.err and re.search(why, result.err.split("error:")[1]), result
    assert "kubectl sky down" in result.err and "--provision-timeout" in result.err, result
    assert "too little memory free" in sky.run("status", "large").err
    under = sky.ok("status", "-v").out
    assert re.search(rf"^large .*\n  none of {nodes} nodes can take it: {why}", under, re.MULTILINE), under
    sky.ok("down", "-y", "hold")
    assert sky.ok("launch", "-c", "large", "--", "echo it has room now").out == "it has room now\n"


def quota(sky: Sky) -> None:
    sky.kubectl("create", "quota", "tight", "--hard=cpu=10m,memory=1Gi")


def limits(sky: Sky) -> None:
    limit = {"type": "Container", "max": {"cpu": "50m"}, "default": {"cpu": "50m"}}
    apply(sky, {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": [limit]}})


def security(sky: Sky) -> None:
    sky.kubectl("label", "namespace", sky.namespace, "pod-security.kubernetes.io/enforce=restricted")


def apply(sky: Sky, manifest: dict) -> None:
    env = {**os.environ, "KUBECONFIG": sky.kubeconfig}
    argv = ["kubectl", "--namespace", sky.namespace, "apply", "-f", "-"]
    subprocess.run(argv, env=env, text=True, input=json.dumps(manifest), capture_output=True, check=True)


ROOT_POD = "config:\n  kubernetes:\n    pod_config:\n      spec:\n        hostNetwork: true\n"


@pytest.mark.parametrize(
    ("rule", "more", "words"),
    [
        (quota, "", ("exceeded quota: tight|quota 'tight' is exceeded", "cpu")),
        (limits, "", ("cpu.*50m",)),
        (security, ROOT_POD, ("restricted", "hostNetwork|host namespaces")),
    ],
)
def test_what_admission_refuses(sky: Sky, tmp_path: Path, rule, more: str, words: tuple[str, ...]) -> None:
    rule(sky)
    file = tmp_path / "task.yaml"
    file.write_text(f"name: refused\nresources: {{cpus: 0.1}}\nrun: echo\n{more}")
    began = time.monotonic()
    result = sky.run("launch", str(file))
    assert result.code == 1 and all(re.search(word, result.err) for word in words), result
    assert time.monotonic() - began < 10
    sky.ok("down", "-y", "refused")


# -- names that are taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["job", "secret", "configmap", "service"])
def test_what_somebody_else_has_made_is_let_be(sky: Sky, kind: str) -> None:
    made = {
        "job": ("create", "job", "mine", "--image=none"),
        "secret": ("create", "secret", "generic", "mine-sky", "--from-literal=a=b"),
        "configmap": ("create", "configmap", "mine-sky", "--from-literal=a=b"),
        "service": ("create", "service", "clusterip", "mine", "--clusterip=None"),
    }[kind]
    sky.kubectl(*made)
    before, name = sky.kubectl("get", kind, "-o", "json"), made[3] if kind in ("secret", "service") else made[2]
    result = sky.run("launch", "-c", "mine", *SMALL, "--num-nodes", "2", "--", "true")
    assert result.code == 1 and f"{name!r} that kubectl sky did not make" in result.err, result
    assert "-c NAME" in result.err
    sky.run("down", "-y", "mine")
    after = sky.kubectl("get", kind, "-o", "json")
    uids = [[item["metadata"]["uid"] for item in json.loads(text)["items"]] for text in (before, after)]
    assert uids[0] == uids[1]
    assert not [item for item in sky.objects() if "pod" in item and kind != "job"]


def test_a_second_launch_that_wants_other_nodes(sky: Sky) -> None:
    sky.ok("launch", "-c", "set", *SMALL, "--memory", "0.2", "--", "true")
    for flags, words in {
        ("--cpus", "0.2"): ("0.2", "0.1"),
        ("--memory", "0.5"): ("0.5", "0.2"),
        ("--image-id", "other:1"): ("other:1", "the default"),
        ("--num-nodes", "2"): ("asked for 2, has 1",),
    }.items():
        result = sky.run("launch", "-c", "set", *flags, "--", "true")
        assert result.code == 2 and all(word in result.err for word in words), result
        assert "kubectl sky down" in result.err and "-c NAME" in result.err, result
    assert sky.ok("launch", "-c", "set", "--", "echo same").out == "same\n"
