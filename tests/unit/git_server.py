"""Real git servers: git's own http-backend behind TLS, with or without a token; and what stands in for ssh."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
         "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}  # fmt: skip


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["/usr/bin/git", *words], cwd=folder, env={**os.environ, **QUIET}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


class Repository:
    """A repository with files; `commit` changes them, and returns the commit's name."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main")

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.folder / name.replace("__", "/").replace("_", ".")).write_text(text)
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--message", "x")
        return git(self.folder, "rev-parse", "HEAD")


class Server:
    """https://127.0.0.1:PORT/NAME is the repository root/NAME; with a `token`, only for those who know it."""

    def __init__(self, root: Path, certificate: Path, token: str = ""):
        key = certificate.with_suffix(".key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        self.asked: list[str] = []  # the Authorization headers that came
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root, token, self.asked))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.host = f"127.0.0.1:{self.http.server_port}"
        self.certificate = certificate.read_text()
        self.env = {"GIT_SSL_CAINFO": str(certificate)}
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def _handler(root: Path, token: str, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            header = self.headers.get("Authorization", "")
            asked.append(header)
            sent = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")[2]
            if token and sent != token:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            env = {
                **os.environ, **QUIET, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            }  # fmt: skip
            done = subprocess.run(["/usr/bin/git", "http-backend"], input=body, env=env, capture_output=True)
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in headers if name == "Status"), "200")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


SSH = """#!/bin/sh
# what git starts as ssh: notes its words, and runs the last of them here, as sshd would
printf '%s\\n' "$*" >> "{log}"
{refusal}
for last; do :; done
exec sh -c "$last"
"""


def fake_ssh(folder: Path, refusal: str = "") -> Path:
    """A folder for PATH with an `ssh` in it, which writes to ssh.log there."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "ssh"
    script.write_text(SSH.format(log=folder / "ssh.log", refusal=refusal))
    script.chmod(0o755)
    return folder
