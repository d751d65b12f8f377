"""check: from what was seen in a cluster to findings."""

import io
import time
from typing import Any

import pytest
import yaml

from kubectl_sky.capacity import nodes
from kubectl_sky.checks import check_document, checking, findings, rights, roles, trial
from kubectl_sky.checks import findings_limits as limits
from kubectl_sky.checks import findings_queues as queues
from kubectl_sky.checks.checking import Report
from kubectl_sky.checks.findings import Answer, Finding, Seen
from kubectl_sky.checks.findings_gpus import check_gpus, sign
from kubectl_sky.checks.rights import Right, Rights, covered, expand
from kubectl_sky.commands.check import Printer

GPU = "nvidia.com/gpu"
FORBIDDEN = Answer(None, 403, "user 'x' may not")


def node(name: str = "n1", gpus: int | None = None, ready: bool = True, cordoned: bool = False, **labels: str) -> Any:
    allocatable = {"cpu": "8", **({GPU: str(gpus)} if gpus is not None else {})}
    return nodes.read(
        {
            "metadata": {"name": name, "labels": {key.replace("__", "/"): value for key, value in labels.items()}},
            "spec": {"unschedulable": cordoned},
            "status": {"conditions": [{"type": "Ready", "status": str(ready)}], "allocatable": allocatable},
        }
    )


def labelled(name: str, labels: dict[str, str], gpus: int | None = None, ready: bool = True) -> Any:
    return node(name, gpus, ready, **{key.replace("/", "__"): value for key, value in labels.items()})


def gpus(*there: Any, classes: tuple[str, ...] = ()) -> list[Finding]:
    return list(check_gpus(Seen(nodes=there, classes=classes)))


def listed(*items: Any) -> Answer:
    return Answer({"items": list(items)})


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> Any:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


def limit_range(**limit: Any) -> Any:
    return {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", **limit}]}}


# -- GPUs -----------------------------------------------------------------------------------------------------------


def test_gpus_with_names() -> None:
    h100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    [one] = gpus(labelled("a", h100, 8), labelled("b", h100, 8), node("c"))
    assert one == Finding("gpus", "ok", "16 H100 on 2 nodes")
    [one] = gpus(labelled("a", h100, 8), labelled("b", h100, 8, ready=False))
    assert one.state == "ok" and "1 of them ready; b is NotReady" in one.message


def test_gpus_that_are_all_away() -> None:
    [one] = gpus(labelled("a", {"skypilot.co/accelerator": "t4"}, 4, ready=False))
    assert one.state == "warning" and "the node is not ready for pods: a is NotReady" in one.message
    assert "kubectl describe node a" in one.hint


def test_gpus_without_a_name() -> None:
    there, nameless = gpus(node("a", 8))
    assert there == Finding("gpus", "ok", "8 of nvidia.com/gpu, of unknown kind on 1 node")
    assert nameless.state == "warning" and "label-gpus" in nameless.hint


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"nvidia.com/gpu.present": "true"}, "NVIDIA device plugin"),
        ({"feature.node.kubernetes.io/pci-0302_10de.present": "true"}, "NVIDIA device plugin"),
        ({"feature.node.kubernetes.io/pci-10de.present": "true"}, "NVIDIA device plugin"),
        ({"node.kubernetes.io/instance-type": "p4d.24xlarge"}, "NVIDIA device plugin"),
        ({"node.kubernetes.io/instance-type": "inf2.xlarge"}, "Neuron device plugin"),
        ({"feature.node.kubernetes.io/amd-gpu": "true"}, "AMD device plugin"),
        ({"cloud.google.com/gke-accelerator": "nvidia-l4"}, "NVIDIA device plugin"),
        ({"cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice"}, "GKE"),
        ({"feature.node.kubernetes.io/pci-1200_1da3.present": "true"}, "Gaudi"),
    ],
)
def test_no_device_plugin(labels: dict[str, str], says: str) -> None:
    [one] = gpus(labelled("a", labels), node("b"))
    assert one.state == "warning" and one.message.startswith("a: no ") and says in one.hint


