"""The Role and ClusterRole that an administrator can give a user, for what is missing. Pure.

A Role has all that the program needs, not only what is missing: so it is the same for everybody, and can be applied
again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from kubectl_sky.checks.rights import CLAIMS, HELPFUL, REQUIRED, VIEWS, Need

Manifest = dict[str, Any]
ROLE, VIEW_ROLE = "kubectl-sky", "kubectl-sky-view"
RBAC = "rbac.authorization.k8s.io"
NOBODY = "REPLACE-WITH-THE-USER"  # where the cluster does not tell who we are
# what the views read besides, in the whole cluster
_READ = (
    Need("node.k8s.io", "runtimeclasses", ("list",)),
    Need("storage.k8s.io", "storageclasses", ("list",)),
    Need("resource.k8s.io", "resourceslices", ("list",)),
    Need("resource.k8s.io", "deviceclasses", ("list",)),
    Need("resource.k8s.io", "resourceclaims", ("list",)),
)
_AUTOSCALER = {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "resourceNames": ["cluster-autoscaler-status"],
    "verbs": ["get"],
}


def text(objects: Iterable[Manifest]) -> str:
    """YAML documents with short lists on one line, as people write rules."""
    import yaml

    return "---\n".join(yaml.safe_dump(one, default_flow_style=None, sort_keys=False, width=120) for one in objects)


def in_namespace(user: str, namespace: str) -> list[Manifest]:
    """Role and RoleBinding for everything in the namespace."""
    limits = Need("", "resourcequotas", ("list",)), Need("", "limitranges", ("list",))
    # whose labels tell the Pod Security level
    own = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [namespace], "verbs": ["get"]}
    rules = [*_rules((*REQUIRED, *HELPFUL, CLAIMS, *limits)), own]
    return [_role("Role", ROLE, rules, namespace), _binding("Role", ROLE, user, namespace)]


def in_cluster(user: str) -> list[Manifest]:
    """ClusterRole and ClusterRoleBinding for what is read of the whole cluster."""
    rules = [*_rules((*VIEWS, *_READ)), _AUTOSCALER]
    return [_role("ClusterRole", VIEW_ROLE, rules), _binding("ClusterRole", VIEW_ROLE, user)]


def _rules(needs: Iterable[Need]) -> list[Manifest]:
    """One rule for the resources of a group that have the same verbs."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for need in needs:
        there = verbs.setdefault((need.group, need.resource), [])
        there += [verb for verb in need.verbs if verb not in there]
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), wanted in verbs.items():
        rules.setdefault((group, tuple(wanted)), []).append(resource)
    return [{"apiGroups": [group], "resources": names, "verbs": list(v)} for (group, v), names in rules.items()]


def _role(kind: str, name: str, rules: list[Manifest], namespace: str | None = None) -> Manifest:
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": _metadata(name, namespace), "rules": rules}


def _binding(kind: str, role: str, user: str, namespace: str | None = None) -> Manifest:
    name = re.sub(r"[/%]", "-", f"{role}:{user or NOBODY}")[:200]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": _metadata(name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [subject(user or NOBODY)],
    }


def _metadata(name: str, namespace: str | None) -> Manifest:
    return {"name": name, "namespace": namespace} if namespace else {"name": name}


def subject(user: str) -> Manifest:
    """A user, or the service account that `system:serviceaccount:NAMESPACE:NAME` is."""
    parts = user.split(":")
    if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4:
        return {"kind": "ServiceAccount", "name": parts[3], "namespace": parts[2]}
    return {"apiGroup": RBAC, "kind": "User", "name": user}
