"""The flags with which every verb finds its cluster: kubectl's own, as data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import NamedTuple


class Flag(NamedTuple):
    """One connection flag. `metavar` None means a switch; `first` flags are shown in every verb's help."""

    name: str
    field: str
    metavar: str | None
    help: str
    first: bool = False
    short: str | None = None
    repeat: bool = False
    for_kubectl: bool = True


FLAGS = (
    Flag("--namespace", "namespace", "NAME", "Namespace (default: the context's)", True, "-n"),
    Flag("--context", "context", "NAME", "Context of the kubeconfig (repeat, or a glob: where it may go)", True),
    Flag("--kubeconfig", "kubeconfig", "FILE", "Path of the kubeconfig (default: $KUBECONFIG, ~/.kube/config)", True),
    Flag("--cluster", "cluster", "NAME", "Cluster entry of the kubeconfig", True),
    Flag("--user", "user", "NAME", "User entry of the kubeconfig", True),
    Flag("--as", "as_user", "USER", "Act as this user", True),
    Flag("--as-group", "as_group", "GROUP", "Act as a member of this group (repeat)", True, repeat=True),
    Flag("--as-uid", "as_uid", "UID", "Act as this uid", True),
    # kubectl would cut an exec or a log stream at this limit: it is for our own requests only.
    Flag(
        "--request-timeout",
        "request_timeout",
        "TIME",
        "Limit of one request: 30s, 1m, 0 = none",
        True,
        for_kubectl=False,
    ),
    Flag("--server", "server", "URL", "Address of the API server", True, "-s"),
    Flag("--token", "token", "TOKEN", "Bearer token", True),
    Flag("--insecure-skip-tls-verify", "insecure_skip_tls_verify", None, "Do not check the server's certificate", True),
    Flag("--tls-server-name", "tls_server_name", "NAME", "Name to expect in the server's certificate"),
    Flag("--certificate-authority", "certificate_authority", "FILE", "Certificate of the server's authority"),
    Flag("--client-certificate", "client_certificate", "FILE", "Client certificate"),
    Flag("--client-key", "client_key", "FILE", "Client key"),
    Flag("--username", "username", "NAME", "User name for basic authentication"),
    Flag("--password", "password", "PASSWORD", "Password for basic authentication"),
    Flag("--disable-compression", "disable_compression", None, "Answers of the API server come uncompressed"),
    Flag("--cache-dir", "cache_dir", "DIR", "Cache directory (passed on to kubectl)"),
    Flag("--v", "verbosity", "N", "Verbosity: 6 and more shows requests", True, "-v", for_kubectl=False),
    Flag("--color", "colour", "WHEN", "auto, always or never ($NO_COLOR, $FORCE_COLOR)", True, for_kubectl=False),
)


def connection_help(every: bool = False) -> list[tuple[str, str]]:
    """The connection flags as two columns: the first tier, or `every` one."""
    rows = []
    for flag in FLAGS:
        if flag.first or every:
            names = ", ".join(name for name in (flag.short, flag.name) if name)
            rows.append((f"{names} {flag.metavar}" if flag.metavar else names, flag.help))
    return rows


@dataclass(frozen=True)
class Connection:
    """How to reach a cluster: the values of FLAGS, None (or empty) where the user gave none."""

    namespace: str | None = None
    context: str | None = None
    contexts: tuple[str, ...] = ()  # of several --context, or of a glob; `context` is None then
    kubeconfig: str | None = None
    cluster: str | None = None
    user: str | None = None
    as_user: str | None = None
    as_group: tuple[str, ...] = ()
    as_uid: str | None = None
    request_timeout: str | None = None
    server: str | None = None
    token: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    username: str | None = None
    password: str | None = None
    disable_compression: bool = False
    cache_dir: str | None = None
    verbosity: int = 0
    colour: str = "auto"

    def command(self, verb: str, words: str = "") -> str:
        """A `kubectl sky` command to paste that goes to the same place."""
        shown = (("-n", self.namespace), ("--context", self.context), ("--kubeconfig", self.kubeconfig))
        place = "".join(f" {flag} {shlex.quote(value)}" for flag, value in shown if value)
        return f"kubectl sky {verb}{place} {words}".rstrip()

    def kubectl_flags(self) -> list[str]:
        """The same connection as flags for a `kubectl` subprocess.

        --token and --password stay in argv: they came from our own argv, so nothing is newly exposed.
        """
        flags = []
        for flag in FLAGS:
            value = getattr(self, flag.field)
            if not flag.for_kubectl or value in (None, False, ()):
                continue
            if flag.metavar is None:
                flags.append(flag.name)
            else:
                flags += [f"{flag.name}={one}" for one in (value if flag.repeat else (value,))]
        return flags
