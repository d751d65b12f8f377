"""Links in the task's container, made before anything runs in it.

Each variable $SKY_LINKS* is a JSON map: where links are (~/data) -> what they lead to (an absolute path). Only here it
is known where the home is.
"""

import json
import os
import sys

VARIABLE = "SKY_LINKS"


def make(home):
    """Ends the container where something is in the way; an empty folder is not."""
    for name in [name for name in os.environ if name.startswith(VARIABLE)]:
        for place, target in json.loads(os.environ[name]).items():
            path = os.path.normpath(os.path.join(home, place[1:].lstrip("/")))
            try:
                link(path, target)
            except OSError as error:
                sys.exit("kubectl-sky: %s cannot be made a link to what is mounted: %s" % (place, error.strerror))


def link(path, target):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.islink(path) and os.readlink(path) == target:
        return
    if os.path.isdir(path) and not os.path.islink(path):
        os.rmdir(path)
    os.symlink(target, path)
