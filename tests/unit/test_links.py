"""Links in the task's container to what is mounted elsewhere."""

import json

import pytest

from kubectl_sky.remote import links


def test_links_below_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SKY_LINKS", json.dumps({"~/a/data": "/sky/volumes/0"}))
    monkeypatch.setenv("SKY_LINKS_BUCKETS", json.dumps({"~/empty": "/sky/buckets/0"}))
    (tmp_path / "empty").mkdir()
    for _ in range(2):  # the container may start again
        links.make(str(tmp_path))
    assert (tmp_path / "a/data").readlink().as_posix() == "/sky/volumes/0"
    assert (tmp_path / "empty").readlink().as_posix() == "/sky/buckets/0"


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setenv("SKY_LINKS", json.dumps({"~/data": "/sky/volumes/0"}))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine").touch()
    with pytest.raises(SystemExit, match=r"~/data cannot be made a link .*: Directory not empty"):
        links.make(str(tmp_path))
    assert (tmp_path / "data/mine").exists()
