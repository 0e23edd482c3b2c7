"""What is measured of a society: a row of metrics as it lives, and a summary at the end.

Measuring never touches the society: it draws from generators of its own and changes nothing.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from agents.config import SocietyConfig
from agents.consult import new_library, probe_levels, take_in, views_of
from agents.language import distinct_words, words_per_dimension
from agents.population import ABSTRACT, Population
from agents.society import MERGE_SAMPLE, Society
from agents.superiority import settling_point, win_rates
from agents.world import World
from experiments.measuring_language import conventions, language_summary
from knowledge_graph.library import Library
from knowledge_graph.measures import (
    central_loadings,
    explained_variance,
    label_accuracy,
    matched_correlation,
    metric_of,
    null_mcc,
    principal_axes,
)

WINDOW = 20
"""Steps over which the success of talk is averaged."""

SINGLE_VIEWS = 200
"""A larger society's single views are measured on a random sample of this many."""

PREDICTED_VIEWS = 20
"""What agents foretell is measured on a random sample of this many."""

OPPONENTS = 1000
"""True standing in a larger society is measured against a random sample of this many bodies."""

Row = dict[str, float | None]


@dataclasses.dataclass(kw_only=True)
class Recorder:
    """The memory of a run: the founders' map, every step's talk, and a row of metrics per recorded step."""

    success: list[float] = dataclasses.field(default_factory=list)
    known: list[float] = dataclasses.field(default_factory=list)
    first_merge: int | None = None
    unlived: dict[str, float | None] | None = None
    rows: list[Row] = dataclasses.field(default_factory=list)

    def heard(self, society: Society) -> None:
        """Note how talk went in the step just lived (nan where nobody talked)."""
        for history, outcomes in (
            (self.success, [talk.success for talk in society.talks]),
            (self.known, [talk.known for talk in society.talks]),
        ):
            told = np.concatenate(outcomes) if outcomes else np.zeros(0)
            history.append(float(told.mean()) if len(told) else np.nan)
        if self.first_merge is None and society.library.rounds:
            self.first_merge = len(self.success)

    def talk(self, history: list[float], *, end: int | None = None) -> float | None:
        """Mean over the last `WINDOW` steps up to ``end``; None where there was no talk."""
        window = np.array(history[:end][-WINDOW:])
        return None if np.isnan(window).all() else float(np.nanmean(window))

    @property
    def success_before(self) -> float | None:
        """Success just before the library first spoke."""
        return None if self.first_merge is None else self.talk(self.success, end=self.first_merge)


def metrics(society: Society, recorder: Recorder) -> Row:
    """One row: how the society is at this step."""
    population, world, library = society.population, society.world, society.library
    held = population.held
    standing = standings(society)
    rows = sampled_rows(society)
    levels = probe_levels(population, world, rows)
    row: Row = {
        "step": society.steps,
        "success": recorder.talk(recorder.success),
        "known": recorder.talk(recorder.known),
        "distinct_words": distinct_words(population.words),
        "n_words": society.counters.n_words,
        "words_per_dimension": words_per_dimension(population.words, held),
        **conventions(society, library, rows, levels),
        "mean_felt": standing["mean_felt"],
        "mean_true": standing["mean_true"],
        "predicted": standing["predicted"],
        "mean_contests": standing["contests"],
        "dims_held": float(held.sum(axis=1).mean()),
        "abstract_share": float((population.kind == ABSTRACT).sum() / max(held.sum(), 1)),
        "n_concepts": len(library),
        "explained_variance": None,
        "efficiency": None,
        "best_view_variance": best_view_variance(world, levels),
        "mcc": None,
        "deaths": society.counters.deaths,
        "births": society.counters.births,
        "dims_dropped": society.counters.dims_dropped,
        "dims_discovered": society.counters.dims_discovered,
    }
    if len(library):
        row["explained_variance"] = explained_variance(world.features[world.held_out], library.loadings)
        row["efficiency"] = efficiency(world, library.loadings)
        if world.truth is not None:
            row["mcc"] = matched_correlation(library.loadings, world.truth.loadings)
    return row


