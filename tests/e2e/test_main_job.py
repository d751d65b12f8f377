"""What a person does every day: launch, exec, logs, ssh, status, down."""

import json
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest
import yaml
from conftest import Sky, eventually, image

SMALL = ("--cpus", "0.1")
NASTY = {
    "QUOTE": "'; rm -rf / #",
    "LINES": "a\nb\n\nc",
    "SHELL": '$(id) `id` $HOME ${x} \\ " ! * ~',
    "UNICODE": "é ∀ 漢字 🚀",
    "DASH": "-n --help",
    "LONG": "x" * 100_000,
    "SPACES": "  a  b  ",
    "EMPTY": "",
}


def task_file(folder: Path, **task: object) -> str:
    file = folder / "task.yaml"
    task = {"resources": {"cpus": 0.1}, **task}
    file.write_text(yaml.safe_dump(task))
    return str(file)


def test_a_day(sky: Sky, tmp_path: Path) -> None:
    before = sky.objects()
    (tmp_path / "data.txt").write_text("one")
    file = task_file(tmp_path, name="day", workdir=str(tmp_path), setup="echo setup", run="cat data.txt; echo; exit 3")
    first = sky.run("launch", file)
    assert (first.code, first.out) == (3, "setup\none\n"), first
    assert "exit code 3" in first.err
    (tmp_path / "data.txt").write_text("two")
    assert sky.run("launch", file).out == "setup\ntwo\n"
    assert sky.ok("exec", "day", "cat", "data.txt").out == "two"
    (tmp_path / "data.txt").write_text("three")
    assert sky.ok("exec", "day", "--workdir", str(tmp_path), "--", "cat data.txt").out == "three"
    assert sky.run("logs", "day", "1").out == "setup\none\n"
    assert sky.run("logs", "day", "2", "--tail", "1").out == "two\n"
    shown = json.loads(sky.ok("status", "-o", "json").out)
    assert [item["name"] for item in shown["items"]] == ["day"]
    assert "day" in sky.ok("status").out and "Up" in sky.ok("status").out
    sky.ok("down", "-y", "da*")
    assert sky.objects() == before
    missing = sky.run("logs", "day")
    assert missing.code == 1 and "there is no cluster 'day'" in missing.err


def test_setup_that_fails(sky: Sky, tmp_path: Path) -> None:
    result = sky.run("launch", task_file(tmp_path, name="bad", setup="echo no; exit 9", run="echo never"))
    assert (result.code, result.out) == (9, "no\n") and "setup" in result.err


def test_down_after_the_job_leaves_nothing(sky: Sky) -> None:
    before = sky.objects()
    result = sky.run("launch", *SMALL, "-c", "once", "--down", "--", "echo x; exit 4")
    assert (result.code, result.out) == (4, "x\n")
    eventually("nothing is left", lambda: sky.objects() == before)


def test_detached_with_down_ends_by_itself(sky: Sky) -> None:
    sky.ok("launch", *SMALL, "-c", "gone", "-d", "--down", "--", "sleep 1; echo end")
    eventually("it completes", lambda: "Completed" in sky.run("status").out, 60)
    assert "end" in sky.run("logs", "gone").out


def test_values_arrive_unchanged(sky: Sky, tmp_path: Path) -> None:
    script = "env -0 | base64 -w0"
    file = task_file(tmp_path, name="values", envs=NASTY, secrets={"TOKEN": NASTY["QUOTE"]}, run=script)
    flags = [word for name, value in NASTY.items() for word in ("--env", f"FLAG_{name}={value}")]
    out = sky.ok("launch", file, *flags).out
    import base64

    env = dict(pair.split("=", 1) for pair in base64.b64decode(out).decode().split("\0") if pair)
    for name, value in NASTY.items():
        assert env[name] == value and env[f"FLAG_{name}"] == value, name
    assert env["TOKEN"] == NASTY["QUOTE"]


