"""Figures of a society that comparisons have in common: how good its library is, how diverse it is, what it feels.

Diversities are effective numbers: so many kinds, all equally common, would be as diverse. Of order 1 that is the
exponential of the entropy (Hill 1973; Jost 2006), whether of shares of support, of bodies, or of the spectrum of what
views span.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agents.consult import probe_levels
from agents.lineage import clades, effective_founders, lineages
from agents.population import ABSTRACT, Population
from experiments.comparison import Lived
from experiments.measuring import labels_told, map_quality, sampled_rows, standings
from knowledge_graph.measures import explained_variance
from knowledge_graph.views import standardised, whitening

QUALITY = {
    "n_concepts": "Concepts in the library",
    "explained_variance": "Variance that the library explains",
    "efficiency": "Efficiency of the library",
    "mcc": "Match of the library with the truth (MCC)",
    "weights_efficiency": "Efficiency of the agents' own weights",
    "weights_mcc": "Match of the agents' own weights with the truth (MCC)",
    "label_accuracy": "Labels told by the library",
    "success": "Talk that succeeds",
}
"""What `quality` gives, in words."""

BETTER = {
    "efficiency": 1,
    "explained_variance": 1,
    "mcc": 1,
    "weights_efficiency": 1,
    "weights_mcc": 1,
    "label_accuracy": 1,
    "success": 1,
}
"""Of these, what is better the more of it there is: 1."""

DIVERSITY = {
    "effective_concepts": "Effective number of concepts",
    "concepts_held": "Concepts that somebody holds",
    "concepts_per_agent": "Concepts that an agent holds",
    "view_overlap": "Overlap of two agents' views",
    "view_dimensions": "Effective number of dimensions that all views span",
    "sensor_overlap": "Overlap of two agents' sensors",
    "effective_sensors": "Effective number of features sensed",
    "effective_bodies": "Effective number of bodies",
    "founders": "Founders with living descendants",
    "effective_founders": "Effective number of founders",
}
"""What `diversity` gives, in words."""

FEELINGS = {
    "mean_felt": "Superiority felt",
    "mean_true": "Superiority that is true",
    "illusory": "Superiority felt beyond what is true",
    "dimensions": "Dimensions that an agent holds",
    "abstract_share": "Share of abstract dimensions",
}
"""What `feelings` gives, in words."""


def quality(lived: Lived) -> dict[str, float]:
    """How good a map the library is (see `measuring.map_quality`), and how well its society talks; nan for unknown."""
    society, library = lived.society, lived.library
    world = society.world
    told: dict[str, float | None] = dict.fromkeys(QUALITY) | map_quality(library, world)
    told["success"] = lived.recorder.talk(lived.recorder.success)
    if len(library):
        told["explained_variance"] = explained_variance(world.features[world.held_out], library.loadings)
        if world.labels is not None:
            told["label_accuracy"] = labels_told(world, library.coordinates(world.features))
    return _floats(told)


def diversity(lived: Lived) -> dict[str, float]:
    """How many different things there are in a society: concepts, views, sensors, bodies, lineages."""
    society, library = lived.society, lived.library
    population, world = society.population, society.world
    rows = sampled_rows(society)
    views = projections(probe_levels(population, world, rows), population.held[rows])
    held = [np.unique(forms[forms >= 0]) for forms in library.membership]
    descended = lineages(society)
    return _floats(
        {
            "effective_concepts": None if library.unified is None else hill(library.unified.support),
            "concepts_held": len(np.unique(np.concatenate(held))) if held else None,
            "concepts_per_agent": float(np.mean([len(some) for some in held])) if held else None,
            "view_overlap": view_overlap(views),
            "view_dimensions": view_dimensions(views),
            "sensor_overlap": sensor_overlap(population, world.n_features),
            "effective_sensors": hill(np.bincount(population.sensor.ravel(), minlength=world.n_features)),
            "effective_bodies": hill(np.unique(population.body, return_counts=True)[1]),
            "founders": sum(count > 0 for count in clades(descended).values()),
            "effective_founders": effective_founders(descended),
        }
    )


def feelings(lived: Lived) -> dict[str, float]:
    """What agents feel beside what is true, and what their views are made of."""
    population = lived.society.population
    standing, held = standings(lived.society), population.held
    return _floats(
        {
            **{name: standing[name] for name in ("mean_felt", "mean_true", "illusory")},
            "dimensions": float(held.sum(axis=1).mean()),
            "abstract_share": float((population.kind == ABSTRACT).sum() / held.sum()) if held.any() else None,
        }
    )


def hill(weights: NDArray[np.number]) -> float:
    """The effective number of kinds with these weights (any shape and scale; not negative); 0 without any.

    exp of the entropy of their shares, the number of order 1 (Hill 1973, eq. 5).
    """
    share = np.asarray(weights, dtype=np.float64).ravel()
    share = share[share > 0]
    if not len(share):
        return 0.0
    share = share / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def projections(levels: NDArray[np.floating], held: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Orthonormal bases [P, k] of what views span of the objects, one for each view that holds a dimension that varies.

    ``levels [n, P, S]`` are centred here, so that what all objects have in common is no part of it.
    """
    z = standardised(levels, held)[0]
    bases = z @ whitening(z.swapaxes(1, 2) @ z)
    there = np.square(bases).sum(axis=1) > 0.5
    return [basis[:, some] for basis, some in zip(bases, there, strict=True) if some.any()]


def view_overlap(bases: list[NDArray[np.float64]]) -> float | None:
    """The mean overlap of two different views: the mean squared cosine of the angles between what they span.

    |A'B|^2 / sqrt(k l) for bases A [P, k] and B [P, l]: 1 where they span the same, 0 where nothing of one is in the
    other, k / P on average for directions at random. None with fewer than two views.
    """
    n = len(bases)
    if n < 2:
        return None
    scaled = np.concatenate([basis / math.sqrt(math.sqrt(basis.shape[1])) for basis in bases], axis=1)
    # |sum A A' / sqrt(k)|^2 holds all pairs, and each view with itself once, which is 1.
    total = float(np.square(_smaller_gram(scaled)).sum())
    return (total - n) / (n * (n - 1))


def view_dimensions(bases: list[NDArray[np.float64]]) -> float:
    """The effective number of dimensions that all views together span, from 1 view's to all objects'.

    The Hill number of the spectrum of the mean projection P_bar (with the eigenvalues as they are; Roy & Vetterli 2007
    take singular values in their effective rank).
    """
    if not bases:
        return 0.0
    values = np.linalg.eigvalsh(_smaller_gram(np.concatenate(bases, axis=1)))
    return hill(np.where(values > 1e-9 * values[-1], values, 0.0))


def sensor_overlap(population: Population, n_features: int) -> float:
    """The mean share of its sensors that an agent has in common with another; m / D for sensors at random."""
    n, m = population.sensor.shape
    users = np.bincount(population.sensor.ravel(), minlength=n_features).astype(np.float64)
    return float((users * (users - 1)).sum() / (n * (n - 1) * m))


def _smaller_gram(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """A'A or AA', whichever is smaller: they have the same norm and spectrum, zeros apart."""
    rows, across = columns.shape
    return np.asarray(columns @ columns.T if rows <= across else columns.T @ columns)


def _floats(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if figure is None else float(figure) for name, figure in figures.items()}