def summarise(
    society: Society, library: Library, recorder: Recorder, *, name: str, seed: int, wall_s: float
) -> dict[str, object]:
    """The summary of a run, as the command line promises it: numbers, or None where one does not apply.

    ``library`` is the one at the end of the run (see `closing_library`).
    """
    ledger = society.ledger.shares()
    counters = society.counters
    return {
        "world": name,
        "n_agents": len(society.population),
        "n_steps": society.steps,
        "seed": seed,
        "wall_s": wall_s,
        "agent_steps_per_s": len(society.population) * society.steps / wall_s if wall_s > 0 else None,
        "library": library_summary(society, library),
        "unlived": recorder.unlived or dict.fromkeys(MAP_QUALITY),
        "communication": {
            "candidates": society.config.candidates,
            "success": recorder.talk(recorder.success),
            "success_before": recorder.success_before,
            "chance": 1.0 / society.config.candidates,
            **language_summary(society, library, recorder.rows, sampled_rows(society)),
        },
        "superiority": {**standings(society), "tau": society.config.tau},
        "selection": {
            "deaths": counters.deaths,
            "births": counters.births,
            "dims_dropped": counters.dims_dropped,
            "dims_discovered": counters.dims_discovered,
            "max_dims": int(society.population.held.sum(axis=1).max()),
        },
        "attribution": ledger or {"self": None, "others": None, "luck": None},
    }


def library_summary(society: Society, library: Library) -> dict[str, float | None]:
    """What the library holds of the world, beside PCA and factors of all training objects, single views and chance.

    Single views are described by the regression of the probe's features on their levels; the library likewise, with
    the agents' experience beside it.
    """
    world = society.world
    train, held_out = world.features[world.train], world.features[world.held_out]
    names = (
        "n_concepts efficiency explained_variance optimal_explained_variance rank8_explained_variance mcc score_mcc "
        "mcc_null central_mcc best_single_view_mcc label_accuracy raw_label_accuracy "
        "best_single_view_label_accuracy mean_single_view_label_accuracy weights_efficiency weights_mcc prediction "
        "prediction_bound reconstruction"
    )
    found: dict[str, float | None] = dict.fromkeys(names.split())
    k = len(library)
    found |= map_quality(library, world)
    found["rank8_explained_variance"] = explained_variance(held_out, principal_axes(train, 8))
    if k:
        found["explained_variance"] = explained_variance(held_out, library.loadings)
        found["optimal_explained_variance"] = optimal_variance(world, k)
        found["reconstruction"] = explained(held_out, library.reconstruct(held_out))
        found["prediction"], found["prediction_bound"] = foretold(society, library)
    rows = sampled_rows(society)
    views = view_loadings(society, rows)
    if world.truth is not None:
        truth = world.truth
        found["best_single_view_mcc"] = max(matched_correlation(view, truth.loadings) for view in views)
        if k:
            scores = library.transform(held_out)
            found["score_mcc"] = matched_correlation(
                scores - scores.mean(axis=0),
                truth.scores[world.held_out] - truth.scores[world.held_out].mean(axis=0),
            )
            found["mcc_null"] = null_mcc(truth.loadings, k)
            found["central_mcc"] = matched_correlation(central_loadings(train, k), truth.loadings)
    if world.labels is not None:
        found["raw_label_accuracy"] = labels_told(world, world.features)
        if k:
            found["label_accuracy"] = labels_told(world, library.coordinates(world.features))
        told = [
            labels_told(world, world.features @ weights @ metric_of(loadings))
            for weights, loadings in zip(lifted(society.population, rows, world), views, strict=True)
        ]
        found["best_single_view_label_accuracy"] = max(told)
        found["mean_single_view_label_accuracy"] = float(np.mean(told))
    return found


MAP_QUALITY = ("n_concepts", "efficiency", "mcc", "weights_efficiency", "weights_mcc")


