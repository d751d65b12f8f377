"""Which scripts an image without a shell can run."""

import importlib
import sys
from pathlib import Path

import pytest

import kubectl_sky.remote


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(kubectl_sky.remote.__file__).parent))
    yield importlib.import_module("process")
    for name in ("process", "wire"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("/app", ["/app"]),
        ("# a comment\n\n/app --flag=1 x\n", ["/app", "--flag=1", "x"]),
        ("/app 'a  b' \"c d\"", ["/app", "a  b", "c d"]),
        ("/app '$HOME' '|'", ["/app", "$HOME", "|"]),
        (r"rsync --server . in\ it \$HOME \*", ["rsync", "--server", ".", "in it", "$HOME", "*"]),
        (r"/app \\$HOME", None),
        (r"/app a\ b*", None),
        ('/app "$HOME"', None),
        ("/app $HOME", None),
        ("/app | cat", None),
        ("A=1 /app", None),
        ("/app\n/app", None),
        ("/app 'unclosed", None),
        ("cd x && /app", None),
        ("", None),
    ],
)
def test_plain_words(process, script: str, words) -> None:
    assert process.plain_words(script) == words
