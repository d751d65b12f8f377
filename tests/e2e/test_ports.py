"""Ports: reached from this machine over broken connections, and exposed in the cluster when that is asked for."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Sky, eventually, namespace

# not those of any other test on this machine
FIRST, SECOND = 18431, 18432
SERVE = f"""mkdir -p ~/public && echo "rank $SKYPILOT_NODE_RANK" > ~/public/index.html && cd ~/public
python3 -m http.server {FIRST} &
python3 -m http.server {SECOND} --bind 127.0.0.1"""
SMALL = ("--cpus", "0.1", "--memory", "0.1")


@pytest.fixture(scope="module")
def web(kubeconfig: str) -> Iterator[Sky]:
    """`web` serves on two nodes; the second port is open on localhost only."""
    with namespace(kubeconfig) as sky:
        ports = ("--ports", str(FIRST), "--ports", str(SECOND))
        nodes = ("--num-nodes", "2", "--expose", "clusterip")
        sky.ok("launch", "-d", "-c", "web", *SMALL, *ports, *nodes, "--", SERVE)
        yield sky


@contextmanager
def forwarding(sky: Sky, *args: str, lines: int = 1) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`port-forward` that is up, and where it listens."""
    process = sky.start("port-forward", *args)
    try:
        assert process.stdout
        yield process, [address(process) for _ in range(lines)]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def address(process: subprocess.Popen[str]) -> str:
    """Of the next line `Forwarding http://127.0.0.1:8080 -> 8080 (node 0 of web)`."""
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    found = re.fullmatch(r"Forwarding (http://127\.0\.0\.1:\d+) -> \d+ \(node \d of \S+\)\n", line)
    assert found, line or process.stderr.read()
    return found[1]


def fetch(url: str) -> str:
    return urllib.request.urlopen(url, timeout=10).read().decode()


def serves(url: str, text: str) -> bool:
    try:
        return fetch(url) == text
    except OSError:
        return False