def test_secrets_are_nowhere_to_be_seen(sky: Sky, tmp_path: Path) -> None:
    file = task_file(tmp_path, name="quiet", secrets={"TOKEN": None}, run="echo ${#TOKEN}; sleep 600")
    sky.env["TOKEN"] = "hunter2hunter2"
    sky.ok("launch", "-d", file, "--secret", "TOKEN")
    head = sky.pods("quiet")[0]["metadata"]["name"]
    seen = sky.kubectl("get", "job,pod,configmap,events", "-o", "yaml")
    seen += sky.kubectl("exec", head, "-c", "task", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline")
    seen += sky.kubectl("exec", head, "-c", "ssh", "--", "sh", "-c", "cat /proc/[0-9]*/cmdline")
    seen += sky.ok("render", file, "--secret", "TOKEN").out
    assert "hunter2" not in seen and "aHVudGVyMmh1bnRlcjI" not in seen


def test_the_edit_role_is_enough_and_pods_have_no_token(sky: Sky, tmp_path: Path) -> None:
    sky.kubectl("create", "rolebinding", "edit", "--clusterrole=edit", "--user=jane")
    (tmp_path / "f").write_text("file")
    jane = ("--as", "jane")
    run = ("--workdir", str(tmp_path), "--", "cat f; ls /var/run/secrets/kubernetes.io 2>&1 || true")
    assert "No such file" in sky.ok("launch", *jane, *SMALL, "-c", "j", *run).out
    assert sky.ok("exec", *jane, "j", "echo", "more").out == "more\n"
    assert sky.ok("ssh", *jane, "j", "echo", "ssh").out == "ssh\n"
    assert sky.ok("logs", *jane, "j", "2").out == "more\n"
    assert "Up" in sky.ok("status", *jane).out
    sky.ok("down", *jane, "-y", "j")


def test_the_jobs_output_is_the_containers_stdout(sky: Sky) -> None:
    sky.ok("launch", *SMALL, "-c", "o", "--", "echo visible")
    assert sky.kubectl("logs", sky.pods("o")[0]["metadata"]["name"], "-c", "task") == "visible\n"


def test_rendered_manifests_run_when_applied(sky: Sky, tmp_path: Path) -> None:
    file = task_file(tmp_path, name="gitops", run="echo applied")
    for command in (["render", file], ["launch", file, "--dry-run=client", "-o", "yaml"]):
        manifests = sky.ok(*command).out
        subprocess.run(
            ["kubectl", "-n", sky.namespace, "apply", "-f", "-"], input=manifests, text=True, check=True,
            env=sky.environment(),
        )  # fmt: skip
        assert sky.ok("logs", "gitops").out == "applied\n"
        sky.ok("down", "-y", "gitops")
    assert "created (server dry run)" in sky.ok("launch", file, "--dry-run=server").out
    assert not sky.pods("gitops")


def test_ctrl_c_detaches_and_the_job_goes_on(sky: Sky) -> None:
    process = sky.start("launch", *SMALL, "-c", "c", "--", "echo one; sleep 4; echo two")
    assert process.stdout and process.stdout.readline() == "one\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and "kubectl sky logs" in err
    assert sky.ok("logs", "c").out == "one\ntwo\n"


def test_ssh(sky: Sky) -> None:
    sky.ok("launch", *SMALL, "-c", "s", "--", "true")
    assert sky.run("ssh", "s", "exit", "7").code == 7
    data = "line\n" * 100_000
    assert sky.run("ssh", "s", "cat", stdin=data).out == data
    argv = sky.argv("ssh", "s")
    child = pexpect.spawn(argv[0], argv[1:], env=sky.environment(), encoding="utf-8", dimensions=(31, 97), timeout=20)
    child.sendline("stty size; tty")
    child.expect("31 97")
    child.expect("/dev/pts/")
    child.sendline("sleep 100")
    child.sendintr()
    child.sendline("echo rc=$?")
    child.expect("rc=130")
    child.sendline("exit 5")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 5


def test_jobs_start_in_order_and_flags_stand_anywhere(sky: Sky) -> None:
    sky.ok("launch", *SMALL, "-c", "q", "--", "true")
    for number in (2, 3, 4):
        sky.ok("exec", "-d", "q", "--", f"date +%s%N; echo job {number}")
    times = [int(sky.ok("logs", "q", str(number)).out.split()[0]) for number in (2, 3, 4)]
    assert times == sorted(times)
    head = ["-n", sky.namespace]
    assert Sky("default", sky.kubeconfig).run("logs", "q", "2", *head).out.endswith("job 2\n")


@pytest.mark.parametrize("name", ["hello", "env-secrets", "web", "workdir", "rendezvous"])
def test_examples_run(sky: Sky, name: str) -> None:
    examples = Path(__file__).parents[2] / "examples"
    file = next(
        f
        for f in (examples / f"{name}.yaml", examples / name / "task.yaml", *examples.glob(f"{name}/*.yaml"))
        if f.exists()
    )
    flags = ("--secret", "API_TOKEN=abc") if "API_TOKEN" in file.read_text() else ()
    serves = name == "web"
    result = sky.run("launch", str(file), *SMALL, "-c", name, *flags, *(("-d",) if serves else ()))
    assert result.code == 0, result
    if serves:
        fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080').status)"
        eventually("it serves", lambda: "200" in sky.run("exec", name, "python3", "-c", fetch).out, 30)


def test_another_programs_objects_are_left_alone(sky: Sky) -> None:
    sky.kubectl("create", "job", "taken", f"--image={image('busybox')}", "--", "true")
    result = sky.run("launch", *SMALL, "-c", "taken", "--", "true")
    assert result.code == 1 and "did not make" in result.err
