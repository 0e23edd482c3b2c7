"""Keeping a library: nothing is lost, nothing is half written, nothing that is damaged is believed."""

import dataclasses
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.communication import spelled
from knowledge_graph import files, storage
from knowledge_graph.library import Library
from knowledge_graph.views import Views
from tests.knowledge_graph.handmade import library_on, planted, views_on
from tests.knowledge_graph.known import assert_same, directions, put_in, unified_of

SMALL = 12
"""Probe objects of a library whose file is so small that every byte of it can be tried."""


def lived() -> Library:
    """A library with words, sources, agents who come and go, events of several kinds."""
    features, truth = planted()
    library = Library(
        probe=np.arange(150),
        features=features[:150].astype(np.float32),
        feature_names=[f"Länge {i}" for i in range(48)],
        spell=spelled,
        method="gcca",
        count="shared",
    )
    poorer = truth.copy()
    poorer[:, 0], poorer[:, 1] = 0.0, truth[:, 2]
    for number, known in enumerate((truth, poorer, truth)):
        rng = np.random.default_rng(number)
        views = views_on(features, known, agents=40 + 10 * number, seed=number)
        words = rng.integers(-1, 30, views.words.shape).astype(np.int32)
        sources = rng.integers(-1, 150, (*views.held.shape, 3)).astype(np.int32)
        library.merge(dataclasses.replace(views, words=words, sources=sources), step=7 * number, n_words=30)
    return library


@pytest.fixture(scope="module")
def library() -> Library:
    return lived()


def small() -> Library:
    library = Library(probe=np.arange(SMALL), features=np.random.default_rng(0).standard_normal((SMALL, 3)))
    b = directions(2, objects=SMALL)
    put_in(library, unified_of(b, weights=np.ones((3, 2)), loadings=np.ones((3, 2))))
    put_in(library, unified_of(b[:, :1], weights=np.ones((3, 1)), loadings=np.ones((3, 1))))
    return library


def test_a_library_is_loaded_as_it_was_saved_to_the_last_bit(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "library.npz")
    again = Library.load(tmp_path / "library.npz")
    assert_same(library, again)
    for name in ("probe", "features"):
        assert getattr(again, name).dtype == getattr(library, name).dtype
        np.testing.assert_array_equal(getattr(again, name), getattr(library, name))
    assert (again.feature_names, again.method, again.count) == (library.feature_names, "gcca", "shared")
    for r in range(4):
        assert_same(library.at(r), again.at(r))
    assert str(library.explain("c1")) == str(again.explain("c1"))
    assert library.to_pandas("words").equals(again.to_pandas("words"))


def test_words_are_spelled_as_they_were_and_by_any_other_speller_that_is_given(
    library: Library, tmp_path: Path
) -> None:
    library.save(tmp_path / "library.npz")
    again = Library.load(tmp_path / "library.npz")
    used = {int(word) for round_ in library.rounds for word in np.unique(round_.views.words)} - {-1}
    used |= set(library.names.values())
    assert len(used) >= 30
    assert {word: again.spell(word) for word in used} == {word: spelled(word) for word in used}
    assert again.spell(10**6) == "w1000000"  # nobody has used it yet
    assert pickle.loads(pickle.dumps(again.spell))(3) == spelled(3)
    assert Library.load(tmp_path / "library.npz", spell=str).spell(3) == "3"


@pytest.mark.parametrize(
    "empty",
    [
        Library(),
        Library(probe=np.arange(5), method="clustering", count="common"),
        Library(feature_names=["a", "b"]),
    ],
    ids=["nothing", "objects", "features"],
)
def test_a_library_that_has_not_merged_anything_can_be_kept_too(empty: Library, tmp_path: Path) -> None:
    empty.save(tmp_path / "library.npz")
    again = Library.load(tmp_path / "library.npz")
    assert_same(empty, again)
    assert (again.features, again.feature_names) == (None, empty.feature_names)
    assert (again.method, again.count) == (empty.method, empty.count)


def test_views_keep_what_they_weigh_where_they_tell_it_and_nothing_where_they_do_not(tmp_path: Path) -> None:
    features, truth = planted()
    views = views_on(features, truth, agents=40)
    phi = np.broadcast_to(np.eye(3, dtype=np.float32), (40, 3, 3)).copy()
    by_features = dataclasses.replace(views, levels=None, structure=views.loading, phi=phi)
    by_objects = Views.of(levels=views.levels)
    for one, known in ((by_features, {"sensor", "loading"}), (by_objects, set())):
        library = Library(probe=np.arange(150) if one is by_objects else ())
        library.merge(one)
        library.save(tmp_path / "library.npz")
        again = Library.load(tmp_path / "library.npz")
        assert_same(library, again)
        optional = {"levels", "sensor", "loading", "structure", "phi"}
        assert {name for name in optional if getattr(again.views, name) is not None} == known


