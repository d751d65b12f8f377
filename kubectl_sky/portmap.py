"""Which ports of this machine lead to which of a task: what the words of `port-forward` mean, and what is free."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.parts import ports

MOST = 32  # a kubectl process each
LOOPBACK = (
    "127.0.0.1"  # not localhost: kubectl is content when one of ::1 and 127.0.0.1 is free, and curl takes the other
)


class Forward(NamedTuple):
    """`local` 0: any free port."""

    local: int
    remote: int

    def __str__(self) -> str:
        return f"{self.local or ''}:{self.remote}" if self.local != self.remote else f"{self.remote}"


def parse(words: Sequence[str], declared: Iterable[int]) -> list[Forward]:
    """`8080`, `9000:8080`, `:8080`, `8000-8002` or no words for the declared ones. UsageError tells all faults."""
    found, faults = [], []
    for word in words:
        try:
            found += _one(word)
        except ValueError as error:
            faults.append(f"  {word}: {error}")
    if faults:
        raise UsageError("\n".join(["no such ports:", *faults]), "such as 8080, 9000:8080, or :8080 for any free port")
    if not words:
        found = [Forward(port, port) for port in declared]
    found = list(dict.fromkeys(found))
    locals_ = [one.local for one in found if one.local]
    twice = sorted({port for port in locals_ if locals_.count(port) > 1})
    if twice:
        raise UsageError(f"local port {twice[0]} cannot lead to two ports", "give each a local port: LOCAL:PORT")
    if len(found) > MOST:
        raise UsageError(f"{len(found)} ports are too many at once", f"name at most {MOST}: port-forward NAME PORT...")
    return found


def _one(word: str) -> list[Forward]:
    local, colon, remote = word.rpartition(":")
    if not colon:
        return [Forward(port, port) for port in ports.numbers([_checked(word)])]
    if "-" in word:
        raise ValueError("a range has no local port")
    far = int(_checked(remote))
    return [Forward(int(_checked(local)) if local not in ("", "0") else 0, far)]


def _checked(text: str) -> str:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if not match or not all(1 <= int(one) <= 65535 for one in match.groups() if one):
        raise ValueError("a port is a number from 1 to 65535")
    if match[2] and int(match[1]) > int(match[2]):
        raise ValueError("a range goes from the lower to the higher port")
    return text


def bound(forwards: Sequence[Forward], addresses: Sequence[str]) -> list[Forward]:
    """With a number for each free port. Failure tells all that are taken, or may not be used."""
    kept = []
    faults, hints = [], []
    for one in forwards:
        try:
            kept.append(Forward(_free(one.local, addresses), one.remote))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is in use on this machine" if taken else f"cannot be listened on: {error.strerror or error}"
            faults.append(f"port {one.local} of {', '.join(addresses)} {why}")
            other = one.remote + 8000 if error.errno == errno.EACCES and one.remote < 1024 else ""
            hints.append(f"{other}:{one.remote}")
    if faults:
        raise Failure("\n".join(faults), f"another local port: LOCAL:PORT, or any free one: {' '.join(hints)}")
    return kept


def _free(port: int, addresses: Sequence[str]) -> int:
    """The port, or a free one for 0. OSError when it cannot be had on one of the addresses."""
    for address in addresses:
        for host in (LOOPBACK, "::1") if address == "localhost" else (address,):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as kubectl does
                    probe.bind((host, port))
                    port = probe.getsockname()[1]
            except OSError as error:
                no_ipv6 = address == "localhost" and host == "::1" and error.errno != errno.EADDRINUSE
                if not no_ipv6:
                    raise
    return port


def check_addresses(text: str) -> list[str]:
    """The addresses of --address: IP addresses or `localhost`, comma-separated. UsageError."""
    import ipaddress

    found = [one.strip() for one in text.split(",") if one.strip()]
    for one in found:
        try:
            if one != "localhost":
                ipaddress.ip_address(one)
        except ValueError:
            hint = "such as 127.0.0.1 (the default) or 0.0.0.0"
            raise UsageError(f"--address: {one!r} is no IP address", hint) from None
    if not found:
        raise UsageError("--address names no address")
    return found


def url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
