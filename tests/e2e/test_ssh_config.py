"""`ssh-config` and `code`: clusters as hosts of plain ssh, below a home of the test's own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Sky, namespace

ODD = {
    "plain": b"Host mine\n  HostName mine.example\n  Port 2200\n",
    "no newline at the end": b"Host mine\n  HostName mine.example",
    "Match first": b'Match host "*.corp" exec "true"\n  User corp\n\nHost mine\n  HostName mine.example\n',
    "all hosts first": b"Host *\n  User everybody\n  ForwardAgent yes\nHost mine\n  HostName mine.example\n",
    "Windows' line ends": b"Host mine\r\n  HostName mine.example\r\n",
    "not utf-8": b"# caf\xe9\nHost mine\n  HostName mine.example\n",
    "a blank line first": b"\n\nHost mine\n  HostName mine.example\n",
}


class Home:
    """A home directory: `ssh` here is the real one with its configuration."""

    def __init__(self, sky: Sky, folder: Path):
        self.folder, self.config = folder, folder / ".ssh/config"
        self.sky = Sky(sky.namespace, sky.kubeconfig, {"HOME": str(folder)})

    def ssh(self, *words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        # ssh looks for the home in the passwd file, and not at $HOME
        argv = ["ssh", "-F", str(self.config), "-o", "BatchMode=yes", *flags, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, env=self.sky.environment())

    def says(self, *words: str) -> str:
        done = self.ssh(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def knows(self) -> set[str]:
        text = (self.folder / ".ssh/kubectl-sky/config").read_text()
        return {name for line in text.splitlines() if line.startswith("Host ") for name in line.split()[1:]}

    def files(self) -> dict[str, bytes]:
        """Without kubectl's own cache."""
        found = [one for one in self.folder.rglob("*") if one.is_file() and ".kube" not in one.parts]
        return {str(one.relative_to(self.folder)): one.read_bytes() for one in found}


@pytest.fixture(scope="module")
def sky(kubeconfig: str) -> Iterator[Sky]:
    with namespace(kubeconfig) as sky:
        sky.ok("launch", "-c", "box", "--num-nodes", "2", "--cpus", "0.1")
        yield sky


@pytest.fixture
def home(sky: Sky, tmp_path: Path) -> Home:
    folder = tmp_path / "ho me"
    folder.mkdir()
    return Home(sky, folder)


def test_plain_ssh(home: Home) -> None:
    done = home.sky.ok("ssh-config")
    assert f"Hosts of namespace {home.sky.namespace}: box, box-1" in done.err, done
    full = f"box.{home.sky.namespace}"
    long = next(name for name in home.knows() if name.startswith(f"{full}."))
    assert home.says("box", "echo $SKYPILOT_NODE_RANK") == "0\n"
    assert home.says("box-1", "echo $SKYPILOT_NODE_RANK") == "1\n"
    assert home.says(long, "echo $SKYPILOT_NODE_RANK") == "0\n"
    assert home.says(long.replace("box.", "box-1.", 1), "echo $SKYPILOT_NODE_RANK") == "1\n"
    (home.folder / "f").write_text("by scp")
    subprocess.run(["scp", "-q", "-F", home.config, home.folder / "f", "box:f"], check=True, timeout=60)
    assert home.says("box", "cat f") == "by scp"
    modes = {one.name: one.stat().st_mode & 0o777 for one in (home.folder / ".ssh").rglob("*")}
    assert modes["kubectl-sky"] == 0o700 and modes["config"] == 0o600 and modes["proxy"] == 0o700, modes


def test_no_private_key_is_here(home: Home, sky: Sky) -> None:
    home.sky.ok("ssh-config")
    home.says("box", "true")
    assert not [name for name, content in home.files().items() if b"PRIVATE KEY" in content]