def test_labels_that_say_nothing() -> None:
    assert (
        sign(labelled("a", {"nvidia.com/gpu.present": "false", "node.kubernetes.io/instance-type": "m5.large"})) is None
    )


def test_a_device_plugin_that_finds_nothing() -> None:
    [one] = gpus(node("a", 0))
    assert one.state == "warning" and "0 of nvidia.com/gpu" in one.message and "driver" in one.hint


def test_no_gpus_at_all_and_nodes_that_may_not_be_read() -> None:
    assert [one.state for one in gpus(node())] == ["info"]
    [one] = check_gpus(Seen(nodes=None))
    assert one.state == "info" and "may not be read" in one.message


def test_thousands_of_nodes_in_no_time() -> None:
    there = [labelled(f"n{n}", {"skypilot.co/accelerator": "h100"}, 8 * (n % 2)) for n in range(5000)]
    began = time.process_time()
    there_are, _ = gpus(*there)
    assert there_are.message == "20000 H100 on 2500 nodes" and time.process_time() - began < 1


def test_device_classes() -> None:
    [one] = gpus(node(), classes=("gpu.nvidia.com", "mig.nvidia.com"))
    assert one.check == "dra" and one.state == "warning" and "resourceslices" in one.hint
    claim = nodes.Device("H100", "gpu.nvidia.com", 8, claim=True)
    there, dra = gpus(nodes.with_devices(node(), [claim]), classes=("gpu.nvidia.com",))
    assert (there.state, there.message) == ("ok", "8 H100 on 1 node") and dra.state == "ok"


# -- quotas, LimitRanges --------------------------------------------------------------------------------------------


def quotas(item: Any, *ranges: Any) -> list[Finding]:
    return list(limits.check_quotas(Seen(answers={"resourcequotas": listed(item), "limitranges": listed(*ranges)})))


def test_quotas() -> None:
    [one] = quotas(quota({"requests.cpu": "10", "pods": "5"}, {"requests.cpu": "9", "pods": "4"}))
    assert one == Finding("quotas", "ok", "quota q: pods 4/5, requests.cpu 9/10")
    [one] = quotas(quota({"requests.nvidia.com/gpu": "8"}, {"requests.nvidia.com/gpu": "8"}))
    assert one.state == "warning" and "used up for requests.nvidia.com/gpu (requests.nvidia.com/gpu 8/8)" in one.message
    [one] = quotas(quota({"services.loadbalancers": "0", "requests.memory": "1Gi"}, {"requests.memory": "1000Mi"}))
    assert one.state == "ok"
    [one] = quotas(quota({"pods": "0"}, scopes=["BestEffort"]))
    assert one.state == "info"


def test_quotas_of_limits() -> None:
    first, _ = quotas(quota({"limits.cpu": "10"}))
    assert first.state == "problem" and "LimitRange" in first.hint
    first, _ = quotas(quota({"limits.memory": "10Gi"}))
    assert first.state == "warning" and "--memory" in first.hint
    [one] = quotas(quota({"limits.cpu": "10"}), limit_range(default={"cpu": "2"}))
    assert one.state == "ok"


@pytest.mark.parametrize(
    ("limit", "state", "says"),
    [
        ({"max": {"cpu": "4", "memory": "8Gi"}}, "ok", "max cpu 4, memory 8Gi"),
        ({"max": {"cpu": "500m"}}, "warning", "and --memory may have 0.99 cpu, at most 0.5"),
        ({"max": {"memory": "256Mi"}}, "problem", "own container may have 0.5 GiB memory, at most 0.25 GiB"),
        ({"min": {"cpu": "50m"}}, "problem", "own container asks for 0.01 cpu, at least 0.05"),
        ({"default": {"memory": "512Mi"}}, "warning", "asks for 1 GiB memory, but gets a limit of 0.5 GiB"),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}, "ok", "PersistentVolumeClaim: max storage"),
    ],
)
def test_limit_ranges(limit: Any, state: str, says: str) -> None:
    [one] = limits.check_limit_ranges(Seen(answers={"limitranges": listed(limit_range(**limit))}))
    assert one.state == state and says in one.message, one


# -- rights ---------------------------------------------------------------------------------------------------------


