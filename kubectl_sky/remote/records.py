"""What the agent remembers should it be started again: each job's spec and state, and the idle clock.

In the container's own /dev/shm: specs hold secrets, which touch no disk, and a full disk loses nothing. Where there are
other nodes they have it too: see copies.py.
"""

import json
import os
import sys

BEGUN = ("SETTING_UP", "RUNNING")
FOLDER = os.environ.get("SKY_RECORDS", "/dev/shm/kubectl-sky")

mirror = None  # copies.Copies.keep, where there are other nodes


def save(what, number, value):
    """`what` is "spec", "state", or with number 0 "idle" or "setup" (see renewal.py).

    Atomic; a failure is told, and ends nothing.
    """
    path = _path(what, number)
    try:
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        with open(path + ".new", "w") as f:
            json.dump(value, f)
        os.rename(path + ".new", path)
    except OSError as error:
        print("kubectl-sky: %s %d is not remembered: %s" % (what, number, error.strerror), file=sys.stderr, flush=True)
    if mirror:
        # what was accepted is not lost, and what has begun not begun again
        mirror(what, number, value, what == "spec" or (what == "state" and value["status"] in BEGUN))


def mirror_all():
    """For an agent that begins anew, which has told the other nodes nothing, and some of them may be new."""
    found = [name.partition(".") for name in _names() if not name.endswith(".new")]
    for number, _, what in sorted(found, key=lambda one: one[2]):  # no state without the spec that it is of
        value = read(what, int(number))
        if mirror and value is not None:
            mirror(what, int(number), value)


def forget_spec(number):
    if mirror:
        mirror("spec", number, None)
    try:
        os.unlink(_path("spec", number))
    except OSError:
        pass


def load():
    """Yields (number, spec or None, state), in the order of the numbers."""
    for number in sorted(int(name.partition(".")[0]) for name in _names() if name.endswith(".state")):
        yield number, read("spec", number), read("state", number)


def read(what, number):
    """What was saved, or None."""
    try:
        with open(_path(what, number)) as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def _names():
    return os.listdir(FOLDER) if os.path.isdir(FOLDER) else []


def _path(what, number):
    return "%s/%d.%s" % (FOLDER, number, what)
