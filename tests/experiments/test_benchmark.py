"""What the benchmark measures, and that what it compares does the same work; never how fast it is."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from agents.world import World, planted
from experiments import bench_library, command_line
from experiments.bench_library import Curve, Measured, Point, curves, exponent, growth, measured, views_of_experts
from experiments.benchmark import PROG, main
from experiments.workers import workers
from knowledge_graph.clustering import MOST
from knowledge_graph.unify import unify


def call(*args: str) -> int:
    return command_line.run(functools.partial(main, list(args)), prog=PROG)


@pytest.fixture(scope="module")
def world() -> World:
    return planted(seed=0, objects=1_000, features=256, factors=32, probe=120)


def test_the_peer_finds_the_same_concepts(world: World) -> None:
    views = views_of_experts(world, n_views=150, unseen=0.0, seed=0)
    features = world.features[world.probe]
    weights, correlation = bench_library.merge_by_loop(views, features)
    # Without what agents know from elsewhere, which the peer does not use.
    ours = unify(dataclasses.replace(views, structure=None), features=features, method="gcca")
    assert ours.n_concepts == weights.shape[1] > 10
    assert np.degrees(subspace_angles(ours.weights, weights).max()) < 0.01
    likeness = np.abs(np.corrcoef(ours.weights.T, weights.T)[: ours.n_concepts, ours.n_concepts :])
    partner = likeness.argmax(axis=1)
    assert sorted(partner) == list(range(ours.n_concepts))
    np.testing.assert_allclose(np.abs(ours.correlation), np.abs(correlation[:, :, partner]), atol=1e-3)


def test_views_are_those_of_experts_on_the_planted_factors(world: World) -> None:
    views = views_of_experts(world, n_views=20, unseen=0.3, seed=1)
    again = views_of_experts(world, n_views=20, unseen=0.3, seed=1)
    np.testing.assert_array_equal(views.levels, again.levels)
    unseen = np.isnan(views.levels).all(axis=2)
    assert (unseen.sum(axis=1) == 36).all()
    assert (unseen == np.isnan(views.levels).any(axis=2)).all()
    assert all(len(set(sensed)) == len(sensed) for sensed in views.sensor.tolist())
    everything = world.features[world.train]
    sensed = everything[:, views.sensor[3]]
    whole = np.corrcoef((sensed @ views.loading[3].T).T, sensed.T)
    np.testing.assert_allclose(views.phi[3], whole[:8, :8], atol=5 / np.sqrt(len(everything)))
    np.testing.assert_allclose(views.structure[3], whole[:8, 8:], atol=5 / np.sqrt(len(everything)))
    seen = ~unseen[3]
    probed = world.features[world.probe][seen][:, views.sensor[3]]
    np.testing.assert_allclose(views.levels[3][seen], probed @ views.loading[3].T, atol=1e-5)


def test_the_curves_reach_the_stated_sizes_and_no_further_than_can_be_merged() -> None:
    points = [point for curve in curves(quick=False, seed=0) for point in curve.points]
    assert Point(method="gcca", n_views=10_000, n_objects=500) in points
    assert Point(method="loop", n_views=10_000, n_objects=500) in points
    assert {point.n_objects for point in points if point.method == "gcca" and point.n_views == 1_000} >= {125, 2_000}
    assert max(point.n_views for point in points if point.method == "clustering") * bench_library.DIMS == MOST
    for quick in (True, False):
        for curve in curves(quick=quick, seed=0):
            sizes = [getattr(point, curve.over) for point in curve.points]
            assert sizes == sorted(set(sizes))
            assert len(sizes) >= 3


def cost(point: Point, seconds: float) -> Measured:
    return Measured(point=point, n_concepts=3, seconds=seconds, times=1, peak_mb=200.0, input_mb=10.0, merging_mb=20.0)


def test_exponents_of_power_laws_are_found_and_ratios_are_those_of_the_same_views() -> None:
    assert exponent([10, 20, 80], [5.0, 20.0, 320.0]) == pytest.approx(2.0)
    points = tuple(Point(method="gcca", n_views=n) for n in (10, 100, 1000))
    curve = Curve(name="c", over="n_views", points=points)
    found = {point: cost(point, seconds) for point, seconds in zip(points, (1.0, 1.0, 10.0), strict=True)}
    assert growth(curve, found) == {"all": pytest.approx(0.5), "largest two": pytest.approx(1.0)}
    peer = dataclasses.replace(points[1], method="loop")
    found[peer] = cost(peer, 4.0)
    assert bench_library.beside_loop(points[1], found) == 4.0
    assert bench_library.beside_loop(points[0], found) is None
    assert bench_library.beside_loop(peer, found) is None


def test_each_point_is_measured_in_a_process_of_its_own_whatever_the_size_of_this_one() -> None:
    burden = np.ones(60_000_000)  # 480 MB
    with workers(1, fresh=True) as pool:
        large = pool.submit(measured, Point(method="gcca", n_views=1_000, n_objects=300)).result()
        small = pool.submit(measured, Point(method="gcca", n_views=20, n_objects=50)).result()
    assert large.input_mb > 9.0
    assert large.peak_mb > small.peak_mb + large.input_mb
    assert 0 <= small.merging_mb < small.peak_mb
    assert small.peak_mb < burden.nbytes / 2**20
    assert large.n_concepts > small.n_concepts > 0
    assert small.seconds > 0


def test_where_the_system_does_not_tell_the_peak_itself_it_is_what_was_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = bench_library.peak_mb()
    monkeypatch.setattr(Path, "read_text", lambda path, **given: "Name:\tpython\nVmRSS:\t1 kB\n")
    assert bench_library.peak_mb() == pytest.approx(told, rel=0.5)


def test_a_benchmark_is_a_table_and_a_file_of_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [
        Curve(
            name=f"merging by {method}",
            over="n_views",
            points=tuple(Point(method=method, n_views=n, n_objects=40) for n in (12, 24)),
        )
        for method in ("gcca", "loop")
    ]
    monkeypatch.setattr(bench_library, "curves", lambda *, quick, seed: few)
    out = tmp_path / "bench.json"
    assert call("library", "--quick", "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert "4 of 4: a loop over agents, 24 views, 40 objects" in printed.err
    assert "merging by gcca" in printed.out
    assert "times as long" in printed.out
    assert "time grows as N^" in printed.out
    written = json.loads(out.read_text())
    assert written["machine"]["threads"] == 1
    assert [curve["name"] for curve in written["curves"]] == ["merging by gcca", "merging by loop"]
    ours, peer = (curve["points"][1] for curve in written["curves"])
    assert ours["loop_ratio"] == pytest.approx(peer["seconds"] / ours["seconds"])
    assert peer["loop_ratio"] is None
    assert ours["n_concepts"] == peer["n_concepts"]
    assert ours["peak_mb"] > ours["input_mb"] > 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "benchmark needs to be told what to measure; give one of detection, library, shards, society"),
        (["tea"], "'tea' cannot be measured; give one of detection, library, shards, society first"),
        (["--quick"], "'--quick' cannot be measured; give one of detection, library, shards, society first"),
        (["library", "--seed", "-1"], "seed is -1, but it must be at least 0"),
        (["library", "--threads", "0"], "threads is 0, but it must be at least 1"),
        (["library", "--out", "."], "out is ., which is a directory; give the name of a file"),
        (["library", "--views", "9"], "--views is not a flag (benchmark library --help lists the flags)"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*args) == 2
    assert capsys.readouterr() == ("", f"benchmark: {says}\n")


def test_help_names_what_can_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    assert "library" in capsys.readouterr().out
