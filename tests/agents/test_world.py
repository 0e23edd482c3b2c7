"""Worlds: digits, planted, from files; scaled once, split once, and what is hidden stays hidden."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as array_strategy
from numpy.typing import NDArray

from agents import InputError, Society, SocietyConfig
from agents.world import HELD_OUT_SHARE, Truth, World, build, digits, planted, table

NUMBERS = st.floats(min_value=-1e6, max_value=1e6, width=32)
TABLES = st.tuples(st.integers(8, 40), st.integers(2, 6)).flatmap(
    lambda shape: array_strategy(np.float64, shape, elements=NUMBERS)
)


def mixed(n_objects: int = 120, n_features: int = 10, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n_objects, 3)) @ rng.standard_normal((3, n_features))
    return common + 0.5 * rng.standard_normal((n_objects, n_features))


def named(features: NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame(features, columns=[f"size {i}" for i in range(features.shape[1])])


def assert_same_world(a: World, b: World) -> None:
    for field in dataclasses.fields(World):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, field.name
            assert np.array_equal(one, other), field.name
        elif field.name not in ("name", "truth"):
            assert one == other, field.name
    assert a.fingerprint == b.fingerprint


def test_digits_are_the_1797_images_of_scikit_learn_with_their_labels() -> None:
    from sklearn.datasets import load_digits

    world = digits(seed=0)
    assert world.features.shape == (1797, 64)
    assert world.features.dtype == np.float32
    assert world.image_shape == (8, 8)
    assert world.label_names == tuple("0123456789")
    assert world.labels is not None
    assert np.array_equal(world.labels, load_digits().target)
    assert len(set(world.feature_names)) == 64
    assert np.allclose(world.features * world.scale + world.mean, load_digits().data, atol=1e-5)


def test_the_pixels_that_are_blank_in_every_digit_stay_as_zeros() -> None:
    world = digits(seed=0)
    blank = np.flatnonzero(world.scale * world.features.std(axis=0) == 0)
    assert blank.tolist() == [0, 32, 39]
    assert (world.features[:, blank] == 0).all()
    assert (world.scale[blank] == 1).all()
    others = np.delete(world.features[world.train], blank, axis=1).astype(np.float64)
    assert np.allclose(others.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(others.var(axis=0), 1, atol=1e-5)


def test_a_planted_world_holds_the_shapes_and_the_truth_that_were_asked_for() -> None:
    world = planted(seed=1, objects=300, features=24, factors=5, probe=40)
    assert world.truth is not None
    assert world.features.shape == (300, 24)
    assert world.truth.loadings.shape == (24, 5)
    assert world.truth.scores.shape == (300, 5)
    assert len(world.probe) == 40
    assert world.labels is None


@pytest.mark.parametrize("communality", [0.3, 0.6, 1.0])
def test_the_planted_factors_explain_the_share_of_variance_that_was_asked_for(communality: float) -> None:
    world = planted(seed=2, objects=3000, features=40, factors=6, communality=communality)
    assert world.truth is not None
    design = np.column_stack([np.ones(3000), world.truth.scores])
    coefficients, *_ = np.linalg.lstsq(design, world.features.astype(np.float64), rcond=None)
    left = world.features - design @ coefficients
    assert 1 - left.var(axis=0).mean() == pytest.approx(communality, abs=0.01)
    # The truth is told of the very features that agents see, scaled as they are.
    assert np.allclose(coefficients[1:].T, world.truth.loadings, atol=0.08)
    assert np.abs(coefficients[1:].T - world.truth.loadings).mean() < 0.02


def test_planted_loadings_are_sparse_with_a_second_factor_for_the_share_asked_for() -> None:
    crossed = planted(seed=3, objects=60, features=400, factors=8, cross_loadings=0.25).truth
    pure = planted(seed=3, objects=60, features=400, factors=8, cross_loadings=0.0).truth
    assert crossed is not None
    assert pure is not None
    n_factors = (crossed.loadings != 0).sum(axis=1)
    assert set(n_factors.tolist()) == {1, 2}
    assert (n_factors == 2).mean() == pytest.approx(0.25, abs=0.06)
    strength = np.sort(np.abs(crossed.loadings[n_factors == 2]), axis=1)[:, -2:]
    assert np.allclose(strength[:, 0] / strength[:, 1], 0.5)
    assert ((pure.loadings != 0).sum(axis=1) == 1).all()
    assert ((pure.loadings != 0).sum(axis=0) == 50).all()


def test_one_planted_factor_is_enough_for_a_world() -> None:
    world = planted(seed=0, objects=50, features=4, factors=1)
    assert world.truth is not None
    assert (world.truth.loadings != 0).all()


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    for make in (digits, planted):
        settings_ = {} if make is digits else {"objects": 200, "features": 16, "factors": 4}
        one, same, other = (make(seed=seed, **settings_) for seed in (5, 5, 6))  # type: ignore[operator]
        assert_same_world(one, same)
        assert one.fingerprint != other.fingerprint
        assert not np.array_equal(one.held_out, other.held_out)
        assert not np.array_equal(one.probe, other.probe)
    assert not np.array_equal(one.features, other.features)


def test_the_truth_is_brought_to_the_scale_of_the_features() -> None:
    raw, rng = mixed(), np.random.default_rng(1)
    truth = Truth(loadings=rng.standard_normal((10, 3)), scores=rng.standard_normal((120, 3)))
    unit = np.exp2(rng.integers(-5, 6, size=10))  # powers of two round nothing
    in_other_units = Truth(loadings=truth.loadings * unit[:, None], scores=truth.scores)
    one = build(name="one", raw=raw, seed=0, probe=20, truth=truth)
    other = build(name="one", raw=raw * unit, seed=0, probe=20, truth=in_other_units)
    assert one.truth is not None
    assert other.truth is not None
    assert np.array_equal(one.truth.loadings, other.truth.loadings)
    assert np.allclose(one.truth.loadings, truth.loadings / raw[one.train].std(axis=0)[:, None])
    assert np.array_equal(one.truth.scores, truth.scores)


def test_a_life_is_the_same_whether_the_world_has_labels_and_a_truth_or_not() -> None:
    known = dataclasses.replace(
        planted(seed=4, objects=150, features=12, factors=3, probe=40),
        labels=np.arange(150) % 3,
        label_names=("a", "b", "c"),
    )
    config = SocietyConfig(agents=12, discovery_interval=3, selection_interval=4, merge_interval=5)
    lives = [Society(w, config, seed=1) for w in (known, dataclasses.replace(known, labels=None, truth=None))]
    for society in lives:
        for _ in range(12):
            society.step()
    for name, column in lives[0].population.columns().items():
        assert np.array_equal(column, lives[1].population.columns()[name]), name
    assert np.array_equal(lives[0].library.loadings, lives[1].library.loadings)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"factors": 0}, "planted_factors is 0"),
        ({"factors": 9}, r"planted_factors is 9.* \(8\)"),
        ({"communality": 0.0}, "planted_communality is 0.0"),
        ({"communality": float("nan")}, "planted_communality is nan"),
        ({"objects": 5}, "planted has 5 object"),
        ({"probe": 1}, "probe is 1"),
    ],
)
def test_a_planted_world_that_cannot_be_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        planted(**({"seed": 0, "objects": 60, "features": 8, "factors": 2} | wrong))


# ---- build


FLAT_BESIDE_A_LARGE_ONE = np.zeros((8, 2))
FLAT_BESIDE_A_LARGE_ONE[:2, 0] = 2.0**-23, 444267.0


@settings(max_examples=60, deadline=None)
@given(raw=TABLES, seed=st.integers(0, 2**32), probe=st.integers(2, 60))
@example(raw=FLAT_BESIDE_A_LARGE_ONE, seed=0, probe=2)
def test_any_world_is_centred_scaled_and_split(raw: NDArray[np.float64], seed: int, probe: int) -> None:
    world = build(name="any", raw=raw, seed=seed, probe=probe)
    n_objects, size = len(raw), np.abs(raw).max(axis=0)
    raw = raw[world.train]  # the held-out objects have no say, but that rounding is judged by the magnitude of all
    constant = raw.std(axis=0) <= 1e-11 * size
    assume(not (constant & (raw.std(axis=0) > 1e-13 * size)).any())  # neither flat nor not
    features = world.features[world.train].astype(np.float64)
    assert world.features.dtype == np.float32
    assert np.isfinite(world.features).all()
    assert np.allclose(features.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(features.std(axis=0), ~constant, atol=1e-5)
    # A column of rounding errors beside a far larger held-out value is flat: what it had is lost.
    lost = 1e-5 * np.abs(raw).max() + 1e-10 * size
    assert (np.abs(features * world.scale + world.mean - raw) <= 1e-5 * np.abs(raw) + lost).all()
    assert sorted([*world.train.tolist(), *world.held_out.tolist()]) == list(range(n_objects))
    assert len(world.held_out) == round(HELD_OUT_SHARE * n_objects)
    assert len(world.probe) == len(set(world.probe.tolist())) == min(probe, len(world.train))
    assert set(world.probe.tolist()) <= set(world.train.tolist())
    assert (world.n_objects, world.n_features) == (n_objects, raw.shape[1])


@settings(max_examples=30, deadline=None)
@given(raw=TABLES, exponent=st.integers(-900, 900))
def test_a_world_does_not_depend_on_the_unit_of_measurement(raw: NDArray[np.float64], exponent: int) -> None:
    assume((np.abs(raw)[raw != 0] > 1e-6).all())
    one, other = (build(name="any", raw=r, seed=0, probe=8) for r in (raw, np.ldexp(raw, exponent)))
    assert np.array_equal(one.features, other.features)
    assert np.array_equal(np.ldexp(one.mean, exponent), other.mean)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=8, max_size=20), seed=st.integers(0, 99))
def test_no_group_is_on_both_sides_of_the_split(sizes: list[int], seed: int) -> None:
    of = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    raw = np.random.default_rng(0).standard_normal((len(of), 3))
    world = build(name="any", raw=raw, seed=seed, probe=5, groups=of)
    assert not set(of[world.train].tolist()) & set(of[world.held_out].tolist())
    assert len(set(of[world.held_out].tolist())) == round(HELD_OUT_SHARE * len(sizes))


def test_single_precision_and_double_precision_of_the_same_numbers_are_the_same_world() -> None:
    single = mixed().astype(np.float32)
    assert_same_world(
        build(name="any", raw=single, seed=0, probe=20),
        build(name="any", raw=single.astype(np.float64), seed=0, probe=20),
    )


def test_whole_numbers_and_truth_values_are_features_like_any_others() -> None:
    raw = (mixed() > 0).astype(np.float64)
    for dtype in (np.int8, np.uint16, bool):
        assert_same_world(
            build(name="any", raw=raw.astype(dtype), seed=0, probe=20), build(name="any", raw=raw, seed=0, probe=20)
        )


def test_a_small_spread_far_from_zero_is_kept_and_rounding_errors_are_not_taken_for_one() -> None:
    raw = mixed()
    raw[:, 0] = 1e9 + np.arange(120)
    raw[:, 1] = 0.1
    raw[:, 2] = 1e-15 * np.arange(120)
    world = build(name="any", raw=raw, seed=0, probe=20)
    assert np.allclose(world.features[:, 0], world.features[:, 2], atol=1e-6)
    assert world.features[world.train, 0].std() == pytest.approx(1, abs=1e-5)
    assert (world.features[:, 1] == 0).all()


def test_numbers_too_large_for_single_precision_are_scaled_like_any_others() -> None:
    raw = mixed()
    for factor in (2.0**200, 2.0**1000, 2.0**-600):
        assert np.array_equal(
            build(name="any", raw=raw * factor, seed=0, probe=20).features,
            build(name="any", raw=raw, seed=0, probe=20).features,
        )


HELD_OUT_ALONE = np.where(np.arange(4) == 1, np.eye(60, 4), mixed(60, 4))
"""Of the second feature only the second object has any, which is held out of worlds of seed 0."""


@pytest.mark.parametrize(
    ("raw", "more", "says"),
    [
        (mixed(7), {}, "any has 7 object"),
        (mixed(60, 1), {}, "any has 1 feature"),
        (np.where(np.eye(60, 10), np.nan, mixed(60)), {}, r"'x0' is missing \(nan\) in row 1"),
        (np.where(np.eye(60, 10, k=-3), -np.inf, mixed(60)), {}, "'x0' is infinite in row 4"),
        (mixed(60), {"groups": np.zeros(60, dtype=np.int64)}, r"60 objects in 1 image\(s\)"),
        (mixed(60) * 0, {"refuse_constant": True}, "'x0' is the same for every object; remove that column"),
        (HELD_OUT_ALONE, {"refuse_constant": True}, "'x1' is the same for every object that can be met"),
        (
            np.where(HELD_OUT_ALONE == 1, 1e308, mixed(60, 4)),
            {"refuse_constant": True},
            r"'x1' is 1e\+308 in row 2, beside which all objects that can be met are the same; correct that number",
        ),
    ],
)
def test_what_is_no_world_is_refused(raw: NDArray[np.float64], more: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        build(name="any", raw=raw, seed=0, probe=20, **more)


def test_a_fingerprint_tells_worlds_apart_by_what_is_in_them() -> None:
    raw, images = mixed(), np.arange(120) // 2
    world = build(name="any", raw=raw, seed=0, probe=20, labels=np.arange(120) % 2)
    touched = raw.copy()
    touched[3, 4] += 1e-3
    prints = {
        world.fingerprint,
        build(name="any", raw=touched, seed=0, probe=20, labels=np.arange(120) % 2).fingerprint,
        build(name="any", raw=raw, seed=0, probe=21, labels=np.arange(120) % 2).fingerprint,
        build(name="any", raw=raw, seed=0, probe=20, labels=np.arange(120) % 3).fingerprint,
        build(name="any", raw=raw, seed=0, probe=20).fingerprint,
        build(name="any", raw=raw, seed=1, probe=20, labels=np.arange(120) % 2).fingerprint,
        dataclasses.replace(world, groups=images).fingerprint,
        dataclasses.replace(world, groups=images % 30).fingerprint,
    }
    assert len(prints) == 8
    assert dataclasses.replace(world, name="another").fingerprint == world.fingerprint


# ---- files


def test_the_same_data_is_the_same_world_from_any_kind_of_file(tmp_path: Path) -> None:
    raw, images = mixed(), np.arange(120) // 3
    kinds = np.array(["owl", "cat", "élan"])[np.arange(120) % 3]
    frame = named(raw).assign(labels=kinds, image_ids=images)
    frame.to_csv(tmp_path / "w.csv", index=False)
    frame.to_parquet(tmp_path / "w.parquet")
    np.savez(tmp_path / "w.npz", features=raw, labels=kinds, image_ids=images, feature_names=list(named(raw).columns))
    worlds = [table(tmp_path / f"w.{ending}", seed=3, probe=30) for ending in ("npz", "csv", "parquet")]
    assert worlds[0].label_names == ("cat", "owl", "élan")
    assert worlds[0].feature_names[:2] == ("size 0", "size 1")
    for world in worlds[1:]:
        assert_same_world(worlds[0], world)


def test_objects_of_one_image_are_held_out_together(tmp_path: Path) -> None:
    raw, images = mixed(), np.random.default_rng(0).permutation(np.arange(120) // 4)
    np.savez(tmp_path / "w.npz", features=raw, image_ids=images)
    for seed in range(5):
        world = table(tmp_path / "w.npz", seed=seed)
        assert not set(images[world.train].tolist()) & set(images[world.held_out].tolist())
        assert len(world.held_out) == 4 * 8  # a quarter of 30 images


@pytest.mark.parametrize("name", ["label", "labels", "Label", "LABELS"])
def test_the_label_column_of_a_table_is_found(tmp_path: Path, name: str) -> None:
    named(mixed()).assign(**{name: np.arange(120) % 4}).to_csv(tmp_path / "w.csv", index=False)
    world = table(tmp_path / "w.csv", seed=0)
    assert world.n_features == 10
    assert world.label_names == ("0", "1", "2", "3")
    assert world.labels is not None
    assert np.array_equal(world.labels, np.arange(120) % 4)


def test_another_column_or_array_can_be_named_as_the_labels(tmp_path: Path) -> None:
    kinds = np.array(["b", "a"])[np.arange(120) % 2]
    frame = named(mixed()).assign(kind=kinds)
    frame.to_csv(tmp_path / "w.csv", index=False)
    np.savez(tmp_path / "w.npz", features=mixed(), kind=kinds, labels=np.zeros(120, dtype=int))
    for name in ("w.csv", "w.npz"):
        world = table(tmp_path / name, seed=0, label="kind")
        assert world.label_names == ("a", "b")
        assert world.labels is not None
        assert world.labels[:4].tolist() == [1, 0, 1, 0]
        assert world.n_features == 10


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array([10, 9, -1] * 40), ("-1", "9", "10")),
        (np.array([2.0, 1.0, 3.0] * 40), ("1", "2", "3")),
        (np.array([True, False, True] * 40), ("False", "True")),
        (np.array(["b", "a", "c"] * 40), ("a", "b", "c")),
        (np.array([b"b", b"a", "ç".encode()] * 40), ("a", "b", "ç")),
    ],
)
def test_labels_can_be_numbers_truth_values_or_texts(
    tmp_path: Path, labels: NDArray[Any], names: tuple[str, ...]
) -> None:
    np.savez(tmp_path / "w.npz", features=mixed(), labels=labels)
    world = table(tmp_path / "w.npz", seed=0)
    assert world.label_names == names
    assert world.labels is not None
    told = [world.label_names[code] for code in world.labels]
    assert told[:3] == [v.decode() if isinstance(v, bytes) else str(v).removesuffix(".0") for v in labels[:3].tolist()]


def test_categories_name_the_labels_whether_those_are_numbers_or_names(tmp_path: Path) -> None:
    categories = np.array(["person", "bicycle", "car", "owl"])
    codes = np.arange(120) % 3
    for labels in (codes, codes.astype(np.uint8), codes.astype(np.float32), categories[codes]):
        np.savez(tmp_path / "w.npz", features=mixed(), labels=labels, category_names=categories)
        world = table(tmp_path / "w.npz", seed=0)
        assert world.label_names == ("person", "bicycle", "car", "owl")
        assert world.labels is not None
        assert np.array_equal(world.labels, codes)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool", "Float64", "Int64", "boolean", "uint8"])
def test_columns_of_a_table_can_have_any_numeric_type(tmp_path: Path, dtype: str) -> None:
    raw = (mixed() > 0.3).astype(float)
    frame = named(raw).astype(dtype)
    frame["size 1"] = mixed()[:, 1]
    frame["labels"] = pd.Series(np.arange(120) % 3, dtype="Int64")
    frame.to_parquet(tmp_path / "w.parquet")
    world = table(tmp_path / "w.parquet", seed=0)
    raw[:, 1] = mixed()[:, 1]
    assert np.array_equal(world.features, build(name="any", raw=raw, seed=0, probe=500).features)
    assert world.label_names == ("0", "1", "2")


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_text_labels_of_a_table_can_have_any_type(tmp_path: Path, dtype: str) -> None:
    kinds = pd.Series(np.array(["b", "a"])[np.arange(120) % 2]).astype(dtype)
    named(mixed()).assign(label=kinds).to_parquet(tmp_path / "w.parquet")
    assert table(tmp_path / "w.parquet", seed=0).label_names == ("a", "b")


def test_a_csv_file_gives_the_very_numbers_that_were_written(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).standard_normal((400, 5)) * np.pi**30
    named(raw).to_csv(tmp_path / "w.csv", index=False)
    assert_same_world(
        table(tmp_path / "w.csv", seed=0), build(name="w", raw=raw, seed=0, probe=500, feature_names=named(raw).columns)
    )


def test_a_csv_file_may_begin_with_a_byte_order_mark_and_number_its_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(mixed())
    frame.to_csv(tmp_path / "w.csv", index=False, encoding="utf-8-sig")
    world = table(tmp_path / "w.csv", seed=0)
    assert world.feature_names == tuple(str(i) for i in range(10))
    assert world.n_objects == 120


def test_what_else_lies_in_an_archive_is_left_alone(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", features=mixed(), scores=np.zeros(120), notes=np.array([{"a": 1}], dtype=object))
    assert table(tmp_path / "w.npz", seed=0).n_features == 10


def test_the_detections_contract_is_read_whole(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "w.npz",
        features=mixed().astype(np.float32),
        labels=np.arange(120, dtype=np.int32) % 2,
        category_names=np.array(["circle", "square"]),
        image_ids=np.arange(120, dtype=np.int64) // 5 + 1000,
        boxes=np.zeros((120, 4), dtype=np.float32),
        source=np.array("sha256:0"),
    )
    world = table(tmp_path / "w.npz", seed=0)
    assert world.label_names == ("circle", "square")
    assert world.groups is not None
    assert len(np.unique(world.groups)) == 24
    assert world.instances is not None
    assert world.instances.source == {"made_by": "sha256:0"}


@pytest.mark.parametrize(
    ("what", "given"),
    [
        ("labels", {"labels": np.zeros(119, dtype=np.int64)}),
        ("groups", {"groups": np.zeros(121, dtype=np.int64)}),
        ("feature_names", {"feature_names": ["one"]}),
    ],
)
def test_what_does_not_fit_the_objects_or_features_is_refused(what: str, given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"any has .* {what}, but it must have"):
        build(name="any", raw=mixed(), seed=0, probe=20, **given)
