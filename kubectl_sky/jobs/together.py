"""The output of jobs that run side by side: as it comes, in whole lines, each with its task's name."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kubectl_sky.errors import EXIT_INTERRUPT, Failure
from kubectl_sky.jobs import following
from kubectl_sky.output import Progress

if TYPE_CHECKING:
    from kubectl_sky.jobs.following import Place
    from kubectl_sky.kube import Cluster


def follow(cluster: Cluster, group: str, places: Sequence[Place]) -> int:
    """Until all are over; 0, or that of Ctrl-C. Raises Failure with the exit code of the first that failed."""
    failed: list[tuple[Place, Failure]] = []

    def one(place: Place) -> None:
        try:
            following.to_the_end(cluster, replace(place, label=place.name), Progress(stream=io.StringIO()))
        except Failure as failure:
            print(f"{failure.message}", file=sys.stderr, flush=True)
            failed.append((place, failure))

    threads = [threading.Thread(target=one, args=(place,), daemon=True) for place in places]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        back = cluster.connection.command("jobs logs", group)
        print(f"\nDetached; the jobs go on by themselves. Come back: {back}", file=sys.stderr)
        return EXIT_INTERRUPT
    if failed:
        place, failure = failed[0]
        text = f"{len(failed)} of the {len(places)} jobs of {group} did not succeed"
        raise Failure(text, f"what it said: {cluster.connection.command('jobs logs', place.name)}", failure.exit_code)
    return 0
