"""What merging reaches on a planted world, and what degrades when the world or the agents are less kind.

The world has 32 factors behind 256 features, communality .6; 200 agents of 8 dimensions have seen 400 objects each,
and share 500 others. MCC is the mean matched congruence of a library's loadings with those that were planted;
efficiency the held-out variance in their span over that in as many principal axes of all training objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from agents.world import World, planted
from experiments.limits.planted_views import correlated_world, planted_views
from experiments.limits.rows import EARLIER, TARGET, Limit, Relation, Row, judged, sampling_error
from experiments.measuring import efficiency, optimal_variance, single_loadings
from experiments.pieces import Figures, Found, Measure
from knowledge_graph.measures import (
    central_loadings,
    explained_variance,
    matched_correlation,
    null_mcc,
    principal_axes,
)
from knowledge_graph.unify import Count, Method, unify
from knowledge_graph.views import FloatMatrix, Views

KIND = "merging: the planted world"
SIZES = "merging: other sizes"
HARSH = "merging: what degrades"
MANY = "merging: 2,000 agents"

FACTORS = 32
METHODS: dict[Method, str] = {"gcca": "GCCA", "clustering": "clustering", "covariance": "implied covariance"}
SENSING: dict[str, dict[str, Any]] = {
    "random 64": {"sensing": "random", "sensors": 64},
    "seeds and correlates 48": {"sensing": "correlates", "sensors": 48},
}
HARDSHIPS: dict[str, tuple[tuple[Method, ...], dict[str, Any]]] = {
    "half of the agents have 1 to 7 dimensions": (("gcca", "clustering", "covariance"), {"fewer": 0.5}),
    "everybody has missed 30% of the probe": (("gcca", "clustering"), {"unseen": 0.3}),
    "2 groups sense disjoint features": (("gcca", "clustering"), {"groups": 2}),
    "4 groups sense disjoint features": (("gcca", "clustering"), {"groups": 4}),
    "agents do not rotate their factors": (("gcca", "clustering", "covariance"), {"rotation": "none"}),
}
"""What is done to the agents, and which methods it leaves something to go by."""

ALLOWANCE = 0.02
"""By how much an earlier measurement may differ, because features shared their factors in another way there."""

WIDEST = 0.01
"""The most that is put down to chance; all figures here scatter less."""


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` leaves out the society of 2,000."""
    found: dict[str, Measure] = {KIND: kind_world, SIZES: other_sizes, HARSH: harsh_worlds}
    return found if quick else {MANY: many} | found


def rows(found: Mapping[str, Found]) -> Iterator[Row]:
    """Every row of merging."""
    yield from kind_rows(found[KIND])
    yield from size_rows(found[SIZES])
    if MANY in found:
        yield from many_rows(found[MANY])
    yield from harsh_rows(found[HARSH], found[KIND])


# -- measuring --------------------------------------------------------------------------------------------------------


def kind_world(seed: int) -> Figures:
    """The world as planted: floors, single minds, one mind that holds all, and every way of merging."""
    world = planted(seed=seed)
    assert world.truth is not None
    truth, train, held_out = world.truth.loadings, world.features[world.train], world.features[world.held_out]
    optimum = optimal_variance(world, FACTORS)
    central = central_loadings(train, FACTORS)
    # The same factors as they were before rotation: on their principal axes.
    left, values, _ = np.linalg.svd(central, full_matrices=False)
    found: Figures = {
        "null": null_mcc(truth, FACTORS, seed=seed),
        "PCA 8": explained_variance(held_out, principal_axes(train, 8)) / optimum,
        "unrotated": matched_correlation(left * values, truth),
        **quality(world, central, "central"),
    }
    for sensing, how in SENSING.items():
        views = planted_views(world, seed=seed, **how)
        for method in METHODS:
            found |= merged(world, views, method, f"{sensing} {method}")
        if sensing == "random 64":
            assert views.levels is not None
            centred = views.levels - views.levels.mean(axis=1, keepdims=True)
            single = single_loadings(centred, world.features[world.probe])
            found["single MCC"] = max(matched_correlation(view, truth) for view in single)
            found["single efficiency"] = max(explained_variance(held_out, view) for view in single) / optimum
    views = planted_views(world, seed=seed, agents=400)
    return found | merged(world, views, "covariance", "400 agents")


def other_sizes(seed: int) -> Figures:
    """Twice as many factors, fewer shared objects, fewer agents, and few features that many agents sense."""
    found: Figures = {}
    twice = planted(seed=seed, features=512, factors=64)
    views = planted_views(twice, seed=seed, agents=400, sensing="correlates", sensors=64)
    for method in METHODS:
        found |= merged(twice, views, method, f"twice {method}")
    fewer = planted(seed=seed, probe=250)
    found |= merged(fewer, planted_views(fewer, seed=seed), "gcca", "250 objects")
    world = planted(seed=seed)
    found |= merged(world, planted_views(world, seed=seed, agents=32), "gcca", "32 agents")
    dense = planted(seed=seed, features=64, factors=8)
    views = planted_views(dense, seed=seed, sensors=16)
    found |= merged(dense, views, "gcca", "dense shared")
    return found | merged(dense, views, "gcca", "dense common", count="common")


