"""Volumes: what they mean in a pod, and what stands against them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kubectl_sky import choosing, planning, shape
from kubectl_sky import task as tasks
from kubectl_sky.capacity.nodes import Device, Node
from kubectl_sky.errors import UsageError
from kubectl_sky.optimizer import Place
from kubectl_sky.parts import volumes as part
from kubectl_sky.podspec import Facts, Identity
from kubectl_sky.volumes import fits, listing, storage, volumefile, wanted
from kubectl_sky.volumes.storage import Claim, Storage, StorageClass, User

RWO, RWX, ROX = ("ReadWriteOnce",), ("ReadWriteMany",), ("ReadOnlyMany",)


def parse(volumes: str, **more: object) -> tasks.Task:
    return tasks.parse(json.dumps(more)[1:-1].join(["{", ", " if more else ""]) + f"volumes: {volumes}}}", "t.yaml")[0]


def made(text: str, there: Storage | None = None, nodes: int = 1) -> part.Part:
    return part.part("train", wanted.of(parse(text)), there, nodes)


def mount(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **more}


def test_a_named_volume_is_a_claim() -> None:
    found = made("{/mnt/a: data}")
    assert found.volumes == ({"name": "volume-0", "persistentVolumeClaim": {"claimName": "data"}},)
    assert found.mounts == (mount("volume-0", "/mnt/a"),)
    assert found.pod == {"securityContext": {"fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"}}
    assert not found.manifests


def test_the_name_that_skypilot_gave_is_found_by_its_label() -> None:
    there = Storage("default", (Claim("data-1f3a", label="data"),))
    [volume] = made("{/mnt/a: data}", there).volumes
    assert volume["persistentVolumeClaim"] == {"claimName": "data-1f3a"}


def test_one_claim_at_two_places_is_one_volume_of_the_pod() -> None:
    found = made("{/a: {name: data, sub_path: x/y}, /b: {name: data, sub_path: z, read_only: true}}")
    assert len(found.volumes) == 1
    assert found.mounts == (
        mount("volume-0", "/a", subPath="x/y"), mount("volume-0", "/b", subPath="z", readOnly=True),
    )  # fmt: skip


def test_a_new_volume_is_one_claim_a_pod() -> None:
    text = "{/a: {size: 10, labels: {team: x}, config: {storage_class_name: fast}}, /b: {size: 1GB}, /c: {size: 1GB}}"
    found = made(text)
    template = found.volumes[0]["ephemeral"]["volumeClaimTemplate"]
    assert template["spec"] == {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, "storageClassName": "fast",
    }  # fmt: skip
    labels = template["metadata"]["labels"]
    assert (labels["team"], labels["app.kubernetes.io/instance"]) == ("x", "train")  # `down` finds it
    assert [one["name"] for one in found.volumes] == ["volume-0", "volume-1", "volume-2"]
    assert not found.manifests


def test_a_new_shared_volume_is_one_claim_of_the_task() -> None:
    found = made("{/a: {size: 500Mi, config: {access_mode: ReadWriteMany}}}")
    [claim] = found.manifests
    assert (claim["kind"], claim["metadata"]["name"]) == ("PersistentVolumeClaim", "train-volume-0")
    assert claim["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "500Mi"}}}
    assert found.volumes[0]["persistentVolumeClaim"] == {"claimName": "train-volume-0"}


def test_folders_of_nodes_and_servers_get_no_group() -> None:
    found = made("{/a: {host_path: /data}, /b: {type: k8s-hostpath, config: {host_path: /x}}, /c: {nfs: 'srv:/p/q'}}")
    assert [{key: one[key] for key in one if key != "name"} for one in found.volumes] == [
        {"hostPath": {"path": "/data", "type": "DirectoryOrCreate"}},
        {"hostPath": {"path": "/x", "type": "DirectoryOrCreate"}},
        {"nfs": {"server": "srv", "path": "/p/q"}},
    ]  # fmt: skip
    assert found.pod == {}
    named = made("{/a: models}", Storage("default", (), (), {"models": "/srv/models"}))
    assert named.volumes[0]["hostPath"]["path"] == "/srv/models"


def test_below_the_home_is_a_link() -> None:
    found = made("{~/data: data, /b: other}")
    assert found.mounts == (mount("volume-0", "/sky/volumes/0"), mount("volume-1", "/b"))
    assert found.env == ({"name": "SKY_LINKS_VOLUMES", "value": '{"~/data": "/sky/volumes/0"}'},)


@pytest.mark.parametrize(("modes", "nodes", "expected"), [
    (ROX, 1, True), (RWX, 2, False), (RWO, 1, False), ((*RWO, *ROX), 1, False), ((*RWO, *ROX), 2, True),
])  # fmt: skip
def test_what_can_only_be_read_is_mounted_read_only(modes: tuple[str, ...], nodes: int, expected: bool) -> None:
    found = made("{/a: data}", Storage("default", (Claim("data", modes=modes),)), nodes)
    assert found.mounts[0].get("readOnly", False) is expected
    assert bool(found.pod) is not expected


@pytest.mark.parametrize(("text", "message"), [
    ("{mnt: x}", 'should start with "/" or "~"'),
    ("{/mnt/: x}", "cannot end with a slash"),
    ("{/: x}", "cannot be the root itself"),
    ("{'~': x}", "cannot be the home itself"),
    ("{~ann/x: x}", "only the image's own user"),
    ("{/sky/run: x}", "sky at the root is taken"),
    ("{/dev/shm: x}", "dev at the root is taken"),
    ("{/a: x, //a: y}", "the same destination"),
    ("{'/a:b': x}", 'cannot hold ":"'),
    ("{/a: {sub_path: x}}", "is missing"),
    ("{/a: {name: x, nfs: 's:/p'}}", "only one of"),
    ("{/a: {host_path: data}}", "absolute path"),
    ("{/a: {host_path: /}}", "absolute path"),
    ("{/a: {host_path: /a/../..}}", "absolute path"),
    ("{/a: {nfs: server}}", "should be server:/path"),
    ("{/a: {size: 0Gi}}", "more than nothing"),
    ("{/a: {size: 1Gi, type: runpod-network-volume}}", "not of Kubernetes"),
    ("{/a: {type: k8s-hostpath, size: 1Gi}}", "needs `config.host_path`"),
    ("{/a: {size: 1Gi, config: {access_mode: ReadOnlyMany}}}", "stays empty"),
])  # fmt: skip
def test_problems_of_the_file(text: str, message: str) -> None:
    with pytest.raises(tasks.TaskErrors, match=r"t\.yaml:1:") as caught:
        parse(text)
    assert message in str(caught.value)


# -- what stands against them in a cluster


def node(name: str, *devices: Device, ready: bool = True, cordoned: bool = False) -> Node:
    return Node(name, {"kubernetes.io/hostname": name}, (), ready, cordoned, {}, devices)


def on(*names: str) -> tuple[dict[str, Any], ...]:
    return ({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(names)}]},)


def refused(text: str, where: fits.Where, **more: object) -> list[str]:
    task = parse(text, **more)
    return [str(one) for one in fits.problems(task, "train", wanted.of(task), where)]


def with_claim(claim: Claim, *classes: StorageClass, **more: Any) -> fits.Where:
    return fits.Where(Storage("default", (claim,), classes), **more)


@pytest.mark.parametrize(("claim", "message"), [
    (Claim("datas"), "namespace default has no volume 'data' (did you mean `datas`?"),
    (Claim("data", deleting=True), "is being deleted"),
    (Claim("data", phase="Lost", volume="pv-1"), "has lost its volume pv-1"),
    (Claim("data", phase="Pending", storage_class="nfs"), "waits for a volume: there is no StorageClass 'nfs'"),
    (Claim("data", phase="Pending", storage_class="now", waiting=600), "for 10 minutes"),
    (Claim("data", modes=RWO, users=(User("p", "n1", "other"),)), "by pod p on n1 (first `kubectl sky down other`"),
    (Claim("data", modes=RWO, users=(User("p", "n1"),)), "first `kubectl delete pod p`"),
])  # fmt: skip
def test_claims_that_cannot_be_mounted(claim: Claim, message: str) -> None:
    [text] = refused("{/a: data}", with_claim(claim, StorageClass("now"), StorageClass("late", waits=True)))
    assert text.startswith("t.yaml:1:")
    assert message in text


@pytest.mark.parametrize("claim", [
    Claim("data", modes=RWO),
    Claim("data", phase="Pending", storage_class="late", waiting=900),
    Claim("data", phase="Pending", storage_class="now", waiting=5),
    Claim("data", modes=RWO, users=(User("train-0", "n1", "train"),)),
    Claim("data", modes=RWO, users=(User("p", "n1", ending=True),)),
    Claim("data", modes=RWX, users=(User("p", "n1"),)),
    Claim("data", modes=RWO, users=(User("p", "n1"),), terms=on("n1")),  # only there can it go
])  # fmt: skip
def test_claims_that_can_be_mounted(claim: Claim) -> None:
    classes = (StorageClass("now"), StorageClass("late", waits=True))
    assert refused("{/a: data}", with_claim(claim, *classes, nodes=(node("n1"), node("n2")))) == []


def test_once_and_several_nodes() -> None:
    [text] = refused("{/a: data}", with_claim(Claim("data", modes=RWO, size="5Gi")), num_nodes=2)
    assert "data is ReadWriteOnce: it cannot be mounted on 2 nodes" in text
    assert "ReadWriteMany" in text and "`size: 5Gi`" in text
    assert refused("{/a: data}", with_claim(Claim("data", modes=RWX)), num_nodes=2) == []


def test_once_and_the_same_node_on_purpose() -> None:
    claim = Claim("data", modes=RWO, users=(User("p", "n1"),))
    pinned = {"kubernetes": {"pod_config": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "n1"}}}}}
    assert refused("{/a: data}", with_claim(claim), config=pinned) == []
    alone = Claim("data", modes=("ReadWriteOncePod",), users=(User("p", "n1"),))
    assert len(refused("{/a: data}", with_claim(alone), config=pinned)) == 1


def test_where_a_volume_is() -> None:
    gpu = Device("H100", "nvidia.com/gpu", 8)
    nodes = (node("n1", ready=False), node("n2", gpu))
    gone = refused("{/a: data}", with_claim(Claim("data", volume="pv", terms=on("n9")), nodes=nodes))
    assert "no node can reach the volume of data: kubernetes.io/hostname in n9" in gone[0]
    down = refused("{/a: data}", with_claim(Claim("data", terms=on("n1")), nodes=nodes))
    assert "can only be mounted on n1 (NotReady)" in down[0]
    plain = (node("n1"), node("n2", gpu))
    other = refused("{/a: data}", with_claim(Claim("data", terms=on("n1")), nodes=plain, gpus="nvidia.com/gpu"))
    assert "can only be mounted on n1, without the accelerators" in other[0]
    for claim in (Claim("data", terms=on("n2")), Claim("data")):
        assert refused("{/a: data}", with_claim(claim, nodes=plain, gpus="nvidia.com/gpu")) == []


def test_storage_classes_of_new_volumes() -> None:
    default, slow = StorageClass("fast", default=True), StorageClass("slow")
    new, named = "{/a: {size: 1Gi}}", "{/a: {size: 1Gi, config: {storage_class_name: slo}}}"
    assert refused(new, fits.Where(Storage("default", (), (default, slow)))) == []
    assert "no default StorageClass" in refused(new, fits.Where(Storage("default", (), (slow,))))[0]
    assert "no StorageClass that makes volumes" in refused(new, fits.Where(Storage("default", (), ())))[0]
    assert "did you mean `slow`?" in refused(named, fits.Where(Storage("default", (), (default, slow))))[0]
    assert refused(named, fits.Where(Storage("default", (), None))) == []  # they may not be read
    elsewhere = "{/a: {size: 1Gi, config: {namespace: team}}}"
    assert "namespace team" in refused(elsewhere, fits.Where(Storage("default", (), (default,))))[0]


@pytest.mark.parametrize(("level", "count"), [("privileged", 0), ("baseline", 2), ("restricted", 3)])
def test_pod_security(level: str, count: int) -> None:
    there = Storage("default", (), (), {"models": "/srv"})
    text = "{/a: {host_path: /data}, /b: models, /c: {nfs: 's:/p'}}"
    found = refused(text, fits.Where(there, pod_security=level))
    assert len(found) == count
    assert all(f"Pod Security '{level}'" in one for one in found)


def test_all_problems_at_once_and_none_without_rights() -> None:
    assert len(refused("{/a: x, /b: y}", fits.Where(Storage("default", ())))) == 2
    assert refused("{/a: x}", fits.Where(Storage("default", None))) == []


def test_of_several_contexts_those_with_the_volumes_are_taken() -> None:
    task, places = parse("{/a: data}"), [Place("here", None), Place("there", None)]
    has, not_has = Storage("default", (Claim("data"),)), Storage("default", ())
    known: dict[str, Any] = {"here": (None, Facts(storage=not_has)), "there": (None, Facts(storage=has))}
    assert choosing._possible(task, places, known) == [places[1]]
    known["there"] = known["here"]
    assert choosing._possible(task, places, known) == places  # the refusal tells what is missing
    with pytest.raises(tasks.TaskErrors, match="has no volume 'data'"):
        planning.plan(planning.blind(task), planning.Options("x"), Facts(storage=not_has), Identity("", ""))


def test_other_volumes_need_other_nodes() -> None:
    there = shape.of(parse("{/a: data}"))
    assert shape.misfits(parse("{/a: data}"), there) == []
    [text] = shape.misfits(parse("{/a: data, ~/b: {size: 5Gi}}"), there)
    assert text == "volumes: asked for /a: data, ~/b: 5Gi, has /a: data"
    assert shape.misfits(tasks.parse("run: x", "t")[0], there) == []


# -- what the cluster says


def test_a_claim_as_the_server_tells_it() -> None:
    found = {
        "metadata": {"name": "d-1", "labels": {"skypilot-name": "d"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv",
                 "storageClassName": "fast"},
        "status": {"phase": "Bound", "accessModes": ["ReadWriteOnce", "ReadWriteMany"], "capacity": {"storage": "2Gi"}},
    }  # fmt: skip
    volume = {"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": list(on("n1"))}}}}
    claim = storage.claim(found, [User("p", "n")], volume, now=1767225660.0)
    assert claim == Claim(
        "d-1", "d", "Bound", (*RWO, *RWX), "fast", "2Gi", "pv", 60.0, False, on("n1"), (User("p", "n"),)
    )


def pod(name: str, phase: str, *volumes: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": labels}, "status": {"phase": phase},
        "spec": {"nodeName": "n1", "volumes": list(volumes)},
    }  # fmt: skip


def test_who_uses_what() -> None:
    ours = {"app.kubernetes.io/managed-by": "kubectl-sky", "app.kubernetes.io/instance": "train"}
    data = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    pods = [
        pod("train-0", "Running", data, {"name": "volume-1", "ephemeral": {}}, **ours),
        pod("old", "Succeeded", data), pod("host", "Running", {"name": "h", "hostPath": {"path": "/srv"}}),
    ]  # fmt: skip
    user = User("train-0", "n1", "train")
    assert storage.users(pods) == {"data": [user], "train-0-volume-1": [user]}
    assert storage.folder_users(pods, "/srv") == [User("host", "n1")]
    row = listing.Row("data", "k8s-pvc", "PersistentVolumeClaim", "data", users=(user, User("other", "n1")))
    assert row.used_by == ["pod/other", "train"]
    assert replace(row, users=(user, User("old", "n1", ending=True))).in_use == [user]


# -- volume files


def spec(text: str, **flags: object) -> volumefile.Spec:
    return volumefile.parse(text.encode(), "v.yaml", flags, {})[0]


def test_a_volume_file() -> None:
    text = "name: d\ntype: k8s-pvc\ninfra: k8s/ctx\nsize: 10GB\nlabels: {a: b}\nconfig: {access_mode: ReadWriteMany}\n"
    found = spec(text)
    assert (found.context, found.size, found.access_mode) == ("ctx", "10Gi", "ReadWriteMany")
    claim = volumefile.manifest(found)
    labels = claim["metadata"]["labels"]
    assert (labels["a"], labels["skypilot-name"]) == ("b", "d")
    assert labels["app.kubernetes.io/managed-by"] != "kubectl-sky"  # else `down -a` would delete it
    assert claim["spec"] == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "10Gi"}}}
    assert spec(text, size="20Gi").size == "20Gi"
    folder = volumefile.manifest(spec("name: m\ntype: k8s-hostpath\nconfig: {host_path: /srv/m}\n"))
    assert (folder["kind"], folder["data"]) == ("ConfigMap", {"host_path": "/srv/m"})
    none, _ = volumefile.parse(None, "command line", {"name": "x", "type": "k8s-pvc", "size": "1"}, {})
    assert (none.name, none.size) == ("x", "1Gi")


@pytest.mark.parametrize(("text", "message"), [
    ("size: 1Gi\n", "2 problems in the volume"),
    ("name: Data\ntype: k8s-pvc\nsize: 1Gi\n", '"Data" is no name'),
    ("name: d\ntype: k8s-pvc\n", "size: is missing"),
    ("name: d\ntype: k8s-pvc\nsize: 0\n", "should be a size"),
    ("name: d\ntype: k8s-pvc\nsize: 1Gi\nconfig: {storage_class: x}\n", "storage_class_name"),
    ("name: d\ntype: k8s-hostpath\n", "config.host_path"),
    ("name: d\ntype: k8s-hostpath\nconfig: {host_path: /}\n", "config.host_path"),
    ("name: d\ntype: runpod-network-volume\nsize: 1Gi\n", "not of Kubernetes"),
    ("name: d\ntype: k8s-pvc\nsize: 1Gi\ninfra: aws\n", "is not Kubernetes"),
    ("name: d\ntype: k8s-pvc\nsize: 1Gi\n---\nname: e\n", "one volume a file"),
    ("just text", "should be a map"),
])  # fmt: skip
def test_problems_of_a_volume_file(text: str, message: str) -> None:
    with pytest.raises(UsageError, match="in the volume:") as caught:
        spec(text)
    assert message in caught.value.message
