"""NAME:path and path, as cp reads them and as rsync gets them."""

from __future__ import annotations

import pytest

from kubectl_sky.errors import UsageError
from kubectl_sky.ssh import places
from kubectl_sky.ssh.places import Place


@pytest.mark.parametrize(
    "word, name, path",
    [
        ("train:", "train", ""),
        ("train-1:/tmp/x", "train-1", "/tmp/x"),
        ("train:a:b", "train", "a:b"),
        ("./a:b", None, "./a:b"),
        ("/a:b", None, "/a:b"),
        ("plain", None, "plain"),
        (":x", None, ":x"),
    ],
)
def test_a_word(word: str, name: str | None, path: str) -> None:
    assert places.parse(word) == Place(name, path)
    assert str(places.parse(word)) == word


@pytest.mark.parametrize(
    "place, argument",
    [
        (Place("t", ""), "."),
        (Place("t", "~"), "."),
        (Place("t", "~/a b"), "a b"),
        (Place("t", "-x"), "./-x"),
        (Place("t", "a:b"), "a:b"),
        (Place("t", "/-x"), "/-x"),
        (Place(None, "-x"), "./-x"),
        (Place(None, ":x"), "./:x"),
        (Place(None, "/a:b"), "/a:b"),
        (Place(None, "~"), "~"),
    ],
)
def test_nothing_can_be_taken_for_an_option_or_a_host(place: Place, argument: str) -> None:
    assert place.argument() == argument


def test_folders() -> None:
    assert [word for word in ("t:", "t:a/", ".", "t:~", "../", "a") if places.parse(word).into] == [
        "t:", "t:a/", ".", "t:~", "../",
    ]  # fmt: skip
    assert places.inside(Place("t", "-a")).path == "./-a/."
    assert places.folder(Place("t", "")).path == "./"
    assert places.itself(Place(None, "a//")).path == "a"
    assert places.itself(Place("t", "/")).path == "/"


@pytest.mark.parametrize(
    "words, message",
    [
        (["a"], "SRC"),
        (["a", "b"], "nothing here is on a cluster"),
        (["t:a", "b", "c"], "at one place"),
        (["t:a", "u:b", "c"], "at one place"),
        (["", "t:"], "empty"),
    ],
)
def test_no_copy(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        places.read(words)


def test_a_copy() -> None:
    assert places.read(["a", "b", "t:c"]).names == (None, "t")
    assert places.read(["t:a", "u:b"]).names == ("t", "u")