def rule(groups: str, resources: str, verbs: str, **more: Any) -> Any:
    return {"apiGroups": [groups], "resources": [resources], "verbs": verbs.split(), **more}


def test_rules_that_cover_a_right() -> None:
    execs = Right("", "pods/exec", "create", "ns")
    for good in (rule("*", "*", "*"), rule("", "pods/exec", "create"), rule("", "*/exec", "create get")):
        assert covered(execs, [good])
    for bad in (rule("apps", "*", "*"), rule("", "pods", "*"), rule("", "pods/exec", "get")):
        assert not covered(execs, [bad])
    assert not covered(execs, [rule("*", "*", "*", resourceNames=["one"])])


def seen_with(*missing: Right) -> Seen:
    own = expand((*rights.REQUIRED, *rights.HELPFUL, rights.CLAIMS), "ns")
    allowed = dict.fromkeys([*own, *expand((*rights.VIEWS, rights.LABELER), None)], True)
    return Seen(namespace="ns", user="ann", rights=Rights({**allowed, **dict.fromkeys(missing, False)}))


def test_missing_rights() -> None:
    assert [one.state for one in findings.check_rights(seen_with())] == ["ok"]
    lacking = [Right("", kind, verb, "ns") for kind in ("secrets", "services") for verb in ("get", "list")]
    [one] = findings.check_rights(seen_with(*lacking))
    assert one.state == "problem" and one.message.endswith("in namespace ns: get, list secrets, services")
    _, one = findings.check_rights(seen_with(Right("", "events", "list", "ns")))
    assert one.state == "warning" and "explained less" in one.message
    _, one = findings.check_rights(seen_with(Right("", "nodes", "patch", None)))
    assert (one.check, one.state, one.hint) == ("cluster-rights", "info", "")


def test_rights_that_cannot_be_asked() -> None:
    [one] = findings.check_rights(Seen(rights=Rights(why_not="user 'x' may not create")))
    assert one.state == "warning"
    [one] = findings.check_rights(Seen(rights=Rights(why_not="(you are system:anonymous)", hint="log in")))
    assert (one.state, one.hint) == ("problem", "log in")


def test_the_role_has_all_that_is_needed() -> None:
    role, binding = yaml.safe_load_all(roles.text(roles.in_namespace("oidc:ann/x", "ns")))
    needs = expand((*rights.REQUIRED, *rights.HELPFUL, rights.CLAIMS), "ns")
    assert all(covered(need, role["rules"]) for need in needs)
    assert role["metadata"] == {"name": "kubectl-sky", "namespace": "ns"}
    assert binding["metadata"]["name"] == "kubectl-sky:oidc:ann-x" and binding["subjects"][0]["name"] == "oidc:ann/x"
    view, _ = yaml.safe_load_all(roles.text(roles.in_cluster("ann")))
    assert all(covered(need, view["rules"]) for need in expand(rights.VIEWS, None))
    assert {verb for one in view["rules"] for verb in one["verbs"]} == {"list", "get"}


