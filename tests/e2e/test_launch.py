"""launch, exec, logs, status, ssh and down, as people and scripts use them every day."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.e2e.conftest import Result, Sky, eventually, image, namespace

SMALL = ("--cpus", "0.1")


def task_file(folder: Path, **task: object) -> str:
    file = folder / "task.yaml"
    file.write_text(yaml.safe_dump({"resources": {"cpus": 0.1}, **task}))
    return str(file)


def bare(sky: Sky, *args: str) -> Result:
    """The program with these arguments only: not even a namespace."""
    program = sky.argv()[:-2]
    done = subprocess.run([*program, *args], env=sky.environment(), text=True, capture_output=True, timeout=60)
    return Result(done.returncode, done.stdout, done.stderr)


def pod_of(sky: Sky, name: str) -> str:
    return str(sky.pods(name)[0]["metadata"]["name"])


@pytest.fixture(scope="module")
def shared(kubeconfig: str) -> Iterator[Sky]:
    """A namespace in which `box` is up, whose job 1 has run, for tests that leave it up."""
    with namespace(kubeconfig) as sky:
        sky.ok("launch", *SMALL, "-c", "box", "--", "echo first; echo second; echo third")
        yield sky


# -- launch -------------------------------------------------------------------------------------------------------


def test_hello_from_a_file(sky: Sky, tmp_path: Path) -> None:
    result = sky.ok("launch", task_file(tmp_path, name="hello", run="echo hello"))
    assert result.out == "hello\n"
    assert "succeeded" in result.err


def test_sessions_have_the_variables_of_a_task_without_a_job(sky: Sky, tmp_path: Path) -> None:
    sky.ok("launch", task_file(tmp_path, name="bare", envs={"MINE": "a b"}, secrets={"KEY": "xyz"}))
    shown = 'echo "$MINE $KEY $SKYPILOT_NODE_RANK"'
    eventually("they are told", lambda: sky.ok("ssh", "bare", shown).out == "a b xyz 0\n", 10)
    assert sky.ok("queue", "bare").out.splitlines()[1:] == []


def test_hello_from_stdin(sky: Sky) -> None:
    text = "name: hello\nresources: {cpus: 0.1}\nrun: echo from stdin\n"
    done = sky.run("launch", "-", stdin=text)
    assert (done.code, done.out) == (0, "from stdin\n"), done


def test_inline_commands_and_the_containers_own_log(sky: Sky) -> None:
    result = sky.run("launch", *SMALL, "-c", "inline", "--", "echo out; echo err >&2; exit 7")
    assert (result.code, result.out) == (7, "out\nerr\n"), result
    assert "exit code 7" in result.err
    assert sky.kubectl("logs", pod_of(sky, "inline"), "-c", "task") == "out\nerr\n"


def test_words_of_an_inline_command_stay_words(shared: Sky) -> None:
    words = ["printf", "[%s]", "a b", "$HOME", "it's", "*"]
    assert shared.ok("exec", "box", "--", *words).out == "[a b][$HOME][it's][*]"


def test_where_the_time_goes(sky: Sky, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/file").write_text("x")
    file = task_file(tmp_path, name="timed", workdir=str(tmp_path / "work"), setup="sleep 1", run="sleep 2")
    began = time.monotonic()
    told = sky.ok("launch", "--timings", file).err.splitlines()
    took = time.monotonic() - began
    phases = ["start-up", "files here read", "cluster asked", "objects made", "places found", "pods started",
              "files sent", "job handed over", "setup", "run", "in all"]  # fmt: skip
    rows = dict(re.match(r"(\S+(?: \S+)*) {2,}([0-9.]+) s$", line).groups() for line in told[-len(phases) :])  # type: ignore[union-attr]
    assert list(rows) == phases
    seconds = {name: float(text) for name, text in rows.items()}
    assert seconds["setup"] > 0.5 and seconds["run"] > 1.5  # as told here, each a moment after it was so there
    # what comes before the program and after the table is the machine's: seconds where it is busy
    assert seconds["setup"] + seconds["run"] < (whole := seconds.pop("in all")) <= took + 0.01
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.1)


def test_setup_that_fails(sky: Sky, tmp_path: Path) -> None:
    result = sky.run("launch", task_file(tmp_path, name="bad", setup="echo no; exit 9", run="echo never"))
    assert (result.code, result.out) == (9, "no\n"), result
    assert "failed in setup with exit code 9" in result.err


def test_a_signal_is_128_and_its_number(shared: Sky) -> None:
    assert shared.run("exec", "box", "--", "kill -TERM $$").code == 143


def test_detached(sky: Sky) -> None:
    result = sky.ok("launch", *SMALL, "-c", "far", "-d", "--", "sleep 1; echo done; exit 5")
    assert result.out == "" and "kubectl sky logs" in result.err
    logs = sky.run("logs", "far")
    assert (logs.code, logs.out) == (5, "done\n"), logs


def test_down_after_the_job_leaves_nothing(sky: Sky, tmp_path: Path) -> None:
    before = sky.objects()
    file = task_file(tmp_path, name="once", num_nodes=2, run="echo x; exit $((SKYPILOT_NODE_RANK * 4))")
    result = sky.run("launch", "--down", file)
    assert result.code == 4, result
    eventually("nothing is left", lambda: sky.objects() == before)


def test_launched_again(sky: Sky, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "data.txt").write_text("one\n")
    (work / "old.txt").write_text("")
    run = "cat data.txt; echo job $SKYPILOT_INTERNAL_JOB_ID"
    file = task_file(tmp_path, name="again", workdir=str(work), setup="echo setup >> ~/setups", run=run)
    assert sky.ok("launch", file).out == "one\njob 1\n"
    pod = sky.pods("again")[0]["metadata"]["uid"]
    (work / "data.txt").write_text("two\n")
    assert sky.ok("launch", file).out == "two\njob 2\n"
    assert sky.ok("exec", "again", "--", "cat ~/setups").out == "setup\nsetup\n"
    assert sky.pods("again")[0]["metadata"]["uid"] == pod
    (work / "data.txt").write_text("three\n")
    assert sky.ok("exec", "again", file).out == "three\njob 4\n"
    assert sky.ok("exec", "again", "--workdir", str(work), "--", "cat", "data.txt").out == "three\n"
    assert sky.ok("exec", "again", "--", "cat ~/setups").out == "setup\nsetup\n", "exec runs no setup"


def test_dry_runs_create_nothing(sky: Sky, tmp_path: Path) -> None:
    file = task_file(tmp_path, name="dry", num_nodes=2, envs={"A": "b"}, run="echo dry $A")
    before = sky.objects()
    shown = sky.ok("launch", file, "--dry-run=client", "-o", "yaml").out
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(shown)]
    assert sorted(kinds) == ["ConfigMap", "Job", "Secret", "Service"]
    server = json.loads(sky.ok("launch", file, "--dry-run=server", "-o", "json").out)
    (job,) = [item for item in server["items"] if item["kind"] == "Job"]
    assert job["metadata"]["uid"] and job["metadata"]["namespace"] == sky.namespace
    assert "job/dry created (server dry run)" in sky.ok("launch", file, "--dry-run=server").out
    assert sky.objects() == before
    sky.kubectl("apply", "-f", "-", stdin=shown)
    assert sorted(sky.ok("logs", "dry").out.splitlines()) == ["(head, rank=0) dry b", "(worker1, rank=1) dry b"]
    sky.ok("down", "dry", "-y")
    assert sky.objects() == before


def test_rendered_and_applied(sky: Sky, tmp_path: Path) -> None:
    file = task_file(tmp_path, name="made", secrets={"TOKEN": "s3cret"}, run='echo "token $TOKEN"; exit 3')
    before = sky.objects()
    sky.kubectl("apply", "-f", "-", stdin=sky.ok("render", file, "--show-secrets").out)
    logs = sky.run("logs", "made")
    assert (logs.code, logs.out) == (3, "token s3cret\n"), logs
    assert sky.ok("exec", "made", "--", "echo more").out == "more\n"
    sky.ok("down", "made", "-y")
    assert sky.objects() == before


def test_connection_flags_anywhere(sky: Sky) -> None:
    ns = sky.namespace
    context = sky.kubectl("config", "current-context").strip()
    assert bare(sky, "-n", ns, "launch", f"--context={context}", *SMALL, "-c", "odd", "--", "echo", "a").out == "a\n"
    assert bare(sky, "exec", f"-n{ns}", "odd", "echo", "-n", "b").out == "b", "a command's own flags are its own"
    assert bare(sky, "exec", "odd", "--namespace", ns, "--context", context, "--", "echo c").out == "c\n"
    assert bare(sky, "--context", context, "logs", "odd", "1", f"--namespace={ns}").out == "a\n"
    assert bare(sky, "ssh", "odd", "-n", ns, "echo", "d").out == "d\n"
    assert bare(sky, "status", "odd", "-o", "name", "-n", ns).out.strip().endswith("odd")
    assert bare(sky, "down", "-y", "odd", "-n", ns, "--no-wait").code == 0


# -- exec, logs ---------------------------------------------------------------------------------------------------


def test_the_queue_is_first_in_first_out(shared: Sky) -> None:
    shared.ok("exec", "box", "--", "rm -f ~/order")
    for number in range(4):
        shared.ok("exec", "box", "-d", "--cpus", "1", "--", f"sleep 0.2; echo {number} >> ~/order")
    assert shared.ok("exec", "box", "--cpus", "1", "--", "cat ~/order").out == "0\n1\n2\n3\n"


def test_a_small_job_runs_beside_a_running_one(shared: Sky) -> None:
    shared.ok("exec", "box", "-d", "--", "until [ -e ~/go ]; do sleep 0.1; done; rm ~/go; echo went")
    assert shared.ok("exec", "box", "--", "touch ~/go", timeout=30).code == 0
    eventually("the first one went on", lambda: shared.run("exec", "box", "--", "[ ! -e ~/go ]").code == 0)


def test_logs(shared: Sky) -> None:
    assert shared.ok("logs", "box", "1").out == "first\nsecond\nthird\n"
    assert shared.ok("logs", "box", "1", "--tail", "2").out == "second\nthird\n"
    assert shared.ok("logs", "box", "1", "--tail", "0").out == ""
    assert shared.ok("logs", "box", "1", "--node", "0").out == "first\nsecond\nthird\n"
    assert shared.run("exec", "box", "--", "echo fails; exit 6").code == 6
    newest = shared.run("logs", "box")
    assert (newest.code, newest.out) == (6, "fails\n")
    unknown = shared.run("logs", "box", "99")
    assert unknown.code == 1 and "no job 99" in unknown.err
    shared.ok("exec", "box", "--", "echo later")
    both = shared.ok("logs", "box", "1", "--no-follow")
    assert both.out == "first\nsecond\nthird\n"
    no_node = shared.run("logs", "box", "--node", "4")
    assert no_node.code == 1 and "no node 4" in no_node.err


def test_logs_of_several_jobs(shared: Sky) -> None:
    shared.ok("exec", "box", "--", "echo later; echo $SKYPILOT_INTERNAL_JOB_ID > ~/number")
    number = shared.ok("ssh", "box", "cat ~/number").out.strip()
    assert shared.ok("logs", "box", number, "1").out == "later\nfirst\nsecond\nthird\n"


def test_logs_of_a_running_job(shared: Sky) -> None:
    shared.ok("exec", "box", "-d", "--", "echo begin; until [ -e ~/end ]; do sleep 0.1; done; rm ~/end; echo end")
    started = shared.run("logs", "box", "--no-follow")
    eventually("its first line", lambda: shared.run("logs", "box", "--no-follow").out == "begin\n")
    assert started.code == 0
    following = shared.start("logs", "box")
    assert following.stdout and following.stdout.readline() == "begin\n"
    shared.ok("ssh", "box", "touch ~/end")
    out, err = following.communicate(timeout=30)
    assert (following.returncode, out) == (0, "end\n"), err


def test_much_output_arrives_once_and_in_order(shared: Sky) -> None:
    lines = shared.ok("exec", "box", "--", "seq 200000").out.splitlines()
    assert lines == [str(number) for number in range(1, 200_001)]


def test_output_that_is_not_text(shared: Sky) -> None:
    argv = shared.argv("exec", "box", "--", r"printf '\000\377\r\200x'")
    done = subprocess.run(argv, env=shared.environment(), capture_output=True, timeout=60)
    assert done.stdout == b"\0\xff\r\x80x"


def test_ctrl_c_detaches(shared: Sky) -> None:
    watching = shared.start("exec", "box", "--", "echo begin; until [ -e ~/fin ]; do sleep 0.1; done; rm ~/fin; exit 8")
    assert watching.stdout and watching.stdout.readline() == "begin\n"
    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=20)
    assert watching.returncode == 130 and out == ""
    assert "the job runs on" in err and f"kubectl sky logs -n {shared.namespace} box" in err
    shared.ok("ssh", "box", "touch ~/fin")
    logs = shared.run("logs", "box")
    assert (logs.code, logs.out) == (8, "begin\n")


def test_ctrl_c_on_a_terminal(shared: Sky) -> None:
    """The whole process group gets the signal then, kubectl too."""
    program, *args = shared.argv("exec", "box", "--", "echo begin; sleep 2; echo end; exit 9")
    child = pexpect.spawn(program, args, env=shared.environment(), timeout=30, encoding="utf-8")
    child.expect("begin\r\n")
    child.sendintr()
    child.expect("the job runs on")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    logs = shared.run("logs", "box")
    assert (logs.code, logs.out) == (9, "begin\nend\n")


def test_exec_on_nothing(shared: Sky) -> None:
    result = shared.run("exec", "nothing", "--", "true")
    assert result.code == 1 and "there is no cluster 'nothing'" in result.err


# -- status, down -------------------------------------------------------------------------------------------------


def test_status(shared: Sky) -> None:
    table = shared.ok("status").out.splitlines()
    assert table[0].split() == ["NAME", "NODES", "RESOURCES", "STATUS", "AUTOSTOP", "AGE"]
    assert table[1].startswith("box ") and " Up " in table[1]
    wide = shared.ok("status", "-o", "wide").out
    pod = shared.pods("box")[0]
    assert image("python") in wide and pod["status"]["podIP"] in wide and pod["spec"]["nodeName"] in wide
    assert shared.ok("status", "-o", "name").out.strip().endswith("box")
    (item,) = json.loads(shared.ok("status", "-o", "json").out)["items"]
    assert (item["name"], item["status"]["phase"], item["readyNodes"]) == ("box", "Up", 1)
    assert yaml.safe_load(shared.ok("status", "-o", "yaml").out)["items"] == [item]
    absent = shared.run("status", "bos")
    assert absent.code == 1 and "did you mean `box`" in absent.err
    assert "box" in shared.ok("status", "-A").out


def test_down(sky: Sky) -> None:
    before = sky.objects()
    names = ("sweep-1", "sweep-2", "last")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: sky.ok("launch", *SMALL, "-c", name, "-d", "--", "sleep 1000"), names))
    unknown = sky.run("down", "-y", "sweep-3")
    assert unknown.code == 1 and "sweep-1" in unknown.err
    refused = sky.run("down", "sweep-*")
    assert refused.code == 2 and "--yes" in refused.err
    sky.ok("down", "sweep-*", "-y")
    assert sky.ok("status", "-o", "name").out == "job.batch/last\n"
    program, *args = sky.argv("down", "-a")
    child = pexpect.spawn(program, args, env=sky.environment(), timeout=60, encoding="utf-8")
    child.expect("Take down 1 cluster")
    child.sendline("y")
    child.expect("last is down")
    child.expect(pexpect.EOF)
    assert sky.objects() == before
    nothing = sky.run("down", "-a", "-y")
    assert nothing.code == 0 and "Nothing to take down" in nothing.err


# -- ssh ----------------------------------------------------------------------------------------------------------


def test_ssh_commands(shared: Sky) -> None:
    result = shared.run("ssh", "box", "echo out; echo err >&2; exit 5")
    assert (result.code, result.out, result.err) == (5, "out\n", "err\n")
    assert shared.run("ssh", "box", "--", "cat", stdin="given\n").out == "given\n"
    assert shared.run("ssh", "box", "no-such-program").code == 127
    unknown = shared.run("ssh", "nothing", "true")
    assert unknown.code == 1 and "there is no cluster 'nothing'" in unknown.err
    no_node = shared.run("ssh", "--node", "3", "box", "true")
    assert no_node.code == 1 and "no node 3" in no_node.err


def test_ssh_is_safe_for_bytes(shared: Sky) -> None:
    data = bytes(range(256)) * 2000 + os.urandom(3_000_000)
    argv = shared.argv("ssh", "box", "cat")
    done = subprocess.run(argv, env=shared.environment(), input=data, capture_output=True, timeout=60)
    assert done.stdout == data and done.stderr == b""


def test_a_terminal(shared: Sky) -> None:
    program, *args = shared.argv("ssh", "box")
    env = {**shared.environment(), "TERM": "xterm-256color"}
    shell = pexpect.spawn(program, args, env=env, timeout=20, encoding="utf-8", dimensions=(33, 99))
    shell.setecho(False)
    shell.sendline("stty -echo; PS1=; echo read''y")
    shell.expect("ready\r\n")
    shell.sendline("tty; stty size; echo $TERM")
    shell.expect(r"/dev/pts/\d+\r\n33 99\r\nxterm-256color\r\n")
    shell.setwinsize(40, 120)
    shell.sendline("sleep 0.3; stty size")
    shell.expect("40 120\r\n")
    shell.sendline("sh -c 'echo sleep\"\"ing; exec sleep 100'")
    shell.expect("sleeping\r\n")
    shell.sendintr()
    shell.expect("\r\n")  # of the new prompt
    shell.sendline("echo code $?")
    shell.expect("code 130\r\n")
    shell.sendline("exit 4")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 4


# -- rights -------------------------------------------------------------------------------------------------------


def test_pods_carry_no_token(shared: Sky) -> None:
    spec = shared.pods("box")[0]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not [volume for volume in spec["volumes"] if "projected" in volume]
    assert shared.run("ssh", "box", "ls /var/run/secrets/kubernetes.io").code == 2
    shell = "[ -e /var/run/secrets ] || echo none"
    assert shared.kubectl("exec", pod_of(shared, "box"), "-c", "ssh", "--", "sh", "-c", shell) == "none\n"


def test_the_role_edit_is_enough(sky: Sky, tmp_path: Path) -> None:
    sky.kubectl("create", "rolebinding", "edit", "--clusterrole=edit", "--user=edit")
    before = sky.objects()
    work = tmp_path / "work"
    work.mkdir()
    (work / "data.txt").write_text("data\n")
    me = "--as=edit"
    file = task_file(tmp_path, name="mine", num_nodes=2, workdir=str(work), setup="echo setup", run="cat data.txt")
    assert sky.ok(me, "launch", file, "--dry-run=server").out
    assert sky.ok(me, "launch", file).out.count("data\n") == 2
    assert sky.ok(me, "launch", file).out.count("setup\n") == 2
    assert sky.run(me, "exec", "mine", "--num-nodes", "1", "--", "echo one; exit 3").code == 3
    assert sky.ok(me, "logs", "mine", "1", "--node", "1").out == "setup\ndata\n"
    assert "mine" in sky.ok(me, "status", "-o", "wide").out
    assert "mine" in sky.ok(me, "status", "mine").out
    assert sky.run(me, "ssh", "--node", "1", "mine", "exit 6").code == 6
    sky.ok(me, "down", "mine")
    assert sky.objects() == before
    gone = sky.run(me, "launch", *SMALL, "-c", "brief", "--down", "--", "exit 2")
    assert gone.code == 2, gone
    eventually("nothing is left", lambda: sky.objects() == before)
    other = sky.run(me, "launch", "-n", "kube-system", *SMALL, "-c", "brief", "--", "true")
    assert other.code == 1 and "user 'edit' may not" in other.err and "namespace 'kube-system'" in other.err


def test_detached_with_down_ends_by_itself(sky: Sky) -> None:
    sky.ok("launch", *SMALL, "-c", "gone", "-d", "--down", "--", "sleep 1; echo end")
    eventually("it completes", lambda: "Completed" in sky.run("status").out, 60)
    assert "end" in sky.run("logs", "gone").out
