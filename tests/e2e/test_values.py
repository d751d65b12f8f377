"""Values that try to break out of quoting arrive unchanged, by every way; secret ones can be seen nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.e2e.conftest import Sky

NASTY = {
    "SINGLE": "'; rm -rf / #",
    "DOUBLE": '"; rm -rf / #',
    "BOTH": "'\"'\"'$(id)`id`\\",
    "LINES": "a\nb\n\n  c\n",
    "TRAILING_NEWLINE": "end\n",
    "ONLY_NEWLINES": "\n\n",
    "CARRIAGE_RETURN": "a\r\nb\r",
    "EXPANSIONS": "$(touch /tmp/broken) `touch /tmp/broken` $HOME ${HOME} $$ %HOME% {{x}} $(SKY_POD_IP)",
    "BACKSLASHES": "\\n \\\\ \\' \\\" \\$ \\",
    "GLOBS": "* ? [a-z] ~ ! !! ^ & && | || ; < > ( ) { } #",
    "UNICODE": "é ∀ 漢字 🚀 \u200b \u2028 \x85",
    "CONTROL": "\x01 \x07 \x1b[31m \x7f \t\v\f",
    "DASH": "-n --help",
    "SPACES": "  a  b  ",
    "EQUALS": "=a=b=",
    "EMPTY": "",
    "YAML": "{a: [1, 2]} # no comment\n- x: &y *z !!str",
    "LARGE": "0123456789 '\"$ é" * 6000 + "\n",  # 100 kB
}
TOO_LONG_FOR_ARGV = 128 * 1024  # of Linux, for one argument
SHOW = """python3 -c '
import base64, json, os
values = {os.fsdecode(key): base64.b64encode(value).decode() for key, value in os.environb.items()}
print(json.dumps(values))
'
"""


def arrived(out: str, prefix: str) -> dict[str, str]:
    """The job's variables with that prefix, without it."""
    values = json.loads(out.splitlines()[-1])
    found = {name: base64.b64decode(value).decode() for name, value in values.items()}
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def task_file(folder: Path, **task: object) -> str:
    file = folder / "task.yaml"
    file.write_text(yaml.safe_dump({"resources": {"cpus": 0.1}, **task}, allow_unicode=True))
    return str(file)


def dotenv(values: Mapping[str, str]) -> str:
    """As an env file, in double quotes."""

    def quoted(value: str) -> str:
        for letter, escaped in (
            ("\\", "\\\\"),
            ('"', '\\"'),
            ("\n", "\\n"),
            ("\r", "\\r"),
            ("\v", "\\v"),
            ("\f", "\\f"),
        ):
            value = value.replace(letter, escaped)
        return f'"{value}"'

    return "".join(f"{name}={quoted(value)}\n" for name, value in values.items())


def named(prefix: str) -> dict[str, str]:
    return {prefix + name: value for name, value in NASTY.items()}


def test_by_flags_and_files(sky: Sky, tmp_path: Path) -> None:
    # ${NAME} means something in an env file: there is no way to write it as itself
    in_file = {name: value.replace("${HOME}", "") for name, value in named("FILE_").items()}
    (tmp_path / "values.env").write_bytes(dotenv(in_file).encode())
    (tmp_path / "secrets.env").write_bytes(dotenv({"HIDDEN_" + key: value for key, value in in_file.items()}).encode())
    small = {name: value for name, value in NASTY.items() if name != "LARGE"}
    flags = [word for name, value in small.items() for word in ("--env", f"FLAG_{name}={value}")]
    flags += [word for name, value in small.items() for word in ("--secret", f"SECRET_{name}={value}")]
    sky.env.update(HERE_LARGE=NASTY["LARGE"], FLAG_LARGE=NASTY["LARGE"])
    files = ("--env-file", str(tmp_path / "values.env"), "--secret-file", str(tmp_path / "secrets.env"))
    file = task_file(tmp_path, name="flags", setup="[ ! -e /tmp/broken ]", run=SHOW)
    out = sky.ok("launch", file, *flags, *files, "--env", "FLAG_LARGE", "--secret", "HERE_LARGE").out
    assert arrived(out, "FLAG_") == NASTY
    assert arrived(out, "SECRET_") == small
    assert arrived(out, "FILE_") == {name.removeprefix("FILE_"): value for name, value in in_file.items()}
    assert arrived(out, "HIDDEN_") == in_file
    assert arrived(out, "HERE_") == {"LARGE": NASTY["LARGE"]}
    again = sky.ok("exec", "flags", "--env", f"AGAIN_={NASTY['BOTH']}", "--secret-file", files[-1], "--", SHOW).out
    assert arrived(again, "AGAIN_") == {"": NASTY["BOTH"]}
    assert arrived(again, "HIDDEN_") == in_file
    assert sky.ok("exec", "flags", "--", "ls /tmp").out == ""


def test_by_the_task_file(sky: Sky, tmp_path: Path) -> None:
    file = task_file(tmp_path, name="yaml", envs=named("ENV_"), secrets=named("SECRET_"), run=SHOW, num_nodes=2)
    out = sky.ok("launch", file).out
    for line in out.splitlines():
        assert arrived(line.partition(") ")[2], "ENV_") == NASTY
        assert arrived(line.partition(") ")[2], "SECRET_") == NASTY
    assert len(out.splitlines()) == 2


