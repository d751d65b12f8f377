"""Next steps that go to the cluster and namespace that the user named on the command line. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from kubectl_sky.api.connection import Connection

# kinds that are in no namespace
_CLUSTER_WIDE = "nodes?|nodepools|priorityclasses|runtimeclasses|storageclasses|csidrivers|validatingadmissionpolicy"


def located(connection: Connection, text: str) -> str:
    """`kubectl get pods` -> `kubectl get -n ml pods`, in every command of `text`, where flags said so."""
    place = connection.command("").removeprefix("kubectl sky").strip()
    if not place:
        return text
    everywhere = replace(connection, namespace=None).command("").removeprefix("kubectl sky").strip()

    def goes(found: re.Match[str]) -> str:
        there = everywhere if found["kind"] else place
        return " ".join(filter(None, ("kubectl", found["verb"], there))) + (found["kind"] or "")

    return re.sub(rf"\bkubectl (?P<verb>(?:sky )?[a-z][a-z-]*)\b(?! -n )(?P<kind> (?:{_CLUSTER_WIDE})\b)?", goes, text)
