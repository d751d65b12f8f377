"""What works over ssh, with the programs themselves: files, git, a mounted folder, Ansible, Paramiko."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from tests.cluster.binaries import ensure_programs
from tests.e2e.plain_ssh import Machine, machines

PACKAGES = {"scp": "openssh-client", "sftp": "openssh-client", "rsync": "rsync", "git": "git", "sshfs": "sshfs"}
ANY_IMAGE = ("busybox", "nonroot", "restricted")


@pytest.fixture(scope="module")
def found(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Machine]]:
    ensure_programs(PACKAGES)
    with machines(kubeconfig, tmp_path_factory.mktemp("ssh"), (*ANY_IMAGE, "own-sshd")) as found:
        yield found


@pytest.fixture(params=ANY_IMAGE)
def machine(found: dict[str, Machine], request: pytest.FixtureRequest) -> Machine:
    """In an image that has none of these programs."""
    return found[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of all sorts."""
    folder = tmp_path / "folder"
    (folder / "with space" / "empty").mkdir(parents=True)
    (folder / "with space" / "ä ö.bin").write_bytes(os.urandom(3_000_000))
    (folder / "nothing").touch()
    script = folder / "script.sh"
    script.write_text("#!/bin/sh\necho script\n")
    script.chmod(0o750)
    (folder / "link").symlink_to("script.sh")
    return folder


def do(machine: Machine, *argv: str | Path, stdin: str = "", **env: str) -> str:
    """Runs a program that must succeed; what it printed."""
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, timeout=120, env={**machine.environment(), **env}
    )
    assert done.returncode == 0, done
    return done.stdout


def same(one: Path, other: Path) -> None:
    """The same files, of the same modes."""
    found = subprocess.run(["diff", "-r", "--no-dereference", one, other], capture_output=True, text=True)
    assert not found.stdout + found.stderr
    assert (other / "script.sh").stat().st_mode == (one / "script.sh").stat().st_mode


@pytest.mark.parametrize("protocol", ("-O", "-s"), ids=("scp", "sftp"))
def test_scp(machine: Machine, folder: Path, tmp_path: Path, protocol: str) -> None:
    (folder / "link").unlink()  # scp follows them
    there = f"{machine.name}:by{protocol}"
    do(machine, "scp", protocol, "-F", machine.config, "-r", "-p", folder, there)
    do(machine, "scp", protocol, "-F", machine.config, "-r", "-p", there, tmp_path / "back")
    same(folder, tmp_path / "back")


def test_sftp(machine: Machine, folder: Path, tmp_path: Path) -> None:
    batch = f"""
        mkdir box
        cd box
        lcd {folder}
        put -r -p . .
        rename nothing something
        chmod 600 something
        symlink something link2
        ls -l
        pwd
        get something {tmp_path}/got
        get "with space/ä ö.bin" {tmp_path}/bin
        rm link2
    """
    said = do(machine, "sftp", "-F", machine.config, "-b", "-", machine.name, stdin=batch)
    assert f"Remote working directory: {machine.home}/box" in said
    assert (tmp_path / "got").read_bytes() == b""
    assert (tmp_path / "bin").read_bytes() == (folder / "with space" / "ä ö.bin").read_bytes()


def test_rsync(machine: Machine, folder: Path, tmp_path: Path) -> None:
    shell = f"ssh -F {machine.config}"
    there = f"{machine.name}:synced/"
    do(machine, "rsync", "-a", "--delete", "-e", shell, f"{folder}/", there)
    (folder / "nothing").unlink()
    (folder / "more").write_text("more")
    said = do(machine, "rsync", "-a", "--delete", "-i", "-e", shell, f"{folder}/", there)
    assert "*deleting   nothing" in said and "<f+++++++++ more" in said and "bin" not in said, said
    do(machine, "rsync", "-a", "-e", shell, there, tmp_path / "back")
    same(folder, tmp_path / "back")


def test_git(found: dict[str, Machine], tmp_path: Path) -> None:
    machine = found["own-sshd"]
    machine.out("git init -q --bare -b main project.git")
    shell = {"GIT_SSH_COMMAND": f"ssh -F {machine.config}"}
    author = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    here = tmp_path / "project"
    do(machine, "git", "init", "-q", "-b", "main", here)
    (here / "file").write_bytes(os.urandom(5_000_000))
    do(machine, "git", "-C", here, "add", "file")
    do(machine, "git", "-C", here, *author, "commit", "-q", "-m", "first")
    do(machine, "git", "-C", here, "push", "-q", f"{machine.name}:project.git", "main", **shell)
    do(machine, "git", "clone", "-q", f"{machine.name}:project.git", tmp_path / "clone", **shell)
    assert (tmp_path / "clone" / "file").read_bytes() == (here / "file").read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this machine has no /dev/fuse")
def test_sshfs(machine: Machine, folder: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    machine.out("mkdir mounted")
    do(machine, "sshfs", "-o", "idmap=user", "-F", machine.config, f"{machine.name}:mounted", mounted)
    try:
        keep = "--preserve=mode,timestamps,links"  # not owners: the user there is another one
        subprocess.run(["cp", "-r", "-P", keep, f"{folder}/.", mounted], check=True)
        same(folder, mounted)
        assert machine.out("cd mounted && ./link") == "script\n"
        (mounted / "nothing").unlink()
    finally:
        subprocess.run(["fusermount3", "-u", mounted], check=True)
    assert machine.run("test -e mounted/nothing").returncode == 1


def test_paramiko(machine: Machine) -> None:
    settings = paramiko.SSHConfig.from_path(str(machine.config.parent / "kubectl-sky" / "config")).lookup(machine.name)
    client = paramiko.SSHClient()
    client.load_host_keys(settings["userknownhostsfile"])
    proxy = paramiko.ProxyCommand(settings["proxycommand"])
    with client:
        client.connect(settings["hostkeyalias"], username=settings["user"], password="", sock=proxy, timeout=30)
        stdin, stdout, stderr = client.exec_command("cat; echo err >&2; exit 3")
        stdin.write("given")
        stdin.channel.shutdown_write()
        assert (stdout.read(), stderr.read(), stdout.channel.recv_exit_status()) == (b"given", b"err\n", 3)
        with client.open_sftp() as sftp, sftp.open("by-paramiko", "w") as file:
            file.write(b"x" * 1_000_000)
        assert client.exec_command("wc -c <by-paramiko")[1].read().strip() == b"1000000"


def test_ansible(found: dict[str, Machine], tmp_path: Path) -> None:
    machine = found["own-sshd"]
    inventory = tmp_path / "hosts"
    inventory.write_text(f"{machine.name} ansible_ssh_common_args='-F {machine.config}'\n")
    ansible = Path(sys.executable).with_name("ansible")
    env = {"ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    said = do(machine, ansible, "-i", inventory, "all", "-m", "ping", **env)
    assert f"{machine.name} | SUCCESS" in said and '"ping": "pong"' in said
    (tmp_path / "text").write_text("text\n")
    copy = f"src={tmp_path}/text dest=/root/by-ansible mode=0600"
    assert "CHANGED" in do(machine, ansible, "-i", inventory, "all", "-m", "copy", "-a", copy, **env)
    assert machine.out("cat by-ansible") == "text\n"
