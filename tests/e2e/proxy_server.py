"""A real proxy for HTTPS on loopback: CONNECT, the same bytes both ways, and how often it was asked."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Proxy(socketserver.ThreadingTCPServer):
    """`asked` are the HOST:PORT of the tunnels; `login` (USER:PASSWORD) must be given when it is set."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, login: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.login, self.asked = login, list[str]()

    @property
    def url(self) -> str:
        return f"http://{self.login + '@' if self.login else ''}127.0.0.1:{self.server_address[1]}"


class Tunnel(socketserver.StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split()
        headers = {}
        while line := self.rfile.readline().strip().decode():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        wanted = "Basic " + base64.b64encode(self.server.login.encode()).decode()
        if method != "CONNECT" or (self.server.login and headers.get("proxy-authorization") != wanted):
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        self.server.asked.append(target)
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            copy(self.connection, there)


def copy(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until one side ends."""
    sides = {one: other, other: one}
    while True:
        for ready in select.select(list(sides), [], [])[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            sides[ready].sendall(data)


@contextmanager
def running(login: str = "") -> Iterator[Proxy]:
    with Proxy(login) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
