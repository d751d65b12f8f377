"""A registry that refuses each image in its own way, on one node of the cluster: containerd's real messages come of it.

It has a certificate that nobody signed, which containerd accepts of localhost alone.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from tests.e2e.conftest import Sky, eventually, image

PORT = 5998
PROGRAM = """
import http.server, json, ssl

INDEX = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{
    "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + "a" * 64, "size": 2,
    "platform": {"os": "linux", "architecture": "sparc64"}}]}
ANSWERS = {"private": 401, "denied": 403, "limited": 429, "broken": 500}


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        code = next((code for name, code in ANSWERS.items() if name in self.path), 404)
        kind, body = "application/json", {"errors": [{"code": "X", "message": "no"}]}
        if "foreign" in self.path and "manifests" in self.path:
            code, kind, body = 200, INDEX["mediaType"], INDEX
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_GET


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/registry/pem")
server = http.server.ThreadingHTTPServer(("0.0.0.0", %d), Registry)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def start(sky: Sky) -> tuple[str, str]:
    """Starts it; returns the name of its node and the node's address."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "99", "-subj", "/CN=localhost"]
            + ["-keyout", str(file), "-out", f"{file}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
        file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
        sky.kubectl("create", "configmap", "registry", f"--from-file={file}")
    container = {
        "name": "registry",
        "image": image("python"),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", PROGRAM % PORT],
        "volumeMounts": [{"name": "pem", "mountPath": "/etc/registry"}],
    }
    spec = {
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "pem", "configMap": {"name": "registry"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "registry"}, "spec": spec}
    sky.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    ready = "-o=jsonpath={.status.containerStatuses[0].ready}"
    eventually("the registry runs", lambda: "true" in sky.kubectl("get", "pod", "registry", ready))
    where = json.loads(sky.kubectl("get", "pod", "registry", "-o", "json"))
    return where["spec"]["nodeName"], where["status"]["hostIP"]
