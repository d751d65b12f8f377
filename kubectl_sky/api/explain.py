"""What the API server, or the way to it, said: in the user's terms and with the next step."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import urllib3

from kubectl_sky.errors import ApiError, Expired, Unreachable

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


# -- no answer at all ---------------------------------------------------------------------------------------------

_CERTIFICATE = {
    9: ("the server's certificate is not valid yet", "check this machine's clock"),
    10: ("the server's certificate has expired", "its administrators must renew it; or check this machine's clock"),
    18: ("the server's certificate is not signed by an authority that the kubeconfig trusts", None),
    19: ("the server's certificate is not signed by the authority that the kubeconfig trusts", None),
    20: ("the server's certificate is not signed by the authority that the kubeconfig trusts", None),
    62: ("the server's certificate is for another name", "check `server:`, or give --tls-server-name"),
    64: ("the server's certificate is for another address", "check `server:`, or give --tls-server-name"),
}
_STALE = "was the cluster made anew? get its kubeconfig again (certificate-authority)"


def unreachable(error: Exception, server: str) -> Unreachable:
    """The error for a request that got no answer (`error` is urllib3's)."""
    message, hint = _transport(error, server)
    made = Unreachable(message, hint)
    made.never_sent = isinstance(_root(error), urllib3.exceptions.ConnectTimeoutError)
    made.silent = isinstance(error, urllib3.exceptions.ReadTimeoutError)
    return made


def _root(error: Exception) -> Exception:
    """The error inside ProxyError and MaxRetryError."""
    inner = getattr(error, "original_error", None) or getattr(error, "reason", None)
    return inner if isinstance(inner, Exception) else error


def _transport(error: Exception, server: str) -> Told:
    up = "is the cluster up, and the VPN? kubectl cluster-info"
    if isinstance(error, urllib3.exceptions.ProxyError):
        return (
            f"cannot reach the cluster at {server} through the proxy: {_plain(_root(error))}",
            "check proxy-url of the kubeconfig, HTTPS_PROXY and NO_PROXY",
        )
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        host = re.sub(r"^\w+://|[:/].*$", "", server)
        return f"cannot reach the cluster at {server}: there is no host {host!r}", up
    # a NewConnectionError is a ConnectTimeoutError too
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        refused = "refused" in str(error)
        return f"cannot reach the cluster at {server}: {'connection refused' if refused else _plain(error)}", up
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return f"cannot reach the cluster at {server}: no answer in time", up
    if isinstance(error, urllib3.exceptions.SSLError):
        return _tls(error, server)
    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return (
            f"the cluster at {server} took the request, but did not answer in time",
            "--request-timeout 2m waits longer",
        )
    return f"the connection to the cluster at {server} broke: {_plain(error)}", up


def _tls(error: Exception, server: str) -> Told:
    cause = _root(error)
    for one in (error, cause, error.__cause__, *error.args):
        if isinstance(one, ssl.SSLCertVerificationError):
            text, hint = _CERTIFICATE.get(one.verify_code, (f"the server's certificate: {one.verify_message}", None))
            return f"cannot trust the cluster at {server}: {text}", hint or _STALE
    text = str(error)
    if "doesn't match" in text:
        return f"cannot trust the cluster at {server}: {_CERTIFICATE[62][0]}: {text}", _CERTIFICATE[62][1]
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        return f"{server} does not speak TLS", "check `server:` in the kubeconfig (http or https, the port)"
    if "ALERT" in text.upper():
        return (
            f"the cluster at {server} does not accept your client certificate: {_plain(error)}",
            "it may have expired: get a fresh kubeconfig",
        )
    return f"no TLS connection to the cluster at {server}: {_plain(error)}", "kubectl cluster-info"


def _plain(error: Exception) -> str:
    """urllib3's text without its object names."""
    text = re.sub(r"^.*?(?:Failed to establish a new connection|: ) ?:? ?", "", str(error).strip("()'"), count=1)
    return re.sub(r"<[^>]*>:? ?", "", text or str(error)).replace(" (_ssl.c:", " (").split(" (")[0] or str(error)
