"""The configuration: files, task and flags merged; what is wrong in them; what they do to manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubectl_sky import names, podmerge, task
from kubectl_sky.config import applying, pod_config, sources, view
from kubectl_sky.config.layers import AllowedNodes, Effective, Layers, service_account
from kubectl_sky.errors import ApiError, TaskErrors, UsageError
from kubectl_sky.podcheck import complaints
from kubectl_sky.taskfile.taskyaml import Node, load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a project without any configuration."""
    for name in ("SKYPILOT_CONFIG", "SKYPILOT_GLOBAL_CONFIG", "SKYPILOT_PROJECT_CONFIG", "KUBECTL_SKY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def read(text: str = "", *flags: str) -> Layers:
    layers = task.parse(text, "task.yaml")[0].layers if text else Layers()
    return sources.read(layers, flags)[0]


def node(text: str) -> Node:
    return load(text, "f.yaml").documents[0]


# -- where it comes from --------------------------------------------------------------------------------------------


def test_each_place_wins_over_those_before(home: Path) -> None:
    write(
        home / ".sky/config.yaml",
        "kubernetes:\n  provision_timeout: 1\n  context_configs:\n    c: {provision_timeout: 2}",
    )
    assert (read().of("x").timeout, read().of("c").timeout) == (1, 2)
    write(Path(".sky.yaml"), "kubernetes: {provision_timeout: 3}")
    assert read().of("c").timeout == 3
    text = "run: x\nconfig: {kubernetes: {provision_timeout: 4}}"
    assert read(text).of("c").timeout == 4
    assert read(text, "kubernetes.provision_timeout=5").of("c").timeout == 5


def test_variables_name_other_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(Path(".sky.yaml"), "kubernetes: {namespace: project}")
    monkeypatch.setenv("SKYPILOT_GLOBAL_CONFIG", write(home / "g.yaml", "kubernetes: {namespace: g, autoscaler: gke}"))
    assert (read().of("").namespace, read().of("").autoscaler) == ("project", "gke")
    monkeypatch.setenv("SKYPILOT_CONFIG", write(home / "only.yaml", "kubernetes: {namespace: only}"))
    assert (sources.namespace("c"), read().of("").autoscaler) == ("only", "")
    monkeypatch.setenv("SKYPILOT_CONFIG", "gone.yaml")
    with pytest.raises(UsageError, match=r"\$SKYPILOT_CONFIG: there is no file gone.yaml"):
        read()


def test_flags(home: Path) -> None:
    file = write(home / "f.yaml", "kubernetes: {autoscaler: gke}")
    assert read("", file).of("").autoscaler == "gke"
    both = read("", "kubernetes.autoscaler=generic,kubernetes.custom_metadata.labels={a: b, c: d}").of("")
    assert (both.autoscaler, both.labels) == ("generic", {"a": "b", "c": "d"})
    for bad, message in (("gone.yaml", "no such file"), ("aws.vpc=1", "only keys of the section kubernetes")):
        with pytest.raises(UsageError, match=message):
            read("", bad)
    with pytest.raises(TaskErrors, match=r"--config kubernetes.namespace: for one command -n names the namespace"):
        read("", "kubernetes.namespace=n")
    with pytest.raises(TaskErrors, match=r"--config kubernetes.provision_timeout: should be a whole number"):
        read("", "kubernetes.provision_timeout=soon")


# -- what is said of it ---------------------------------------------------------------------------------------------


def test_all_that_is_wrong_at_once_with_its_line(home: Path) -> None:
    file = write(
        home / ".sky/config.yaml",
        """\
aws: {anything: goes}
kubernetes:
  namespce: x
  provision_timeout: soon
  pricing: {cpu: -1}
  allowed_nodes: {ips: [10.0.0.1]}
  context_configs:
    c: {allowed_contexts: [d]}
""",
    )
    with pytest.raises(TaskErrors) as found:
        read()
    assert str(found.value).replace(file, "F").splitlines() == [
        "5 problems in the configuration:",
        "  F:3:3: kubernetes.namespce: unknown field (did you mean `namespace`?)",
        "  F:4:22: kubernetes.provision_timeout: should be a whole number, not the text \"soon\"",
        "  F:5:12: kubernetes.pricing: pricing.cpu: should be $ an hour, such as 2.5, not -1",
        "  F:6:24: kubernetes.allowed_nodes.ips: nodes cannot be chosen by their addresses here: use `names` or "
        "`label_selector`",
        "  F:8:27: kubernetes.context_configs.c.allowed_contexts: is a key of the section kubernetes itself",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pod", "path", "message"),
    [
        ("{spec: null}", "spec", "cannot be taken away"),
        ("{spec: {containers: null}}", "spec.containers", "cannot be taken away"),
        ("[a]", "", "should be a map, not a list"),
        ("{spec: {tolerations: {a: b}}}", "spec.tolerations", "should be a list, as Kubernetes has it"),
        ("{spec: {tolerations: [x]}}", "spec.tolerations[0]", "should be a map, as Kubernetes has it"),
        ("{spec: {initContainers: [null]}}", "spec.initContainers[0]", "should not be empty"),
        ("{spec: {affinity: []}}", "spec.affinity", "should be a map, as Kubernetes has it"),
        ("{spec: {containers: [{resources: {requests: {cpu: a lot}}}]}}", "spec.containers[0].resources.requests.cpu",
         "is no quantity, such as 500m or 16Gi"),
    ],
)  # fmt: skip
def test_what_we_read_in_a_pod_config_has_its_kind(pod: str, path: str, message: str, home: Path) -> None:
    write(home / ".sky/config.yaml", f"kubernetes: {{pod_config: {pod}}}")
    for read_it in (read, lambda: task.parse(f"config: {{kubernetes: {{pod_config: {pod}}}}}", "t.yaml")):
        with pytest.raises(TaskErrors) as found:
            read_it()
        first = found.value.problems[0]
        assert (first.field.partition("kubernetes.")[2], first.message) == (f"pod_config.{path}".rstrip("."), message)


def test_dates_in_a_pod_config_are_the_text_that_was_written(home: Path) -> None:
    # no JSON has dates; kubectl reads them as text, too
    pod = "{metadata: {annotations: {until: 2024-01-01, at: 2024-01-01T10:00:00Z, 2024-02-02: x, most: .inf}}}"
    expected = {"until": "2024-01-01", "at": "2024-01-01T10:00:00Z", "2024-02-02": "x", "most": ".inf"}
    own = read(f"config: {{kubernetes: {{pod_config: {pod}}}}}").of("c").pod_config
    write(home / ".sky/config.yaml", f"kubernetes: {{context_configs: {{c: {{pod_config: {pod}}}}}}}")
    flag = f"kubernetes.pod_config={pod}"
    for layer in (*own, *read().of("c").pod_config, *read("", flag).of("x").pod_config):
        assert layer.raw() == {"metadata": {"annotations": expected}}
    short = read("", "kubernetes.pod_config.metadata.annotations.until=2024-01-01").of("x").pod_config
    assert [one.raw() for one in short] == [{"metadata": {"annotations": {"until": "2024-01-01"}}}]
    assert task.parse(f"config: {{kubernetes: {{pod_config: {pod}}}}}", "t")[0].config["kubernetes"] == {
        "pod_config": {"metadata": {"annotations": expected}}
    }


def test_labels_that_no_cluster_takes() -> None:
    text = 'config: {kubernetes: {custom_metadata: {labels: {"a b": x, c: "d!"}, annotations: {"e f": "g !"}}}}'
    with pytest.raises(TaskErrors) as found:
        read(text)
    assert [one.message.partition(" (")[0] for one in found.value.problems] == [
        '"a b" is no valid label key', '"e f" is no valid label key',
    ]  # fmt: skip
    assert '"d!" is no valid label value' in found.value.problems[0].message


def test_one_warning_for_each_key_without_effect(home: Path) -> None:
    write(
        home / ".sky/config.yaml",
        """\
kubernetes:
  networking: portforward
  post_provision_runcmd: [ls]
  enable_docker: true
  dws: {enabled: true}
  remote_identity: LOCAL_CREDENTIALS
  zzz_of_a_newer_skypilot: 1
""",
    )
    _, warnings = sources.read(Layers())
    assert sorted((one.line, one.field.removeprefix("kubernetes.")) for one in warnings) == [
        (2, "networking"), (3, "post_provision_runcmd"), (4, "enable_docker"), (5, "dws"), (6, "remote_identity"),
        (7, "zzz_of_a_newer_skypilot"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (None, ""), ("trainer", "trainer"), ("NO_UPLOAD", ""), ("SERVICE_ACCOUNT", ""),
        ({"prod-*": "a", "*": "b"}, "a"), ({"dev": "a"}, ""), ({"*": "LOCAL_CREDENTIALS"}, ""),
    ],
)  # fmt: skip
def test_the_service_account(identity: Any, expected: str) -> None:
    assert service_account(identity, "prod-1") == expected


@pytest.mark.parametrize(
    ("section", "seconds"),
    [
        ("provision_timeout: 5", 5), ("kueue: {local_queue_name: q}", 87000), ("quota: {queue: q}", 87000),
        ("{kueue: {local_queue_name: q, admission_timeout: 60}, provision_timeout: 5}", 65),
        ("kueue: {local_queue_name: q, admission_timeout: -1}", -1), ("kueue: {admission_timeout: 60}", None),
    ],
)  # fmt: skip
def test_the_wait_in_a_queue_comes_on_top(section: str, seconds: int | None) -> None:
    assert Layers(task=node(section)).of("").timeout == seconds


@pytest.mark.parametrize(
    ("section", "labels"),
    [
        ("", {names.QUEUE: "q", names.QUEUE_PRIORITY: "high"}),
        (f"pod_config: {{metadata: {{labels: {{{names.QUEUE}: q, {names.QUEUE_PRIORITY}: high}}}}}}", {}),
        (f"{{kueue: {{local_queue_name: q}}, custom_metadata: {{labels: {{{names.QUEUE_PRIORITY}: high}}}}}}", {}),
    ],
)
def test_labels_of_kueue_are_the_jobs(section: str, labels: dict[str, str]) -> None:
    there = Layers(task=node(section) if section else None).of("", labels)
    assert (there.queue, there.priority, there.timeout) == ("q", "high", 87000)
    template = applying.to_template({"metadata": {"labels": {"a": "b", **labels}}, "spec": pod()["spec"]}, there)
    made = {"kind": "Job", "metadata": {"labels": {}}, "spec": {"template": template}}
    [job] = applying.to_objects([made], there)
    assert job["metadata"]["labels"] == {names.QUEUE: "q", names.QUEUE_PRIORITY: "high"} and job["spec"]["suspend"]
    assert job["spec"]["template"]["metadata"]["labels"] == {"a": "b"}


# -- what it does ---------------------------------------------------------------------------------------------------


def pod() -> dict[str, Any]:
    requests = {"cpu": "500m", "memory": "1Gi"}
    resources = {"requests": requests, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}
    return {"metadata": {}, "spec": {"containers": [{"name": "task", "resources": resources}, {"name": "ssh"}]}}


@pytest.mark.parametrize(
    ("factor", "limits"),
    [
        (0.0, {"nvidia.com/gpu": "1"}), (1.0, {"nvidia.com/gpu": "1", "cpu": "500m", "memory": "1Gi"}),
        (1.5, {"nvidia.com/gpu": "1", "cpu": "750m", "memory": "1536Mi"}),
    ],
)  # fmt: skip
def test_limits(factor: float, limits: dict[str, str]) -> None:
    first, second = applying.to_template(pod(), Effective(limits=factor))["spec"]["containers"]
    assert (first["resources"]["limits"], second) == (limits, {"name": "ssh"})


def test_allowed_nodes_go_with_each_term_that_is_required() -> None:
    there = pod()
    term = {"key": "gpu", "operator": "Exists"}
    required = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    there["spec"]["affinity"] = {"podAffinity": {}, "nodeAffinity": {applying.REQUIRED: required}}
    allowed = AllowedNodes((("pool", "a"),), ("n1",))
    affinity = applying.to_template(there, Effective(allowed_nodes=allowed))["spec"]["affinity"]
    assert affinity["nodeAffinity"][applying.REQUIRED]["nodeSelectorTerms"] == [
        {"matchExpressions": [term, {"key": "pool", "operator": "In", "values": ["a"]}]},
        {"matchExpressions": [term], "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
    ]


def test_our_own_labels_win() -> None:
    job = {"kind": "Job", "metadata": {"labels": {"a": "ours"}}, "spec": {"template": {"metadata": {}, "spec": {}}}}
    config = Effective(labels={"a": "theirs", "b": "2"}, annotations={"c": "3"}, queue="q")
    [made] = applying.to_objects([job], config)
    assert made["metadata"] == {"labels": {"a": "ours", "b": "2", applying.QUEUE: "q"}, "annotations": {"c": "3"}}
    assert made["spec"]["suspend"] is True
    assert made["spec"]["template"]["metadata"] == {"labels": {"a": "theirs", "b": "2"}, "annotations": {"c": "3"}}


# -- pod_config -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "extra", "merged"),
    [
        ("{a: 1, m: {x: 1}}", "{a: 2, m: {y: 2}}", "{a: 2, m: {x: 1, y: 2}}"),
        ("{a: 1}", "{a: null}", "{}"),
        ("{tolerations: [{key: a}]}", "{tolerations: [{key: b}]}", "{tolerations: [{key: a}, {key: b}]}"),
        ("{tolerations: [{key: a}]}", "{tolerations: [{key: a}]}", "{tolerations: [{key: a}]}"),
        ("{args: [a, b]}", "{args: [c]}", "{args: [c]}"),
        ("{imagePullSecrets: [{name: a}]}", "{imagePullSecrets: [{name: b}]}", "{imagePullSecrets: [{name: b}]}"),
        ("{env: [{name: A, value: x}]}", "{env: [{name: A, value: y}]}", "{env: [{name: A, value: y}]}"),
        ("{volumeMounts: [{mountPath: /a, name: x}]}", "{volumeMounts: [{mountPath: /a, readOnly: true}]}",
         "{volumeMounts: [{mountPath: /a, name: x, readOnly: true}]}"),
        ("{ports: [{containerPort: 1}]}", "{ports: [{containerPort: 2}]}",
         "{ports: [{containerPort: 1}, {containerPort: 2}]}"),
        ("{containers: [{name: task}, {name: ssh}]}", "{containers: [{tty: true}, {name: ray-node, stdin: true}]}",
         "{containers: [{name: task, tty: true, stdin: true}, {name: ssh}]}"),
        ("{containers: [{name: task}]}", "{containers: [{name: side}]}", "{containers: [{name: task}, {name: side}]}"),
        ("{}", "{env: [{name: A, value: x}, {name: A, value: y}]}", "{env: [{name: A, value: y}]}"),
    ],
)  # fmt: skip
def test_merging(base: str, extra: str, merged: str) -> None:
    before = node(base).raw()
    assert podmerge.merge(before, node(extra).raw()) == (node(merged).raw() or {})
    assert before == node(base).raw()


@pytest.mark.parametrize(
    ("extra", "path"),
    [
        ("{spec: []}", "spec"), ("{spec: {containers: {a: b}}}", "spec.containers"),
        ("{spec: {containers: [text]}}", "spec.containers[0]"),
        ("{spec: {containers: [{name: ssh}, {resources: [1]}]}}", "spec.containers[1].resources"),
    ],
)  # fmt: skip
def test_what_cannot_be_merged(extra: str, path: str) -> None:
    with pytest.raises(podmerge.ClashError) as clash:
        podmerge.merge(pod(), node(extra).raw())
    assert clash.value.path == path


LOWER = """\
spec:
  containers:
    - env:
        - name: A
          value: lower
      image: x
  tolerations:
    - key: a
"""
UPPER = """\
spec:
  containers:
    - name: side
      image: y
    - name: ray-node
      env:
        - name: A
          value: upper
"""


@pytest.mark.parametrize(
    ("path", "layer", "line"),
    [
        ("spec.containers[0].env[0].value", "upper", 8),
        ("spec.containers[0].image", "lower", 6),
        ("spec.containers[2].image", "upper", 4),
        ("spec.containers.env.value", "upper", 8),  # as the server's decoder says it
        ("spec.containers[2].name", "upper", 3),
        ("spec.tolerations[0].key", "lower", 8),
        ("spec.tolerations[0].operator", "lower", 8),  # nearest
    ],
)
def test_the_line_of_a_field(path: str, layer: str, line: int) -> None:
    layers = [sources.layer.stamp(node(LOWER), "lower"), sources.layer.stamp(node(UPPER), "upper")]
    found = pod_config.find(layers, pod_config.applied(pod(), layers), path)
    assert found is not None
    assert (found.origin, found.line) == (layer, line)


def test_the_line_of_a_key_with_dots() -> None:
    layers = [node("metadata:\n  annotations:\n    example.com/x: y\n")]
    found = pod_config.find(layers, {"metadata": layers[0].raw()["metadata"]}, 'metadata.annotations["example.com/x"]')
    assert found is not None
    assert found.line == 3


def test_what_pod_config_did_not_write_is_not_its_fault() -> None:
    layers = [node("{spec: {hostNetwork: true}}")]
    assert pod_config.find(layers, pod_config.applied(pod(), layers), "metadata.labels") is None


@pytest.mark.parametrize(
    ("status", "said", "causes", "expected"),
    [
        (422, "", [{"field": "spec.template.spec.x", "message": "bad"}, {"field": "metadata.name", "message": "no"}],
         [("spec.x", "bad")]),
        (400, 'strict decoding error: unknown field "spec.template.spec.a", unknown field "spec.template.spec.b"', [],
         [("spec.a", "there is no such field in Kubernetes"), ("spec.b", "there is no such field in Kubernetes")]),
        (400, "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of "
         "type string", [], [("spec.containers.env.value", "should be text, not a number")]),
        (403, "forbidden", [], []),
    ],
)  # fmt: skip
def test_what_the_server_complains_of(status: int, said: str, causes: list, expected: list) -> None:
    error = ApiError(status, "", "")
    error.said, error.causes = said, causes
    assert complaints(error) == expected


# -- config view ----------------------------------------------------------------------------------------------------


def test_view(home: Path) -> None:
    file = write(
        home / ".sky/config.yaml",
        """\
kubernetes:
  allowed_contexts: [a, b]
  custom_metadata: {labels: {team: ml}}
  pod_config:
    spec: {tolerations: [{key: a}]}
""",
    )
    text = "config:\n  kubernetes:\n    pod_config:\n      spec:\n        containers:\n        - tty: true\n"
    section, rows = view.kubernetes(read(text, "kubernetes.autoscaler=gke"), "a")
    assert rows == [
        ("kubernetes.allowed_contexts", ["a", "b"], f"{file}:2"),
        ("kubernetes.autoscaler", "gke", "--config kubernetes.autoscaler"),
        ("kubernetes.custom_metadata.labels.team", "ml", f"{file}:3"),
        ("kubernetes.pod_config.spec.containers[0].tty", True, "task.yaml:6"),
        ("kubernetes.pod_config.spec.tolerations[0].key", "a", f"{file}:5"),
        ("kubernetes.provision_timeout", 600, "built-in"),
    ]
    assert section["pod_config"] == {
        "spec": {"containers": [{"name": "task", "tty": True}], "tolerations": [{"key": "a"}]}
    }
