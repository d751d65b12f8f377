"""Kueue, for real: two teams with a queue and a quota each, which lend each other what they do not use."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubectl_sky.names import QUEUE, QUEUE_PRIORITY
from tests.e2e.conftest import OwnCluster, Result, Sky, eventually, namespace

pytestmark = pytest.mark.heavy
API = "kueue.x-k8s.io/v1beta2"
PODS = 2  # of each team
HOLD = "until [ -e /tmp/go ]; do sleep 0.2; done"
TEAMS = ("team-a", "team-b")


@pytest.fixture(scope="module")
def cluster(turn: OwnCluster) -> OwnCluster:
    turn.do("up", "3")
    turn.do("kueue", seconds=1800)
    return turn


class Teams:
    """Their namespaces; and what they share."""

    def __init__(self, skies: list[Sky], cohort: str):
        self.skies, self.cohort = skies, cohort
        self.folder = Path()

    def __getitem__(self, index: int) -> Sky:
        return self.skies[index]

    def quotas(self, pods: int = PODS, borrow: int | None = None, reclaim: str = "Never",
               within: str = "LowerPriority") -> None:  # fmt: skip
        """What each team has, and may borrow; how it gets back what is its own, and who of it may be preempted."""
        for team in TEAMS:
            most = {} if borrow is None else {"borrowingLimit": borrow}
            amounts = [{"name": "cpu", "nominalQuota": 4}, {"name": "memory", "nominalQuota": "16Gi"}]
            amounts.append({"name": "pods", "nominalQuota": pods, **most})
            flavors = [{"name": self.cohort, "resources": amounts}]
            spec = {
                "cohortName": self.cohort,
                "namespaceSelector": {},
                "resourceGroups": [{"coveredResources": ["cpu", "memory", "pods"], "flavors": flavors}],
                "preemption": {"withinClusterQueue": within, "reclaimWithinCohort": reclaim},
            }
            self.apply("ClusterQueue", f"{self.cohort}-{team}", spec=spec)

    def apply(self, kind: str, name: str, sky: Sky | None = None, **body: Any) -> None:
        made = {"apiVersion": API, "kind": kind, "metadata": {"name": name}, **body}
        (sky or self.skies[0]).kubectl("apply", "-f", "-", stdin=json.dumps(made))

    def argv(self, team: int, name: str, script: str, priority: str = "", **fields: Any) -> list[str]:
        """A launch into the team's queue."""
        classes = {QUEUE_PRIORITY: f"{self.cohort}-{priority}"} if priority else {}
        resources = {"cpus": 0.05, "memory": 0.1, "labels": {QUEUE: TEAMS[team], **classes}}
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({"resources": resources, "run": script, **fields}))
        return ["launch", "-c", name, "--down", str(file)]

    def start(self, team: int, name: str, script: str, **options: Any) -> subprocess.Popen[str]:
        """The launch, once its Job is there."""
        client = self.skies[team].start(*self.argv(team, name, script, **options))
        eventually(f"the Job {name}", lambda: self.skies[team].kubectl("get", "job", name, check=False), 30)
        return client

    def admitted(self, team: int) -> list[str]:
        """The names of the tasks that Kueue has let in, in the order of that."""
        found = json.loads(self.skies[team].kubectl("get", "workloads", "-o", "json"))["items"]
        times = {}
        for one in found:
            name = one["metadata"]["ownerReferences"][0]["name"]
            times |= {name: said["lastTransitionTime"] for said in one["status"].get("conditions", ())
                      if said["type"] == "QuotaReserved" and said["status"] == "True"}  # fmt: skip
        return sorted(times, key=lambda name: (times[name], name))


@pytest.fixture
def teams(cluster: OwnCluster, tmp_path: Path) -> Iterator[Teams]:
    with namespace(cluster.kubeconfig) as first, namespace(cluster.kubeconfig) as second:
        teams = Teams([first, second], f"all-{uuid.uuid4().hex[:6]}")
        teams.folder = tmp_path
        teams.apply("ResourceFlavor", teams.cohort)
        teams.apply("WorkloadPriorityClass", f"{teams.cohort}-high", value=1000, description="")
        teams.quotas()
        for sky, team in zip(teams.skies, TEAMS, strict=True):
            teams.apply("LocalQueue", team, sky, spec={"clusterQueue": f"{teams.cohort}-{team}"})
        yield teams


def finish(client: subprocess.Popen[str], seconds: float = 120) -> Result:
    out, err = client.communicate(timeout=seconds)
    return Result(client.returncode or 0, out, err)


