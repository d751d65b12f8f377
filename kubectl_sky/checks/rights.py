"""What the program must be allowed to do, as data, and asking the cluster whether the user is.

One SelfSubjectRulesReview tells what the roles grant in the namespace. It is incomplete where others than RBAC decide
(it always says so: the Node authorizer cannot tell), and mixes up what is granted in one namespace and everywhere: so
what it does not grant, and all that is cluster-wide, is asked by SelfSubjectAccessReviews.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kubectl_sky.errors import ApiError

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster

Object = dict[str, Any]
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
REVIEWS = 16  # side by side


class Need(NamedTuple):
    """Verbs on a resource. `lost`: what does not work without them; "": the program does not."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    lost: str = ""


# in the namespace; without these no task runs
REQUIRED = (
    Need("batch", "jobs", ("get", "list", "watch", "create", "delete")),
    Need("", "pods", ("get", "list", "watch", "delete")),
    Need("", "pods/exec", ("get", "create")),  # create: websockets from Kubernetes 1.35 on; get: before
    Need("", "pods/log", ("get",)),
    Need("", "secrets", ("get", "list", "create", "patch", "delete")),
    Need("", "configmaps", ("get", "list", "create", "patch", "delete")),
    Need("", "services", ("get", "list", "create", "patch", "delete")),
)
# in the namespace; each with what it is for
HELPFUL = (
    Need("", "pods/portforward", ("get", "create"), "ports cannot be reached by port-forward"),
    Need("", "events", ("list", "watch"), "why a task is not running is explained less"),
    Need("", "pods", ("create",), "check cannot try whether a pod would be admitted"),
)
# where the cluster has devices by dynamic resource allocation
CLAIMS = Need(
    "resource.k8s.io",
    "resourceclaimtemplates",
    ("get", "list", "create", "patch", "delete"),
    "devices of dynamic resource allocation cannot be asked for",
)
# in the whole cluster; only reading
VIEWS = (
    Need("", "nodes", ("list",), "nothing can be chosen by what nodes have"),
    Need("", "pods", ("list",), "what is free on the nodes is not known"),
)
LABELER = Need("", "nodes", ("patch",), "label-gpus: an administrator runs it, once")


class Right(NamedTuple):
    """`namespace` None: in the whole cluster."""

    group: str
    resource: str
    verb: str
    namespace: str | None

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


@dataclass(frozen=True)
class Rights:
    """What was asked and answered; `why_not`: what the server said when it could not be asked."""

    allowed: Mapping[Right, bool] = field(default_factory=dict)
    why_not: str = ""
    hint: str | None = None

    def missing(self, needs: Iterable[Need], namespace: str | None) -> list[Right]:
        return [right for right in expand(needs, namespace) if self.allowed.get(right) is False]

    def may(self, group: str, resource: str, verb: str, namespace: str | None) -> bool:
        return self.allowed.get(Right(group, resource, verb, namespace), False)


def expand(needs: Iterable[Need], namespace: str | None) -> list[Right]:
    return [Right(need.group, need.resource, verb, namespace) for need in needs for verb in need.verbs]


def review(cluster: Cluster) -> Rights:
    """Asks the cluster, side by side."""
    own = expand((*REQUIRED, *HELPFUL, CLAIMS), cluster.namespace)
    wide = expand((*VIEWS, LABELER), None)
    try:
        with ThreadPoolExecutor(REVIEWS) as pool:
            granted = pool.submit(_rules, cluster)
            answers = list(zip(wide, pool.map(lambda right: ask(cluster, right), wide), strict=True))
            rules = granted.result()
            rest = [right for right in own if not covered(right, rules)]
            answers += zip(rest, pool.map(lambda right: ask(cluster, right), rest), strict=True)
    except ApiError as error:
        return Rights(why_not=error.message, hint=error.hint)
    return Rights({**dict.fromkeys(own, True), **dict(answers)})


def _rules(cluster: Cluster) -> list[Object]:
    spec = {"spec": {"namespace": cluster.namespace}}
    answer = _post(cluster, "SelfSubjectRulesReview", spec)
    return list((answer.get("status") or {}).get("resourceRules") or ())


def ask(cluster: Cluster, right: Right) -> bool:
    """Whether the user has it. Raises ApiError."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": right.namespace or "",
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
    }
    answer = _post(cluster, "SelfSubjectAccessReview", {"spec": {"resourceAttributes": attributes}})
    return bool((answer.get("status") or {}).get("allowed"))


def _post(cluster: Cluster, kind: str, body: Object) -> Object:
    path = f"{AUTHORIZATION}/{kind.lower()}s"
    return cluster.create(path, {"apiVersion": "authorization.k8s.io/v1", "kind": kind, **body})


def covered(right: Right, rules: Iterable[Object]) -> bool:
    """Whether one of the rules of a SelfSubjectRulesReview grants it."""
    return any(
        not rule.get("resourceNames")
        and {right.verb, "*"} & set(rule.get("verbs") or ())
        and {right.group, "*"} & set(rule.get("apiGroups") or ())
        and _resources(right) & set(rule.get("resources") or ())
        for rule in rules
    )


def _resources(right: Right) -> set[str]:
    """How a rule may name the resource: `pods/exec`, `*/exec`, `*`."""
    _, slash, subresource = right.resource.partition("/")
    return {right.resource, "*", *([f"*/{subresource}"] if slash else ())}


def user(cluster: Cluster) -> str:
    """Who the cluster takes us for; "" where it does not tell (SelfSubjectReview: from Kubernetes 1.27 on)."""
    for version in ("v1", "v1beta1"):
        body = {"apiVersion": f"authentication.k8s.io/{version}", "kind": "SelfSubjectReview"}
        try:
            answer = cluster.create(f"/apis/authentication.k8s.io/{version}/selfsubjectreviews", body)
            return str(answer["status"]["userInfo"].get("username", ""))
        except ApiError as error:
            if error.status != 404:
                return ""
    return ""
