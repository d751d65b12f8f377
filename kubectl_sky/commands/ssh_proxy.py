"""kubectl sky ssh-proxy"""

from __future__ import annotations

from kubectl_sky.ssh.proxy import main as ssh_proxy

__all__ = ["ssh_proxy"]