def test_launch_and_down_keep_the_hosts(home: Home) -> None:
    """Also when several do so at one moment; a home that has none gets none."""
    home.sky.ok("ssh-config", "--namespace", home.sky.namespace)
    flags = ("--cpus", "0.05", "-d", "--", "sleep 600")
    two = [home.sky.start("launch", "-c", name, *flags) for name in ("one", "two")]
    for process in two:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert {"box", "box-1", "one", "two"} <= home.knows()
    assert home.says("two", "echo here") == "here\n"
    three = [home.sky.start("down", name) for name in ("one", "two")]
    three.append(home.sky.start("ssh-config"))
    for process in three:
        said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert {"one", "two"}.isdisjoint(home.knows()) and "box" in home.knows()
    known = (home.folder / ".ssh/kubectl-sky/known_hosts").read_text().splitlines()
    assert [line.split(".")[0] for line in known] == ["box"]
    gone = home.ssh("one", "true")
    assert gone.returncode == 255 and "resolve hostname one" in gone.stderr, gone


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_configuration_of_the_users_own(home: Home, text: bytes) -> None:
    home.config.parent.mkdir(mode=0o700)
    home.config.write_bytes(text)
    home.config.chmod(0o400)
    before = home.says("-G", "mine"), home.says("-G", "other")
    home.sky.ok("ssh-config")
    home.sky.ok("ssh-config")  # again changes nothing
    assert home.config.read_bytes().endswith(text) and home.config.read_bytes().count(b"Include") == 1
    assert (home.says("-G", "mine"), home.says("-G", "other")) == before
    assert home.says("box", "echo reached") == "reached\n"
    assert home.config.stat().st_mode & 0o777 == 0o400
    assert home.sky.ok("ssh-config", "--remove").err == f"Removed {home.folder}/.ssh/kubectl-sky\n"
    assert home.files() == {".ssh/config": text}
    assert "nothing to remove" in home.sky.ok("ssh-config", "--remove").err


def test_a_configuration_that_is_a_link(home: Home) -> None:
    home.config.parent.mkdir(mode=0o700)
    elsewhere = home.folder / "dotfiles"
    elsewhere.write_bytes(ODD["plain"])
    home.config.symlink_to("../dotfiles")
    home.sky.ok("ssh-config")
    assert home.config.is_symlink() and b"Include" in elsewhere.read_bytes()
    assert home.says("box", "echo reached") == "reached\n"
    home.sky.ok("ssh-config", "--remove")
    assert home.config.is_symlink() and home.files()["dotfiles"] == ODD["plain"]


def test_a_name_that_is_the_users_own(home: Home) -> None:
    home.config.parent.mkdir(mode=0o700)
    home.config.write_text("Host box\n  HostName box.example\n")
    said = home.sky.ok("ssh-config").err
    assert "hostname box.example" in home.says("-G", "box") and f"box.{home.sky.namespace}." in said
    assert home.says(next(name for name in home.knows() if name.startswith("box.")), "echo reached") == "reached\n"


def test_nothing_is_left(home: Home) -> None:
    home.sky.ok("ssh-config")
    assert home.files()
    home.sky.ok("ssh-config", "--remove")
    assert home.files() == {}


def test_a_cluster_that_was_made_anew(home: Home) -> None:
    """By somebody else: its host key is another, and ssh is told what to do."""
    flags = ("-c", "anew", "--cpus", "0.05", "-d", "--", "sleep 600")
    home.sky.ok("launch", *flags)
    home.sky.ok("ssh-config")
    assert home.says("anew", "echo first") == "first\n"
    other = Sky(home.sky.namespace, home.sky.kubeconfig)
    other.ok("down", "anew")
    gone = home.ssh("anew", "true")
    assert gone.returncode == 255 and "there is no cluster 'anew'" in gone.stderr, gone
    other.ok("launch", *flags)
    changed = home.ssh("anew", "true")
    assert changed.returncode == 255 and "was launched anew" in changed.stderr and "ssh-config" in changed.stderr, (
        changed
    )
    home.sky.ok("ssh-config")
    assert home.says("anew", "echo second") == "second\n"
    other.ok("down", "anew")


def test_code(home: Home) -> None:
    """The editor itself is on no registry: this one writes down what it was called with."""
    tool = home.folder / "bin/code"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{home.folder}/argv"\nexit 3\n')
    tool.chmod(0o755)
    home.sky.env["PATH"] = f"{tool.parent}:/usr/local/bin:/usr/bin:/bin"
    early = home.sky.run("code", "box")
    assert early.code == 1 and "once: kubectl sky ssh-config" in early.err, early
    home.sky.ok("ssh-config")
    for words, expected in (
        (["box-1"], ["--remote", "ssh-remote+box-1", "/root"]),
        (["box", "/etc"], ["--remote", "ssh-remote+box", "/etc"]),
    ):
        done = home.sky.run("code", *words)
        assert done.code == 3, done
        assert (home.folder / "argv").read_text().splitlines() == expected
    missing = home.sky.run("code", "box", "/no such")
    assert missing.code == 1 and "/no such" in missing.err, missing
    unknown = home.sky.run("code", "box", "--editor", "cursor")
    assert unknown.code == 1 and "cursor was not found on PATH" in unknown.err, unknown
    tool.unlink()
    url = home.sky.ok("code", "box", "/etc").out
    assert url == "vscode://vscode-remote/ssh-remote+box/etc\n"
