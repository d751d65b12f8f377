"""Several contexts of one kubeconfig: where a task goes, what a dead one costs, what each has."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e.conftest import OwnCluster, Sky, namespace

DEAD = "https://127.0.0.1:1"


@dataclass
class Two:
    """`here` is the shared cluster, `there` one whose nodes have H100s; `sky` knows both and one that is dead."""

    here: Sky
    there: Sky
    sky: Sky


def merged(files: dict[str, str], dead: str = "dead") -> dict:
    """One kubeconfig with a context of each name, the first the current one, and one that does not answer."""
    config: dict = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for name, file in files.items():
        argv = ["kubectl", "config", "view", "--kubeconfig", file, "--raw", "--flatten", "-o", "json"]
        one = json.loads(subprocess.run(argv, text=True, capture_output=True, check=True).stdout)
        config["clusters"].append({"name": name, "cluster": one["clusters"][0]["cluster"]})
        config["users"].append({"name": name, "user": one["users"][0]["user"]})
        config["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    first = config["users"][0]["name"]
    config["clusters"].append({"name": dead, "cluster": {"server": DEAD}})
    config["contexts"].append({"name": dead, "context": {"cluster": dead, "user": first}})
    return {**config, "current-context": first}


@pytest.fixture
def two(kubeconfig: str, own_cluster: OwnCluster, tmp_path: Path) -> Iterator[Two]:
    own_cluster.do("dress", "nvidia-h100")
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(merged({"here": kubeconfig, "there": own_cluster.kubeconfig})))
    with namespace(kubeconfig) as here:
        there = Sky(here.namespace, own_cluster.kubeconfig)
        there.kubectl("create", "namespace", there.namespace)
        sky = Sky(here.namespace, str(file), {"KUBECTL_SKY_ALLOWED_CONTEXTS": "here,there,dead"})
        try:
            yield Two(here, there, sky)
        finally:
            there.kubectl("delete", "namespace", there.namespace, "--wait=false")
            own_cluster.do("undress")


def test_a_task_goes_where_its_gpus_are(two: Two) -> None:
    began = time.monotonic()
    result = two.sky.ok("launch", "-v", "-c", "train", "--gpus", "H100:1", "--", "echo ran")
    assert result.out == "ran\n" and time.monotonic() - began < 20, result
    assert "Kubernetes (here)" in result.err and "no node has accelerators" in result.err, result
    assert "Kubernetes (there)" in result.err and "context dead is left out" in result.err, result
    assert len(two.there.pods("train")) == 1 and not two.here.pods("train")
    assert "secret/train-sky" not in two.here.objects()
    two.sky.ok("launch", "-c", "other", "--context", "here", "--", "true")
    seen = two.sky.ok("status", "--all-contexts")
    table = [line.split()[:2] for line in seen.out.splitlines()]
    assert table == [["CONTEXT", "NAME"], ["here", "other"], ["there", "train"]], seen
    assert "context dead is left out" in seen.err, seen
    again = two.sky.ok("launch", "-c", "train", "--", "echo again")
    assert again.out == "again\n" and not two.here.pods("train"), again
    two.sky.ok("down", "-y", "train", "--context", "there")


def test_the_task_itself_says_where(two: Two, tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("name: placed\nresources: {cpus: 0.1, infra: k8s/there}\nrun: echo ran\n")
    assert two.sky.ok("launch", str(file)).out == "ran\n"
    assert len(two.there.pods("placed")) == 1 and not two.here.pods("placed")
    file.write_text("resources: {infra: k8s/nowhere}\nrun: echo ran\n")
    unknown = two.sky.run("launch", str(file))
    assert unknown.code == 2 and "no context 'nowhere'" in unknown.err and "here, there, dead" in unknown.err, unknown


def test_the_next_context_is_tried_where_one_has_no_place(two: Two, tmp_path: Path) -> None:
    two.here.kubectl("create", "quota", "none", "--hard=pods=0")
    result = two.sky.ok("launch", "-c", "b", "--cpus", "0.1", "--", "echo ran")
    assert result.out == "ran\n" and "No place in context here: " in result.err and "quota" in result.err, result
    assert len(two.there.pods("b")) == 1 and not [one for one in two.here.objects() if "/b" in one]
    two.here.kubectl("delete", "quota", "none")
    two.sky.ok("down", "-y", "b", "--context", "there")
    # one that finds none in time
    gates = {"pod_config": {"spec": {"schedulingGates": [{"name": "example.com/wait"}]}}}
    (tmp_path / "sky.yaml").write_text(json.dumps({"kubernetes": {"context_configs": {"here": gates}}}))
    late = replace(two.sky, env={**two.sky.env, "SKYPILOT_GLOBAL_CONFIG": str(tmp_path / "sky.yaml")})
    began = time.monotonic()
    result = late.ok("launch", "-c", "b", "--cpus", "0.1", "--provision-timeout", "10s", "--", "echo ran")
    assert result.out == "ran\n" and "has not started within 10s" in result.err, result
    assert time.monotonic() - began < 60 and len(two.there.pods("b")) == 1 and not two.here.pods("b")
    two.sky.ok("down", "-y", "b", "--context", "there")
    # none anywhere: the last one's reason, and nothing left in the others
    two.there.kubectl("create", "quota", "none", "--hard=pods=0")
    result = late.run("launch", "-c", "b", "--cpus", "0.1", "--provision-timeout", "10s", "--", "true")
    assert result.code and "context here" in result.err and "quota" in result.err, result
    assert not two.here.pods("b")
    two.there.kubectl("delete", "quota", "none")


def test_verbs_find_the_context_that_has_a_name(two: Two) -> None:
    two.sky.ok("launch", "-d", "-c", "near", "--cpus", "0.1", "--context", "here", "--", "echo near")
    two.sky.ok("launch", "-d", "-c", "far", "--cpus", "0.1", "--context", "t*", "--context", "here", "--", "echo far")
    assert two.there.pods("far") and not two.here.pods("far"), "the order of --context is that of preference"
    began = time.monotonic()
    result = two.sky.ok("logs", "far")
    assert result.out == "far\n" and "context dead is left out" in result.err, result
    assert time.monotonic() - began < 8, "a dead context costs 3 s"
    assert two.sky.ok("exec", "near", "--", "echo again").out == "again\n"
    assert two.sky.ok("ssh", "far-0", "hostname").out == "far-0\n"
    assert "echo" in two.sky.ok("queue", "far").out or "SUCCEEDED" in two.sky.ok("queue", "far").out
    absent = two.sky.run("logs", "gone")
    assert absent.code == 1 and "no cluster 'gone' in contexts here, there" in absent.err, absent
    # one name twice: nothing is guessed
    two.sky.ok("launch", "-d", "-c", "far", "--cpus", "0.1", "--context", "here", "--", "true")
    for words in (("down", "-y", "far"), ("cancel", "far", "1"), ("status", "far")):
        both = two.sky.run(*words)
        assert both.code == 2 and "far is in several contexts: here, there" in both.err, both
        assert f"kubectl sky {words[0]} -n {two.sky.namespace} --context there far" in both.err, both
    seen = two.sky.ok("status", "--context", "there", "--context", "here")
    assert [line.split()[:2] for line in seen.out.splitlines()[1:]] == [
        ["there", "far"],
        ["here", "far"],
        ["here", "near"],
    ]
    two.sky.ok("down", "-y", "far", "--context", "here")
    down = two.sky.ok("down", "-y", "near", "far")
    assert down.out == "near is down\nfar is down\n", down
    assert not two.here.pods("near") and not two.there.pods("far")


def test_managed_jobs_of_all_contexts(two: Two) -> None:
    small = ("-d", "--cpus", "0.1", "--memory", "0.2")
    two.sky.ok("jobs", "launch", *small, "--name", "near", "--context", "here", "--", "echo near")
    two.sky.ok("jobs", "launch", *small, "--name", "far", "--context", "t*", "--context", "here", "--", "echo far")
    assert two.there.pods("far") and not two.here.pods("far"), "the order of --context is that of preference"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        config = json.loads(Path(two.sky.kubeconfig).read_text())
        config["clusters"][-1]["cluster"]["server"] = f"https://127.0.0.1:{silent.getsockname()[1]}"
        Path(two.sky.kubeconfig).write_text(json.dumps(config))
        began = time.monotonic()
        seen = two.sky.ok("jobs", "queue", "--all-contexts")
        assert time.monotonic() - began < 3 + 2, "an away context costs 3 s, and the start of the program"
        words = ["__complete", "-n", two.sky.namespace, "jobs", "logs", ""]
        argv = [*two.sky.argv()[:-2], *words]
        done = subprocess.run(argv, env=two.sky.environment(), text=True, capture_output=True, timeout=20)
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["far", "near", ":4"], done
        assert "in there" in done.stdout and not done.stderr, done
        assert "context dead is left out" in seen.err, seen
    table = [line.split()[:2] for line in seen.out.splitlines()]
    assert table == [["CONTEXT", "NAME"], ["here", "near"], ["there", "far"]], seen
    several = ("--context", "there", "--context", "here")
    [row] = json.loads(two.sky.ok("jobs", "queue", "far", *several, "-o", "json").out)["items"]
    assert (row["context"], row["namespace"]) == ("there", two.sky.namespace), row
    assert two.sky.ok("jobs", "logs", "far").out == "far\n"
    assert two.sky.ok("jobs", "logs", *several).out == "far\n", "the newest of all"
    absent = two.sky.run("jobs", "logs", "gone")
    assert absent.code == 1 and "no managed job 'gone' in contexts here, there" in absent.err, absent
    two.sky.ok("jobs", "launch", *small, "--name", "far", "--context", "here", "--", "sleep 600")
    both = two.sky.run("jobs", "cancel", "far")
    assert both.code == 2 and "far is in several contexts: here, there" in both.err, both
    assert f"kubectl sky jobs cancel -n {two.sky.namespace} --context here far" in both.err, both
    assert two.sky.ok("jobs", "cancel", "far", "--context", "here").out == "far is cancelled\n"


def test_nothing_anywhere_can_run_it(two: Two) -> None:
    result = two.sky.run("launch", "-c", "no", "--gpus", "B200:8", "--", "true")
    assert result.code == 1 and "nothing in contexts here, there can ever run this task" in result.err, result
    assert "no node has accelerators" in result.err and "there are: H100" in result.err, result


def test_the_gpus_of_all_contexts(two: Two) -> None:
    result = two.sky.ok("gpus", "--all-contexts")
    assert "Context there" in result.out and "H100" in result.out and "dead" in result.err, result
    contexts = {
        one["context"]: one for one in json.loads(two.sky.ok("gpus", "--all-contexts", "-o", "json").out)["contexts"]
    }
    assert contexts["there"]["kinds"][0]["name"] == "H100" and not contexts["dead"]["answered"], contexts
    assert contexts["here"]["kinds"] == []


# -- what check finds of queues and autoscalers -----------------------------------------------------------------------

KINDS = {
    "localqueues.kueue.x-k8s.io": ("LocalQueue", "v1beta1", "Namespaced"),
    "podgroups.scheduling.volcano.sh": ("PodGroup", "v1beta1", "Namespaced"),
    "nodepools.karpenter.sh": ("NodePool", "v1", "Cluster"),
}


def definition(name: str, kind: str, version: str, scope: str) -> dict:
    """A CustomResourceDefinition by which discovery tells that the software is there."""
    plural, _, group = name.partition(".")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [{"name": version, "served": True, "storage": True, "schema": schema}]
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    spec = {"group": group, "scope": scope, "names": names, "versions": versions}
    metadata = {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }


def test_check_finds_queues_and_autoscalers(own_cluster: OwnCluster) -> None:
    with namespace(own_cluster.kubeconfig) as sky:
        try:
            for name, (kind, version, scope) in KINDS.items():
                sky.kubectl("apply", "-f", "-", stdin=json.dumps(definition(name, kind, version, scope)))
                sky.kubectl("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
            queue = {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "LocalQueue", "metadata": {"name": "team"}}
            sky.kubectl("apply", "-f", "-", stdin=json.dumps(queue))
            text = sky.ok("check").out
            assert "Kueue" in text and "team" in text and "Volcano" in text and "Karpenter" in text, text
        finally:
            sky.kubectl("delete", "crd", *KINDS, "--ignore-not-found", check=False)
