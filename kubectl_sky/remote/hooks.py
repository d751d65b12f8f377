"""The task's own scripts for its end: events are "stop", "down" and "preemption"."""

import json

FILE = "/sky/code/hooks.json"  # [{run, events, timeout (s)}]


def of(event):
    """[(name, script, timeout)]"""
    try:
        with open(FILE) as f:
            listed = json.load(f)
    except OSError:
        return []  # the task has none
    return [
        ("hook.%s.%d" % (event, number), hook["run"], hook["timeout"])
        for number, hook in enumerate(listed, 1)
        if event in hook["events"]
    ]