def test_in_the_commands(sky: Sky, tmp_path: Path) -> None:
    """Setup and run are the shell's to read, byte by byte: here in a quoted here-document."""
    texts = {name: value for name, value in NASTY.items() if "\r" not in value}
    documents = "".join(f"cat > ~/{name} <<'EOF_{name}'\n{value}\nEOF_{name}\n" for name, value in texts.items())
    show = "cd ~ && for name in *; do printf '%s ' $name; base64 -w0 < $name; echo; done"
    out = sky.ok("launch", task_file(tmp_path, name="run", setup=documents, run=show)).out
    found = {name: base64.b64decode(data).decode() for name, data in map(str.split, out.splitlines())}
    assert found == {name: value + "\n" for name, value in texts.items()}
    words = [value for name, value in NASTY.items() if name != "LARGE"]
    inline = sky.ok("exec", "run", "--", "python3", "-c", "import sys; print(ascii(sys.argv[1:]))", *words).out
    assert inline == ascii(words) + "\n"


@pytest.mark.parametrize("size", (127, 200))  # kB
def test_a_value_too_long_for_the_kernel_is_told_as_such(sky: Sky, tmp_path: Path, size: int) -> None:
    file = task_file(tmp_path, name="long", envs={"LONG": "x" * (size * 1024)}, run='echo "${#LONG}"')
    result = sky.run("launch", file)
    if size * 1024 + len("LONG=") < TOO_LONG_FOR_ARGV:
        assert (result.code, result.out) == (0, f"{size * 1024}\n"), result
    else:
        assert result.code == 127 and "too long for the kernel: LONG alone has 200 kB" in result.err, result


def test_too_much_for_a_secret(sky: Sky, tmp_path: Path) -> None:
    before = sky.objects()
    (tmp_path / "values.env").write_text("".join(f"V{number}={'x' * 100_000}\n" for number in range(11)))
    file = task_file(tmp_path, name="huge", run="true")
    result = sky.run("launch", file, "--env-file", str(tmp_path / "values.env"))
    assert result.code == 2 and "too large" in result.err, result
    assert sky.objects() == before


def test_secrets_are_seen_nowhere(sky: Sky, tmp_path: Path) -> None:
    marks = {"PLAIN": "secret-mark-1", "QUOTED": "secret-mark-2 'x'", "FLAG": "secret-mark-3", "FILE": "secret-mark-4"}
    (tmp_path / "secrets.env").write_text(f"FILE={marks['FILE']}\n")
    file = task_file(
        tmp_path, name="seen", secrets={"PLAIN": marks["PLAIN"], "QUOTED": marks["QUOTED"]},
        setup="true", run='[ "$FLAG" = secret-""mark-3 ] && [ "$FILE" = secret-""mark-4 ] && sleep 1000',
    )  # fmt: skip
    flags = ("--secret", f"FLAG={marks['FLAG']}", "--secret-file", str(tmp_path / "secrets.env"))
    launched = sky.ok("launch", "-d", file, *flags)
    sky.ok("exec", "seen", "-d", "--secret", f"FLAG={marks['FLAG']}", "--", "sleep 1000")
    shown = {
        "launch": str(launched),
        "objects": sky.kubectl("get", "job,pod,configmap,service,event", "-o", "yaml"),
        "describe": sky.kubectl("describe", "job,pod"),
        "status": sky.ok("status", "seen", "-o", "yaml").out,
        "render": sky.ok("render", file, *flags).out,
        "dry run": sky.ok("launch", file, *flags, "-c", "other", "--dry-run=client", "-o", "json").out,
        "dry run of the server": sky.ok("launch", file, *flags, "-c", "other", "--dry-run=server", "-o", "yaml").out,
        "validate": str(sky.run("validate", file)),
        "verbose": str(sky.run("launch", "-v=9", "-d", file, *flags)),
        "logs": sky.kubectl("logs", sky.pods("seen")[0]["metadata"]["name"], "--all-containers"),
    }
    pod = sky.pods("seen")[0]["metadata"]["name"]
    for container in ("task", "ssh"):
        # what `ps` reads; python's own words must not hold the mark that it looks for
        script = "import glob; print([open(f, errors='replace').read() for f in glob.glob('/proc/[0-9]*/cmdline')])"
        command = ["exec", pod, "-c", container, "--", "/sky/tools/bin/python3", "-SE", "-c", script]
        shown[f"processes of {container}"] = sky.kubectl(*command)
        assert "sky/code" in shown[f"processes of {container}"]
    for where, text in shown.items():
        for encoded in encodings("secret-mark-"):
            assert encoded not in text, where
    assert "sleep" in shown["processes of task"]


def encodings(text: str) -> list[str]:
    """The text, and how it begins in base64 when other bytes stand before it."""
    spelled = [base64.b64encode(b" " * skip + text.encode()).decode()[4:-4] for skip in range(3)]
    return [text, *spelled]
