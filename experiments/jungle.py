"""Does the law of the jungle make the library better, or poorer in diversity? ``python -m experiments.jungle``.

Its two parts, dimensions dropped and agents replaced, are switched on one by one and together, and the share of agents
that is replaced at each selection goes from none to a fifth. Beside it stands the Moran process, where anybody may die
and who is fitter only tends to have more offspring: what replacing people does with next to no selection among them.
Newcomers crowd out the dimensions that are felt least under every condition: that is part of discovery.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence

from experiments import command_line, comparison
from experiments.compared import Compared, trends, verdict
from experiments.comparison import Comparison, Condition, Lived
from experiments.society_figures import BETTER, DIVERSITY, FEELINGS, QUALITY, diversity, feelings, quality

PROG = "jungle"
JUNGLE, TOURNAMENT, MORAN = "the jungle", "agents replaced", "the Moran process"

CONDITIONS = (
    Condition(name="no selection", changes={"dimension_floor": 0.0, "turnover": 0.0}),
    Condition(name="dimensions dropped", changes={"turnover": 0.0}, at=0.0),
    Condition(name="more dimensions dropped", changes={"dimension_floor": 0.5, "turnover": 0.0}),
    Condition(name=TOURNAMENT, changes={"dimension_floor": 0.0}),
    Condition(name=JUNGLE, at=0.05),
    Condition(name="a milder jungle", changes={"turnover": 0.02}, at=0.02),
    Condition(name="a harder jungle", changes={"turnover": 0.1}, at=0.1),
    Condition(name="the hardest jungle", changes={"turnover": 0.2}, at=0.2),
    Condition(name=MORAN, changes={"dimension_floor": 0.0, "selection": "moran"}),
)

MORE_DIVERSE = {
    "n_concepts": 1,
    "effective_concepts": 1,
    "view_dimensions": 1,
    "view_overlap": -1,
    "sensor_overlap": -1,
    "effective_founders": 1,
}


def measure(lived: Lived) -> dict[str, float]:
    """Quality, diversity and feelings of a society at its end, and what selection did."""
    counters = lived.society.counters
    return {
        **quality(lived),
        **diversity(lived),
        **feelings(lived),
        "dims_dropped": float(counters.dims_dropped),
        "deaths": float(counters.deaths),
    }


def conclude(found: Compared) -> Sequence[str]:
    """Better or poorer, more or less diverse."""
    words = {"gains": "richer in diversity by", "losses": "poorer in diversity by"}
    said = [
        f"The library of the jungle, beside the one without selection, is {verdict(found, JUNGLE, BETTER)}.",
        f"Its society is {verdict(found, JUNGLE, MORE_DIVERSE, **words)}.",
    ]
    if MORAN in found.found and TOURNAMENT in found.found:
        by_lot = found.beside(MORAN)
        said.append(
            "What selection among agents adds to their mere replacement (tournaments beside the Moran process, both at "
            f"a turnover of 0.05): a library {verdict(by_lot, TOURNAMENT, BETTER)}; a society "
            f"{verdict(by_lot, TOURNAMENT, MORE_DIVERSE, **words)}."
        )
    if found.at:
        said.append(f"The more are replaced, {trends(found, [*BETTER, *MORE_DIVERSE])}.")
    return said


COMPARISON = Comparison(
    question="Does the law of the jungle make the library better, or poorer in diversity?",
    conditions=CONDITIONS,
    measure=measure,
    figures=QUALITY | DIVERSITY | FEELINGS | {"dims_dropped": "Dimensions dropped", "deaths": "Deaths"},
    answers=(
        "efficiency",
        "explained_variance",
        "mcc",
        "label_accuracy",
        "weights_efficiency",
        "success",
        "effective_concepts",
        "view_dimensions",
        "view_overlap",
        "effective_founders",
    ),
    curve="turnover",
    conclude=conclude,
)

main = functools.partial(comparison.main, COMPARISON, prog=PROG)

if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