def map_quality(library: Library, world: World) -> dict[str, float | None]:
    """How good a map the library is, in two ways each.

    ``efficiency`` and ``mcc`` describe a concept by its loadings: how the features of the probe objects go with it.
    ``weights_efficiency`` and ``weights_mcc`` take it as the agents have it: by what their dimensions weigh, with no
    look at any object.
    """
    found: dict[str, float | None] = dict.fromkeys(MAP_QUALITY)
    found["n_concepts"] = len(library)
    if len(library):
        found["efficiency"] = efficiency(world, library.loadings)
        found["weights_efficiency"] = efficiency(world, library.weights)
        if world.truth is not None:
            found["mcc"] = matched_correlation(library.loadings, world.truth.loadings)
            found["weights_mcc"] = matched_correlation(library.weights, world.truth.loadings)
    return found


def unlived(society: Society) -> dict[str, float | None]:
    """The map that merging makes of the views as they are now, by a library of its own; of founders, the floor.

    Many random looks at a world span much of it already: only what exceeds this comes from living.
    """
    library = new_library(society.world, society.config)
    _take_in(library, society)
    return map_quality(library, society.world)


def efficiency(world: World, span: NDArray[np.float64]) -> float | None:
    """Held-out variance in the span [D, K] over that in as many principal axes of the training objects."""
    baseline = optimal_variance(world, span.shape[1])
    held_out = world.features[world.held_out]
    return explained_variance(held_out, span) / baseline if baseline > 0 else None


def closing_library(society: Society) -> Library:
    """The library as it would be with the views of this very step taken in; the society's own stays as it is."""
    if society.config.merge_interval == 0 or society.library.step == society.steps or society.steps == 0:
        return society.library
    library = society.library.copy()
    _take_in(library, society)
    return library


def _take_in(library: Library, society: Society) -> None:
    rows, n_words = sampled_rows(society, MERGE_SAMPLE), society.counters.n_words
    take_in(library, views_of(society.population, society.world, rows), step=society.steps, n_words=n_words)


def standings(society: Society) -> dict[str, float | None]:
    """Superiority felt and true, over all dimensions held: means, their difference, and what the win rates predict.

    ``predicted`` is where the felt superiority settles once every dimension has been in enough contests: the mean of
    p a+ / (p a+ + (1 - p) a-) over the true win rates p, or in the quantile variant the share of them above 1 - tau,
    where it runs to 1 and elsewhere to 0 (in the limit of small rates). It holds for feedback from comparison alone
    that one takes wholly for one's own doing, and is None for any other.
    """
    population = society.population
    held = population.held
    if not held.any():
        return dict.fromkeys(("mean_felt", "mean_true", "illusory", "predicted", "contests"))
    true = true_standing(society)[held]
    felt = float(population.score[held].mean(dtype=np.float64))
    config = society.config
    settled = settling_point(true, config)
    return {
        "mean_felt": felt,
        "mean_true": float(true.mean()),
        "illusory": felt - float(true.mean()),
        "predicted": float(settled.mean()) if settles_by_win_rate(config) else None,
        "contests": float(population.contests[held].mean()),
    }


def true_standing(society: Society) -> NDArray[np.float64]:
    """Win rates [N, S] against every body, or a random sample of them in a large society; nan in empty slots."""
    population, bodies = society.population, None
    if len(population) > 2 * OPPONENTS:
        bodies = population.body[sampled_rows(society, OPPONENTS)]
    return win_rates(population, society.world, bodies)


def settles_by_win_rate(config: SocietyConfig) -> bool:
    """Whether what superiority is fed are the won and lost contests, whole and nothing else."""
    whole = config.self_attribution == config.bias_gain == config.bias_loss == 1 or config.attribute_interval == 0
    lives = config.talk_interval and config.compare_interval and config.feel_interval
    return bool(whole and lives and config.reward_weights["comparison"] == 1 and config.rate_up + config.rate_down > 0)


