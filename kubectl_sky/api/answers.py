"""What the API server said when it said no: in the user's terms and with the next step. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from kubectl_sky.errors import ApiError, Expired

_RBAC = re.compile(
    r'User "(?P<user>.*?)" cannot (?P<verb>\S+) (?:resource|path) "(?P<resource>.*?)"'
    r'(?: in API group "(?P<group>.*?)")?(?: in the namespace "(?P<namespace>.*?)")?'
)
_POD_SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^"]*)": (?P<reasons>.*)', re.S)
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,]+), requested: (?P<rest>.*)", re.S)
_WEBHOOK = re.compile(r'admission webhook "(?P<name>[^"]+)" denied the request:? ?(?P<text>.*)', re.S)
_BROKEN_WEBHOOK = re.compile(r'failed calling webhook "(?P<name>[^"]+)"')
_NAMESPACE_404 = re.compile(r'namespaces "(?P<name>[^"]+)" not found')


class Answer(NamedTuple):
    """A Kubernetes Status that is an error. `causes` have the keys field, message, reason."""

    status: int
    text: str
    causes: list[dict[str, Any]]
    context: str


Told = tuple[str, "str | None"]


def api_error(
    status: int, body: bytes, method: str, path: str, context: str = "", headers: Mapping[str, str] | None = None
) -> ApiError:
    """ApiError (Expired for 410) for an HTTP answer >= 300; `body` is a Status, or whatever a proxy sent."""
    answer = status_object(body)
    reason, text = str(answer.get("reason") or ""), str(answer.get("message") or "").strip()
    if status == 410 or reason in ("Expired", "Gone"):
        return Expired(410, "Expired", text or "too old")
    if text:
        causes = (answer.get("details") or {}).get("causes") or []
        error = ApiError(status, reason, *explained(Answer(status, text, causes, context)))
        error.said, error.causes = text, causes
    else:
        if status == 404:
            # of a group of APIs that is not installed
            return ApiError(
                status, reason, f"the cluster does not know {path}", "see what it has: kubectl api-resources"
            )
        said = body.decode("utf-8", "replace").strip()[:300] or "no explanation given"
        hint = "a proxy, or a server that is not Kubernetes, may be between: kubectl cluster-info"
        error = ApiError(status, reason, f"{method} {path} was answered with HTTP {status}: {said}", hint)
    after = (headers or {}).get("Retry-After", "")
    error.retry_after = float(after) if after.isdigit() else None
    return error


def explained(answer: Answer) -> Told:
    """Message and hint."""
    for explain in (_unauthorized, _denied, _forbidden, _not_found, _invalid, _busy):
        told = explain(answer)
        if told:
            return told
    return answer.text, None


def status_object(body: bytes) -> dict[str, Any]:
    """`body` as a Kubernetes Status; empty if it is something else."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _unauthorized(answer: Answer) -> Told | None:
    if answer.status != 401:
        return None
    return (
        f"the cluster of context {answer.context!r} does not accept your credentials: they are wrong or have expired",
        "log in again with your provider's tool, then try: kubectl auth whoami",
    )


def _denied(answer: Answer) -> Told | None:
    """What an admission step refused: quota, Pod Security, webhooks."""
    if found := _POD_SECURITY.search(answer.text):
        reasons = re.split(r", (?=[\w. /]+ (?:!=|\())", found["reasons"])
        lines = "".join(f"\n  - {one}" for one in reasons)
        hint = "its label pod-security.kubernetes.io/enforce says so: use another namespace, or drop what is forbidden"
        return f"the namespace enforces Pod Security {found['level']!r}, which the pod violates:{lines}", hint
    if found := _QUOTA.search(answer.text):
        hint = "ask for less, free some (kubectl sky status; kubectl sky down NAME), or see: kubectl describe quota"
        return f"the namespace's quota {found['name']!r} is exceeded: requested {found['rest']}", hint
    if found := _WEBHOOK.search(answer.text):
        return (
            f"the admission webhook {found['name']!r} refused this: {found['text'].strip() or 'no reason given'}",
            "this is a rule of the cluster: its administrators know more",
        )
    if found := _BROKEN_WEBHOOK.search(answer.text):
        return (
            f"the cluster's admission webhook {found['name']!r} does not answer: {answer.text}",
            "the cluster's administrators must repair it: kubectl get validatingwebhookconfigurations",
        )
    if "is being terminated" in answer.text or "NamespaceTerminating" in answer.text:
        return answer.text, "the namespace is being deleted: use another one (-n), or wait and create it again"
    return None


def _forbidden(answer: Answer) -> Told | None:
    if answer.status != 403:
        return None
    found = _RBAC.search(answer.text)
    if not found:
        return answer.text, None
    if found["user"] == "system:anonymous":
        return (
            f"context {answer.context!r} has no credentials that the cluster knows (you are system:anonymous)",
            "log in with your provider's tool, or check the user entry: kubectl config view --minify",
        )
    where = f" in namespace {found['namespace']!r}" if found["namespace"] else " in the whole cluster"
    kind = "Role" if found["namespace"] else "ClusterRole"
    resource, group = found["resource"], found["group"] or ""
    hint = (
        f"ask your administrator for this rule in a {kind}"
        + (f" of namespace {found['namespace']}" if found["namespace"] else "")
        + f':\n  - apiGroups: ["{group}"]\n    resources: ["{resource}"]\n    verbs: ["{found["verb"]}"]'
    )
    return f"user {found['user']!r} may not {found['verb']} {resource}{where}", hint


def _not_found(answer: Answer) -> Told | None:
    if answer.status != 404:
        return None
    if found := _NAMESPACE_404.search(answer.text):
        name = found["name"]
        return f"there is no namespace {name!r} in context {answer.context!r}", f"kubectl create namespace {name}"
    if "could not find the requested resource" in answer.text:
        return "the cluster does not know this kind of object", "see what it has: kubectl api-resources"
    return answer.text, None


def _invalid(answer: Answer) -> Told | None:
    if answer.status != 422 or not answer.causes:
        return None
    head = re.split(r"(?: is invalid)?: ", answer.text, maxsplit=1)[0]
    lines = "".join(f"\n  - {one.get('field')}: {one.get('message')}".replace("None: ", "") for one in answer.causes)
    return f"the API server refuses {head}:{lines}", None


def _busy(answer: Answer) -> Told | None:
    if answer.status == 429:
        return f"the API server is overloaded: {answer.text}", "try again in a minute"
    if answer.status == 409 and "the object has been modified" in answer.text:
        return f"somebody else changed it at the same time: {answer.text}", "try again"
    if answer.status == 504 or "etcdserver" in answer.text or "request timed out" in answer.text:
        return (
            f"the API server did not answer in time: {answer.text}",
            "try again; a longer limit: --request-timeout 2m",
        )
    return None
