"""Objects of the first version, with its agent in the pod, and the client of today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from kubectl_sky import identity
from tests.e2e.conftest import Sky, eventually, image

OLDEST = Path(__file__).parent / "fixtures" / "oldest.yaml"


def old_objects() -> str:
    """The task `old`, as the first version made it."""
    found = list(yaml.safe_load_all(OLDEST.read_text().replace("image: IMAGE", f"image: {image('python')}")))
    key = identity.new_identity()
    secret = found[0]
    secret["stringData"] = {
        "id_ed25519": key.private,
        "id_ed25519.pub": key.public,
        "known_hosts": f"kubectl-sky {key.public}",
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": found})


@pytest.fixture
def old(sky: Sky) -> Sky:
    """With that task up."""
    sky.kubectl("apply", "-f", "-", stdin=old_objects())
    eventually("it is up", lambda: "Up" in sky.ok("status").out)
    return sky


def test_it_is_shown_used_ended_and_removed(old: Sky) -> None:
    [row] = json.loads(old.ok("status", "-o", "json").out)["items"]
    assert (row["name"], row["nodes"], row["readyNodes"], row["autostop"]) == ("old", 1, 1, None)
    assert old.ok("logs", "old").out == "ran on 0\n"
    assert old.ok("exec", "old", "--", "echo more").out == "more\n"
    assert old.ok("ssh", "old", "hostname").out == "old-0\n"
    failed = old.run("exec", "old", "--", "exit 7")
    assert failed.code == 7, failed
    queue = old.ok("queue", "old").out
    assert [line.split()[0] for line in queue.splitlines()[1:]] == ["1", "2", "3"], queue
    assert "FAILED (7)" in queue and "SUCCEEDED" in queue, queue
    old.ok("queue", "old", "-o", "json")
    old.ok("exec", "-d", "old", "--", "sleep 600")
    assert old.ok("cancel", "old", "4").out == "job 4 is cancelled\n"
    assert old.ok("explain", "old").out.startswith("old: Up")
    assert old.ok("cost-report").out.split()[-2:] == ["-", "-"]
    # what it cannot do is said in words, with the way out
    for words in (("autostop", "old", "-i", "30"), ("exec", "old", "--after", "1", "--", "true")):
        result = old.run(*words)
        assert result.code and "by an earlier version" in result.err and "kubectl sky down" in result.err, result
    assert old.ok("down", "-y", "old").out == "old is down\n"
    assert not [one for one in old.objects() if "/old" in one]
