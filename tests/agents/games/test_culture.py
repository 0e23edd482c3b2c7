"""The spread of culture against plain Python, against Axelrod's own words, and in its exact limits."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.games import culture
from agents.games.culture import bond_ends, bonds_around, coincidence, domain_sizes, random_traits, settled
from tests.agents.games import plain_culture

lattices = st.tuples(st.integers(3, 6), st.integers(1, 4), st.floats(0.3, 6), st.integers(0, 2**32 - 1), st.booleans())


@settings(max_examples=30, deadline=None)
@given(lattices)
def test_the_compiled_loop_equals_plain_python_draw_for_draw(given: tuple[int, int, float, int, bool]) -> None:
    side, features, q, seed, homophily = given
    traits = random_traits(side, features, q, np.random.default_rng(seed))
    fast = settled(traits, np.random.default_rng(seed), homophily=homophily)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(culture, "interact", plain_culture.interact)
        slow = settled(traits, np.random.default_rng(seed), homophily=homophily)
    np.testing.assert_array_equal(fast, slow)


@settings(max_examples=30, deadline=None)
@given(lattices)
def test_it_ends_where_neighbours_agree_in_all_or_nothing_and_no_trait_is_invented(
    given: tuple[int, int, float, int, bool],
) -> None:
    side, features, q, seed, homophily = given
    traits = random_traits(side, features, q, np.random.default_rng(seed))
    before = traits.copy()
    end = settled(traits, np.random.default_rng(seed), homophily=homophily)
    np.testing.assert_array_equal(traits, before)
    flat = end.reshape(-1, features)
    agree = (flat[bond_ends(side)[:, 0]] == flat[bond_ends(side)[:, 1]]).sum(axis=1)
    assert set(agree) <= ({0, features} if homophily else {features})
    for feature in range(features):
        assert set(end[..., feature].ravel()) <= set(traits[..., feature].ravel())
    sizes = domain_sizes(end)
    assert sizes.sum() == side**2
    if not homophily:
        np.testing.assert_array_equal(sizes, [side**2])


def test_going_on_after_a_pause_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    traits = random_traits(8, 3, 3.0, np.random.default_rng(4))
    whole = settled(traits, np.random.default_rng(5))
    monkeypatch.setattr(culture, "AT_ONCE", 7)
    np.testing.assert_array_equal(settled(traits, np.random.default_rng(5)), whole)


def test_leaving_out_what_does_not_happen_leaves_axelrods_model() -> None:
    rng = np.random.default_rng(6)
    domains: list[list[int]] = [[], []]
    for _ in range(150):
        traits = random_traits(4, 3, 3, rng, distribution="uniform")
        for found, end in zip(domains, (settled(traits, rng), plain_culture.classic(traits, rng)), strict=True):
            found.append(len(domain_sizes(end)))
    difference = np.subtract(*domains)
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(len(difference))
    assert np.std(domains[0]) > 0


def test_one_feature_is_frozen_from_the_start_because_strangers_do_not_talk() -> None:
    traits = random_traits(6, 1, 2.0, np.random.default_rng(1))
    np.testing.assert_array_equal(settled(traits, np.random.default_rng(2)), traits)


def test_a_single_trait_is_consensus_at_once() -> None:
    traits = random_traits(5, 3, 1, np.random.default_rng(1), distribution="uniform")
    np.testing.assert_array_equal(domain_sizes(settled(traits, np.random.default_rng(2))), [25])
    np.testing.assert_array_equal(random_traits(5, 3, 0, np.random.default_rng(1)), 0)


def test_domains_are_connected_across_the_edges_of_the_lattice_but_not_through_corners() -> None:
    traits = np.arange(25, dtype=np.int32).reshape(5, 5, 1)
    traits[0, 2] = traits[4, 2] = traits[4, 1] = 99
    traits[2, 0] = traits[2, 4] = 98
    traits[3, 3] = 98
    np.testing.assert_array_equal(np.sort(domain_sizes(traits))[-3:], [1, 2, 3])


def test_sites_have_four_bonds_each_to_another_neighbour() -> None:
    ends, around = bond_ends(4), bonds_around(4)
    assert ends.shape == (32, 2)
    assert len({frozenset(map(int, bond)) for bond in ends}) == 32
    for site in range(16):
        y, x = divmod(site, 4)
        neighbours = {y * 4 + (x + 1) % 4, y * 4 + (x - 1) % 4, (y + 1) % 4 * 4 + x, (y - 1) % 4 * 4 + x}
        assert {int(ends[bond].sum()) - site for bond in around[site]} == neighbours


@pytest.mark.parametrize(("q", "distribution"), [(3.1, "poisson"), (7, "uniform")])
def test_neighbours_agree_at_first_with_the_chance_of_coincidence(q: float, distribution: Any) -> None:
    traits = random_traits(200, 2, q, np.random.default_rng(3), distribution=distribution)
    share = (traits == np.roll(traits, 1, axis=0)).mean()
    expected = coincidence(q, distribution=distribution)
    assert share == pytest.approx(expected, abs=5 * np.sqrt(expected / 80_000))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"side": 2}, "side is 2"),
        ({"features": 0}, "features is 0"),
        ({"q": -1.0}, "q is -1.0"),
        ({"q": np.nan}, "q is nan"),
        ({"q": np.inf}, "q is inf"),
        ({"q": 2.5, "distribution": "uniform"}, "q is 2.5"),
        ({"q": 0, "distribution": "uniform"}, "q is 0"),
        ({"q": np.inf, "distribution": "uniform"}, "q is inf"),
        ({"q": np.nan, "distribution": "uniform"}, "q is nan"),
        ({"distribution": "normal"}, "distribution is 'normal'"),
    ],
)
def test_lattices_that_make_no_sense_are_refused(wrong: dict[str, Any], says: str) -> None:
    plain: dict[str, Any] = {"side": 4, "features": 2, "q": 3.0, "rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=says):
        random_traits(**(plain | wrong))


@pytest.mark.parametrize("shape", [(4, 4), (4, 5, 2), (2, 2, 2), (4, 4, 0)])
def test_traits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="traits has shape"):
        settled(np.zeros(shape, dtype=np.int32), np.random.default_rng(0))
    with pytest.raises(ValueError, match="traits has shape"):
        domain_sizes(np.zeros(shape, dtype=np.int32))
