"""A CSI driver that mounts buckets, under the name of a real one: csi_plugin NODE_DIR DRIVER RCLONE_CONF.

It is for volumes in a pod itself, with the attributes of gcsfuse's driver; rclone does the work, by the section
[bucket] of its configuration. kubelet finds it, calls it and shows the mount to containers as with every driver.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.cluster.plugin_server import block_signals, serve, until_told
from tests.cluster.process import run, say
from tests.cluster.protobuf import decode, encode

TARGET, CONTEXT = 4, 8  # of a NodePublishVolumeRequest
UNPUBLISH_TARGET = 2


def text(request: bytes, field: int) -> str:
    """A field that is a string."""
    return decode(request)[field][0].decode()


def attributes(request: bytes) -> dict[str, str]:
    """The volumeAttributes of the pod's volume."""
    entries = [decode(entry) for entry in decode(request)[CONTEXT]]
    return {entry[1][0].decode(): entry[2][0].decode() if entry[2] else "" for entry in entries}


class Mounts:
    """The mounts of this node, each with its rclone."""

    def __init__(self, config: str):
        self.config = config
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def publish(self, request: bytes, context: Any) -> bytes:
        """Mounts a bucket, or a folder in it, where kubelet wants it."""
        target, wanted = text(request, TARGET), attributes(request)
        options = dict(option.partition("=")[::2] for option in wanted["mountOptions"].split(","))
        remote = f"bucket:{wanted['bucketName']}/{options.get('only-dir', '')}"
        Path(target).mkdir(parents=True, exist_ok=True)
        argv = [
            "rclone",
            "mount",
            "--config",
            self.config,
            "--allow-other",
            "--umask",
            "0",
            "--vfs-cache-mode",
            "writes",
        ]
        self.running[target] = subprocess.Popen([*argv, "--vfs-write-back", "0s", remote, target])
        deadline = time.monotonic() + 20
        while not Path(target).is_mount():
            if self.running[target].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{remote} cannot be mounted")
            time.sleep(0.1)
        say(f"mounted {remote}")
        return b""

    def unpublish(self, request: bytes, context: Any) -> bytes:
        """Takes the mount away; nothing when there is none any more."""
        self.end(text(request, UNPUBLISH_TARGET))
        return b""

    def end(self, target: str) -> None:
        run("umount", target, check=False)
        if process := self.running.pop(target, None):
            process.terminate()
            process.wait(10)
        if Path(target).is_dir():
            Path(target).rmdir()


def main(node_dir: str, driver: str, config: str) -> None:
    """Registers with the kubelet of the node, until SIGTERM; then its mounts are gone."""
    block_signals()
    folder, mounts = Path(node_dir), Mounts(config)
    node = {
        "NodeGetInfo": lambda request, context: encode((1, folder.name)),
        "NodeGetCapabilities": lambda request, context: b"",
        "NodePublishVolume": mounts.publish,
        "NodeUnpublishVolume": mounts.unpublish,
    }
    server = serve(folder / "kubelet/plugins_registry", "CSIPlugin", driver, "1.0.0", {"csi.v1.Node": node})
    server.registered.wait()
    say("ready")
    until_told([server])
    for target in list(mounts.running):
        mounts.end(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
