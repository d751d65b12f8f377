"""What `check` finds in a context: from what was seen there to sentences with next steps. Pure.

More of it, one subject each: findings_gpus, findings_limits, findings_queues.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubectl_sky import podspec, versions
from kubectl_sky.capacity.nodes import Node
from kubectl_sky.checks import rights
from kubectl_sky.checks.rights import Right, Rights

Object = dict[str, Any]
# INFO: neither good nor bad
OK, INFO, WARNING, PROBLEM = "ok", "info", "warning", "problem"
OLDEST = (1, 20)
ROLE_HINT = "kubectl sky check --role prints what an administrator can grant"
SKEW = 10.0  # seconds that clocks may differ
ENFORCE = "pod-security.kubernetes.io/enforce"
DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


class Finding(NamedTuple):
    """`check`: one word for scripts; a PROBLEM makes the context unusable; `hint`: the next step."""

    check: str
    state: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Answer:
    """To one question to the API server. `value` None: it said no, by `status` (403: may not be read) and `message`."""

    value: Object | None = None
    status: int = 200
    message: str = ""
    hint: str = ""

    @property
    def items(self) -> list[Object]:
        return list((self.value or {}).get("items") or ())

    @property
    def names(self) -> list[str]:
        return [str(item["metadata"]["name"]) for item in self.items]

    @property
    def unread(self) -> str:
        """Why nothing is known: `may not be read`."""
        return "may not be read" if self.status == 403 else f"cannot be read: {self.message}"


NOT_ASKED = Answer(None, 404, "not asked")


@dataclass(frozen=True)
class Seen:
    """All that was asked of a context. `answers` by the names that checking.py gives them.

    `nodes` None: they may not be read; `holding`: how many of them have the runtime `image`, by what they tell;
    `tried`: a pod's dry run.
    """

    namespace: str = "default"
    version: Mapping[str, Any] | None = None
    skew: float | None = None
    user: str = ""
    rights: Rights = field(default_factory=Rights)
    nodes: tuple[Node, ...] | None = ()
    classes: tuple[str, ...] = ()
    image: str = ""
    holding: int = 0
    answers: Mapping[str, Answer] = field(default_factory=dict)
    tried: Answer = NOT_ASKED

    def answer(self, name: str) -> Answer:
        return self.answers.get(name, NOT_ASKED)

    @property
    def groups(self) -> dict[str, list[str]]:
        """The API groups of the cluster with their versions."""
        found = (self.answer("groups").value or {}).get("groups") or ()
        return {group["name"]: [one["version"] for one in group.get("versions") or ()] for group in found}

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of the namespace."""
        return ((self.answer("namespace").value or {}).get("metadata") or {}).get("labels") or {}


def check_version(seen: Seen) -> Finding:
    if not seen.version:
        return Finding("version", WARNING, "the server does not tell its version")
    name = str(seen.version.get("gitVersion", "")).removeprefix("v") or "of unknown version"
    if versions.server(seen.version) < OLDEST:
        return Finding("version", PROBLEM, f"Kubernetes {name} is too old", "Kubernetes 1.20 or newer is needed")
    return Finding("version", OK, f"Kubernetes {name}")


def check_clock(seen: Seen) -> Finding:
    if seen.skew is None:
        return Finding("clock", INFO, "the server does not tell its time")
    if abs(seen.skew) < SKEW:
        return Finding("clock", OK, "this machine's clock and the server's agree")
    way = "behind" if seen.skew > 0 else "ahead of"
    text = f"this machine's clock is {abs(seen.skew):.0f} s {way} the server's: ages are wrong, credentials may fail"
    return Finding(
        "clock", WARNING, text, "set the clock (timedatectl set-ntp true), if it is not the server's that is wrong"
    )


def check_namespace(seen: Seen) -> Finding:
    answer, name = seen.answer("namespace"), seen.namespace
    if answer.status == 404:
        hint = f"kubectl create namespace {name}; or name another: -n NAME"
        return Finding("namespace", PROBLEM, f"there is no namespace {name!r}", hint)
    if answer.value is None:
        return Finding("namespace", INFO, f"{name}: {answer.unread}, so whether it is there is not known")
    if (answer.value.get("status") or {}).get("phase") == "Terminating":
        text = f"the namespace {name!r} is being deleted: nothing can be made in it"
        return Finding("namespace", PROBLEM, text, "use another one (-n NAME), or wait and create it again")
    return Finding("namespace", OK, name)


def check_rights(seen: Seen) -> Iterable[Finding]:
    """What the user may do in the namespace, and what of the whole cluster is read."""
    who, asked = seen.user or "you", seen.rights
    if asked.why_not:
        # not to know us is fatal; that nobody may ask is not
        state = PROBLEM if "system:anonymous" in asked.why_not else WARNING
        yield Finding("rights", state, f"what you may do cannot be asked: {asked.why_not}", asked.hint or "")
        return
    missing = asked.missing(rights.REQUIRED, seen.namespace)
    if missing:
        text = f"{who} may not do what is needed in namespace {seen.namespace}: {words(missing)}"
        yield Finding("rights", PROBLEM, text, ROLE_HINT)
    else:
        yield Finding("rights", OK, f"{who} may do all that is needed in namespace {seen.namespace}")
        for need in (*rights.HELPFUL, *([rights.CLAIMS] if seen.classes else ())):
            lacking = asked.missing([need], seen.namespace)
            if lacking:
                yield Finding("rights", WARNING, f"{who} may not {words(lacking)}: {need.lost}", ROLE_HINT)
    for need in (*rights.VIEWS, rights.LABELER):
        lacking = asked.missing([need], None)
        if lacking:
            text = f"{who} may not {words(lacking)} of the whole cluster: {need.lost}"
            yield Finding("cluster-rights", INFO, text, "" if need is rights.LABELER else ROLE_HINT)


