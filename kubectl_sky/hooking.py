"""Running the hooks of tasks that are about to be stopped or taken down."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kubectl_sky import hooks, running
from kubectl_sky.conversation import Conversation
from kubectl_sky.errors import Failure
from kubectl_sky.remote import wire

if TYPE_CHECKING:
    from kubectl_sky.kube import Cluster
    from kubectl_sky.output import Progress


def run(cluster: Cluster, jobs: Sequence[dict[str, Any]], event: str, progress: Progress) -> None:
    """Side by side, of those Jobs; what they print goes to stderr. Their failure stops nothing."""
    names = [job["metadata"]["name"] for job in jobs if hooks.has(job, event)]
    if not names:
        return
    progress.update(f"Running the {event} hooks of {', '.join(names)} (Ctrl-C leaves all as it is)")
    # daemons: Ctrl-C waits for none of them
    threads = [threading.Thread(target=_run, args=(cluster, name, event, progress), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _run(cluster: Cluster, name: str, event: str, progress: Progress) -> None:
    try:
        with Conversation(cluster, running.Head(cluster, name)(), {"op": "hooks", "event": event}) as talk:
            for kind, payload in talk.frames():
                if kind == wire.DATA:
                    sys.stderr.buffer.write(payload)
                    sys.stderr.flush()
            failed: list[str] = json.loads(payload)["failed"]
    except Failure as failure:
        progress.line(f"{name}: its {event} hooks were not run: {failure.message}")
        return
    if failed:
        progress.line(f"{name}: of its hooks failed: {', '.join(failed)}")
