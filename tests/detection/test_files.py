"""Files: whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from detection import files
from detection.files import replacing, write_arrays, write_json


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


def test_arrays_are_read_as_they_were_written_and_have_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    arrays = {
        "vectors": np.arange(12, dtype=np.float32).reshape(3, 4).T,  # column by column in memory
        "none": np.zeros((0, 5), dtype=np.int64),
        "names": np.array(["ant", "Käse"]),
        "said": np.array('{"a": 1}'),
    }
    write_arrays(tmp_path / "a.npz", arrays)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_arrays(tmp_path / "b.npz", {name: array.copy() for name, array in arrays.items()})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert np.array_equal(found[name], array)


def test_objects_are_no_arrays_of_plain_values(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(tmp_path / "a.npz", {"objects": np.array([{}, None])})
    assert not list(tmp_path.iterdir())


def test_only_what_a_killed_program_had_begun_to_write_is_swept_away(tmp_path):
    names = {".0123456789abcdef.tmp", ".hidden.tmp", "last.pt", "notes.tmp"}
    for name in names:
        (tmp_path / name).touch()
    files.remove_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names - {".0123456789abcdef.tmp"}
