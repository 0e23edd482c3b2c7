"""Three classic games of convention, each alone: signalling, naming the parts of a continuum, the spread of culture.

What is known of them was measured by others or can be proved; the games themselves are in `agents.games`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from experiments.limits import category_names, cultures, signals
from experiments.limits.rows import Law, Row
from experiments.pieces import Found, Measure


def measures(*, quick: bool) -> dict[str, Measure]:
    """What has to be measured; ``quick`` plays fewer and smaller games."""
    small, large = ((16, 150), (48, 16)) if quick else ((24, 120), (64, 30))
    agents = (50, 100, 200) if quick else (50, 100, 200, 400)
    return {
        cultures.GROUP: functools.partial(cultures.spread_of_culture, small=small, large=large),
        signals.GROUP: functools.partial(signals.signalling_games, runs=200 if quick else 500),
        category_names.GROUP: functools.partial(category_names.category_games, agents=agents),
    }


def rows(found: Mapping[str, Found]) -> Iterator[Row | Law]:
    """Every row of the three games."""
    yield from signals.signalling_rows(found[signals.GROUP])
    yield from category_names.category_rows(found[category_names.GROUP])
    yield from cultures.culture_rows(found[cultures.GROUP])
