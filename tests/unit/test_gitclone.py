"""A workdir from git, with real servers: what arrives, what is kept, what a refusal says, and where a token is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from git_server import QUIET, Repository, Server, fake_ssh, git

from kubectl_sky import task as tasks
from kubectl_sky.errors import Failure, UsageError
from kubectl_sky.files import gitaccess, gitclone
from kubectl_sky.output import Progress
from kubectl_sky.task import Overrides, TaskErrors

TOKEN = "s3cret-t0ken"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in (gitaccess.TOKEN, gitaccess.KEY, "GIT_SSH_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**QUIET, "XDG_CACHE_HOME": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "cache"


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path / "repos" / "it")
    made.commit(a_txt="one\n", b_txt="b\n")
    return made


@pytest.fixture
def serve(tmp_path, monkeypatch):
    made = []

    def serve(token=""):
        made.append(Server(tmp_path / "repos", tmp_path / "cert.pem", token))
        for name, value in made[-1].env.items():
            monkeypatch.setenv(name, value)
        return made[-1]

    yield serve
    for server in made:
        server.close()


def fetch(url, ref=None):
    text = f"workdir:\n  url: {url}\n" + (f"  ref: '{ref}'\n" if ref else "") + "run: x\n"
    return gitclone.fetched(tasks.parse(text, "task.yaml")[0], Progress())


def refused(url, ref=None):
    with pytest.raises(Failure) as caught:
        fetch(url, ref)
    return caught.value


def text(url, ref=None):
    with fetch(url, ref) as found:
        return (found.task.workdir / "a.txt").read_text()


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_every_kind_of_ref(repository):
    first = git(repository.folder, "rev-parse", "HEAD")
    git(repository.folder, "tag", "-a", "v1", "-m", "x")
    git(repository.folder, "checkout", "-q", "-b", "feature/x")
    second = repository.commit(a_txt="two\n")
    git(repository.folder, "checkout", "-q", "main")
    repository.commit(a_txt="three\n")
    url = f"file://{repository.folder}"
    refs = {None: "three\n", "main": "three\n", "feature/x": "two\n", "v1": "one\n", first: "one\n", second: "two\n"}
    for ref, expected in refs.items():
        assert text(url, ref) == expected, ref
    for ref in (first[:8], second[:10]):
        assert text(url, ref) == refs[first if first.startswith(ref) else second]
    assert text(str(repository.folder), "v1") == "one\n", "a path"


def test_only_what_changed_is_new_and_what_went_is_gone(repository):
    url = f"file://{repository.folder}"
    with fetch(url) as found:
        folder = found.task.workdir
        before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}
        (folder / "litter").write_text("")
        (folder / "b.txt").write_text("meddled with")
    index = (folder / ".git" / "index").stat().st_mtime_ns
    git(repository.folder, "rm", "-q", "b.txt")
    repository.commit(c_txt="c\n")
    with fetch(url) as found:
        assert found.task.workdir == folder
        names = {path.name for path in folder.iterdir()}
        assert names == {".git", "a.txt", "c.txt"}
        assert (folder / "a.txt").stat().st_mtime_ns == before["a.txt"]
        index = (folder / ".git" / "index").stat().st_mtime_ns
    with fetch(url):
        assert (folder / ".git" / "index").stat().st_mtime_ns == index, "nothing to do, nothing done"
    assert git(folder, "rev-list", "--count", "HEAD") == "1", "no history"
    assert git(folder, "rev-parse", "HEAD") == git(repository.folder, "rev-parse", "main")
    assert git(folder, "config", "remote.origin.url") == url


def test_a_commit_that_is_there_needs_no_server(repository):
    url = f"file://{repository.folder}"
    commit = git(repository.folder, "rev-parse", "HEAD")
    assert text(url, commit) == "one\n"
    repository.folder.rename(repository.folder.with_name("gone"))
    assert text(url, commit) == "one\n"
    assert "there is no git repository" in refused(url).message


def test_two_at_once_and_one_that_was_killed(repository):
    url = f"file://{repository.folder}"
    with fetch(url) as one, fetch(url) as two:
        assert one.task.workdir != two.task.workdir
        first = one.task.workdir
    (first / ".git" / "index.lock").write_text("")
    (first / "a.txt").unlink()
    with fetch(url) as again:
        assert again.task.workdir == first and (first / "a.txt").exists()
    (first / ".git" / "HEAD").write_text("garbage")
    assert text(url) == "one\n"


def test_a_home_that_cannot_be_written(repository, home):
    home.write_text("in the way")
    with fetch(f"file://{repository.folder}") as found:
        folder = found.task.workdir
        assert (folder / "a.txt").exists()
    assert not folder.exists()


def test_a_token_goes_to_the_server_and_nowhere_else(repository, serve, tmp_path, home, monkeypatch):
    server = serve(TOKEN)
    url = f"https://{server.host}/it"
    log = tmp_path / "bin" / "git.log"
    log.parent.mkdir()
    script = log.with_name("git")
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" >> {log}\nexec /usr/bin/git "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{log.parent}:{os.environ['PATH']}")
    store = tmp_path / "stored"
    config = tmp_path / "gitconfig"
    config.write_text(f"[credential]\n\thelper = store --file={store}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))

    asks = refused(url)
    assert asks.message == f"workdir: {url} asks who you are" and "GIT_TOKEN" in asks.hint
    monkeypatch.setenv("GIT_TOKEN", "wrong")
    assert "does not accept the token of GIT_TOKEN" in refused(url).message
    monkeypatch.setenv("GIT_TOKEN", TOKEN)
    assert text(url) == "one\n"
    monkeypatch.delenv("GIT_TOKEN")
    repository.commit(a_txt="two\n")
    with fetch(f"https://me:{TOKEN}@{server.host}/it") as found:
        assert (found.task.workdir / "a.txt").read_text() == "two\n"
        assert git(found.task.workdir, "config", "remote.origin.url") == url
    assert any(server.asked)
    for where in (everything(home), log.read_bytes(), *[path.read_bytes() for path in (store,) if path.exists()]):
        assert TOKEN.encode() not in where
    assert b"fetch" in log.read_bytes()


def test_a_token_is_not_sent_elsewhere_or_in_clear():
    env = {"GIT_TOKEN": TOKEN, "GIT_DIR": "/elsewhere"}
    for url in ("http://host/it", "git@host:it", "ssh://host/it", "file:///it"):
        found = gitaccess.access(url, env)
        assert gitaccess.PASSWORD not in found.env and "GIT_DIR" not in found.env, url
    found = gitaccess.access("https://bitbucket.org/it", env)
    assert found.env[gitaccess.USER] == "x-token-auth" and TOKEN not in " ".join(found.options)
    assert TOKEN not in repr(found)


def test_refusals_name_what_is_wrong(repository, serve, tmp_path, monkeypatch):
    server = serve()
    url = f"https://{server.host}/it"
    git(repository.folder, "branch", "develop")
    absent = refused(url, "devlop")
    assert isinstance(absent, TaskErrors)
    told = f"task.yaml:3:8: workdir.ref: {url} has no branch, tag or commit 'devlop' (did you mean develop?)"
    assert told in absent.message
    assert "no branch, tag or commit" in refused(url, "ab" * 20).message
    none = refused(f"https://{server.host}/none")
    assert f"task.yaml:2:8: workdir.url: there is no git repository at https://{server.host}/none" in none.message
    assert "GIT_TOKEN" in none.message
    Repository(tmp_path / "repos" / "empty")
    assert "is empty" in refused(f"https://{server.host}/empty").message
    assert "cannot fetch https://127.0.0.1:1/it: " in refused("https://127.0.0.1:1/it").message
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = refused(url)
    assert isinstance(missing, UsageError) and "no git on this machine" in missing.message


def test_ssh_with_a_key(repository, tmp_path, monkeypatch):
    key = tmp_path / "a key"
    monkeypatch.setenv(gitaccess.KEY, str(key))
    monkeypatch.setenv("PATH", f"{fake_ssh(tmp_path / 'bin')}:{os.environ['PATH']}")
    url = f"git@example.test:{repository.folder}"
    assert f"cannot read the key {key}" in refused(url).message
    key.write_text("key")
    assert text(url) == "one\n"
    words = (tmp_path / "bin" / "ssh.log").read_text()
    assert f"-o IdentitiesOnly=yes -i {key} " in words and "BatchMode=yes" in words and "git@example.test" in words
    fake_ssh(tmp_path / "bin", "echo 'git@example.test: Permission denied (publickey).' >&2; exit 255")
    assert "does not accept the key that GIT_SSH_KEY_PATH names" in refused(url).message
    monkeypatch.delenv(gitaccess.KEY)
    assert "GIT_SSH_KEY_PATH" in refused(url).hint
    fake_ssh(tmp_path / "bin", "echo 'Host key verification failed.' >&2; exit 255")
    assert refused(url).hint == "make it known: ssh git@example.test"
    assert refused("ssh://me@example.test:22/x").hint == "make it known: ssh -p 22 me@example.test"


def with_submodule(repository, inner, url, name="lib"):
    """Adds the repository `inner` to the other as the submodule `name`, which it calls `url`."""
    git(repository.folder, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.folder), name)
    git(repository.folder, "config", "-f", ".gitmodules", f"submodule.{name}.url", url)
    return repository.commit()


def test_submodules_and_those_inside_of_them(repository, serve, tmp_path, monkeypatch, capsys):
    server = serve(TOKEN)
    monkeypatch.setenv(gitaccess.TOKEN, TOKEN)
    deep, lib = (Repository(tmp_path / "repos" / name) for name in ("deep", "lib"))
    deep.commit(d_txt="deep\n")
    lib.commit(l_txt="old\n")
    with_submodule(lib, deep, "../deep", "deep")
    old = git(lib.folder, "rev-parse", "HEAD")
    first = with_submodule(repository, lib, f"https://{server.host}/lib")
    lib.commit(l_txt="new\n")  # what is pinned is no branch's newest any more
    url = f"https://{server.host}/it"
    with fetch(url) as found:
        folder = found.task.workdir
        assert (folder / "lib/l.txt").read_text() == "old\n"
        assert (folder / "lib/deep/d.txt").read_text() == "deep\n"
        assert git(folder / "lib", "rev-parse", "HEAD") == old
        (folder / "lib/litter").write_text("")
        (folder / "lib/l.txt").write_text("meddled with")
    git(repository.folder / "lib", "pull", "-q")
    repository.commit()
    with fetch(url):
        assert (folder / "lib/l.txt").read_text() == "new\n"
        assert not (folder / "lib/litter").exists()
    with fetch(url, first):
        assert (folder / "lib/l.txt").read_text() == "old\n"
    assert "warning" not in capsys.readouterr().err
    assert TOKEN.encode() not in everything(tmp_path / "cache")


def test_a_token_does_not_go_to_a_submodule_elsewhere(repository, serve, tmp_path, monkeypatch, capsys):
    server, other = serve(TOKEN), serve(TOKEN)  # another port is another host
    bundle = tmp_path / "both.pem"
    bundle.write_text(server.certificate + other.certificate)
    monkeypatch.setenv("GIT_SSL_CAINFO", str(bundle))
    monkeypatch.setenv(gitaccess.TOKEN, TOKEN)
    lib = Repository(tmp_path / "repos" / "lib")
    lib.commit(l_txt="x\n")
    with_submodule(repository, lib, f"https://{other.host}/lib")
    with fetch(f"https://{server.host}/it") as found:
        assert (found.task.workdir / "a.txt").read_text() == "one\n"
        assert not (found.task.workdir / "lib/l.txt").exists()
    assert any(server.asked)
    assert other.asked
    assert not any(other.asked)
    told = capsys.readouterr().err
    assert f"the submodules of https://{server.host}/it are not all there" in told
    assert f"https://{other.host}/lib" in told


def test_a_submodule_cannot_be_a_folder_of_this_machine(repository, serve, tmp_path, capsys):
    server = serve()
    lib = Repository(tmp_path / "elsewhere" / "lib")
    lib.commit(l_txt="x\n")
    with_submodule(repository, lib, str(lib.folder))
    with fetch(f"https://{server.host}/it") as found:
        assert not (found.task.workdir / "lib/l.txt").exists()
    assert "not all there" in capsys.readouterr().err
    with fetch(str(repository.folder)) as found:  # whose own URL is one
        assert (found.task.workdir / "lib/l.txt").read_text() == "x\n"


def test_flags(tmp_path):
    def workdir(file, **flags):
        return tasks.parse(file, "task.yaml", Overrides(**flags), tmp_path)[0].workdir

    file = "workdir: {url: https://x/y, ref: main}\nrun: x"
    assert workdir("run: x", git_url="https://x/y") == tasks.GitSource("https://x/y", None)
    assert workdir("workdir: .\nrun: x", git_url="https://x/y", git_ref="v") == tasks.GitSource("https://x/y", "v")
    assert workdir(file, git_ref="dev") == tasks.GitSource("https://x/y", "dev")
    assert workdir(file, git_url="https://z") == tasks.GitSource("https://z", "main")
    for flags, words in (
        ({"git_ref": "v"}, "--git-ref: needs a git repository as workdir (give its --git-url too)"),
        ({"git_url": "https://x", "workdir": "."}, "--git-url: cannot be given together with --workdir"),
        ({"git_url": " "}, "--git-url: should not be empty"),
    ):
        with pytest.raises(TaskErrors) as caught:
            workdir("run: x", **flags)
        assert words in str(caught.value)
