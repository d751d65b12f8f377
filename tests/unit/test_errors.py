"""What the API server, or the way to it, said -> message and next step. The texts are those of real servers."""

import json
import ssl
from typing import Any, cast

import pytest
import urllib3

from kubectl_sky.api.answers import api_error
from kubectl_sky.api.no_answer import handshake_broke, unreachable
from kubectl_sky.errors import ApiError, Expired, Failure, TaskErrors, UsageError


def answer(status: int, message: str, reason: str = "", causes: list[dict[str, str]] | None = None) -> ApiError:
    body = {"kind": "Status", "message": message, "reason": reason, "details": {"causes": causes or []}}
    return api_error(status, json.dumps(body).encode(), "POST", "/x", "prod")


def test_exit_codes() -> None:
    assert (Failure("x").exit_code, UsageError("x").exit_code, TaskErrors([]).exit_code) == (1, 2, 2)


def test_task_errors_shows_all() -> None:
    assert TaskErrors(["t.yaml:1:2: a", "t.yaml:3:4: b"]).message == (
        "2 problems in the task:\n  t.yaml:1:2: a\n  t.yaml:3:4: b"
    )


def test_unauthorized() -> None:
    error = answer(401, "Unauthorized", "Unauthorized")
    assert "'prod' does not accept your credentials" in error.message
    assert error.hint and "log in" in error.hint


def test_forbidden_names_the_missing_rule() -> None:
    text = (
        'jobs.batch is forbidden: User "ann" cannot create resource "jobs" in API group "batch" in the namespace "ml"'
    )
    error = answer(403, text, "Forbidden")
    assert error.message == "user 'ann' may not create jobs in namespace 'ml'"
    assert error.hint == (
        "ask your administrator for this rule in a Role of namespace ml:\n"
        '  - apiGroups: ["batch"]\n    resources: ["jobs"]\n    verbs: ["create"]'
    )


def test_forbidden_in_the_whole_cluster() -> None:
    text = 'nodes is forbidden: User "a" cannot list resource "nodes" in API group "" at the cluster scope'
    error = answer(403, text, "Forbidden")
    assert error.message == "user 'a' may not list nodes in the whole cluster"
    assert error.hint and "ClusterRole" in error.hint


def test_anonymous() -> None:
    text = 'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" at the cluster scope'
    assert "has no credentials" in answer(403, text, "Forbidden").message


def test_quota() -> None:
    text = 'pods "x" is forbidden: exceeded quota: gpus, requested: cpu=3, used: cpu=1, limited: cpu=2'
    message = answer(403, text, "Forbidden").message
    assert message == "the namespace's quota 'gpus' is exceeded: requested cpu=3, used: cpu=1, limited: cpu=2"


def test_pod_security() -> None:
    text = (
        'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false '
        '(container "task" must set securityContext.allowPrivilegeEscalation=false), runAsNonRoot != true '
        '(pod or container "task" must set securityContext.runAsNonRoot=true)'
    )
    lines = answer(403, text, "Forbidden").message.splitlines()
    assert lines[0] == "the namespace enforces Pod Security 'restricted:latest', which the pod violates:"
    assert [line[:20] for line in lines[1:]] == ["  - allowPrivilegeEs", "  - runAsNonRoot != "]


def test_webhook() -> None:
    error = answer(400, 'admission webhook "policy.example.com" denied the request: no latest tags', "BadRequest")
    assert error.message == "the admission webhook 'policy.example.com' refused this: no latest tags"
    broken = 'Internal error occurred: failed calling webhook "v.example.com": no endpoints available'
    assert "does not answer" in answer(500, broken, "InternalError").message


def test_namespace_not_found() -> None:
    error = answer(404, 'namespaces "ml" not found', "NotFound")
    assert (error.message, error.hint) == (
        "there is no namespace 'ml' in context 'prod'",
        "kubectl create namespace ml",
    )


def test_invalid_lists_each_cause() -> None:
    causes = [{"field": "metadata.name", "message": "too long"}, {"field": "spec.parallelism", "message": "negative"}]
    error = answer(422, 'Job.batch "X" is invalid: [metadata.name: too long, …]', "Invalid", causes)
    assert error.message.splitlines() == [
        'the API server refuses Job.batch "X":',
        "  - metadata.name: too long",
        "  - spec.parallelism: negative",
    ]


def test_gone() -> None:
    assert isinstance(answer(410, "too old resource version", "Expired"), Expired)


def test_conflict_and_the_rest_keep_the_servers_words() -> None:
    error = answer(409, 'jobs.batch "x" already exists', "AlreadyExists")
    assert (error.status, error.reason, error.message) == (409, "AlreadyExists", 'jobs.batch "x" already exists')


def test_answer_that_is_not_kubernetes() -> None:
    error = api_error(502, b"<html>Bad gateway</html>", "GET", "/api", "prod")
    assert "GET /api was answered with HTTP 502: <html>Bad gateway" in error.message
    assert error.hint and "proxy" in error.hint


def test_retry_after() -> None:
    body = json.dumps({"kind": "Status", "message": "too many"}).encode()
    assert api_error(429, body, "GET", "/", "", {"Retry-After": "2"}).retry_after == 2


def verify_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "some reason"
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (urllib3.exceptions.SSLError(verify_error(10)), "has expired"),
        (urllib3.exceptions.SSLError(verify_error(19)), "not signed by the authority"),
        (urllib3.exceptions.SSLError(verify_error(62)), "is for another name"),
        (urllib3.exceptions.SSLError(verify_error(99)), "some reason"),
        (urllib3.exceptions.SSLError("[SSL: WRONG_VERSION_NUMBER]"), "does not speak TLS"),
        (urllib3.exceptions.SSLError("tlsv1 alert certificate expired"), "does not accept your client certificate"),
        (urllib3.exceptions.ProtocolError("Connection aborted."), "broke"),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "x"), "did not answer in time"),  # type: ignore[arg-type]
        (urllib3.exceptions.ConnectTimeoutError("x"), "no answer in time"),
        (urllib3.exceptions.ProxyError("Unable to connect to proxy", OSError("refused")), "through the proxy: refused"),
    ],
)
def test_unreachable(error: Exception, text: str) -> None:
    made = unreachable(error, "https://k8s.example:6443")
    assert text in made.message
    assert "https://k8s.example:6443" in made.message
    assert made.hint


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("[SSL: TLSV1_ALERT_DECODE_ERROR] tlsv1 alert decode error (_ssl.c:1002)", True),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", False),
        ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate", False),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", False),
    ],
)
def test_a_handshake_that_broke_by_chance_is_tried_again(text: str, again: bool) -> None:
    error = urllib3.exceptions.MaxRetryError(cast(Any, None), "/", urllib3.exceptions.SSLError(text))
    assert handshake_broke(error) is again
    assert not handshake_broke(urllib3.exceptions.ProtocolError("closed"))
