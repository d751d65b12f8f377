"""What stays at home: the same files as git says."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from kubectl_sky.files.collect import Mount, collect
from kubectl_sky.files.ignore import Patterns
from kubectl_sky.remote import frames


def git(folder: Path, *args: str) -> bytes:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"}
    env |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    return subprocess.run(["git", *args], cwd=folder, env=env, check=True, capture_output=True).stdout


def make(root: Path, *files: str) -> None:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(b"")


def names(root: Path, ignore: bool = True) -> set[str]:
    records = map(frames.decode, collect([Mount(root, "~/w", ignore)]).records)
    return {os.fsdecode(each.path) for each in records if each.kind not in frames.ROOTS}


def files(root: Path) -> set[str]:
    return {name for name in names(root) if not (root / name).is_dir() and not name.startswith(".git/")}


def test_no_rules_no_repository(tmp_path):
    make(tmp_path, "a", "d/b", "empty/")
    assert names(tmp_path) == {"a", "d", "d/b", "empty"}


def test_gits_own_rules(tmp_path):
    git(tmp_path, "init", "-q")
    make(
        tmp_path, "a.log", "kept.log", "sub/b.log", "sub/c", "build/x", "empty/", "by-exclude", "tracked.log", "d\n.log"
    )
    (tmp_path / ".gitignore").write_text("*.log\n!kept.log\nbuild/\n")
    (tmp_path / "sub" / ".gitignore").write_text("!b.log\n")
    (tmp_path / ".git" / "info" / "exclude").write_text("by-exclude\n")
    git(tmp_path, "add", "-f", "tracked.log")
    found = names(tmp_path)
    assert files(tmp_path) == {".gitignore", "kept.log", "sub/.gitignore", "sub/b.log", "sub/c", "tracked.log"}
    assert {"sub", "empty", ".git", ".git/HEAD"} <= found
    assert "build" not in found
    assert "build/x" in names(tmp_path, ignore=False)


def test_a_folder_inside_a_repository(tmp_path):
    git(tmp_path, "init", "-q")
    make(tmp_path, "work/a.log", "work/b", "ignored/c.log", "ignored/d", "ignored/.gitignore")
    (tmp_path / ".gitignore").write_text("*.log\nignored\n")
    (tmp_path / "ignored" / ".gitignore").write_text("d\n")
    assert files(tmp_path / "work") == {"b"}
    assert files(tmp_path / "ignored") == {"c.log", ".gitignore"}  # named by the user: its own rules only


def test_repositories_inside_repositories(tmp_path):
    git(tmp_path, "init", "-q")
    make(tmp_path, "inner/x", "inner/y.tmp")
    (tmp_path / ".gitignore").write_text("")
    git(tmp_path / "inner", "init", "-q")
    (tmp_path / "inner" / ".gitignore").write_text("*.tmp\n")
    assert files(tmp_path) - {name for name in names(tmp_path) if "/.git/" in name} == {
        ".gitignore", "inner/.gitignore", "inner/x",
    }  # fmt: skip


def test_gitignore_without_a_repository(tmp_path):
    make(tmp_path, "a.log", "b")
    (tmp_path / ".gitignore").write_text("*.log")
    assert files(tmp_path) == {"b", ".gitignore"}


def test_skyignore_replaces_gits_rules(tmp_path):
    git(tmp_path, "init", "-q")
    make(tmp_path, "a.log", "data/x", "data/keep", "code/data/y", "code/z")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / ".skyignore").write_text("/data/*\n!keep\n.git\n")
    (tmp_path / "code" / ".skyignore").write_text("z\n")
    assert names(tmp_path) == {
        "a.log", "data", "data/keep", "code", "code/data", "code/data/y", ".gitignore", ".skyignore", "code/.skyignore",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        (b"foo", b"a/foo", True),
        (b"/foo", b"a/foo", False),
        (b"a/foo", b"b/a/foo", False),
        (b"**/a/foo", b"b/a/foo", True),
        (b"a/**/b", b"a/b", True),
        (b"a/**/b", b"a/x/y/b", True),
        (b"a/**", b"a/x/y", True),
        (b"a/**", b"a", False),
        (b"*.p?", b"x.py", True),
        (b"[!a-c]", b"a", False),
        (b"[]-]", b"]", True),
        (b"[[:digit:]]x", b"4x", True),
        (rb"\!x", b"!x", True),
        (rb"\#x", b"#x", True),
        (b"#x", b"#x", False),
        (b"x ", b"x", True),
        (b"x\\ ", b"x ", True),
        (b"x\r", b"x", True),
        (b"a*b", b"a/b", False),
        (b"[a", b"[a", False),
        (b"a\\", b"a\\", False),
        (b"\xff*", b"\xffx", True),
        (b"*\n!*", b"x", False),
    ],
)
def test_patterns(pattern, path, ignored):
    assert bool(Patterns(pattern).verdict(path, False)) == ignored


def test_patterns_as_git_reads_them(tmp_path):
    """Random patterns over random trees: git decides (but for `a**/b`, which git reads other than it documents)."""
    rng = random.Random(4)
    parts = ["a", "b", "ab", "*", "**", "?", "[ab]", "[!a]", "a*", "*b", "\\a", "[a-b]b", "***", ".x", "[^b", " "]
    leaves = ["a", "b", "ab", "aab", ".x", "a b"]
    for turn in range(40):
        root = tmp_path / str(turn)
        paths = {"/".join(rng.choices(leaves, k=rng.randint(1, 4))) for _ in range(40)}
        for path in sorted(paths, key=len, reverse=True):
            if not (root / path).exists() and all(not (root / p).is_file() for p in map(str, Path(path).parents)):
                make(root, path)
        for folder in [root, *(path for path in root.iterdir() if path.is_dir())][:3]:
            lines = []
            for _ in range(rng.randint(1, 5)):
                line = "/".join(rng.choices(parts, k=rng.randint(1, 3)))
                lines.append(rng.choice(["", "", "!", "/"]) + line + rng.choice(["", "", "/", " "]))
            (folder / ".gitignore").write_text("\n".join(lines) + "\n")
            (folder / ".skyignore").write_text("\n".join(lines) + "\n")
        git(root, "init", "-q")
        listed = git(root, "ls-files", "--cached", "--others", "--exclude-per-directory=.skyignore", "-z")
        expected = {name for name in os.fsdecode(listed).split("\0") if name}
        assert files(root) == expected, [path.read_text() for path in root.rglob(".skyignore")]
