"""What VS Code's Remote-SSH does, with its server. Much is installed for it: pytest -m heavy tests/e2e

Debian, root, npm and Node 20 are needed. Pods have no way to the internet: what they need goes there by rsync.
$SKY_TEST_VSCODE: a folder with the server, in place of a new one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import socks

from tests.cluster.binaries import ensure_programs
from tests.e2e.plain_ssh import Machine, free_port, machines

pytestmark = pytest.mark.heavy
PACKAGES = {"npm": "npm", "rsync": "rsync"}
CODE_SERVER = "code-server@4.100.3"  # has VS Code's own server for remote machines, for Node 20
SOCKET = "reconnectionToken=1&reconnection=false&skipWebSocketFrames=false"
KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
UPGRADE = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
# as Remote-SSH: on bash's stdin; the server stays when the connection goes, and says in its log where it listens
BOOTSTRAP = """
cd ~/.vscode-server || exit 1
log=.server.log
if ! [ -e .server.pid ] || ! kill -0 "$(cat .server.pid)" 2>/dev/null; then
  rm -f "$log"
  ./node server/out/server-main.js --start-server --host=127.0.0.1 --port=0 --connection-token=token \
    --accept-server-license-terms --telemetry-level=off >"$log" 2>&1 </dev/null &
  echo $! >.server.pid
fi
for _ in $(seq 300); do
  port=$(sed -n 's/.*agent listening on \\([0-9]*\\).*/\\1/p' "$log" 2>/dev/null)
  [ -z "$port" ] || break
  sleep 0.1
done
echo "listeningOn==$port=="
echo "osReleaseId==$(. /etc/os-release; echo $ID)=="
while read -r _; do :; done
"""


@pytest.fixture(scope="module")
def machine(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    ensure_programs(PACKAGES)
    with machines(kubeconfig, tmp_path_factory.mktemp("ssh"), ("python",)) as found:
        yield found["python"]


def send(machine: Machine, *what: str | Path) -> None:
    """rsync; the last is the place there."""
    *sources, target = what
    argv = ["rsync", "-a", "-e", f"ssh -F {machine.config}", *sources, f"{machine.name}:{target}"]
    subprocess.run(argv, check=True, env=machine.environment())


def vscode_server(folder: Path) -> Path:
    """A folder with VS Code's server and its Node, for a machine of the kind that this one is."""
    npm = ["npm", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "install"]
    headers = Path(os.path.realpath(subprocess.check_output(["which", "node"], text=True).strip())).parents[1]
    env = {**os.environ, "npm_config_nodedir": str(headers)}
    subprocess.run([*npm, "--prefix", folder, CODE_SERVER], check=True, env=env)
    server = folder / "node_modules" / "code-server" / "lib" / "vscode"
    subprocess.run([*npm, "--omit=dev"], cwd=server, check=True, env=env)
    built = ("@vscode/spdlog", "native-watchdog", "@parcel/watcher")
    subprocess.run(["npm", "--silent", "rebuild", *built], cwd=server, check=True, env=env)
    return server


def test_what_remote_ssh_does(machine: Machine, tmp_path: Path) -> None:
    """Start-up script, server, dynamic forward, HTTP and a websocket; a second window finds the same server."""
    node = os.path.realpath(subprocess.check_output(["which", "node"], text=True).strip())
    ready = os.environ.get("SKY_TEST_VSCODE")
    server = Path(ready) if ready else vscode_server(tmp_path)
    machine.out("mkdir -p .vscode-server")
    send(machine, node, ".vscode-server/node")
    send(machine, f"{server}/", ".vscode-server/server/")
    ports = []
    for _window in range(2):
        dynamic = free_port()
        bash = machine.start("bash", flags=("-T", "-D", str(dynamic)))
        try:
            bash.stdin.write(BOOTSTRAP)
            bash.stdin.flush()
            said = dict(bash.stdout.readline().strip().rstrip("=").split("==", 1) for _ in range(2))
            assert said["osReleaseId"] == "debian" and said["listeningOn"], machine.out(
                "cat .vscode-server/.server.log"
            )
            ports.append(int(said["listeningOn"]))
            version = http(dynamic, ports[-1], "/version?tkn=token")
            assert version.startswith("HTTP/1.1 200 OK"), version
            switched = http(dynamic, ports[-1], f"/?{SOCKET}", UPGRADE)
            assert switched.startswith("HTTP/1.1 101 "), switched
        finally:
            bash.terminate()
            bash.communicate(timeout=10)
    assert ports[0] == ports[1]


def http(dynamic: int, port: int, path: str, headers: str = "") -> str:
    """The first bytes of the answer to a GET, through the SOCKS proxy of ssh -D."""
    with socks.socksocket() as through:
        through.set_proxy(socks.SOCKS5, "127.0.0.1", dynamic)
        through.settimeout(20)
        through.connect(("127.0.0.1", port))
        through.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        return through.recv(4096).decode(errors="replace")