def answers(url: str) -> bool:
    try:
        return bool(fetch(url))
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """All processes below one that are kubectl."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
            parents[int(stat.parent.name)] = int(rest.split()[1])
        except OSError:
            continue
    below = {pid}
    for _ in range(4):
        below |= {child for child, parent in parents.items() if parent in below}
    return [
        one for one in below if one != pid and b"port-forward" in command(one) and b"kubectl\0" in command(one)[:20]
    ]


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_all_ports_of_a_task(web: Sky) -> None:
    with forwarding(web, "web", lines=2) as (process, listening):
        assert sorted(listening) == [f"http://127.0.0.1:{FIRST}", f"http://127.0.0.1:{SECOND}"]
        for url in listening:
            eventually("the server answers", lambda url=url: serves(url, "rank 0\n"), 20)
        with ThreadPoolExecutor(10) as pool:
            assert set(pool.map(fetch, listening * 10)) == {"rank 0\n"}
        # taken: told before anything is started
        result = web.run("port-forward", "web", str(FIRST))
        assert result.code == 1, result
        assert f"port {FIRST} of 127.0.0.1 is in use on this machine" in result.err
        assert f":{FIRST}" in result.err.splitlines()[-1]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    for port in (FIRST, SECOND):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))


def test_another_node_and_a_free_local_port(web: Sky) -> None:
    with forwarding(web, "web", "--rank", "1", f":{FIRST}") as (_, (url,)):
        eventually("node 1 answers", lambda: serves(url, "rank 1\n"), 20)
    result = web.run("port-forward", "web", "--rank", "2")
    assert (result.code, "web has no node 2: its nodes are 0 to 1" in result.err) == (1, True), result


def test_kubectl_is_killed(web: Sky) -> None:
    with forwarding(web, "web", f":{FIRST}") as (process, (url,)):
        eventually("the server answers", lambda: serves(url, "rank 0\n"), 20)
        (kubectl,) = children(process.pid)
        os.kill(kubectl, signal.SIGKILL)
        assert address(process) == url
        assert fetch(url) == "rank 0\n"
        assert process.stderr
        assert process.stderr.readline() == "reconnecting: kubectl was ended\n"
        # and when we are, nothing is left that holds the port
        (kubectl,) = children(process.pid)
        process.kill()
        process.wait()
        eventually("kubectl ends", lambda: not command(kubectl), 10)


def test_nothing_listens_there(web: Sky) -> None:
    """kubectl ends at such a connection; the port stays reachable, and the others do not notice."""
    with forwarding(web, "web", ":1", f":{FIRST}", lines=2) as (process, _listening):
        urls = {line.rpartition(":")[2]: line for line in _listening}
        (works,) = [url for url in urls.values() if serves(url, "rank 0\n")]
        (closed,) = [url for url in urls.values() if url != works]
        for _ in range(3):
            assert not serves(closed, "")
        assert fetch(works) == "rank 0\n"
        assert process.stderr
        assert process.stderr.readline() == "nothing listens on port 1 of node 0 of web (yet)\n"


def test_a_task_that_ends(sky: Sky) -> None:
    sky.ok("launch", "-d", "-c", "short", *SMALL, "--", f"sleep 4; echo {FIRST}")
    result = sky.run("port-forward", "short")
    assert (result.code, "short declares no ports" in result.err) == (1, True), result
    with forwarding(sky, "short", ":8080") as (process, _):
        sky.ok("down", "short")
        out, err = process.communicate(timeout=20)
        assert process.returncode == 1, (out, err)
        assert err.endswith("error: short was taken down\n")
    result = sky.run("port-forward", "short", "8080")
    assert (result.code, "there is no cluster 'short'" in result.err) == (1, True), result


def test_a_service_is_reached_from_another_pod(web: Sky) -> None:
    url = f"http://web-head.{web.namespace}:{FIRST}"
    ask = f"import urllib.request as r; print(r.urlopen('{url}', timeout=20).read())"
    out = web.ok("launch", "--down", "-c", "asks", *SMALL, "--", "python3", "-c", ask).out
    assert out == "b'rank 0\\n'\n"
    listed = json.loads(web.ok("status", "--endpoints", "web", "-o", "json").out)["items"]
    assert [(one["port"], one["via"], one["state"]) for one in listed] == [
        (FIRST, "ClusterIP", "ready"), (FIRST, "port-forward", "ready"),
        (SECOND, "ClusterIP", "ready"), (SECOND, "port-forward", "ready"),
    ]  # fmt: skip
    assert web.ok("status", "--endpoint", str(FIRST), "web").out == f"web-head.{web.namespace}:{FIRST}\n"
    # another exposure of a task that is up is no silence
    again = web.run("launch", "-c", "web", "--ports", str(FIRST), "--expose", "loadbalancer", "--", "true")
    assert (again.code, "expose: asked for loadbalancer, has clusterip" in again.err) == (2, True), again


def test_a_load_balancer_that_nobody_serves(sky: Sky) -> None:
    ports = ("--ports", "8080", "--expose", "loadbalancer")
    sky.ok("launch", "-c", "lb", *SMALL, *ports, "--", "true")
    out = sky.ok("status", "--endpoints", "lb").out
    assert re.search(r"^8080 +LoadBalancer +<pending> +pending: no address (yet|after)", out, re.M), out
    result = sky.run("status", "--endpoint", "8080", "lb")
    assert result.code == 1 and "port 8080 of lb cannot be reached yet: no address" in result.err, result
    assert "port-forward" in result.err.splitlines()[-1]
    sky.kubectl("delete", "job", "lb")  # the Job owns the Service
    eventually("the Service goes with the Job", lambda: not sky.kubectl("get", "service", "-o", "name"))


def test_an_ingress(sky: Sky) -> None:
    ports = ("--ports", "8080", "--expose", "ingress")
    kind = f"test-{sky.namespace}"
    sky = replace(sky, env={"KUBECTL_SKY_INGRESS_CLASS": kind})
    before = sky.objects()
    result = sky.run("launch", "-c", "web", *SMALL, *ports, "--", "true")
    assert result.code == 1 and "no ingress class" in result.err, result
    assert sky.objects() == before
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": kind},
        "spec": {"controller": "example.com/test"},
    }
    sky.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    try:
        sky.ok("launch", "-c", "web", *SMALL, *ports, "--", "true")
        ingress = json.loads(sky.kubectl("get", "ingress", "web", "-o", "json"))
        assert ingress["spec"]["ingressClassName"] == kind
        (rule,) = ingress["spec"]["rules"]
        assert rule["http"]["paths"][0]["path"] == f"/{sky.namespace}/web/8080"
        assert ingress["metadata"]["ownerReferences"][0]["name"] == "web"
        out = sky.ok("status", "--endpoints", "web").out
        assert f"pending: no address yet from the controller of {kind}" in out
        sky.ok("down", "web")
        assert sky.objects() == before
    finally:
        sky.kubectl("delete", "ingressclass", kind)


def test_a_gateway_that_is_not_there(sky: Sky) -> None:
    before = sky.objects()
    sky = replace(sky, env={"KUBECTL_SKY_GATEWAY": "infra/none-of-that-name"})
    result = sky.run("launch", "-c", "web", *SMALL, "--ports", "8080", "--expose", "gateway", "--", "true")
    assert result.code == 1 and re.search("has no Gateway", result.err), result
    assert sky.objects() == before
