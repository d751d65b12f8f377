"""What differs between users' machines is in system/ alone, and both of its sides have the same names.

That of Windows itself is run by tests/windows.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubectl_sky import system
from kubectl_sky.ssh import places, program, proxy

SOURCES = Path(system.__file__).parents[1]
POSIX, WINDOWS = SOURCES / "system" / "posix.py", SOURCES / "system" / "windows.py"
# what Windows' Python lacks, or has and does not do
MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "select", "termios", "tty"}
NAMES = {
    "SIGHUP", "SIGKILL", "SIGWINCH", "fchmod", "fork", "geteuid", "getuid", "killpg", "mkfifo", "pass_fds", "readv",
    "setsid", "start_new_session", "sysconf", "text=True", "universal_newlines", "writev",
}  # fmt: skip
ALLOWED = {"dev/inotify.py": {"select"}, "timings.py": {"sysconf"}, "files/collect.py": {"getuid"}}  # not reached there


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCES.rglob("*.py")):
        if path.parent.name not in ("system", "remote"):
            yield str(path.relative_to(SOURCES)), ast.parse(path.read_text("utf-8"))


def found(tree: ast.Module) -> Iterator[str]:
    """Modules imported, attributes of os and signal, keywords of calls, and text files without an encoding."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("os", "signal"):
            yield node.attr
        elif isinstance(node, ast.Call):
            yield from (keyword.arg or "" for keyword in node.keywords)
            yield from ("text=True" for one in node.keywords if ast.unparse(one) == "text=True")
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            if (name == "read_text" and not node.args) or (name == "write_text" and len(node.args) < 2):
                yield f"{name} without an encoding"


def test_nothing_else_is_of_one_system() -> None:
    wrong = MODULES | NAMES | {"read_text without an encoding", "write_text without an encoding"}
    used = {name: set(found(tree)) & wrong - ALLOWED.get(name, set()) for name, tree in sources()}
    assert {name: words for name, words in used.items() if words} == {}


def test_both_have_the_same_names() -> None:
    sides = []
    for path in (POSIX, WINDOWS):
        tree = ast.parse(path.read_text("utf-8"))
        functions = {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)}
        classes = {
            f"{node.name}.{one.name}": ast.unparse(one.args)
            for node in tree.body
            if isinstance(node, ast.ClassDef)
            for one in node.body
            if isinstance(one, ast.FunctionDef)
        }
        named = next(node.value for node in tree.body if isinstance(node, ast.Assign) and _is_all(node))
        assert isinstance(named, ast.List)
        names = {one.value for one in named.elts if isinstance(one, ast.Constant)}
        sides.append((names, {name: text for name, text in (functions | classes).items() if name[0] != "_"}))
    (names, posix), (others, windows) = sides
    assert names == others
    # some of posix.py's are the os module's own
    assert {name: windows.get(name) for name in posix if "._" not in name} == {
        name: text for name, text in posix.items() if "._" not in name
    }


def _is_all(node: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_lock_is_one_process_and_goes_with_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "lock"
    code = "import sys; from pathlib import Path; from kubectl_sky import system\n"
    code += "print(system.try_lock(system.open_lock(Path(sys.argv[1]))), flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=pipe, stdout=pipe, encoding="utf-8")
    assert other.stdout and other.stdin
    assert other.stdout.readline() == "True\n"
    mine = system.open_lock(path)
    assert not system.try_lock(mine)
    other.kill()
    other.communicate()
    assert system.try_lock(mine)
    os.close(mine)


def test_a_script_passes_words_on(tmp_path: Path) -> None:
    name, text = system.script("it", [sys.executable, "-c", "import sys; print(sys.argv[1:])", "a b"], "for a test")
    (tmp_path / name).write_text(text)
    done = subprocess.run(["/bin/sh", tmp_path / name, "c d", "*"], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "['a b', 'c d', '*']\n"


def test_the_variables_of_a_proxy() -> None:
    """Where there is no `env`, ssh-proxy sets them."""
    assert proxy.parse(["--node=1", "--env=KUBECONFIG=C:\\a b;D:\\c=d", "train"]) == (
        "train", 1, None, {"KUBECONFIG": "C:\\a b;D:\\c=d"},
    )  # fmt: skip
    assert proxy.parse(["train"])[3] == {}


def test_one_file_with_a_python_starts_itself_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "argv", ["kubectl-sky"])  # as typed, found on the PATH
    assert program.program() == [sys.executable]


def test_a_colon_is_a_task_here() -> None:
    """A drive is one on Windows alone."""
    assert places.parse("c:/x") == places.Place("c", "/x")
    assert places.parse("a\\b") == places.Place(None, "a\\b")
