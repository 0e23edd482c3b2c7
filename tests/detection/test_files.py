"""Files: whole or not at all."""

from __future__ import annotations

import pytest

from detection.files import replacing, write_json


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a") as stream:
        stream.write(b"new")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "a") as stream:  # noqa: PT012
        stream.write(b"half")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_json_never_holds_what_json_cannot(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"AP": float("nan")})
    assert not list(tmp_path.iterdir())
    write_json(tmp_path / "a.json", {"AP": None})
    assert (tmp_path / "a.json").read_text() == '{\n "AP": null\n}\n'