def many(seed: int) -> Figures:
    """2,000 agents who share 2,000 objects: what more of both is good for."""
    world = planted(seed=seed, objects=6000, probe=2000)
    views = planted_views(world, seed=seed, agents=2000)
    found = merged(world, views, "gcca", "many shared")
    return found | merged(world, views, "gcca", "many common", count="common")


def harsh_worlds(seed: int) -> Figures:
    """Much noise, factors that go together, and agents who sense, see or know less than they might."""
    noisy, oblique, world = planted(seed=seed, communality=0.25), correlated_world(seed=seed), planted(seed=seed)
    found: Figures = {}
    for name, where in {"noisy": noisy, "oblique": oblique}.items():
        views = planted_views(where, seed=seed)
        for method in METHODS:
            found |= merged(where, views, method, f"{name} {method}")
    found |= quality(noisy, central_loadings(noisy.features[noisy.probe], FACTORS), "noisy central")
    found |= quality(oblique, central_loadings(oblique.features[oblique.train], FACTORS), "oblique central")
    for name, (methods, how) in HARDSHIPS.items():
        views = planted_views(world, seed=seed, **how)
        for method in methods:
            found |= merged(world, views, method, f"{name} {method}")
        if name == "2 groups sense disjoint features":
            found["refused"] = refused(world, views)
    return found


def merged(world: World, views: Views, method: Method, name: str, *, count: Count = "shared") -> Figures:
    """The `quality` of what a method makes of the views."""
    unified = unify(views, features=world.features[world.probe], method=method, count=count)
    return quality(world, unified.loadings, name)


def quality(world: World, loadings: FloatMatrix, name: str) -> Figures:
    """K, MCC and efficiency of loadings [D, K], with ``name`` before each."""
    assert world.truth is not None
    share = efficiency(world, loadings)
    return {
        f"{name} K": float(loadings.shape[1]),
        f"{name} MCC": matched_correlation(loadings, world.truth.loadings),
        f"{name} efficiency": 0.0 if share is None else share,  # None: no concept, no axis to compare it with
    }


def refused(world: World, views: Views) -> float:
    """1 if implied covariance says that these agents have no feature in common, 0 if it merges them all the same."""
    try:
        unify(views, features=world.features[world.probe], method="covariance")
    except ValueError as error:
        if "without a single feature in common" in str(error):
            return 1.0
        raise
    return 0.0


# -- judging ----------------------------------------------------------------------------------------------------------


def kind_rows(found: Found) -> Iterator[Row]:
    """What `kind_world` gave, held against floors, bounds, targets and earlier measurements."""
    best_axes = float(found["PCA 8"].mean())
    limits: list[Limit] = [
        ("null", "chance: random loadings, MCC", EARLIER, "about", 0.134),
        ("single MCC", "best single view, MCC", "bound: 8 of 32 factors", "at most", 8 / FACTORS),
        ("single efficiency", "best single view, efficiency", "bound: 8 principal axes", "at most", best_axes),
        ("PCA 8", "8 principal axes of all objects, efficiency", EARLIER, "about", 0.274),
        ("unrotated", "one mind that holds all, unrotated factors, MCC", EARLIER, "about", 0.41),
        ("central MCC", "one mind that holds all, varimax factors, MCC", EARLIER, "about", 0.992),
        ("central efficiency", "one mind that holds all, efficiency", EARLIER, "about", 1.0),
    ]
    for sensing in SENSING:
        limits += [
            (f"{sensing} gcca MCC", f"GCCA, {sensing}, MCC", TARGET, "at least", 0.96),
            (f"{sensing} gcca efficiency", f"GCCA, {sensing}, efficiency", TARGET, "at least", 0.97),
            (f"{sensing} clustering MCC", f"clustering, {sensing}, MCC", TARGET, "at least", 0.95),
            (f"{sensing} clustering efficiency", f"clustering, {sensing}, efficiency", TARGET, "at least", 0.96),
        ]
    name = "implied covariance, 400 agents"
    limits += [
        ("400 agents MCC", f"{name}, MCC", TARGET, "at least", 0.98),
        ("400 agents efficiency", f"{name}, efficiency", TARGET, "at least", 0.99),
        ("random 64 covariance MCC", "implied covariance, 200 agents, MCC", f"{EARLIER}, of 400", "about", 0.983),
    ]
    limits += [
        (f"{sensing} {method} K", f"{METHODS[method]}, {sensing}, concepts found", "32 planted", "exactly", FACTORS)
        for sensing in SENSING
        for method in METHODS
    ]
    yield from (_row(found, KIND, limit) for limit in limits)


