"""TLS, proxies, headers and connection pool of the requests to the API server."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
import urllib.parse
import warnings
from pathlib import Path
from typing import Any

import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from kubectl_sky.api.kubeconfig import Access
from kubectl_sky.errors import ClusterFailure

# Enough connections for parallel lists, a watch and a log stream a node.
CONNECTIONS = 32


def pool(access: Access) -> urllib3.PoolManager:
    """Connection pool for `access`, through the proxy of the cluster entry or of the environment."""
    kwargs: dict[str, Any] = {"maxsize": CONNECTIONS, "retries": False}
    if access.server.startswith("https"):
        kwargs["ssl_context"] = ssl_context(access)
        if access.cluster.get("tls-server-name"):
            kwargs["server_hostname"] = kwargs["assert_hostname"] = access.cluster["tls-server-name"]
        if access.cluster.get("insecure-skip-tls-verify"):
            warnings.filterwarnings("ignore", category=urllib3.exceptions.InsecureRequestWarning)
            kwargs["cert_reqs"], kwargs["assert_hostname"] = "CERT_NONE", False
    proxy = proxy_for(access)
    if not proxy:
        return urllib3.PoolManager(**kwargs)
    if proxy.startswith("socks"):
        try:
            from urllib3.contrib.socks import SOCKSProxyManager
        except ImportError:
            raise ClusterFailure(f"the proxy {proxy} needs the Python package PySocks", "pip install pysocks") from None
        # h: the proxy resolves names, as kubectl's does.
        return SOCKSProxyManager(proxy.replace("socks5://", "socks5h://", 1), **kwargs)
    user_info = urllib.parse.urlsplit(proxy)
    if user_info.username:
        login = f"{urllib.parse.unquote(user_info.username)}:{urllib.parse.unquote(user_info.password or '')}"
        kwargs["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(proxy, **kwargs)


def ssl_context(access: Access) -> ssl.SSLContext:
    """TLS with the cluster's authority and the client's certificate; made once, not once a connection."""
    context = create_urllib3_context()
    # Python 3.13 refuses authorities without key identifiers; many clusters' are like that.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    if access.cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.verify_mode = ssl.CERT_REQUIRED
        authority = access.pem(access.cluster, "certificate-authority")
        try:
            if authority:
                context.load_verify_locations(cadata=authority.decode("ascii", "replace"))
            else:
                context.load_default_certs()
        except ssl.SSLError as error:
            raise ClusterFailure(f"the certificate-authority of the kubeconfig is not readable: {error}") from None
    pair = access.client_certificate()
    if pair:
        _load_pair(context, *pair)
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """ssl only takes files: they live as long as this call."""
    with tempfile.TemporaryDirectory(prefix="kubectl-sky-") as folder:
        path = Path(folder, "client.pem")
        path.write_bytes(certificate + b"\n" + key)
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise ClusterFailure(
                f"the client certificate of the kubeconfig does not load: {error}", "get a fresh kubeconfig"
            ) from None


def proxy_for(access: Access) -> str | None:
    """proxy-url of the cluster entry, else HTTPS_PROXY (HTTP_PROXY for http servers) unless NO_PROXY matches."""
    if access.cluster.get("proxy-url"):
        return str(access.cluster["proxy-url"])
    server = urllib.parse.urlsplit(access.server)
    name = f"{server.scheme}_proxy"
    proxy = os.environ.get(name) or os.environ.get(name.upper())
    if not proxy or bypassed(
        server.hostname or "", server.port, os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    ):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def bypassed(host: str, port: int | None, no_proxy: str | None) -> bool:
    """Whether NO_PROXY names `host`, by the rules of Go (kubectl): names, .suffixes, addresses, CIDRs, *, host:port."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    for rule in (no_proxy or "").replace(" ", ",").split(","):
        rule = rule.strip().lower()
        if rule.count(":") == 1:
            rule, _, rule_port = rule.partition(":")
            if rule_port != str(port):
                continue
        if rule == "*" or (rule and rule == host):
            return True
        if address and "/" in rule:
            try:
                if address in ipaddress.ip_network(rule, strict=False):
                    return True
            except ValueError:
                continue
        elif rule and not address and host.endswith("." + rule.removeprefix("*").lstrip(".")):
            return True
    return False


def headers(user: dict[str, Any], authorization: str | None, agent: str) -> urllib3.HTTPHeaderDict:
    """Headers of every request: who we are, our credentials, whom we act as."""
    made = urllib3.HTTPHeaderDict({"User-Agent": agent, "Accept": "application/json"})
    if authorization:
        made["Authorization"] = authorization
    if user.get("as"):
        made["Impersonate-User"] = user["as"]
    if user.get("as-uid"):
        made["Impersonate-Uid"] = user["as-uid"]
    for group in user.get("as-groups") or ():
        made.add("Impersonate-Group", group)
    for key, values in (user.get("as-user-extra") or {}).items():
        for value in values:
            made.add(f"Impersonate-Extra-{urllib.parse.quote(key, safe='')}", value)
    return made


def can_refresh(access: Access) -> bool:
    """Whether asking again may give other credentials than those that the server refused."""
    return any(access.user.get(key) for key in ("exec", "auth-provider", "tokenFile"))


def query(params: dict[str, Any]) -> str:
    """`?a=b&…` without the parameters that are None; booleans as the API server spells them."""
    pairs = [
        (key, str(value).lower() if isinstance(value, bool) else str(value))
        for key, value in params.items()
        if value is not None
    ]
    return "?" + urllib.parse.urlencode(pairs) if pairs else ""
