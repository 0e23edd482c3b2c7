"""Two libraries side by side: the same run, another run of the same world, another world."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge_graph.comparing import MIN_COMMON, Difference
from knowledge_graph.history import RECOGNISED
from knowledge_graph.library import Library
from tests.knowledge_graph.handmade import FACTORS, OBJECTS, PROBE, library_on, planted, views_on
from tests.knowledge_graph.known import directions, put_in, unified_of


def lived(*, seed: int = 1, probe: np.ndarray | None = None, scale: float = 1.0, **about: object) -> Library:
    """A library of a society with ``seed`` in one and the same world, looked at through other objects if wanted."""
    features, truth = planted()
    chosen = np.arange(PROBE) if probe is None else probe
    # A world's scale depends on which objects a run trains on.
    features = features * np.linspace(1.0, scale, features.shape[1])
    views = views_on(features[chosen], truth, agents=60, seed=seed)
    library = Library(probe=chosen, features=features[chosen], **about)
    library.merge(views, n_words=100 * seed)
    return library


def turned(library: Library, sign: list[float]) -> Library:
    """The same library with some concepts the other way round."""
    other = library.copy()
    last, by = library.rounds[-1], np.array(sign)
    unified = dataclasses.replace(
        last.unified,
        scores=last.unified.scores * by,
        weights=last.unified.weights * by,
        loadings=last.unified.loadings * by,
        correlation=(last.unified.correlation * by).astype(np.float32),
    )
    other.rounds = [dataclasses.replace(last, unified=unified)]
    return other


def test_a_library_is_no_different_from_itself() -> None:
    library = lived()
    found = library.diff(library)
    assert (found.new, found.gone) == ((), ())
    assert all(kept.here == kept.there for kept in found.kept)
    assert {kept.here for kept in found.kept} == set(library.ids)
    np.testing.assert_allclose([kept.r for kept in found.kept], 1.0, atol=1e-9)
    assert not any(kept.renamed for kept in found.kept)
    assert str(found).startswith(
        f"{FACTORS} concepts kept, 0 of them renamed; 0 new, 0 gone\nmean |r| of those kept 1."
    )


def test_what_changed_within_a_run_is_what_its_history_says() -> None:
    features, truth = planted()
    library = library_on(features)
    poorer = truth.copy()
    poorer[:, 0], poorer[:, 1] = 0.0, truth[:, 2]
    for number, known in enumerate((truth, poorer)):
        library.merge(views_on(features, known, agents=60, seed=number), n_words=100)
    found = library.diff(library.at(1))
    assert {kept.here for kept in found.kept} == set(library.ids)
    assert all(kept.here == kept.there and kept.r > 0.9 for kept in found.kept)
    assert set(found.gone) == set(library.at(1).ids) - set(library.ids) != set()
    assert found.new == ()
    assert library.at(1).diff(library).new == found.gone


def test_another_run_of_the_same_world_finds_the_same_concepts_by_other_numbers_and_words() -> None:
    rng = np.random.default_rng(0)
    other = np.sort(rng.permutation(OBJECTS)[:PROBE])
    found = lived(seed=2, probe=other, scale=1.2).diff(lived(seed=1))
    assert len(found.kept) == FACTORS
    assert min(abs(kept.r) for kept in found.kept) > 0.9
    assert all(kept.renamed for kept in found.kept)
    assert {kept.word_here for kept in found.kept} == {f"w{200 + i}" for i in range(FACTORS)}
    assert {kept.word_there for kept in found.kept} == {f"w{100 + i}" for i in range(FACTORS)}
    assert f"{FACTORS} of them renamed" in str(found)


def test_another_run_that_shares_no_object_is_compared_by_the_features_alone() -> None:
    found = lived(seed=2, probe=np.arange(PROBE, 2 * PROBE)).diff(lived(seed=1))
    assert len(found.kept) == FACTORS
    assert min(abs(kept.r) for kept in found.kept) > 0.9


def test_concepts_turned_round_are_the_same_with_a_negative_r() -> None:
    library = lived()
    sign = [1.0, -1.0, 1.0, 1.0, -1.0, 1.0]
    found = turned(library, sign).diff(library)
    assert {kept.here: round(kept.r, 9) for kept in found.kept} == dict(zip(library.ids, sign, strict=True))
    assert all(kept.here == kept.there for kept in found.kept)


def test_concepts_by_other_words_are_kept_and_called_renamed() -> None:
    library, other = lived(), lived()
    other.names["c2"], other.names["c5"] = 77, 78
    found = other.diff(library)
    renamed = {kept.here: (kept.word_there, kept.word_here) for kept in found.kept if kept.renamed}
    assert renamed == {"c2": ("w101", "w77"), "c5": ("w104", "w78")}
    assert len(found.kept) == FACTORS


def test_support_and_likeness_are_told_for_both_sides() -> None:
    b = directions(4)
    here, there = Library(probe=np.arange(40)), Library(probe=np.arange(40))
    put_in(there, unified_of(b[:, :3], support=[0.9, 0.5, 0.2]), n_words=0)
    put_in(here, unified_of(np.stack([-b[:, 1], b[:, 3], b @ [0.8, 0, 0.6, 0]], axis=1)), n_words=0)
    found = here.diff(there)
    first, second = found.kept
    assert (first.here, first.there, first.support_here, first.support_there) == ("c1", "c2", 0.9, 0.5)
    assert abs(first.r) == pytest.approx(1.0)
    assert (second.there, abs(second.r)) == ("c1", pytest.approx(0.8))
    assert (found.new, found.gone) == (("c2",), ("c3",))
    table = found.to_pandas()
    assert table["change"].tolist() == ["renamed", "renamed", "new", "gone"]
    assert table["here"].tolist()[2] == "c2"
    assert table["there"].tolist()[3] == "c3"
    assert table.columns.tolist()[-1] == "change"


def test_weak_likenesses_do_not_part_concepts_that_are_the_same() -> None:
    b = directions(4)
    here, there = Library(probe=np.arange(40)), Library(probe=np.arange(40))
    put_in(there, unified_of(b[:, :2]))
    new = np.stack([b @ [0.6, 0.3, np.sqrt(0.55), 0], b @ [0.45, 0, 0, np.sqrt(1 - 0.45**2)]], axis=1)
    put_in(here, unified_of(new))
    found = here.diff(there)
    assert [(kept.here, kept.there) for kept in found.kept] == [("c1", "c1")]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_what_is_new_here_is_gone_seen_from_there(seed: int, k: int, j: int, described: bool) -> None:
    rng = np.random.default_rng(seed)
    b = directions(5)

    def made(n: int, probe: np.ndarray) -> Library:
        scores = b @ np.linalg.qr(rng.standard_normal((5, 5)))[0][:, :n]
        features = rng.standard_normal((5, 6))
        library = Library(probe=probe, features=(b @ np.eye(5, 6))[probe] if described else None)
        weights = (np.linalg.pinv(b @ np.eye(5, 6)) @ scores) if described else None
        put_in(library, unified_of(scores[probe], weights=weights, loadings=weights), n_words=int(features[0, 0] > 0))
        return library

    here, there = made(k, np.arange(30)), made(j, np.arange(10, 40))
    forth, back = here.diff(there), there.diff(here)
    assert (forth.new, forth.gone) == (back.gone, back.new)
    turned_back = {(one.there, one.here, round(one.r, 9), one.word_there, one.support_here) for one in back.kept}
    assert {
        (one.here, one.there, round(one.r, 9), one.word_here, one.support_there) for one in forth.kept
    } == turned_back
    assert all(RECOGNISED <= abs(one.r) <= 1 for one in forth.kept)
    assert sorted([*forth.new, *(one.here for one in forth.kept)]) == sorted(here.ids)
    assert sorted([*forth.gone, *(one.there for one in forth.kept)]) == sorted(there.ids)


def test_a_library_without_concepts_differs_in_all() -> None:
    library, empty = lived(), Library(probe=np.arange(3))
    assert library.diff(empty) == Difference(kept=(), new=library.ids, gone=())
    assert empty.diff(library) == Difference(kept=(), new=(), gone=library.ids)
    assert str(empty.diff(empty)) == "0 concepts kept, 0 of them renamed; 0 new, 0 gone"
    assert len(empty.diff(empty).to_pandas()) == 0


def other_world(**about: object) -> Library:
    features, truth = planted(seed=5)
    library = Library(probe=np.arange(PROBE), features=features[:PROBE], **about)
    library.merge(views_on(features, truth, agents=60))
    return library


def test_libraries_of_different_worlds_are_refused_with_a_sentence() -> None:
    library = lived()
    with pytest.raises(ValueError, match="150 probe objects that are in both by their numbers look different"):
        library.diff(other_world())
    names = [f"pixel {i}" for i in range(48)]
    with pytest.raises(ValueError, match="their objects have different features"):
        library.diff(other_world(feature_names=names))
    fewer = Library(probe=np.arange(40), features=np.random.default_rng(0).standard_normal((40, 20)))
    put_in(fewer, unified_of(directions(2), weights=np.ones((20, 2)), loadings=np.ones((20, 2))))
    for one, other in ((library, fewer), (fewer, library)):
        with pytest.raises(ValueError, match=r"different features \((48 and 20|20 and 48) of them\)"):
            one.diff(other)


def test_libraries_with_too_few_objects_in_common_and_nothing_else_are_refused() -> None:
    scores = directions(2, objects=100)

    def knowing(first: int) -> Library:
        library = Library(probe=np.arange(first, first + 40))
        put_in(library, unified_of(scores[first : first + 40]))
        return library

    with pytest.raises(ValueError, match=f"only {MIN_COMMON - 1} objects in common"):
        knowing(0).diff(knowing(41 - MIN_COMMON))
    found = knowing(0).diff(knowing(40 - MIN_COMMON))
    np.testing.assert_allclose([abs(kept.r) for kept in found.kept], [1.0, 1.0])


def test_libraries_that_know_features_alone_are_compared_by_loadings_also_if_one_knows_more_features() -> None:
    loadings = np.random.default_rng(0).standard_normal((8, 3))
    here, there = Library(), Library()
    put_in(there, unified_of(np.zeros((0, 3)), loadings=loadings, weights=loadings))
    grown = np.vstack([loadings, 0.1 * np.ones((1, 3))])[:, ::-1]
    put_in(here, unified_of(np.zeros((0, 3)), loadings=grown, weights=grown))
    found = here.diff(there)
    assert len(found.kept) == 3
    assert min(abs(kept.r) for kept in found.kept) > 0.99
