"""`check`: queues, gang schedulers and autoscalers that the cluster has. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from kubectl_sky.capacity.nodes import Node
from kubectl_sky.checks.findings import INFO, OK, WARNING, Finding, Seen, some
from kubectl_sky.names import KAI_QUEUE
from kubectl_sky.parts.gangs import KAI_DEFAULT

KUEUE, VOLCANO, KAI = "kueue.x-k8s.io", "scheduling.volcano.sh", "scheduling.run.ai"
COSCHEDULING, NATIVE, KARPENTER = "scheduling.x-k8s.io", "scheduling.k8s.io", "karpenter.sh"
NATIVE_KINDS = {"workloads", "podgroups"}
_PROVISIONED = ("cloud.google.com/gke-nodepool", "nap-")  # node pools that GKE's node auto-provisioning made


def check_queues(seen: Seen) -> Iterable[Finding]:
    if not seen.groups:
        yield Finding("queues", INFO, f"the API groups {seen.answer('groups').unread}: queues are not recognised")
        return
    if KUEUE in seen.groups:
        yield _kueue(seen)
    if KAI in seen.groups:
        yield _kai(seen)
    gangs = gang_schedulers(seen)
    if gangs:
        yield Finding("gang", OK, f"nodes of a task can start all at once: {', '.join(gangs)}")
    elif KUEUE not in seen.groups:
        text = "no Kueue, Volcano or other gang scheduler: nodes of a task start one by one, as they fit"
        yield Finding("gang", INFO, text)


def _kueue(seen: Seen) -> Finding:
    answer = seen.answer("localqueues")
    if answer.value is None:
        return Finding("kueue", INFO, f"Kueue is there; its LocalQueues {answer.unread}")
    if not answer.names:
        text = f"Kueue is there, but namespace {seen.namespace} has no LocalQueue: tasks here are not queued"
        return Finding("kueue", INFO, text, "if they are to be, an administrator makes one")
    stopped = [
        item["metadata"]["name"]
        for item in answer.items
        for condition in (item.get("status") or {}).get("conditions") or ()
        if condition.get("type") == "Active" and condition.get("status") == "False"
    ]
    text = f"Kueue, LocalQueue{'s' * (len(answer.names) > 1)} {some(answer.names)}"
    if stopped:
        hint = f"kubectl describe localqueue {stopped[0]} -n {seen.namespace}"
        return Finding("kueue", WARNING, f"{text}; not active: {some(stopped)}", hint)
    return Finding("kueue", OK, text)


def _kai(seen: Seen) -> Finding:
    answer = seen.answer("kaiqueues")
    named = f"by a queue's name: the label {KAI_QUEUE}"
    if answer.value is None:
        return Finding(
            "kai", INFO, f"the KAI scheduler is there; its queues {answer.unread}: a task goes there {named}"
        )
    parents = {(one.get("spec") or {}).get("parentQueue") for one in answer.items}
    leaves = [name for name in answer.names if name not in parents]
    text = f"KAI scheduler, queue{'s' * (len(leaves) != 1)} {some(leaves) or '-'}"
    if KAI_DEFAULT in leaves:
        return Finding("kai", OK, text)
    return Finding("kai", INFO, f"{text}; {KAI_DEFAULT} is not there: a task goes there {named}")


def gang_schedulers(seen: Seen) -> list[str]:
    names = {VOLCANO: "Volcano", KAI: "KAI scheduler", COSCHEDULING: "coscheduling (scheduler-plugins)"}
    found = [name for group, name in names.items() if group in seen.groups]
    return [*found, "Kubernetes' own (Workload API)"] if native_gang(seen) else found


def native_gang(seen: Seen) -> bool:
    """Whether the API server serves Workloads and PodGroups."""
    resources = (seen.answer("scheduling").value or {}).get("resources") or ()
    return any(one.get("name") in NATIVE_KINDS for one in resources)


def native_version(groups: dict[str, list[str]]) -> str:
    """The version of scheduling.k8s.io that may have them: the first besides v1; "" for none."""
    return next((version for version in groups.get(NATIVE, ()) if version != "v1"), "")


def check_autoscaler(seen: Seen) -> Finding:
    found = autoscalers(seen)
    if found:
        return Finding("autoscaler", OK, f"{', '.join(found)}: nodes may be added for tasks that wait")
    status = seen.answer("autoscaler")
    if status.value is None and status.status == 403:
        text = "whether an autoscaler adds nodes may not be read: it shows only when a task waits"
        return Finding("autoscaler", INFO, text)
    return Finding("autoscaler", INFO, "no autoscaler was found: a task that does not fit waits for room")


def autoscalers(seen: Seen) -> list[str]:
    found = []
    if seen.answer("autoscaler").value is not None:
        found.append("cluster-autoscaler")
    if KARPENTER in seen.groups:
        pools = seen.answer("nodepools")
        found.append(f"Karpenter (node pools {some(pools.names)})" if pools.names else "Karpenter")
    if any(provisioned(node) for node in seen.nodes or ()):
        found.append("GKE node auto-provisioning")
    return found


def provisioned(node: Node) -> bool:
    key, prefix = _PROVISIONED
    return node.labels.get(key, "").startswith(prefix) or node.name.startswith("gk3-")