def test_saving_twice_gives_the_same_bytes_also_after_loading(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "first.npz")
    library.save(tmp_path / "second.npz")
    Library.load(tmp_path / "first.npz").save(tmp_path / "third.npz")
    first = (tmp_path / "first.npz").read_bytes()
    assert first == (tmp_path / "second.npz").read_bytes() == (tmp_path / "third.npz").read_bytes()
    assert storage.to_bytes(lived()) == first


def test_a_loaded_library_goes_on_as_the_saved_one_does(library: Library, tmp_path: Path) -> None:
    features, truth = planted()
    library.save(tmp_path / "library.npz")
    here, there = library.copy(), Library.load(tmp_path / "library.npz", spell=spelled)
    for one in (here, there):
        one.merge(views_on(features, truth[:, ::-1], agents=30, seed=8), step=50, n_words=60)
    assert_same(here, there)


def test_another_process_loads_the_same(library: Library, tmp_path: Path) -> None:
    library.save(tmp_path / "library.npz")
    script = (
        "import sys; from knowledge_graph.library import Library; a = Library.load(sys.argv[1]); "
        "a.save(sys.argv[2]); print(a, '|', a.concept('c1').agents()[:3])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "library.npz", tmp_path / "again.npz"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{library} | {library.concept('c1').agents()[:3]}\n"
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "library.npz").read_bytes()


@pytest.mark.parametrize("breaking", ["replace", "fsync"])
def test_saving_that_fails_leaves_the_old_file_and_no_other(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaking: str
) -> None:
    path = tmp_path / "library.npz"
    small().save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, breaking, full)
    with pytest.raises(OSError, match="No space left"):
        library.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["library.npz"]
    assert_same(Library.load(path), small())
    library.save(path)
    assert_same(Library.load(path), library)


def refused(path: Path, data: bytes) -> str:
    """What loading a file with these bytes says: always a ValueError, one sentence that names the file."""
    path.write_bytes(data)
    with pytest.raises(ValueError) as told:  # noqa: PT011 - the text is looked at here
        Library.load(path)
    assert type(told.value) is ValueError
    text = str(told.value)
    assert text.startswith(f"{path} is ")
    assert "\n" not in text
    return text


