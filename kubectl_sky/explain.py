"""What the API server, or the way to it, said: in the user's terms and with the next step."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from .errors import ApiError, Expired, Unreachable


def explain_status(status: int, body: bytes, method: str, path: str, context: str) -> ApiError:
    """ApiError (Expired for 410) for an HTTP answer >= 400."""
    answer = status_object(body)
    reason = str(answer.get("reason") or "")
    text = str(answer.get("message") or body.decode("utf-8", "replace").strip()[:500] or f"HTTP {status}")
    if status == 410 or reason in ("Expired", "Gone"):
        return Expired(410, "Expired", text)
    return ApiError(status, reason, text)


def status_object(body: bytes) -> dict[str, Any]:
    """`body` as a Kubernetes Status; empty if it is something else."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def explain_transport(error: Exception, server: str, context: str) -> Unreachable:
    """Unreachable for what urllib3 raised."""
    made = Unreachable(f"cannot reach the cluster at {server}: {error}", "is the cluster up? kubectl cluster-info")
    made.never_sent = isinstance(error, (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError))
    made.silent = isinstance(error, urllib3.exceptions.ReadTimeoutError)
    return made