def size_rows(found: Found) -> Iterator[Row]:
    """What `other_sizes` gave."""
    twice, dense = "64 factors, 512 features, 400 agents", "8 factors, 64 features, each sensed by 50 agents"
    limits: list[Limit] = [
        ("twice gcca MCC", f"{twice}: GCCA, MCC", TARGET, "at least", 0.95),
        ("twice covariance MCC", f"{twice}: implied covariance, MCC", TARGET, "at least", 0.95),
        ("twice clustering MCC", f"{twice}: clustering, MCC", TARGET, "report", 0.95),
        ("twice gcca K", f"{twice}: GCCA, concepts found", "64 planted", "exactly", 64),
        ("250 objects K", "250 shared objects: GCCA, concepts found", "32 planted", "exactly", FACTORS),
        ("32 agents K", "32 agents: GCCA, concepts found", "32 planted", "report", FACTORS),
        ("dense shared K", f"{dense}: GCCA, concepts found", "8 planted", "report", 8),
        ("dense common K", f"{dense}: common factors found", "8 planted; Horn 1965", "exactly", 8),
    ]
    for limit in limits:
        yield _row(found, SIZES, limit, note=_beside(found, limit[0]))


def many_rows(found: Found) -> Iterator[Row]:
    """What `many` gave."""
    name, source = "2,000 agents, 2,000 shared objects: GCCA", "earlier, 10,000 and 4,000:"
    limits: list[Limit] = [
        ("many common MCC", f"{name}, MCC", f"{source} .995", "at least", 0.99),
        ("many common efficiency", f"{name}, efficiency", f"{source} .996", "at least", 0.99),
        ("many common K", f"{name}, common factors found", "32 planted; Horn 1965", "exactly", FACTORS),
        ("many shared K", f"{name}, concepts found", "32 planted", "report", FACTORS),
    ]
    yield from (_row(found, SIZES, limit) for limit in limits)


def harsh_rows(found: Found, kind: Found) -> Iterator[Row]:
    """What `harsh_worlds` gave, set beside what the same method reaches in the kind world."""
    settings: dict[str, tuple[str, tuple[Method, ...]]] = {
        "noisy": ("communality .25", tuple(METHODS)),
        "oblique": ("factors correlate .3", tuple(METHODS)),
        **{name: (name, methods) for name, (methods, _) in HARDSHIPS.items()},
    }
    for key, (name, methods) in settings.items():
        for method in methods:
            figure = f"{key} {method} MCC"
            before = float(kind[f"random 64 {method} MCC"].mean())
            limit: Limit = (figure, f"{name}: {METHODS[method]}, MCC", "the planted world", "report", before)
            yield _row(found, HARSH, limit, note=_beside(found, figure))
    beside: list[tuple[str, str, Relation]] = [
        ("noisy", "communality .25: GCCA beside one mind that holds the shared objects, MCC", "at least"),
        ("oblique", "factors correlate .3: GCCA beside one mind that holds all objects, MCC", "report"),
    ]
    for key, name, relation in beside:
        mind = float(found[f"{key} central MCC"].mean())
        yield _row(found, HARSH, (f"{key} gcca MCC", name, "varimax factors of that mind", relation, mind))
    limits: list[Limit] = [
        ("refused", "2 groups sense disjoint features: implied covariance refuses", "no overlap", "exactly", 1.0),
        ("turned", "agents do not rotate: change of GCCA's MCC", "subspaces are free of rotation", "about", 0.0),
    ]
    turned = found["agents do not rotate their factors gcca MCC"] - kind["random 64 gcca MCC"]
    yield from (_row(found | {"turned": turned}, HARSH, limit) for limit in limits)


def _beside(found: Found, key: str) -> str:
    """The other figures of the same merge, for a note."""
    name, _, figure = key.rpartition(" ")
    others = ("efficiency", "K") if figure == "MCC" else ("MCC", "efficiency")
    return ", ".join(f"{other} {found[f'{name} {other}'].mean():.3g}" for other in others)


def _row(found: Found, group: str, limit: Limit, *, note: str = "") -> Row:
    """What is ``about`` a figure may miss it by chance, and an earlier measurement by that of another planted world."""
    key, name, source, relation, expected = limit
    samples, tolerance = found[key], 0.0
    if relation == "about":
        tolerance = sampling_error(samples, widest=WIDEST) + (ALLOWANCE if source.startswith(EARLIER) else 0.001)
    return judged(
        samples,
        group=group,
        name=name,
        source=source,
        relation=relation,
        expected=expected,
        tolerance=tolerance,
        note=note,
    )
