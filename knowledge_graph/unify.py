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

import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knowledge_graph.clustering import By, clustering
from knowledge_graph.covariance import covariance
from knowledge_graph.gcca import gcca
from knowledge_graph.views import Unified, Views, groups_by_features, groups_by_objects

Method = Literal["auto", "gcca", "clustering", "covariance"]
Count = Literal["shared", "common"]


class NothingInCommonError(ValueError):
    """The agents fall into groups that share nothing by which their views could be unified."""


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
    features : [P, D], the probe objects themselves as anyone may look at them, centred and scaled over all objects of
        the world; where given they tell what concepts look like, beyond what single agents sense
    method : "auto" takes GCCA where agents share objects, else implied covariance where they share features; likewise
        clustering goes by objects, else by features. Objects that leave the agents in groups with none in common are
        not enough
    count : what counts as a concept (for GCCA). "shared": every direction that views share more than random ones
        would. "common": only what several features have in common; a feature that many agents sense is shared, too,
        but not common.

    Raises
    ------
    ValueError
        If there are no views; if the agents share neither objects nor named features, or not what the method needs; or
        if levels are infinite.
    NothingInCommonError
        Which is one, if they fall into groups that have nothing in common.

    Notes
    -----
    Cost, for N views of S dimensions over P objects and D features of which each senses m, with n = N S dimensions:
    GCCA N S P^2 + P^3 operations and N S P + P^2 numbers; clustering n^2 (P or D) and n^2; implied covariance
    N m^2 S + D^3 per round of completion and D^2.
    """
    if len(views) == 0:
        raise ValueError("unifying needs at least one view; got none")
    _check_needs(views, method)
    if views.levels is not None and np.isinf(views.levels).any():
        raise ValueError("levels are infinite; give numbers, and nan for objects that an agent has not seen")

    @functools.cache
    def groups(by: By) -> int:
        """Into how many groups the agents fall; counted once, since that goes over all levels."""
        return groups_by_objects(views) if by == "objects" else groups_by_features(views)

    by: By = "objects" if method == "gcca" else "features"
    if method in ("auto", "clustering") and shares_objects(views):
        # Where objects do not join all agents, names of features still may.
        joined_by_features_alone = groups("objects") != 1 and shares_features(views) and groups("features") == 1
        by = "features" if joined_by_features_alone else "objects"
    if groups(by) > 1:
        what = by.removesuffix("s")
        raise NothingInCommonError(
            f"these views cannot be unified: the agents fall into {groups(by)} groups without a single {what} in "
            f"common, so nothing says which dimensions are alike; let some agents share {by} with others"
        )
    if method == "clustering":
        return clustering(views, features=features, by=by)
    if by == "objects":
        return gcca(views, features=features, count=count)
    return covariance(views, features=features)


def shares_objects(views: Views) -> bool:
    """Whether the agents know levels of common objects."""
    return views.levels is not None and views.n_objects >= 2


def shares_features(views: Views) -> bool:
    """Whether the agents' features have common names, and are known to go with their dimensions."""
    return all(part is not None for part in (views.sensor, views.loading, views.structure, views.phi))


def _check_needs(views: Views, method: Method) -> None:
    objects, features = shares_objects(views), shares_features(views)
    needs = {
        "gcca": (objects, "levels of at least two shared objects"),
        "covariance": (features, "named features: sensor, loading, structure and phi"),
        "clustering": (objects or features, "levels of shared objects, or named features"),
    }
    if method == "auto":
        if not objects and not features:
            raise ValueError(
                "these views cannot be unified: the agents share neither objects (levels of at least two) nor named "
                "features (sensor, loading, structure and phi), so nothing says which dimensions are alike"
            )
        return
    if method not in needs:
        raise ValueError(f"method is {method!r}, but it must be one of auto, {', '.join(needs)}")
    there, what = needs[method]
    if not there:
        raise ValueError(f"{method} needs {what}, which these views do not have")
