"""Next steps that go to the cluster and namespace that the user named on the command line. Pure."""

from __future__ import annotations

import re

from kubectl_sky.connection import Connection


def located(connection: Connection, text: str) -> str:
    """`kubectl get pods` -> `kubectl get -n ml pods`, in every command of `text`, where flags said so."""
    place = connection.command("").removeprefix("kubectl sky").strip()
    if not place:
        return text
    return re.sub(r"\bkubectl ((?:sky )?[a-z][a-z-]*)\b(?! -n )", lambda found: f"kubectl {found[1]} {place}", text)
