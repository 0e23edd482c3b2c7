"""Views -> concepts: one question, three answers, chosen by what the agents share.

=============  ============================  ==================================================================
method         agents share                  how (one file each)
=============  ============================  ==================================================================
gcca           objects                       shared subspaces of scores; blind to names, signs and rotations
covariance     names of features             the covariances that views imply, averaged where they overlap
clustering     either                        average linkage of dimensions that look alike, signs aside
=============  ============================  ==================================================================
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.clustering import clustering
from knowledge_graph.covariance import covariance
from knowledge_graph.gcca import gcca
from knowledge_graph.views import Unified, Views, groups_by_features, groups_by_objects

Method = Literal["auto", "gcca", "clustering", "covariance"]
Count = Literal["shared", "common"]


def unify(
    views: Views,
    *,
    features: NDArray[np.floating] | None = None,
    method: Method = "auto",
    count: Count = "shared",
) -> Unified:
    """The dimensions that views share.

    Parameters
    ----------
    views : of N agents, with different sensors, different objects seen, or fewer dimensions, as it comes
    features : [P, D], the probe objects themselves as anyone may look at them; where given they tell what concepts
        look like, beyond what single agents sense
    method : "auto" takes GCCA where agents share objects, else implied covariance where they share features; likewise
        clustering goes by objects, else by features. Objects that leave the agents in groups with none in common are
        not enough
    count : what counts as a concept (for GCCA). "shared": every direction that views share more than random ones
        would. "common": only what several features have in common; a feature that many agents sense is shared, too,
        but not common.

    Raises
    ------
    ValueError
        If there are no views; if the agents share neither objects nor named features, or not what the method needs;
        or if they fall into groups that have nothing in common.

    Notes
    -----
    Cost, for N views of S dimensions over P objects and D features of which each senses m, with n = N S dimensions:
    GCCA N S P^2 + P^3 operations and N S P + P^2 numbers; clustering n^2 (P or D) and n^2; implied covariance
    N m^2 S + D^3 per round of completion and D^2.
    """
    if len(views) == 0:
        raise ValueError("unifying needs at least one view; got none")
    chosen = _chosen(views, method)
    if chosen == "gcca":
        _check_connected(groups_by_objects(views), "object")
        return gcca(views, features=features, count=count)
    if chosen == "covariance":
        _check_connected(groups_by_features(views), "feature")
        return covariance(views, features=features)
    if joined_by_objects(views) or (shares_objects(views) and not joined_by_features(views)):
        _check_connected(groups_by_objects(views), "object")
        return clustering(views, features=features, by="objects")
    _check_connected(groups_by_features(views), "feature")
    return clustering(views, features=features, by="features")


def shares_objects(views: Views) -> bool:
    """Whether the agents know levels of common objects."""
    return views.levels is not None and views.n_objects >= 2


def shares_features(views: Views) -> bool:
    """Whether the agents' features have common names, and are known to go with their dimensions."""
    return all(part is not None for part in (views.sensor, views.loading, views.structure, views.phi))


def joined_by_objects(views: Views) -> bool:
    """Whether agents share objects, and each hangs together with every other through them."""
    return shares_objects(views) and groups_by_objects(views) == 1


def joined_by_features(views: Views) -> bool:
    """Whether agents share features, and each hangs together with every other through them."""
    return shares_features(views) and groups_by_features(views) == 1


def _chosen(views: Views, method: Method) -> str:
    needs = {
        "gcca": (shares_objects(views), "levels of at least two shared objects"),
        "covariance": (shares_features(views), "named features: sensor, loading, structure and phi"),
        "clustering": (shares_objects(views) or shares_features(views), "levels of shared objects, or named features"),
    }
    if method == "auto":
        # Where objects do not join all agents, names of features still may.
        if not joined_by_objects(views) and joined_by_features(views):
            return "covariance"
        found = next((name for name in ("gcca", "covariance") if needs[name][0]), None)
        if found is None:
            raise ValueError(
                "these views cannot be unified: the agents share neither objects (levels of at least two) nor named "
                "features (sensor, loading, structure and phi), so nothing says which dimensions are alike"
            )
        return found
    if method not in needs:
        raise ValueError(f"method is {method!r}, but it must be one of auto, {', '.join(needs)}")
    there, what = needs[method]
    if not there:
        raise ValueError(f"{method} needs {what}, which these views do not have")
    return method


def _check_connected(groups: int, what: str) -> None:
    if groups > 1:
        raise ValueError(
            f"these views cannot be unified: the agents fall into {groups} groups without a single {what} in common, "
            f"so nothing says which dimensions are alike; let some agents share {what}s with others"
        )
