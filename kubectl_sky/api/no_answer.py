"""What happened on the way to an API server that did not answer: in the user's terms and with the next step."""

from __future__ import annotations

import re
import ssl

import urllib3

from kubectl_sky.api.answers import Told
from kubectl_sky.errors import Unreachable

_CERTIFICATE = {
    9: ("the server's certificate is not valid yet", "check this machine's clock"),
    10: ("the server's certificate has expired", "its administrators must renew it; or check this machine's clock"),
    18: ("the server's certificate is not signed by an authority that the kubeconfig trusts", None),
    19: ("the server's certificate is not signed by the authority that the kubeconfig trusts", None),
    20: ("the server's certificate is not signed by the authority that the kubeconfig trusts", None),
    62: ("the server's certificate is for another name", "check `server:`, or give --tls-server-name"),
    64: ("the server's certificate is for another address", "check `server:`, or give --tls-server-name"),
}
_LASTING = ("CERTIFICATE", "UNKNOWN_CA", "WRONG_VERSION", "HTTP_REQUEST", "HANDSHAKE_FAILURE", "doesn't match")
_STALE = "was the cluster made anew? get its kubeconfig again (certificate-authority)"


def unreachable(error: Exception, server: str) -> Unreachable:
    """The error for a request that got no answer (`error` is urllib3's)."""
    message, hint = _transport(error, server)
    made = Unreachable(message, hint)
    made.never_sent = isinstance(_root(error), urllib3.exceptions.ConnectTimeoutError)
    made.silent = isinstance(error, urllib3.exceptions.ReadTimeoutError)
    return made


def handshake_broke(error: Exception) -> bool:
    """Whether TLS failed for no lasting reason, such as an alert of decode_error: it does once in some thousand times.

    The request has not been read then, so that any may be sent again.
    """
    cause = _root(error)
    found = isinstance(cause, (ssl.SSLError, urllib3.exceptions.SSLError))
    return found and not any(word in str(cause) for word in _LASTING)


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
