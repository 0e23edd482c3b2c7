"""What merging costs: seconds and memory of `unify` over the number of views and of shared objects.

Every point is measured in a fresh process. Beside GCCA stands, as a peer, what one would write first: a loop over the
agents, first to add up P x P projections, then to ask each for its weights and correlations.
"""

from __future__ import annotations

import dataclasses
import platform
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import arg

from agents.world import World, planted
from experiments import command_line, out_file
from experiments.workers import processors, workers
from knowledge_graph.gcca import noise_edge
from knowledge_graph.rotation import varimax
from knowledge_graph.unify import unify
from knowledge_graph.views import FloatMatrix, Views, chunks, loadings_of

PROG = "benchmark library"
FEATURES, FACTORS, DIMS, SENSORS = 256, 32, 8, 64

ENOUGH = 5.0
"""Seconds after which a point is not measured again; the fastest of at most `REPEATS` times counts."""

REPEATS = 3

Method = Literal["gcca", "covariance", "clustering", "loop"]

CALLED: dict[Method, str] = {
    "gcca": "GCCA",
    "covariance": "implied covariance",
    "clustering": "clustering",
    "loop": "a loop over agents",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LibraryBench:
    """What to measure, and where to put it."""

    quick: bool = False
    """Small societies only, to try it out."""
    threads: int = 1
    """Of the library for matrices; with more, the seconds depend on what else the machine has to do."""
    seed: int = 0
    """Of the views."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file for what was measured."""

    def __post_init__(self) -> None:
        command_line.at_least(self, threads=1, seed=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One merge: how, of how many views on how many shared objects, of which each agent has not seen some."""

    method: Method
    n_views: int
    n_objects: int = 500
    unseen: float = 0.0
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a merge cost.

    Attributes
    ----------
    seconds : of the fastest time
    times : how often it was measured
    peak_mb : the most memory that the process ever had: interpreter, views and merging
    input_mb : of it, the views
    merging_mb : what merging added to the peak that there was before
    """

    point: Point
    n_concepts: int
    seconds: float
    times: int
    peak_mb: float
    input_mb: float
    merging_mb: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """Points that differ in one thing, ``over``."""

    name: str
    over: Literal["n_views", "n_objects"]
    points: tuple[Point, ...]


def curves(*, quick: bool, seed: int) -> list[Curve]:
    """What is measured. Clustering goes as far as it can: it compares 20,000 dimensions at most, 2,500 views of 8."""
    many = (50, 100, 200) if quick else (100, 1_000, 10_000)
    objects = (50, 100, 200) if quick else (125, 250, 500, 1_000, 2_000)
    clustered = (50, 100, 200) if quick else (100, 300, 1_000, 2_500)
    shared, views = (100, 50) if quick else (500, 1_000)

    def over_views(method: Method, name: str, numbers: Sequence[int], unseen: float = 0.0) -> Curve:
        points = (Point(method=method, n_views=n, n_objects=shared, unseen=unseen, seed=seed) for n in numbers)
        return Curve(name=name, over="n_views", points=tuple(points))

    across = (Point(method="gcca", n_views=views, n_objects=p, seed=seed) for p in objects)
    return [
        over_views("gcca", f"GCCA, {shared} shared objects", many),
        over_views("loop", f"the peer: GCCA in a loop over agents, {shared} shared objects", many),
        Curve(name=f"GCCA, {views:,} views", over="n_objects", points=tuple(across)),
        over_views("gcca", f"GCCA, {shared} shared objects, 30% of them unseen", many, unseen=0.3),
        over_views("covariance", f"implied covariance, {FEATURES} features", many),
        over_views("clustering", f"clustering, {shared} shared objects", clustered),
    ]


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    description = "Measure what merging costs as the society and the number of shared objects grow."
    config = command_line.parse(LibraryBench, args, prog=PROG, description=description)
    out_file.check(config.out)
    planned = curves(quick=config.quick, seed=config.seed)
    found: dict[Point, Measured] = {}
    points = [point for curve in planned for point in curve.points]
    with workers(1, threads=config.threads, fresh=True) as pool:
        for number, point in enumerate(points, start=1):
            what = f"{CALLED[point.method]}, {point.n_views:,} views, {point.n_objects:,} objects"
            print(f"{number} of {len(points)}: {what}", file=sys.stderr, flush=True)
            if point not in found:
                found[point] = pool.submit(measured, point).result()
    out_file.write(config.out, as_json(planned, found, threads=config.threads))
    print("\n\n".join(table(curve, found) for curve in planned))
    return 0


def measured(point: Point) -> Measured:
    """Make the views, merge them, and tell what that cost; to be called in a process of its own."""
    world = planted(
        seed=point.seed,
        objects=max(2 * point.n_objects, 1_000),
        features=FEATURES,
        factors=FACTORS,
        probe=point.n_objects,
    )
    views = views_of_experts(world, n_views=point.n_views, unseen=point.unseen, seed=point.seed)
    features = world.features[world.probe]
    before, seconds = peak_mb(), list[float]()
    while len(seconds) < REPEATS and sum(seconds) < ENOUGH:
        started = time.perf_counter()
        if point.method == "loop":
            n_concepts = merge_by_loop(views, features)[0].shape[1]
        else:
            n_concepts = unify(views, features=features, method=point.method).n_concepts
        seconds.append(time.perf_counter() - started)
    arrays = (getattr(views, field.name) for field in dataclasses.fields(views))
    return Measured(
        point=point,
        n_concepts=n_concepts,
        seconds=min(seconds),
        times=len(seconds),
        peak_mb=peak_mb(),
        input_mb=sum(array.nbytes for array in arrays if array is not None) / 2**20,
        merging_mb=peak_mb() - before,
    )


def peak_mb() -> float:
    """The most memory that this process ever had, in MB.

    Where Linux tells, from the status of the process: a process that was started by another begins with the
    ``ru_maxrss`` of that one, however large it was.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (1024**2 if sys.platform == "darwin" else 1024)  # bytes there, kilobytes elsewhere


def views_of_experts(world: World, *, n_views: int, unseen: float, seed: int) -> Views:
    """Views of agents who weigh the features they sense by 8 of the planted factors, and a little at random.

    What they know of their dimensions is what the planted factors imply, so that making 10,000 takes a second or two.
    """
    assert world.truth is not None
    rng = np.random.default_rng([seed, 0xBE9C])
    truth, probe = world.truth.loadings, world.features[world.probe]
    corr = truth @ truth.T
    np.fill_diagonal(corr, 1.0)
    sensor = np.zeros((n_views, SENSORS), dtype=np.int32)
    loading = np.zeros((n_views, DIMS, SENSORS), dtype=np.float32)
    structure, phi = np.zeros_like(loading), np.zeros((n_views, DIMS, DIMS), dtype=np.float32)
    levels = np.zeros((n_views, len(probe), DIMS), dtype=np.float32)
    for rows in chunks(n_views, 128):
        n = len(sensor[rows])
        sensed = np.argsort(rng.random((n, world.n_features)), axis=1)[:, :SENSORS]
        known = np.argsort(rng.random((n, truth.shape[1])), axis=1)[:, :DIMS]
        weights = np.take_along_axis(truth[sensed], known[:, None, :], axis=2)
        weights += 0.1 * rng.standard_normal(weights.shape)
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        across = corr[sensed[:, :, None], sensed[:, None, :]] @ weights
        gram = weights.swapaxes(1, 2) @ across
        sd = np.sqrt(np.einsum("nss->ns", gram))
        sensor[rows], loading[rows] = sensed, weights.swapaxes(1, 2)
        structure[rows] = (across / sd[:, None, :]).swapaxes(1, 2)
        phi[rows] = gram / sd[:, :, None] / sd[:, None, :]
        for row, features, weight in zip(range(rows.start, rows.stop), sensed, weights, strict=True):
            levels[row] = probe[:, features] @ weight.astype(np.float32)
            levels[row, rng.permutation(len(probe))[: round(unseen * len(probe))]] = np.nan
    return Views.of(levels=levels, sensor=sensor, loading=loading, structure=structure, phi=phi)


def merge_by_loop(views: Views, features: NDArray[np.floating]) -> tuple[FloatMatrix, FloatMatrix]:
    """The peer: GCCA as one would write it first, agent by agent; weights [D, K] and correlations [N, S, K]."""
    assert views.levels is not None
    assert views.sensor is not None
    assert views.loading is not None
    n, p = len(views), views.n_objects
    centred = [(levels - levels.mean(axis=0)).astype(np.float64) for levels in views.levels]
    mean = np.zeros((p, p))
    for levels in centred:
        basis = np.linalg.qr(levels)[0]
        mean += basis @ basis.T / n
    values, vectors = np.linalg.eigh(mean)
    k = int((values > noise_edge(views.n_slots, p - 1, n)).sum())
    scores = vectors[:, p - k :] * np.sqrt(p)
    weights = np.zeros((features.shape[1], k))
    for levels, sensor, loading in zip(centred, views.sensor, views.loading, strict=True):
        canonical = np.linalg.lstsq(levels, scores, rcond=None)[0]
        weights[sensor] += loading.T @ canonical / (n * values[p - k :])
    rotation = varimax(loadings_of(features, features @ weights), tolerance=1e-10)[1]
    scores = scores @ rotation
    correlation = np.zeros((n, views.n_slots, k))
    for a, levels in enumerate(centred):
        correlation[a] = (levels / np.linalg.norm(levels, axis=0)).T @ scores / np.sqrt(p)
    return weights @ rotation, correlation


def exponent(sizes: Sequence[int], values: Sequence[float]) -> float:
    """b of the power law ``values = a * sizes ** b`` that fits best (least squares of the logarithms)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def growth(curve: Curve, found: dict[Point, Measured]) -> dict[str, float]:
    """Exponents of the time over the whole curve, and between its two largest points."""
    sizes = [int(getattr(point, curve.over)) for point in curve.points]
    seconds = [found[point].seconds for point in curve.points]
    return {"all": exponent(sizes, seconds), "largest two": exponent(sizes[-2:], seconds[-2:])}


def beside_loop(point: Point, found: dict[Point, Measured]) -> float | None:
    """How many times as long the loop over agents takes for the same views; None where it was not measured."""
    peer = found.get(dataclasses.replace(point, method="loop"))
    return peer.seconds / found[point].seconds if peer is not None and point.method == "gcca" else None


def table(curve: Curve, found: dict[Point, Measured]) -> str:
    """A curve for the terminal."""
    lines = [curve.name, "    views  objects  concepts    seconds   peak MB  views MB  merging MB"]
    for point in curve.points:
        cost, ratio = found[point], beside_loop(point, found)
        lines.append(
            f"  {point.n_views:>7,}  {point.n_objects:>7,}  {cost.n_concepts:>8}  {cost.seconds:>9.3f}  "
            f"{cost.peak_mb:>8,.0f}  {cost.input_mb:>8,.0f}  {cost.merging_mb:>10,.0f}"
            + ("" if ratio is None else f"  the loop takes {ratio:.1f} times as long")
        )
    name, found_growth = {"n_views": "N", "n_objects": "P"}[curve.over], growth(curve, found)
    smaller, larger = (f"{getattr(point, curve.over):,}" for point in curve.points[-2:])
    lines.append(
        f"  time grows as {name}^{found_growth['all']:.2f}, from {smaller} to {larger} as "
        f"{name}^{found_growth['largest two']:.2f}"
    )
    return "\n".join(lines)


def as_json(planned: Sequence[Curve], found: dict[Point, Measured], *, threads: int) -> dict[str, Any]:
    """Everything measured, and on what."""
    return {
        "machine": {
            "processors": processors(),
            "threads": threads,
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "curves": [
            {
                "name": curve.name,
                "over": curve.over,
                "growth": growth(curve, found),
                "points": [
                    {
                        **dataclasses.asdict(point),
                        **{name: value for name, value in vars(found[point]).items() if name != "point"},
                        "loop_ratio": beside_loop(point, found),
                    }
                    for point in curve.points
                ],
            }
            for curve in planned
        ],
    }
