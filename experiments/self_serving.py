"""What self-serving bias does to views, survival and library: ``python -m experiments.self_serving``.

The own share of gains and of losses is multiplied before it is felt (`agents.attribution.biased`), the same for
everybody. It reaches the rest of the society through felt superiority alone: which dimensions fall under the floor,
which are crowded out by newcomers, who dies and who has offspring. What is felt cannot leave [0, 1]: who takes the
whole outcome for its own doing (``self_attribution`` 1) and has won feels 1 already, and can only be spared losses.
With exact shares (0) there is room on both sides, so that the bias is compared there too. The curve is over half the
difference of the two factors, from utter modesty (-1) to utter self-serving bias (1).
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Sequence

import numpy as np

from agents.selection import GRACE
from experiments import command_line, comparison
from experiments.compared import Compared, trends, verdict
from experiments.comparison import Comparison, Condition, Lived
from experiments.lifetimes import ELIMINATED, Followed, kaplan_meier
from experiments.measuring import true_standing
from experiments.society_figures import BETTER, DIVERSITY, FEELINGS, QUALITY, diversity, feelings, quality

PROG = "self_serving"
NO_BIAS, SELF_SERVING, MODESTY = "no bias", "self-serving bias", "modesty"
EXACT, EXACT_BIAS = "exact shares", "exact shares, self-serving bias"

LASTED = 50
"""Steps that a dimension has to last."""

SURVIVAL = {
    "told_truly": "Correlation of felt with true superiority",
    "dims_dropped": "Dimensions dropped",
    "lasted": f"Share of dimensions that last {LASTED} steps",
    "hazard": "Eliminations of a dimension per 100 contests",
    "age_at_death": "Age at death",
    "fitness_at_death": "Fitness of those who die",
}
"""What `survival` gives, in words."""

MOVED = dict.fromkeys(
    ("illusory", "told_truly", "dims_dropped", "lasted", "age_at_death", "abstract_share", "view_overlap", "success"), 1
)
"""What the bias may raise or lower."""


def measure(lived: Lived) -> dict[str, float]:
    """Feelings, survival, quality and diversity of a society at its end."""
    return {**feelings(lived), **survival(lived), **quality(lived), **diversity(lived)}


def survival(lived: Lived) -> dict[str, float]:
    """How long dimensions and agents live, and whether what is felt still tells which of them deserve to."""
    society = lived.society
    assert isinstance(society, Followed)
    population, lives = society.population, society.lives
    judged = population.held & (population.contests >= GRACE)
    felt, true = population.score[judged].astype(np.float64), true_standing(society)[judged]
    varies = judged.sum() > 1 and np.ptp(felt) > 0 and np.ptp(true) > 0
    eliminated = lives.end == ELIMINATED
    ages = [age for _, dead in society.deaths for age in dead.age.tolist()]
    worth = [fitness for _, dead in society.deaths for fitness in dead.fitness.tolist()]
    return {
        "told_truly": float(np.corrcoef(felt, true)[0, 1]) if varies else math.nan,
        "dims_dropped": float(society.counters.dims_dropped),
        "lasted": float(kaplan_meier(lives.steps, eliminated, np.array([LASTED]))[0]),
        "hazard": 100 * lives.hazard,
        "age_at_death": float(np.mean(ages)) if ages else math.nan,
        "fitness_at_death": float(np.mean(worth)) if worth else math.nan,
    }


def conclude(found: Compared) -> Sequence[str]:
    """What the bias does to feelings and survival, with room above and without; and to the library."""
    said = []
    for name, beside, words in (
        (SELF_SERVING, NO_BIAS, "Self-serving bias"),
        (EXACT_BIAS, EXACT, "Self-serving bias where agents feel exact shares alone"),
        (MODESTY, NO_BIAS, "Modesty"),
    ):
        does = verdict(
            found.beside(beside), name, MOVED, gains="raises", losses="lowers", neither="shows no effect in {} seeds on"
        )
        said.append(f"{words} {does}.")
    if found.at:
        said.append(f"The more self-serving, {trends(found, dict.fromkeys([*MOVED, *BETTER]))}.")
    said += [
        f"The library of {words}, beside that of those without bias, is {verdict(found, name, BETTER)}."
        for name, words in ((SELF_SERVING, "the self-serving"), (MODESTY, "the modest"))
    ]
    return said


COMPARISON = Comparison(
    question="What does self-serving bias do to views, survival and library?",
    conditions=(
        Condition(name=NO_BIAS, at=0.0),
        Condition(name=SELF_SERVING, changes={"bias_gain": 1.5, "bias_loss": 0.5}, at=0.5),
        Condition(name="utter self-serving bias", changes={"bias_gain": 2.0, "bias_loss": 0.0}, at=1.0),
        Condition(name=MODESTY, changes={"bias_gain": 0.5, "bias_loss": 1.5}, at=-0.5),
        Condition(name="utter modesty", changes={"bias_gain": 0.0, "bias_loss": 2.0}, at=-1.0),
        Condition(name=EXACT, changes={"self_attribution": 0.0}),
        Condition(
            name=EXACT_BIAS,
            changes={"self_attribution": 0.0, "bias_gain": 1.5, "bias_loss": 0.5},
        ),
        Condition(name="exact shares, modesty", changes={"self_attribution": 0.0, "bias_gain": 0.5, "bias_loss": 1.5}),
    ),
    measure=measure,
    figures=FEELINGS | SURVIVAL | QUALITY | DIVERSITY,
    answers=(
        "illusory",
        "told_truly",
        "dims_dropped",
        "lasted",
        "age_at_death",
        "abstract_share",
        "view_overlap",
        "efficiency",
        "mcc",
        "label_accuracy",
        "weights_efficiency",
        "success",
    ),
    society=Followed,
    curve="bias",
    conclude=conclude,
)

main = functools.partial(comparison.main, COMPARISON, prog=PROG)

if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