def words(missing: Iterable[Right]) -> str:
    """`create, delete jobs.batch; list secrets, services`"""
    verbs: dict[str, list[str]] = {}
    for right in missing:
        verbs.setdefault(str(right).partition(" ")[2], []).append(right.verb)
    resources: dict[str, list[str]] = {}
    for resource, found in verbs.items():
        resources.setdefault(", ".join(found), []).append(resource)
    return "; ".join(f"{found} {', '.join(names)}" for found, names in resources.items())


def check_pod_security(seen: Seen) -> Finding:
    if seen.answer("namespace").value is None:
        return Finding("pod-security", INFO, "the namespace's labels may not be read: it is taken as not restricted")
    level = seen.labels.get(ENFORCE, "privileged")
    if level == "restricted":
        text = f"restricted: tasks run as user {podspec.RESTRICTED_UID}; images that need root do not work"
        return Finding("pod-security", OK, text)
    return Finding("pod-security", OK, f"{level}: tasks run as their images say")


def check_admission(seen: Seen) -> Iterable[Finding]:
    """Whether the pod of the simplest task would be admitted: quotas, LimitRanges, Pod Security, webhooks."""
    if not seen.rights.may("", "pods", "create", seen.namespace):
        return
    said = seen.tried.message
    if seen.tried.value is not None:
        yield Finding("admission", OK, "the pod of a small task would be admitted (dry run)")
    elif "dry run" in said or "dryRun" in said:  # a webhook with side effects: it says nothing about pods
        yield Finding("admission", INFO, f"a dry run is not possible: {said}")
    else:
        # a full quota passes when something ends
        state = WARNING if "is exceeded" in said else PROBLEM
        yield Finding("admission", state, f"the pod of a small task would be refused: {said}", seen.tried.hint)


def check_runtime_classes(seen: Seen) -> Finding:
    answer = seen.answer("runtimeclasses")
    if answer.value is None:
        text = f"RuntimeClasses {answer.unread}: a cluster whose GPUs need the RuntimeClass nvidia is not recognised"
        return Finding(
            "runtime-class", INFO, text, "if it does: config.kubernetes.pod_config.spec: {runtimeClassName: nvidia}"
        )
    if "nvidia" in answer.names:
        return Finding("runtime-class", OK, "nvidia: pods with NVIDIA GPUs use it")
    return Finding(
        "runtime-class", INFO, "there is no RuntimeClass nvidia: pods with GPUs use the nodes' default runtime"
    )


def check_storage(seen: Seen) -> Finding:
    answer = seen.answer("storageclasses")
    if answer.value is None:
        return Finding("storage", INFO, f"StorageClasses {answer.unread}: name one in each PersistentVolumeClaim")
    if not answer.names:
        text = "there is no StorageClass: volumes are bound only to PersistentVolumes that somebody made"
        return Finding("storage", INFO, text)
    default = default_storage(answer)
    if not default:
        text = f"no StorageClass is the default one; there are: {some(answer.names)}"
        return Finding("storage", INFO, text, "a claim must name its storageClassName")
    return Finding("storage", OK, f"default StorageClass {default}")


def default_storage(answer: Answer) -> str:
    for item in answer.items:
        notes = item["metadata"].get("annotations") or {}
        if any(notes.get(key) == "true" for key in DEFAULT_CLASS):
            return str(item["metadata"]["name"])
    return ""


def check_image(seen: Seen) -> Finding:
    """Whether the runtime image is on the nodes; kubelets tell only of their 50 largest images."""
    deep = "kubectl sky check --deep starts a pod from it, to be sure"
    if seen.nodes is None:
        return Finding("image", INFO, f"whether nodes can pull {seen.image} is not known", deep)
    total = len(seen.nodes)
    if seen.holding:
        many = "the node has" if total == 1 else f"{seen.holding} of {total} nodes have"
        return Finding("image", OK, f"{many} the image {seen.image}")
    text = f"no node says that it has the image {seen.image}: the first task on each pulls it"
    return Finding("image", INFO, text, deep)


def check_nodes(seen: Seen) -> Finding:
    if seen.nodes is None:
        return Finding("nodes", INFO, "may not be read: what there is, and what fits, shows only when a task waits")
    usable = sum(node.usable for node in seen.nodes)
    total = len(seen.nodes)
    if not total:
        return Finding("nodes", WARNING, "there are no nodes", "tasks wait until an autoscaler or somebody adds some")
    if not usable:
        text = f"none of {total} nodes is ready for pods" if total > 1 else "the only node is not ready for pods"
        return Finding("nodes", WARNING, text, "kubectl get nodes; kubectl describe node")
    return Finding("nodes", OK, f"{usable} of {total} nodes ready")


def some(names: Iterable[str], count: int = 5) -> str:
    """`a, b, c and 12 more`"""
    found = list(names)
    more = f" and {len(found) - count} more" if len(found) > count else ""
    return ", ".join(found[:count]) + more