def test_twenty_launches_in_order_within_the_quotas(teams: Teams) -> None:
    """The one of a higher priority that comes last goes before those that wait."""
    teams.quotas(borrow=0, within="Never")
    names = [[f"{team[-1]}{at}" for at in range(10)] for team in TEAMS]
    clients = {}
    for at in range(10):
        for team in (0, 1):
            urgent = "high" if at == 9 and team == 0 else ""
            # the first hold the queue until all are there
            script = f"{HOLD if at < PODS else 'sleep 1'}; echo ran"
            clients[names[team][at]] = teams.start(team, names[team][at], script, priority=urgent)
    told = teams[0].run("status", "a8", "-v").out
    assert "'team-a', 7 before it (a9, a2, a3 and 4 more)" in told, told
    waiting = teams[0].ok("queue").err
    assert "a9 is Pending: it waits in the Kueue queue 'team-a', first in line" in waiting, waiting
    assert "the queue's quota is in use: 1 pods more needed" in waiting, waiting
    for team in (0, 1):
        for at in range(PODS):
            teams[team].ok("ssh", names[team][at], "touch /tmp/go")
    most = 0
    while any(client.poll() is None for client in clients.values()):
        for sky in teams.skies:
            found = json.loads(sky.kubectl("get", "pods", "-o", "json"))["items"]
            most = max(most, sum(pod["status"]["phase"] in ("Pending", "Running") for pod in found))
        time.sleep(1)
    for name, client in clients.items():
        result = finish(client)
        assert (result.code, result.out) == (0, "ran\n"), f"{name}: {result}"
        if name not in ("a0", "a1", "b0", "b1"):
            assert "it waits in the Kueue queue" in result.err, result
    assert most <= PODS


def test_who_is_preempted_is_told_and_comes_back(teams: Teams) -> None:
    """Its output goes on where the second run begins; files that were sent are sent again."""
    teams.quotas(pods=1, borrow=0)
    work = teams.folder / "work"
    work.mkdir()
    (work / "data").write_text("data of mine\n")
    low = teams.start(0, "low", "cat data; sleep 15; echo end", workdir=str(work))
    assert low.stdout and low.stdout.readline() == "data of mine\n"
    high = teams.start(0, "high", "sleep 5; echo urgent", priority="high")
    result = finish(high)
    assert (result.code, result.out) == (0, "urgent\n"), result
    again = finish(low)
    assert (again.code, again.out) == (0, "data of mine\nend\n"), again
    assert "preempted: high, of a higher priority, took its place; it starts again by itself" in again.err, again


def test_a_team_takes_back_what_it_lent(teams: Teams) -> None:
    """The borrower's job has no files: it begins again without its client."""
    teams.quotas(reclaim="Any")
    many = teams.start(0, "many", "echo begun; sleep 8; echo end", num_nodes=2 * PODS)
    eventually("all of both quotas is in use", lambda: len(teams[0].pods("many")) == 2 * PODS)
    assert many.stdout and "begun" in many.stdout.readline()
    own = finish(teams.start(1, "own", "echo mine; sleep 1"))
    assert (own.code, own.out) == (0, "mine\n"), own
    result = finish(many)
    assert result.code == 0, result
    assert result.out.count("end\n") == 2 * PODS and "of another team took" in result.err, result


def test_queues_that_do_not_take_it(teams: Teams) -> None:
    argv = teams.argv(0, "x", "true")
    teams.apply("LocalQueue", "team-b", teams[0], spec={"clusterQueue": "none"})
    task = yaml.safe_load(Path(argv[-1]).read_text())
    task["resources"]["labels"][QUEUE] = "teem-a"
    Path(argv[-1]).write_text(yaml.safe_dump(task))
    refused = teams[0].run(*argv)
    assert refused.code == 2 and "has no Kueue queue 'teem-a'" in refused.err, refused
    assert "did you mean `team-a`" in refused.err and not teams[0].kubectl("get", "jobs", "-o", "name"), refused
    large = teams[0].run(*teams.argv(0, "large", "true", num_nodes=9), "--provision-timeout", "8s")
    assert large.code == 124, large
    assert f"never: it asks for 9 pods, and the queue can have {2 * PODS} at most" in large.err, large
    teams[0].ok("down", "large")
    stopped = teams[0].run(*teams.argv(0, "s", "true"), "--config", "kubernetes.kueue.local_queue_name=team-b",
                           "--provision-timeout", "8s")  # fmt: skip
    assert "The Kueue queue 'team-b' admits nothing now" in stopped.err, stopped
    assert "the ClusterQueue none does not exist" in stopped.err, stopped
