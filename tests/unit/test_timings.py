"""Phases of a command and their seconds."""

from __future__ import annotations

import time

from kubectl_sky.timings import Timings, since_start


def test_a_phase_ends_where_the_next_begins() -> None:
    times = iter([10.0, 10.5, 12.0, 12.25, 20.0])
    timings = Timings(0.25, lambda: next(times))
    for name in ("one", "two", "one"):
        timings.phase(name)
    assert timings.table().splitlines() == [
        "start-up     0.75 s",
        "one          9.25 s",
        "two          0.25 s",
        "in all      10.25 s",
    ]


def test_the_process_has_lived() -> None:
    before = since_start()
    time.sleep(0.05)
    assert before == 0.0 or 0 < before < since_start()