def lifted(population: Population, rows: NDArray[np.intp], world: World) -> list[NDArray[np.float64]]:
    """For each of ``rows`` its loadings in the features of the world, [D, S]: 0 for what it does not sense."""
    views = []
    for row in rows:
        loadings = np.zeros((world.n_features, population.n_slots))
        loadings[population.sensor[row]] = population.loading[row].T
        views.append(loadings)
    return views


def view_loadings(society: Society, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Loadings [n, D, S] of single views: the probe's features regressed on their levels."""
    world = society.world
    return single_loadings(probe_levels(society.population, world, rows), world.features[world.probe])


def single_loadings(levels: NDArray[np.floating], features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Loadings [n, D, S] of single views with ``levels [n, P, S]``: the ``features [P, D]`` regressed on these."""
    across = levels.astype(np.float64).swapaxes(1, 2)
    inverse = np.linalg.pinv(across @ across.swapaxes(1, 2), rcond=1e-9, hermitian=True)
    return (inverse @ (across @ features.astype(np.float64))).swapaxes(1, 2)


def foretold(society: Society, library: Library) -> tuple[float | None, float | None]:
    """How well single agents foretell, through the library, features of held-out objects that they do not sense.

    The share of these features' variance that is foretold, over a sample of agents, and beside it what regressing the
    same features on the same levels over all training objects would foretell (which nobody could do: nobody sees both).
    """
    world, views = society.world, library.views
    if views is None or views.sensor is None or not len(library):
        return None, None
    rng = np.random.default_rng([society.seed, society.steps])
    train, held_out = (world.features[rows].astype(np.float64) for rows in (world.train, world.held_out))
    missed, missed_at_best, total = 0.0, 0.0, 0.0
    for row in rng.permutation(len(views))[:PREDICTED_VIEWS].tolist():
        agent, hidden = int(views.agent[row]), np.setdiff1d(np.arange(world.n_features), views.sensor[row])
        known = library.levels(agent, held_out)
        through = library.predict(agent, known)[:, hidden]
        direct = known @ np.linalg.lstsq(library.levels(agent, train), train[:, hidden], rcond=None)[0]
        missed += float(np.square(held_out[:, hidden] - through).sum())
        missed_at_best += float(np.square(held_out[:, hidden] - direct).sum())
        total += float(np.square(held_out[:, hidden]).sum())
    return (1.0 - missed / total, 1.0 - missed_at_best / total) if total > 0 else (None, None)


def explained(features: NDArray[np.floating], told: NDArray[np.float64]) -> float | None:
    """Share of the features' variance (centred by the world) that is told right; negative where worse than nothing."""
    total = float(np.square(features, dtype=np.float64).sum())
    return 1.0 - float(np.square(features - told).sum()) / total if total > 0 else None


def best_view_variance(world: World, levels: NDArray[np.floating]) -> float:
    """The largest share of the held-out variance in the span of one view, of those with ``levels [n, P, S]``."""
    held_out = world.features[world.held_out].astype(np.float64)
    gram, views = held_out.T @ held_out, single_loadings(levels, world.features[world.probe])
    across = views.swapaxes(1, 2)
    inside = np.linalg.pinv(across @ views, rcond=1e-9, hermitian=True) @ (across @ (gram @ views))
    total = float(np.trace(gram))
    return float(np.einsum("nss->n", inside).max()) / total if total > 0 else 0.0


def optimal_variance(world: World, rank: int) -> float:
    """Held-out variance that the first ``rank`` principal axes of the training objects explain (rank-K PCA)."""
    return explained_variance(world.features[world.held_out], principal_axes(world.features[world.train], rank))


def labels_told(world: World, coordinates: NDArray[np.floating]) -> float:
    """5-NN accuracy on the held-out objects in these coordinates [M, K]."""
    assert world.labels is not None
    train, test = world.train, world.held_out
    return label_accuracy(coordinates[train], world.labels[train], coordinates[test], world.labels[test])


def sampled_rows(society: Society, limit: int = SINGLE_VIEWS) -> NDArray[np.intp]:
    """All rows, or a random sample of ``limit`` that depends on seed and step alone."""
    n = len(society.population)
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng([society.seed, society.steps]).permutation(n)[:limit])
