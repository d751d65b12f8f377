"""Volumes on a real cluster, most of them made by a real provisioner; each refusal, with nothing made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import KINDS, Sky, eventually, image, namespace

LOCAL, SHARED = {"storage_class_name": "local"}, {"storage_class_name": "shared", "access_mode": "ReadWriteMany"}


@pytest.fixture(scope="module")
def provisioned(kubeconfig: str) -> None:
    """The storage classes `local` and `shared`."""
    if not kubeconfig.startswith("/var/lib/kubectl-sky-cluster"):
        pytest.skip("the storage classes are those of the project's own cluster")
    from tests import cluster

    cluster.provision_storage()


@dataclass(frozen=True)
class Space:
    """A namespace, and a folder for task files."""

    sky: Sky
    folder: Path

    def task(self, volumes: dict[str, object], run: str = "true", base: str = "busybox", **more: object) -> str:
        file = self.folder / f"{uuid.uuid4().hex}.yaml"
        resources = {"cpus": 0.1, "image_id": image(base)}
        file.write_text(yaml.safe_dump({"volumes": volumes, "resources": resources, "run": run, **more}))
        return str(file)

    def out(self, name: str, *task: object, **more: object) -> str:
        """What the task prints; it is taken down afterwards."""
        return self.sky.ok("launch", self.task(*task, **more), "-c", name, "--down").out  # type: ignore[arg-type]

    def refusal(self, volumes: dict[str, object], **more: object) -> str:
        """Why it is not launched; nothing is made."""
        result = self.sky.run("launch", self.task(volumes, **more), "-c", "refused")
        assert result.code == 2, result
        assert "refused" not in self.sky.kubectl("get", f"{KINDS},pvc", "-o", "name")
        return result.err

    def listed(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.sky.ok("volumes", "ls", "-o", "json").out)["volumes"]
        return found

    def claims(self) -> list[str]:
        return self.sky.kubectl("get", "pvc", "-o", "name").split()

    def apply(self, *manifests: dict[str, object]) -> None:
        self.sky.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))


@pytest.fixture
def space(provisioned: None, sky: Sky, tmp_path: Path) -> Space:
    return Space(sky, tmp_path)


@pytest.fixture
def folder(space: Space) -> Iterator[str]:
    """A folder that all nodes have, with a file in it."""
    path = Path("/var/lib/kubectl-sky-cluster", f"e2e-{uuid.uuid4().hex[:8]}")
    path.mkdir(mode=0o755)
    (path / "there").write_text("from the node\n")
    yield str(path)
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def test_a_volume_keeps_data_and_is_never_taken_down(space: Space) -> None:
    sky = space.sky
    new = ("volumes", "apply", "--name", "state", "--size", "1Gi")
    assert sky.ok(*new, "--storage-class", "local").out == "volume/state created\n"
    assert sky.ok(*new).out == "volume/state unchanged\n"
    larger = sky.run("volumes", "apply", "--name", "state", "--size", "2Gi")
    assert (larger.code, larger.err.splitlines()[0]) == (
        1, "error: volume state cannot grow to 2Gi: it waits for its first task",
    )  # fmt: skip
    example = ("examples/volume.yaml", "--down", "--cpus", "0.1", "--image-id", image("busybox"))
    assert [sky.ok("launch", *example).out for _ in range(2)] == ["run 1\n", "run 2\n"]
    assert space.claims() == ["persistentvolumeclaim/state"]
    # at other places, below the home, and by a folder of it; as a user who is not root
    twice = {"~/deep/d": {"name": "state", "sub_path": "counter"}, "/mnt/new": {"name": "state", "sub_path": "new/er"}}
    run = "id -u; echo x > /mnt/new/mine; cd ~/deep/d; echo more >> runs; wc -l < runs"
    assert space.out("second", twice, run, base="debian-nonroot").split() == ["1001", "3"]
    sky.run("down", "-a", "-y")
    row = space.listed()[0]
    assert (row["name"], row["size"], row["storageClass"], row["status"]) == ("state", "1Gi", "local", "Bound")
    assert row["accessModes"] == ["ReadWriteOnce"]
    larger = sky.run("volumes", "apply", "--name", "state", "--size", "2Gi")
    assert "needs allowVolumeExpansion: true" in larger.err
    other = sky.run("volumes", "apply", "--name", "state", "--size", "1Gi", "--access-mode", "ReadWriteMany")
    assert "is there, with another access mode ReadWriteOnce, not ReadWriteMany" in other.err
    eventually("nobody uses it", lambda: space.listed()[0]["usedBy"] == [])
    assert space.claims() == ["persistentvolumeclaim/state"]
    assert sky.ok("volumes", "delete", "state").out == "volume/state deleted\n"
    eventually("the claim is gone", lambda: not space.claims())
    assert sky.run("volumes", "delete", "state").code == 1
    assert sky.ok("volumes", "delete", "state", "--ignore-not-found").out == ""


def test_in_use(space: Space) -> None:
    """A volume that is mounted: who has it, who else cannot have it, and that it is not deleted."""
    sky = space.sky
    sky.ok("volumes", "apply", "--name", "data", "--size", "1Gi", "--storage-class", "local")
    sky.ok("launch", space.task({"/d": "data"}, "sleep 600"), "-c", "holder", "-d")
    lines = sky.ok("volumes", "ls").out.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "SIZE", "CLASS", "MODE", "STATUS", "USED", "BY", "AGE"]
    assert lines[1].split()[:7] == ["data", "k8s-pvc", "1Gi", "local", "RWO", "Bound", "holder"]
    result = sky.run("volumes", "delete", "data", "-y")
    assert result.code == 1
    assert "volume data is in use by pod holder-0" in result.err
    assert "kubectl sky down holder" in result.err
    # the volume is a folder of one node: another task can only go there, and may; by the name that SkyPilot gave it
    sky.kubectl("label", "pvc", "data", "skypilot-name=disk", "--overwrite")
    assert space.out("other", {"/d": "disk"}, "echo both") == "both\n"
    again = sky.run("launch", space.task({"/d": "data", "/e": "data"}), "-c", "holder")
    assert again.code == 2
    assert "volumes: asked for /d: data, /e: data, has /d: data" in again.err
    sky.ok("down", "holder")


def test_new_volumes_go_with_the_task(space: Space) -> None:
    """Two nodes: one claim each for ReadWriteOnce, one for both for ReadWriteMany."""
    volumes = {"/own": {"size": "1Gi", "config": LOCAL, "labels": {"team": "x"}}, "/all": {"size": 1, "config": SHARED}}
    run = (
        "echo $SKYPILOT_NODE_RANK > /own/rank; echo $SKYPILOT_NODE_RANK > /all/$SKYPILOT_NODE_RANK; "
        "while [ ! -e /all/0 ] || [ ! -e /all/1 ]; do sleep 0.2; done; "
        '[ "$(cat /own/rank)" = "$SKYPILOT_NODE_RANK" ] && cat /all/0 /all/1'
    )
    out = space.sky.ok("launch", space.task(volumes, run, num_nodes=2), "-c", "pair").out
    assert sorted(line.split()[-1] for line in out.splitlines()) == ["0", "0", "1", "1"]
    assert len(space.claims()) == 3
    assert space.sky.kubectl("get", "pvc", "-l", "team=x", "-o", "name").count("pair-") == 2
    assert {(row["type"], *row["usedBy"]) for row in space.listed()} == {("ephemeral", "pair")}
    space.sky.ok("down", "pair")
    assert space.claims() == []


def test_folders_of_the_nodes(space: Space, folder: str) -> None:
    sky = space.sky
    file = space.folder / "volume.yaml"
    file.write_text(yaml.safe_dump({"name": "models", "type": "k8s-hostpath", "config": {"host_path": folder}}))
    assert sky.ok("volumes", "apply", str(file)).out == "volume/models created\n"
    volumes = {"/a": {"host_path": folder}, "/b": "models", "/c": {"host_path": folder, "read_only": True}}
    run = "cat /a/there; echo new > /b/new; cat /a/new; touch /c/no 2>/dev/null || echo read-only"
    assert space.out("folders", volumes, run) == "from the node\nnew\nread-only\n"
    assert "models" in sky.ok("volumes", "ls").out
    assert sky.ok("volumes", "delete", "models", "-y").out == "volume/models deleted\n"
    assert "has no volume 'models'" in space.refusal({"/b": "models"})


def test_refusals_of_claims(space: Space) -> None:
    space.apply(claim("once", "local"), claim("lost", "nowhere"))
    err = space.refusal({"/a": "onse", "/b": "lost", "/c": {"size": "1Gi", "config": {"storage_class_name": "locl"}}})
    assert "3 problems" in err
    assert "has no volume 'onse' (did you mean `once`" in err
    assert "the claim lost waits for a volume: there is no StorageClass 'nowhere'" in err
    assert "there is no StorageClass 'locl' (did you mean `local`?)" in err
    err = space.refusal({"/a": "once"}, num_nodes=2)
    assert "once is ReadWriteOnce: it cannot be mounted on 2 nodes" in err
    assert "the cluster has no default StorageClass" in space.refusal({"/a": {"size": "1Gi"}})


def test_refusals_of_volumes_that_are_elsewhere(space: Space) -> None:
    """Volumes made by hand: one whose node is gone, one that another pod has, one that is only read."""
    name = space.sky.namespace
    holder = {"name": "holder", "labels": {"app": "x"}}
    mounted = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "disk"}}]}
    mounts = [{"name": "v", "mountPath": "/v"}]
    container = {"name": "c", "image": image("busybox"), "command": ["sleep", "600"], "volumeMounts": mounts}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, **mounted}
    space.apply(
        *pair(name, "gone", "ReadWriteOnce", node="node-77"), *pair(name, "disk", "ReadWriteOnce"),
        *pair(name, "read", "ReadOnlyMany"), {"apiVersion": "v1", "kind": "Pod", "metadata": holder, "spec": spec},
    )  # fmt: skip
    try:
        eventually("the claims are bound", lambda: space.sky.kubectl("get", "pvc").count("Bound") == 3)
        eventually("the pod has a node", lambda: "node-" in space.sky.kubectl("get", "pod", "holder", "-o", "wide"))
        err = space.refusal({"/a": "gone", "/b": "disk"})
        assert "no node can reach the volume of gone: kubernetes.io/hostname in node-77" in err
        assert "disk is ReadWriteOnce and mounted by pod holder on node-" in err
        assert "first `kubectl delete pod holder`" in err
        assert space.out("reader", {"/r": "read"}, "touch /r/x 2>/dev/null || echo no", num_nodes=1) == "no\n"
    finally:
        for volume in ("gone", "disk", "read"):
            space.sky.kubectl("delete", "pv", f"{name}-{volume}", "--wait=false")


def test_pod_security(provisioned: None, kubeconfig: str, tmp_path: Path) -> None:
    with namespace(kubeconfig) as sky:
        sky.kubectl("label", "namespace", sky.namespace, "pod-security.kubernetes.io/enforce=restricted")
        space = Space(sky, tmp_path)
        err = space.refusal({"/a": {"host_path": "/data"}, "/b": {"nfs": "server:/path"}})
        assert "the namespace forbids folders of the node (hostPath): Pod Security 'restricted'" in err
        assert "the namespace forbids NFS volumes" in err
        volumes = {"/a": {"size": "1Gi", "config": LOCAL}}
        assert space.out("fine", volumes, "id -u; echo x > /a/x; cat /a/x") == "1000\nx\n"


def test_render_without_a_cluster(tmp_path: Path) -> None:
    sky = Sky("nowhere", "/dev/null")
    file = tmp_path / "task.yaml"
    file.write_text("volumes: {/a: data, /b: {nfs: 'server:/path'}, ~/c: {size: 1Gi}}\nrun: ls\n")
    job = list(yaml.safe_load_all(sky.ok("render", str(file), "-c", "x").out))[-1]
    volumes = {one["name"]: one for one in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["volume-0"]["persistentVolumeClaim"] == {"claimName": "data"}
    assert volumes["volume-1"]["nfs"] == {"server": "server", "path": "/path"}
    assert "ephemeral" in volumes["volume-2"]


def claim(name: str, storage_class: str, **more: object) -> dict[str, object]:
    spec = {
        "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class,
        "resources": {"requests": {"storage": "1Gi"}}, **more,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def pair(space: str, name: str, mode: str, node: str = "") -> tuple[dict[str, object], dict[str, object]]:
    """A volume made by hand, and its claim. With a `node` it can be reached only there."""
    spec: dict[str, object] = {
        "capacity": {"storage": "1Gi"}, "accessModes": [mode], "storageClassName": "", "claimRef":
        {"namespace": space, "name": name}, "hostPath": {"path": "/tmp"}, "persistentVolumeReclaimPolicy": "Retain",
    }  # fmt: skip
    if node:
        where = [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": where}]}}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{space}-{name}"}, "spec": spec}
    return volume, claim(name, "", accessModes=[mode], volumeName=f"{space}-{name}")
