"""The command line: verbs, connection flags at any place, where a command begins, exit codes, speed of the help."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubectl_sky import cli
from kubectl_sky.api.connection import FLAGS, Connection
from kubectl_sky.errors import UsageError
from kubectl_sky.output import colour

PROJECT = Path(__file__).parents[2]


def scan(
    line: str, own: dict[str, bool] | None = None, command_after: int | None = None
) -> tuple[Connection, list[str]]:
    """The connection and what is left for the verb."""
    given = cli.Scan()
    words = given.until_verb(line.split(" ") if line else [])
    kept = words[:1] + given.after_verb(words[1:], own or {}, command_after)
    return given.connection(), kept


@pytest.mark.parametrize(
    "line",
    [
        "-n a --context b status x",
        "status -n a x --context b",
        "status x -na --context=b",
        "-n=a status --context b x",
        "--namespace a status x --context=b",
    ],
)
def test_connection_flags_at_any_place(line: str) -> None:
    assert scan(line) == (Connection(namespace="a", context="b"), ["status", "x"])


def test_repeated_and_switch_flags() -> None:
    connection, left = scan("status --as-group a --as u --as-group=b --insecure-skip-tls-verify -v=7")
    assert connection.as_group == ("a", "b")
    assert (connection.as_user, connection.insecure_skip_tls_verify, connection.verbosity) == ("u", True, 7)
    assert left == ["status"]
    assert not scan("status --insecure-skip-tls-verify=false")[0].insecure_skip_tls_verify


def test_verbosity_with_and_without_a_number() -> None:
    assert scan("status -v 8")[0].verbosity == 8
    assert scan("status -v name") == (Connection(verbosity=1), ["status", "name"])
    assert scan("status -v9")[0].verbosity == 9
    with pytest.raises(UsageError, match="number"):
        scan("status -v=x")


def test_values_of_the_verbs_own_options_are_not_taken() -> None:
    own = {"--env": True, "-e": True, "-y": False, "--yes": False}
    assert scan("launch --env -n -n a", own) == (Connection(namespace="a"), ["launch", "--env", "-n"])
    assert scan("launch -ye -n -n a", own) == (Connection(namespace="a"), ["launch", "-ye", "-n"])
    assert scan("launch --env=-n -y -n a", own)[1] == ["launch", "--env=-n", "-y"]


def test_own_option_wins() -> None:
    assert scan("queue -s x", {"-s": False}) == (Connection(), ["queue", "-s", "x"])


def test_nothing_is_taken_after_the_dashes() -> None:
    assert scan("exec a -- ls -n b --context c")[1] == ["exec", "a", "--", "ls", "-n", "b", "--context", "c"]
    assert scan("launch -- -n x", command_after=0) == (Connection(), ["launch", "--", "-n", "x"])


@pytest.mark.parametrize(
    ("line", "after", "left"),
    [
        ("ssh a ls -n b", 1, ["ssh", "a", "--", "ls", "-n", "b"]),
        ("ssh -n ns a -h", 1, ["ssh", "a", "-h"]),
        ("exec a t.yaml -n ns", 1, ["exec", "a", "t.yaml"]),
        ("launch t.yaml -n ns", 0, ["launch", "t.yaml"]),
        ("launch - -n ns", 0, ["launch", "-"]),
        ("launch nvidia-smi -L", 0, ["launch", "--", "nvidia-smi", "-L"]),
        ("launch -n ns ls -- -n", 0, ["launch", "--", "ls", "--", "-n"]),
    ],
)
def test_where_a_command_begins(line: str, after: int, left: list[str]) -> None:
    assert scan(line, command_after=after)[1] == left


def test_a_command_may_end_with_the_name_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not cli.is_task_file("cat task.yaml")
    assert cli.is_task_file("task.yaml") and cli.is_task_file("no such.yml") is False
    (tmp_path / "my task.yaml").write_text("run: echo\n")
    assert cli.is_task_file("my task.yaml") and cli.is_task_file("-")
    done = run("render", "-c", "x", "--", "cat task.yaml")
    assert done.returncode == 0 and "kind: Job" in done.stdout, done.stderr


def test_flag_without_value() -> None:
    with pytest.raises(UsageError, match="-n needs a value"):
        scan("status -n")
    with pytest.raises(UsageError, match="there is no flag --foo"):
        scan("--foo status")


def test_flags_for_kubectl() -> None:
    connection = Connection(namespace="a", as_group=("x", "y"), insecure_skip_tls_verify=True, request_timeout="3s")
    assert connection.kubectl_flags() == [
        "--namespace=a",
        "--as-group=x",
        "--as-group=y",
        "--insecure-skip-tls-verify",
    ]


def test_every_flag_is_a_field() -> None:
    fields = set(Connection.__dataclass_fields__) - {"contexts"}  # of --context, too
    assert {flag.field for flag in FLAGS} == fields


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/x/kubectl-sky", "kubectl sky"),
        ("kubectl_sky-0.1", "kubectl sky"),
        ("/x/__main__.py", "python -m kubectl_sky"),
        ("sky", "sky"),
    ],
)
def test_program_name(path: str, name: str) -> None:
    assert cli.program_name(path) == name


def run(*args: str, **options: object) -> "subprocess.CompletedProcess[str]":
    start = "import sys; sys.argv[0] = 'kubectl-sky'; from kubectl_sky.__main__ import main; main()"
    command = [sys.executable, "-c", start, *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_help() -> None:
    for args in ((), ("--help",), ("-h",), ("help",)):
        done = run(*args)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"  {verb} " in done.stdout for verb in cli.VERBS)
        assert "Kubernetes connection" in done.stdout


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_every_verb(verb: str) -> None:
    done = run(*verb.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: kubectl sky {verb}")
    for part in ("Examples:\n", f"kubectl sky {verb}", "Kubernetes connection:", "--context"):
        assert part in done.stdout


def test_verbs_do_not_take_connection_flags_for_themselves() -> None:
    import importlib

    import typer

    for verb in cli.VERBS.values():
        module, _, function = verb.where.partition(":")
        found = getattr(importlib.import_module(f"kubectl_sky.commands.{module}"), function)
        app = typer.Typer(rich_markup_mode=None, add_completion=False)
        app.command()(found)
        own = cli.takes_value(typer.main.get_command(app))
        assert not {flag.name for flag in FLAGS} & set(own)
        assert "-n" not in own


def test_unknown_verb_and_option() -> None:
    done = run("lanch")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: there is no verb 'lanch'\ndid you mean `kubectl sky launch`?\n"
    done = run("status", "--no-header")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: there is no flag --no-header here",
        "did you mean --no-headers? see: kubectl sky status --help",
    ]
    for args in (("status", "--contxt", "x"), ("--contxt=x", "status")):  # also those that every verb has
        done = run(*args)
        assert done.returncode == 2 and "did you mean --context" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("status", "-o", "xml").stderr.splitlines()[1] == "-o takes: table, wide, name, json, yaml"


def test_all_connection_flags_are_listed() -> None:
    done = run("options")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"{flag.name}" in done.stdout for flag in FLAGS)


def test_colour_is_said_to_us_and_to_what_we_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with io.StringIO() as pipe:
        scan("status --color always")
        assert (colour(pipe), "NO_COLOR" in os.environ) == (True, False)
        scan("status --color=never")
        assert (colour(pipe), os.environ.get("NO_COLOR"), "FORCE_COLOR" in os.environ) == (False, "1", False)
        scan("status --color=auto")
        assert not colour(pipe)
    with pytest.raises(UsageError, match="--color red"):
        scan("--color=red status")
    assert scan("exec a ls --color", command_after=1)[1] == ["exec", "a", "--", "ls", "--color"]


HEAVY = "{'kubernetes', 'rich', 'urllib3', 'requests', 'oauthlib'}"


@pytest.mark.parametrize(
    "line", ["['--help']", "['version', '--client']", "['validate', 'task.yaml']", "['explain', 'task']", "['schema']"]
)
def test_what_needs_no_cluster_imports_no_client(line: str, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("run: echo\n")
    start = f"import sys\nfrom kubectl_sky import cli\ncli.run(['x', *{line}], cli.Scan())"
    check = f"{start}\nassert not {HEAVY} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, env={"PYTHONPATH": str(PROJECT)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m kubectl_sky --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.stdout.strip() in ("0", "141")
    assert done.stderr == ""


def test_fault_is_not_shown_as_traceback() -> None:
    code = (
        "import sys; sys.argv = ['kubectl-sky', 'version']\n"
        "from kubectl_sky import __main__, cli\ncli.run = lambda *a: 1 / 0\n__main__.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unexpected ZeroDivisionError")
    assert "Traceback" not in done.stderr


def test_verbs_of_two_words() -> None:
    assert cli.find_verb(["volumes", "ls", "-o", "json"], cli.Scan()) == ("volumes ls", ["-o", "json"])
    assert cli.find_verb(["volumes", "rm", "x"], cli.Scan()) == ("volumes delete", ["x"])
    given = cli.Scan()
    assert cli.find_verb(["volumes", "-n", "here", "ls"], given) == ("volumes ls", [])
    assert given.connection().namespace == "here"
    for words in (["volumes"], ["volumes", "--help"], ["help", "volumes"]):
        done = run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(f"  {verb} " in done.stdout for verb in ("volumes apply", "volumes ls", "volumes delete"))
    done = run("volumes", "list-all")
    assert done.returncode == 2
    assert "there is no verb 'volumes list-all'" in done.stderr
    assert "`kubectl sky volumes ls`" in done.stderr