def test_a_file_that_is_not_there_or_no_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Library.load(tmp_path / "nothing.npz")
    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        Library.load(tmp_path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    data = storage.to_bytes(small())
    for end in [*range(0, len(data), 97), *range(len(data) - 40, len(data))]:
        assert "save it anew" in refused(tmp_path / "library.npz", data[:end])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_file_with_a_flipped_bit_is_refused_or_loads_as_it_was(tmp_path: Path, where: float, bit: int) -> None:
    # Some bytes of an archive say nothing: dates, for example.
    library = small()
    data = bytearray(storage.to_bytes(library))
    data[int(where * len(data))] ^= 1 << bit
    (tmp_path / "library.npz").write_bytes(data)
    try:
        found = Library.load(tmp_path / "library.npz")
    except ValueError:
        refused(tmp_path / "library.npz", bytes(data))
    else:
        assert_same(found, library)


def rewritten(change: Callable[[dict[str, np.ndarray]], None], library: Library | None = None) -> bytes:
    """The file of a small library, with its arrays changed."""
    with np.load(io.BytesIO(storage.to_bytes(small() if library is None else library))) as archive:
        arrays = {name: archive[name] for name in archive.files}
    change(arrays)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_a_member_whose_header_is_damaged_but_readable_is_refused(tmp_path: Path) -> None:
    # Who reads only as much as the header says never comes to the checksum of a long member.
    library = Library(probe=np.arange(2000))
    put_in(library, unified_of(directions(2, objects=2000)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(storage.to_bytes(library))) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    stored = buffer.getvalue()
    assert_same(Library.load(_written(tmp_path, stored)), library)
    at = stored.index(b"state/1/unified/scores.npy")
    for old, new in ((b"'<f8'", b"'<f4'"), (b"(2000, 2)", b"(2000, 1)"), (b"'<f8'", b"'>f8'")):
        damaged = stored[:at] + stored[at:].replace(old, new, 1)
        assert damaged != stored
        assert "damaged" in refused(tmp_path / "library.npz", damaged)


def _written(directory: Path, data: bytes) -> Path:
    path = directory / "library.npz"
    path.write_bytes(data)
    return path


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.npz"
    other = io.BytesIO()
    np.savez(other, features=np.ones(3))
    assert "is not a library" in refused(path, other.getvalue())
    plain = io.BytesIO()
    np.save(plain, np.ones(3))
    for data in (plain.getvalue(), b"", b"hello", b"PK\x05\x06" + bytes(18), pickle.dumps({"about": 1})):
        assert "is not a library" in refused(path, data)


def test_a_library_of_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    def told(**changes: object) -> Callable[[dict[str, np.ndarray]], None]:
        def change(arrays: dict[str, np.ndarray]) -> None:
            about = json.loads(str(arrays["about"])) | changes
            arrays["about"] = np.array(json.dumps({name: value for name, value in about.items() if value != "none"}))

        return change

    path = tmp_path / "library.npz"
    assert "version 2, but this program reads version 1" in refused(path, rewritten(told(version=2)))
    assert "version None" in refused(path, rewritten(told(version=None)))
    assert "is not a library" in refused(path, rewritten(told(version="none")))
    assert "is not a library" in refused(path, rewritten(told(format="other")))
    assert "damaged" in refused(path, rewritten(told(words=[])))
    assert "damaged" in refused(path, rewritten(told(feature_names=["one"])))


class Dangerous:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (os.environ["NEVER_MADE"],)


def test_nothing_is_ever_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEVER_MADE", str(tmp_path / "made"))

    def put(name: str) -> Callable[[dict[str, np.ndarray]], None]:
        def change(arrays: dict[str, np.ndarray]) -> None:
            arrays[name] = np.array([Dangerous()], dtype=object)

        return change

    for name in ("about", "probe", "state/scalars", "state/1/views/agent", "something else"):
        refused(tmp_path / "library.npz", rewritten(put(name)))
    refused(tmp_path / "library.npz", pickle.dumps(Dangerous()))
    assert not (tmp_path / "made").exists()


def _without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda arrays: arrays.__delitem__(name)


def test_a_library_with_parts_missing_or_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "library.npz"
    with np.load(io.BytesIO(storage.to_bytes(small()))) as archive:
        names = archive.files
    assert len(names) > 30
    for name in names:
        refused(path, rewritten(_without(name)))
        refused(path, rewritten(lambda arrays, name=name: arrays.update({name: np.array(7)})))
        refused(path, rewritten(lambda arrays, name=name: arrays.update({name: np.zeros((9, 9, 9, 9))})))

    def beyond(arrays: dict[str, np.ndarray]) -> None:
        arrays["state/2/membership"] = arrays["state/2/membership"] * 0 + 5

    assert "names concepts that there are not" in refused(path, rewritten(beyond))
    nothing = Library(probe=np.arange(SMALL))
    put_in(nothing, unified_of(directions(2, objects=SMALL)))
    put_in(nothing, unified_of(np.zeros((SMALL, 0))))
    assert "names concepts that there are not" in refused(path, rewritten(beyond, nothing))


def test_what_holds_something_else_is_called_by_where_it_is(tmp_path: Path) -> None:
    for name, where in (("probe", "probe of the library"), ("state/2/seen", "seen of merge 2")):
        spoiled = rewritten(lambda arrays, name=name: arrays.update({name: np.array("a")}))
        assert f"{where} holds <U1 values" in refused(tmp_path / "library.npz", spoiled)


def test_whole_numbers_without_a_sign_are_refused_since_minus_one_means_nothing(tmp_path: Path) -> None:
    def unsigned(arrays: dict[str, np.ndarray]) -> None:
        arrays["state/2/membership"] = arrays["state/2/membership"].astype(np.uint64)

    assert "membership of merge 2 holds uint64 values" in refused(tmp_path / "library.npz", rewritten(unsigned))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"kind": "return"}, "merge 1 tells of a return of c1, which never went"),
        ({"kind": "split"}, "merge 1 tells of a split without a parent"),
        ({"kind": "split", "parents": ["c1"]}, "merge 1 tells of a split without a parent"),
        ({"kind": "split", "parents": ["c9"]}, "merge 1 tells of c9, which never was"),
        ({"concept": "c2"}, "merge 1 tells of a birth of c2, which has been there before"),
    ],
)
def test_a_history_that_cannot_have_been_is_refused(change: dict[str, object], complaint: str, tmp_path: Path) -> None:
    def forge(arrays: dict[str, np.ndarray]) -> None:
        scalars = json.loads(str(arrays["state/scalars"]))
        first = next(event for event in scalars["rounds"][0]["events"] if event["concept"] == "c1")
        first |= change
        arrays["state/scalars"] = np.array(json.dumps(scalars))

    assert complaint in refused(tmp_path / "library.npz", rewritten(forge))


def test_a_state_that_does_not_fit_leaves_a_library_as_it_was(library: Library) -> None:
    other = library_on(planted()[0])
    broken = library.state()
    del broken["3/mean"]
    with pytest.raises(KeyError, match="3/mean"):
        other.restore(broken)
    assert other.rounds == []
    assert other.names == {}
