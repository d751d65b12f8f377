"""A registry that gives a real image to who logs in, on one node of the cluster.

Every name is there: `HOST/basic/...` asks for a password itself, all others by a token (Bearer), as ghcr.io does. The
image is a busybox with a user, a working directory and variables of its own. The certificate is signed by nobody, which
containerd accepts of localhost alone.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Sky, eventually, image

PORT = 5997
SERVER = f"localhost:{PORT}"
USER = "ann"
# the layer is made of the busybox that an init container leaves in /image
PROGRAM = r"""
import base64, gzip, hashlib, http.server, io, json, os, ssl, tarfile

PORT, USER, PASSWORD = int(os.environ["PORT"]), os.environ["USER_NAME"], open("/etc/registry/password").read()
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = hashlib.sha256(PASSWORD.encode()).hexdigest()
KIND = "application/vnd.oci.image."


def layer():
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        def add(name, data=b"", mode=0o755, uid=0, **fields):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.gid = len(data), mode, uid, uid
            for field, value in fields.items():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(data))
        for name in ("bin", "etc", "opt", "opt/bin", "home", "home/app", "srv"):
            add(name, uid=1001 if name in ("home/app", "srv") else 0, type=tarfile.DIRTYPE)
        add("tmp", mode=0o1777, type=tarfile.DIRTYPE)
        add("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:1001:1001::/home/app:/bin/sh\n", 0o644)
        add("etc/group", b"root:x:0:\napp:x:1001:\n", 0o644)
        add("bin/busybox", open("/image/busybox", "rb").read())
        for name in ("sh", "id", "env", "cat", "sleep", "echo", "ls", "grep"):
            add("bin/" + name, type=tarfile.SYMTYPE, linkname="busybox")
        add("opt/bin/tool", b"#!/bin/sh\necho tool of the image\n")
    return raw.getvalue()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


LAYER = layer()
PACKED = gzip.compress(LAYER, 1, mtime=0)
CONFIG = json.dumps({
    "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
    "config": {"User": "app", "WorkingDir": "/srv", "Env": ["PATH=/opt/bin:/bin", "APP_MODE=private"], "Cmd": ["sh"]},
    "rootfs": {"type": "layers", "diff_ids": [digest(LAYER)]},
}).encode()


def described(kind, data):
    return {"mediaType": KIND + kind, "digest": digest(data), "size": len(data)}


MANIFEST = json.dumps({
    "schemaVersion": 2, "mediaType": KIND + "manifest.v1+json", "config": described("config.v1+json", CONFIG),
    "layers": [described("layer.v1.tar+gzip", PACKED)],
}).encode()
BLOBS = {digest(data): data for data in (PACKED, CONFIG)}


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        given, name = self.headers.get("Authorization", ""), self.path.rpartition("/")[2]
        if self.path.startswith("/token"):
            right = given == LOGIN
            body = {"token": TOKEN} if right else {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect login"}]}
            return self.answer(200 if right else 401, "application/json", json.dumps(body).encode())
        basic = self.path.startswith("/v2/basic/")
        if given != (LOGIN if basic else "Bearer " + TOKEN):
            bearer = f'Bearer realm="https://localhost:{PORT}/token",service="registry"'
            self.challenge = 'Basic realm="registry"' if basic else bearer
            return self.answer(401, "application/json", b'{"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}')
        if "/manifests/" in self.path:
            return self.answer(200, KIND + "manifest.v1+json", MANIFEST)
        if name in BLOBS:
            return self.answer(200, "application/octet-stream", BLOBS[name])
        return self.answer(404, "application/json", b"{}")

    def answer(self, code, kind, data):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", digest(data))
        if code == 401 and getattr(self, "challenge", None):
            self.send_header("WWW-Authenticate", self.challenge)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET

    def do_POST(self):
        self.close_connection = True  # what it sends is not read; it asks by GET then
        self.answer(405, "application/json", b"{}")


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/registry/pem")
server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Registry)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Registry:
    """`pod` is what a task's pod_config needs to be where the registry can be reached."""

    password: str
    node: str

    @property
    def pod(self) -> dict[str, Any]:
        return {"nodeSelector": {"kubernetes.io/hostname": self.node}}


def start(sky: Sky, password: str) -> Registry:
    """Starts it in a namespace, which takes it away."""
    with tempfile.TemporaryDirectory() as folder:
        file, word = Path(folder, "pem"), Path(folder, "password")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "99", "-subj", "/CN=localhost"]
            + ["-keyout", str(file), "-out", f"{file}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
        file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
        word.write_text(password)
        sky.kubectl("create", "secret", "generic", "registry", f"--from-file={file}", f"--from-file={word}")
    copy = {
        "name": "copy",
        "image": image("busybox"),
        "command": ["cp", "/bin/busybox", "/image/"],
        "volumeMounts": [{"name": "image", "mountPath": "/image"}],
    }
    serve = {
        "name": "registry",
        "image": image("python"),
        "command": ["python3", "-c", PROGRAM],
        "env": [{"name": "PORT", "value": str(PORT)}, {"name": "USER_NAME", "value": USER}],
        "volumeMounts": [
            {"name": "image", "mountPath": "/image"},
            {"name": "registry", "mountPath": "/etc/registry"},
        ],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    spec = {
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 0,
        "initContainers": [copy],
        "containers": [serve],
        "volumes": [{"name": "image", "emptyDir": {}}, {"name": "registry", "secret": {"secretName": "registry"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "registry"}, "spec": spec}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    ready = "-o=jsonpath={.status.containerStatuses[0].ready}"
    eventually("the registry runs", lambda: "true" in sky.kubectl("get", "pod", "registry", ready))
    return Registry(password, sky.kubectl("get", "pod", "registry", "-o=jsonpath={.spec.nodeName}"))
