"""Degenerate data: a right answer or one sentence, never a warning or a NaN; and how far single precision drifts.

Warnings of NumPy are errors in these tests, wherever they come from.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from agents import kernels
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.perception import heights, levels
from agents.society import Society
from agents.world import World, planted, table
from knowledge_graph.library import Library
from knowledge_graph.unify import Method
from knowledge_graph.views import Views
from tests.agents.test_society_invariants import assert_sound
from tests.tally import counted
from tests.trust.malformed import accepted

N, D = 48, 10
RNG = np.random.default_rng(11)
COMMON = RNG.standard_normal((N, 3)) @ RNG.standard_normal((3, D)) + 0.5 * RNG.standard_normal((N, D))


def with_column(value: Any) -> NDArray[np.float64]:
    changed = COMMON.copy()
    changed[:, 4] = value
    return changed


DATA: dict[str, NDArray[Any]] = {
    "as usual": COMMON,
    "a constant feature": with_column(3.0),
    "a constant feature of a third": with_column(1 / 3),
    "all the same": np.full((N, D), 0.1),
    "zeros": np.zeros((N, D)),
    "duplicate rows": np.repeat(COMMON[: N // 6], 6, axis=0),
    "two different rows": np.where(np.arange(N)[:, None] % 2, COMMON[0], COMMON[1]),
    "one row that differs": np.where(np.arange(N)[:, None] == 7, COMMON[0], COMMON[1]),
    "duplicate features": COMMON[:, [0] * 5 + [1] * 5],
    "rank one": np.outer(COMMON[:, 0], COMMON[0]),
    "rank two": COMMON[:, :2] @ RNG.standard_normal((2, D)),
    "fewer objects than dimensions": COMMON[:7],
    "as few objects as there can be": COMMON[:8],
    "a single object": COMMON[:1],
    "no object": COMMON[:0],
    "a single feature": COMMON[:, :1],
    "1e30": COMMON * 1e30,
    "1e-30": COMMON * 1e-30,
    "1e300": COMMON * 1e300,
    "1e-300": COMMON * 1e-300,
    "next to the largest number": np.sign(COMMON) * np.finfo(np.float64).max,
    "the smallest numbers": np.sign(COMMON) * 5e-324,
    "of all sizes": COMMON * 10.0 ** np.arange(-150, 150, 30),
    "far from zero": COMMON + 1e9,
    "too far from zero to tell": COMMON + 1e17,
    "whole numbers": np.rint(COMMON * 3).astype(np.int64),
    "the largest whole numbers": np.where(COMMON > 0, 2**63 - 1, -(2**63)),
    "yes and no": COMMON > 0,
    "rare yes": np.eye(N, D),
    "an outlier": np.where((np.arange(N) == 5)[:, None], 1e12, COMMON),
    "single precision": COMMON.astype(np.float32),
    "half precision": COMMON.astype(np.float16),
}

SENTENCES = {
    "all the same", "zeros", "a constant feature", "a constant feature of a third", "fewer objects than dimensions",
    "a single object", "no object", "a single feature", "too far from zero to tell",
    "rare yes",  # of some features only objects that are held out have any
}  # fmt: skip
"""Those of which a world cannot be made."""


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("error", RuntimeWarning)
        yield


def written(name: str, ending: str, directory: Path) -> Path:
    path = directory / f"world.{ending}"
    if ending == "npz":
        np.savez(path, features=DATA[name])
    else:
        frame = pd.DataFrame(DATA[name], columns=[f"x{i}" for i in range(DATA[name].shape[1])])
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    return path


def world_of(name: str, ending: str, directory: Path) -> World | None:
    path = written(name, ending, directory)
    return accepted(lambda: table(path, seed=0, probe=20), InputError)


def assert_right(world: World, raw: NDArray[Any]) -> None:
    """Mean 0 and variance 1 over the training set, and the way back to what was read."""
    there = world.features[world.train].astype(np.float64)
    np.testing.assert_allclose(there.mean(axis=0), 0, atol=1e-5)
    varies = there.any(axis=0)
    np.testing.assert_allclose(there.std(axis=0)[varies], 1, atol=1e-5)
    if np.abs(raw).max() < np.finfo(np.float64).tiny:
        return  # what is so small has no digits left to tell a mean or a spread by
    largest = np.abs(raw).max(axis=0).astype(np.float64)
    exponent = np.frexp(largest)[1]
    scale, mean = np.ldexp(world.scale, -exponent), np.ldexp(world.mean, -exponent)
    back = world.features[:, varies] * scale[varies] + mean[varies]
    np.testing.assert_allclose(back, np.ldexp(raw.astype(np.float64), -exponent)[:, varies], rtol=0, atol=2e-6)


@pytest.mark.parametrize("ending", ["npz", "csv", "parquet"])
@pytest.mark.parametrize("name", DATA)
def test_degenerate_data_is_a_right_world_or_one_sentence(name: str, ending: str, tmp_path: Path) -> None:
    if ending != "npz" and DATA[name].dtype == np.float16:
        pytest.skip("no half precision there")
    world = world_of(name, ending, tmp_path)
    assert (world is None) == (name in SENTENCES), name
    if world is not None:
        assert_right(world, DATA[name])
    counted("degenerate worlds tried")


LIVES: dict[str, dict[str, Any]] = {
    "factors": {},
    "components": {"discovery": "pca"},
    "everything": {"discovery": "mixed", "reward_talk": 0.5, "reward_prediction": 0.5, "self_attribution": 0.4},
    "clusters": {"unify": "clustering"},
    "covariances": {"unify": "covariance"},
    "gestures": {"game": "gesture", "concepts": "common"},
}


def life(**changes: Any) -> SocietyConfig:
    usual = {"agents": 12, "sensors": 8, "memory": 40, "childhood": 20, "candidates": 2, "turnover": 0.2}
    usual |= {"discovery_interval": 5, "selection_interval": 6, "merge_interval": 10, "dimensions": 6, "exemplars": 3}
    return SocietyConfig(**(usual | changes))


def check_life(name: str, changes: dict[str, Any], directory: Path) -> None:
    world = world_of(name, "npz", directory)
    if world is None:
        return
    config = life(**changes)
    society = accepted(lambda: Society(world, config, seed=1), InputError)
    if society is None:
        assert len(world.train) < config.dimensions
        return
    for _ in range(30):
        society.step()
    assert_sound(society)
    assert len(society.library.rounds) == 3
    for round_ in society.library.rounds:
        unified = round_.unified
        for array in (unified.scores, unified.weights, unified.loadings, unified.correlation, unified.support):
            assert np.isfinite(array).all()
        assert (np.abs(unified.correlation) <= 1 + 1e-5).all()
        assert ((unified.support >= 0) & (unified.support <= 1 + 1e-6)).all()
    counted("degenerate worlds lived in")


@pytest.mark.parametrize("name", ["duplicate rows", "rank one", "of all sizes", "yes and no"])
def test_a_society_lives_among_degenerate_objects(name: str, tmp_path: Path) -> None:
    check_life(name, {}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("sort", LIVES)
@pytest.mark.parametrize("name", [name for name in DATA if name not in SENTENCES])
def test_every_sort_of_society_lives_among_degenerate_objects(name: str, sort: str, tmp_path: Path) -> None:
    check_life(name, LIVES[sort], tmp_path)


# ---- merges


def slowly(value: Any) -> Any:
    return pytest.param(value, marks=pytest.mark.slow)


SHAPES = {
    "random": lambda rng, n, p, s: rng.standard_normal((n, p, s)),
    "constant": lambda rng, n, p, s: np.full((n, p, s), 0.3),
    "zero": lambda rng, n, p, s: np.zeros((n, p, s)),
    "the same for all": lambda rng, n, p, s: np.tile(rng.standard_normal((p, s)), (n, 1, 1)),
    "one dimension again and again": lambda rng, n, p, s: np.tile(rng.standard_normal((1, p, 1)), (n, 1, s)),
    "huge": lambda rng, n, p, s: 1e30 * rng.standard_normal((n, p, s)),
    "tiny": lambda rng, n, p, s: 1e-30 * rng.standard_normal((n, p, s)),
    "the largest": lambda rng, n, p, s: np.sign(rng.standard_normal((n, p, s))) * np.finfo(np.float32).max,
    "whole numbers": lambda rng, n, p, s: rng.integers(-2, 3, (n, p, s)).astype(float),
    "mostly unseen": lambda rng, n, p, s: unseen(rng, rng.standard_normal((n, p, s))),
    "never seen": lambda rng, n, p, s: np.full((n, p, s), np.nan),
}


def unseen(rng: np.random.Generator, levels: NDArray[np.float64]) -> NDArray[np.float64]:
    levels[rng.random(levels.shape[:2]) < 0.7] = np.nan
    levels[:, 0] = 1.0
    return levels


@pytest.mark.parametrize("method", ["gcca", "clustering", slowly("auto")])
@pytest.mark.parametrize("objects", [slowly(1), slowly(2), 5, slowly(30)])
@pytest.mark.parametrize("agents", [slowly(1), slowly(2), 12])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_merge_of_degenerate_views_is_a_library_or_one_sentence(
    shape: str, agents: int, objects: int, method: Method
) -> None:
    for features in (None, DATA["rank one"][:objects]):
        library = Library(probe=range(objects), features=features, method=method)
        for seed in range(2):
            rng = np.random.default_rng(seed)
            views = Views.of(levels=SHAPES[shape](rng, agents, objects, 4), held=rng.random((agents, 4)) < 0.8)
            if accepted(lambda views=views, library=library: library.merge(views), ValueError) is None:
                break
            unified = library.unified
            assert unified is not None
            for array in (unified.scores, unified.weights, unified.loadings, unified.correlation, unified.support):
                assert np.isfinite(array).all()
            assert (np.abs(unified.correlation) <= 1 + 1e-4).all()
            if unified.n_concepts and len(unified.scores):
                np.testing.assert_allclose(unified.scores.std(axis=0), 1, atol=1e-6)
        counted("degenerate merges tried")


# ---- how far single precision drifts


def drift(seed: int, steps: int) -> tuple[float, float, float]:
    """After a life: the largest errors of levels and of heights, in spreads of the dimension, and of lengths.

    Heights are levels along one dimension, as bodies are compared by: in small societies, and compiled in large ones.
    """
    world = planted(seed=seed, objects=400, features=48, factors=6, probe=80)
    config = SocietyConfig(agents=30, sensors=16, memory=96, childhood=32, turnover=0.1, merge_interval=20)
    society = Society(world, config, seed=seed)
    for _ in range(steps):
        society.step()
    population, rows = society.population, np.arange(config.agents)
    everything = np.broadcast_to(np.arange(world.n_objects, dtype=np.int32), (config.agents, world.n_objects))
    loading = population.loading.astype(np.float64)
    double = np.einsum("pnm,nsm->nps", world.features.astype(np.float64)[:, population.sensor], loading)
    spread = double.std(axis=1, keepdims=True)
    assert ((spread[:, 0] > 0) == population.held).all()
    spread = np.where(spread > 0, spread, 1.0)
    of_levels = np.abs(levels(population, world, rows, everything) - double) / spread
    of_heights = np.zeros(1)
    for slot in range(population.n_slots):
        for found in (
            heights(population, world, rows, np.full(len(rows), slot), everything),
            kernels.heights(population, world.features, rows, np.full(len(rows), slot), everything),
        ):
            error = np.abs(found - double[:, :, slot]) / spread[:, :, slot]
            of_heights = np.maximum(of_heights, error.max())
    lengths = np.abs(np.linalg.norm(loading, axis=2) - 1)[population.held]
    return float(of_levels.max()), float(of_heights.max()), float(lengths.max())


LEVELS, LENGTHS = 1e-5, 1e-6
"""Bounds that leave room for other machines: some ten times what was measured."""


@pytest.mark.parametrize(
    ("seed", "steps"), [(0, 60), *(pytest.param(seed, 300, marks=pytest.mark.slow) for seed in range(4))]
)
def test_single_precision_drifts_no_further_than_a_bound(seed: int, steps: int) -> None:
    """Measured after 300 steps: levels and heights within 1e-6 spreads of double precision, lengths within 9e-8 of 1.

    That is rounding of the last operation alone: nothing adds up over a life.
    """
    level, height, length = drift(seed, steps)
    said = f"levels are off by {level:.1e} spreads, heights by {height:.1e}, lengths of directions by {length:.1e}"
    assert level < LEVELS, said
    assert height < LEVELS, said
    assert length < LENGTHS, said
    counted("lives whose drift was measured")