def test_subjects() -> None:
    account = {"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}
    assert roles.subject("system:serviceaccount:ci:bot") == account
    assert roles.subject("ann")["kind"] == "User"
    assert "REPLACE-WITH-THE-USER" in roles.text(roles.in_cluster(""))


# -- the rest -------------------------------------------------------------------------------------------------------


def test_version_and_clock() -> None:
    def version(minor: str) -> str:
        return findings.check_version(Seen(version={"major": "1", "minor": minor, "gitVersion": "v1.x"})).state

    assert [version("19"), version("20"), version("32+")] == ["problem", "ok", "ok"]
    assert findings.check_version(Seen()).state == "warning"
    assert findings.check_clock(Seen(skew=2.0)).state == "ok"
    late = findings.check_clock(Seen(skew=90.0))
    assert late.state == "warning" and "90 s behind" in late.message
    assert "ahead of" in findings.check_clock(Seen(skew=-90.0)).message


def test_namespaces() -> None:
    def namespace(answer: Answer) -> Finding:
        return findings.check_namespace(Seen(namespace="ns", answers={"namespace": answer}))

    assert namespace(Answer({"metadata": {}, "status": {"phase": "Active"}})).state == "ok"
    assert namespace(Answer({"status": {"phase": "Terminating"}})).state == "problem"
    assert namespace(FORBIDDEN).state == "info"
    assert namespace(Answer(None, 404)).state == "problem"


def test_admission() -> None:
    def tried(answer: Answer) -> list[str]:
        allowed = Rights({Right("", "pods", "create", "default"): True})
        return [one.state for one in findings.check_admission(Seen(tried=answer, rights=allowed))]

    assert tried(Answer({})) == ["ok"]
    assert tried(Answer(None, 403, "the namespace's quota 'q' is exceeded: …")) == ["warning"]
    assert tried(Answer(None, 403, "the admission webhook 'w' refused this: no")) == ["problem"]
    assert tried(Answer(None, 400, "admission webhook w does not support dry run")) == ["info"]
    assert list(findings.check_admission(Seen(tried=FORBIDDEN))) == []


def test_storage_classes() -> None:
    def storage(*items: Any) -> Finding:
        return findings.check_storage(Seen(answers={"storageclasses": listed(*items)}))

    default = {"metadata": {"name": "a", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}
    assert storage(default) == Finding("storage", "ok", "default StorageClass a")
    assert "no StorageClass is the default one; there are: b" in storage({"metadata": {"name": "b"}}).message
    assert "there is no StorageClass" in storage().message


def groups(*names: str, **answers: Answer) -> Seen:
    found = [{"name": name, "versions": [{"version": "v1"}, {"version": "v1alpha1"}]} for name in names]
    return Seen(namespace="ns", answers={"groups": Answer({"groups": found}), **answers})


def test_queues_and_gangs() -> None:
    [one] = queues.check_queues(groups("apps"))
    assert (one.check, one.state) == ("gang", "info")
    active = {"metadata": {"name": "q"}, "status": {"conditions": [{"type": "Active", "status": "True"}]}}
    [one] = queues.check_queues(groups(queues.KUEUE, localqueues=listed(active)))
    assert one == Finding("kueue", "ok", "Kueue, LocalQueue q")
    stopped = {"metadata": {"name": "q"}, "status": {"conditions": [{"type": "Active", "status": "False"}]}}
    [one] = queues.check_queues(groups(queues.KUEUE, localqueues=listed(stopped)))
    assert one.state == "warning" and "not active: q" in one.message
    [one] = queues.check_queues(groups(queues.KUEUE, localqueues=listed()))
    assert "no LocalQueue" in one.message
    resources = Answer({"resources": [{"name": "workloads"}]})
    seen = groups(queues.VOLCANO, queues.KAI, queues.COSCHEDULING, queues.NATIVE, scheduling=resources)
    assert len(queues.gang_schedulers(seen)) == 4
    assert queues.native_version(seen.groups) == "v1alpha1" and queues.native_version({queues.NATIVE: ["v1"]}) == ""
    [one] = queues.check_queues(Seen(answers={"groups": FORBIDDEN}))
    assert one.state == "info" and "may not be read" in one.message


def test_queues_of_kai() -> None:
    def queue(name: str, parent: str = "") -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": {"parentQueue": parent}}

    there = (queue("all"), queue("default-queue", "all"), queue("team-a", "all"))
    one, gang = queues.check_queues(groups(queues.KAI, kaiqueues=listed(*there)))
    assert one == Finding("kai", "ok", "KAI scheduler, queues default-queue, team-a") and gang.state == "ok"
    one, _ = queues.check_queues(groups(queues.KAI, kaiqueues=listed(there[0], there[2])))
    assert one.state == "info" and "queue team-a; default-queue is not there" in one.message
    one, _ = queues.check_queues(groups(queues.KAI, kaiqueues=FORBIDDEN))
    assert one.state == "info" and "may not be read" in one.message and "kai.scheduler/queue" in one.message


def test_autoscalers() -> None:
    assert queues.check_autoscaler(groups("apps")).state == "info"
    assert "may not be read" in queues.check_autoscaler(groups("apps", autoscaler=FORBIDDEN)).message
    seen = groups(queues.KARPENTER, autoscaler=Answer({}), nodepools=listed({"metadata": {"name": "gpu"}}))
    assert queues.autoscalers(seen) == ["cluster-autoscaler", "Karpenter (node pools gpu)"]
    nap = labelled("a", {"cloud.google.com/gke-nodepool": "nap-n1-standard-1-x"})
    assert queues.autoscalers(Seen(nodes=(nap,))) == ["GKE node auto-provisioning"]


def test_images_of_nodes() -> None:
    def has(*names: str) -> bool:
        return checking.has_image({"status": {"images": [{"names": list(names)}]}}, "sky/runtime:1")

    assert has("docker.io/sky/runtime:1") and has("x@sha256:1", "sky/runtime:1")
    assert not has("sky/runtime:10") and not has("mysky/runtime:1") and not checking.has_image({}, "a")
    assert findings.check_image(Seen(nodes=(node(), node()), holding=1)).message.startswith("1 of 2 nodes")
    assert "--deep" in findings.check_image(Seen(nodes=None, image="i")).hint


def pod(**status: Any) -> Any:
    return {"metadata": {"name": "p"}, "spec": {"nodeName": "n1"}, "status": status}


def test_a_pod_that_was_tried() -> None:
    def waiting(reason: str, message: str) -> Finding:
        status = {"name": "image", "image": "i", "state": {"waiting": {"reason": reason, "message": message}}}
        return trial.finding("i:1", pod(phase="Pending", containerStatuses=[status]))

    assert trial.finding("i:1", pod(phase="Succeeded")) == Finding("image", "ok", "a pod from i:1 ran on node n1")
    denied = waiting("ImagePullBackOff", "pull access denied")
    assert denied.state == "problem" and "logging in" in denied.message and "KUBECTL_SKY_REGISTRY_MIRROR" in denied.hint
    assert waiting("ImagePullBackOff", "429 toomanyrequests").state == "warning"
    assert trial.finding("i:1", None).state == "warning"


def test_the_pods_that_are_tried_are_secured() -> None:
    spec = trial.dry_pod("c", "restricted")["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and not spec["automountServiceAccountToken"]
    assert [one["name"] for one in spec["containers"]] == ["task", "ssh"]


# -- what is printed ------------------------------------------------------------------------------------------------


class Stream(io.StringIO):
    encoding = "utf-8"


REPORT = Report(
    "c", "https://s", (Finding("gpus", "warning", "none", "do a\ndo b"), Finding("rights", "problem", "no"))
)


def test_marks() -> None:
    stream = Stream()
    Printer(stream).show(False, [], [REPORT, Report("d", "", (Finding("version", "ok", "Kubernetes 1.37…"),))])
    text = stream.getvalue()
    assert text.startswith("Kubernetes: disabled (1 of 2 contexts)\n") and "\x1b" not in text
    assert "\ncontext c (https://s): disabled\n  ! gpus: none\n      do a\n      do b\n  ✗ rights: no\n" in text
    assert "  ✓ version: Kubernetes 1.37…\n" in text


def test_colours_and_plain_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Stream()
    stream.encoding = "iso8859-1"
    Printer(stream).show(True, [], [Report("d", "", (Finding("version", "ok", "1.37…"),))])
    assert "\x1b[32m+\x1b[0m version: 1.37?" in stream.getvalue()


def test_the_document_keeps_its_keys() -> None:
    whole = Report("d", "s", (), Seen(nodes=(node("a", 8),), answers={"limitranges": listed(limit_range())}))
    broken, full = check_document.document(True, [], [REPORT, whole])["contexts"]
    assert broken["findings"][0] == {"check": "gpus", "state": "warning", "message": "none", "hint": "do a\ndo b"}
    assert set(broken) == {"name", "server", "usable", "findings", "roles"} and not broken["usable"]
    assert full["gpus"] == [{"name": None, "resource": GPU, "count": 8, "nodes": 1}]
    assert full["limitRanges"] == [{"name": "l", "limits": [{"type": "Container"}]}]
    assert full["quotas"] is None and full["image"] == {"name": "", "nodes": 0} and full["storageClasses"] is None
