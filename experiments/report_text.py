"""The words of the report: numbers as people write them, and sentences made from the summary."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.config import SocietyConfig

Row = Mapping[str, float | None]
DASH = "\N{EN DASH}"


def esc(text: object) -> str:
    """Text as HTML shows it literally, in elements and in quoted attributes; control characters become spaces."""
    return html.escape(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", str(text)))


def known(value: Any) -> float | None:
    """The number, or None where there is none (None, nan, or infinite)."""
    return None if value is None or not math.isfinite(value) else float(value)


def number(value: Any, digits: int = 2) -> str:
    """A number with a true minus sign and thousands apart; a dash where there is none."""
    found = known(value)
    if found is None:
        return DASH
    # Adding 0 after rounding turns a negative zero into a plain one.
    return f"{round(found, digits) + 0.0:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: Any) -> str:
    """A share as a percentage: whole, but with a decimal where rounding would claim all or nothing."""
    found = known(value)
    if found is None:
        return DASH
    whole = round(100 * found)
    digits = 1 if (whole == 100 and found < 1) or (whole == 0 and found != 0) else 0
    # 99.97% is not 100.0%: what is left of a decimal is cut off, not rounded up.
    shown = min(100 * found, 99.9) if digits and found < 1 else 100 * found
    return f"{number(shown, digits)}%"


def count(n: Any, one: str, many: str | None = None) -> str:
    """So many of something, in words: 1 agent, 200 agents."""
    return f"{number(n, 0)} {one if n == 1 else many or one + 's'}"


def series(rows: Sequence[Row], key: str) -> tuple[list[float], list[float | None]]:
    """Steps and values of one column of the metrics."""
    return [float(row["step"] or 0) for row in rows], [known(row.get(key)) for row in rows]


def last(rows: Sequence[Row], key: str) -> float | None:
    """The last known value of a column of the metrics."""
    return next((value for row in reversed(rows) if (value := known(row.get(key))) is not None), None)


def headline(summary: Mapping[str, Any], config: SocietyConfig, world: str) -> str:
    """The report in one sentence (HTML)."""
    concepts = known(summary["library"]["n_concepts"])
    who = f"{count(summary['n_agents'], 'agent')} of {count(config.dimensions, 'dimension')}"
    if not concepts:
        lived = f"lived {count(summary['n_steps'], 'step')} in <em>{esc(world)}</em>"
        return f"{who} {lived} and share no concepts yet"
    return f"{who} recovered {count(concepts, 'dimension')} of <em>{esc(world)}</em>"


def lede(summary: Mapping[str, Any], best_view: float | None) -> str:
    """The few sentences under the headline (HTML): what was recovered, beside central PCA, single view and floor."""
    library = summary["library"]
    concepts = known(library["n_concepts"])
    if not concepts:
        if known(best_view) is None:
            return "What they know is still in their own heads."
        alone = (
            f"the best single view explains {percent(best_view)} of what varies among objects that none of them has met"
        )
        return f"What they know is still in their own heads: {alone}."
    said = []
    if known(library["explained_variance"]) is not None:
        said.append(
            f"Together they explain {percent(library['explained_variance'])} of what varies among objects that none of "
            f"them has met, {percent(library['efficiency'])} of what one mind that sees every training object explains "
            f"with {count(concepts, 'principal component')}."
        )
    if known(best_view) is not None:
        said.append(f"The best single view explains {percent(best_view)}.")
    if known(library["mcc"]) is not None:
        said.append(
            f"Their concepts match the planted truth with a mean congruence of {number(library['mcc'])}; one mind that "
            f"sees everything reaches {number(library['central_mcc'])}, the best single view "
            f"{number(library['best_single_view_mcc'])}, chance {number(library['mcc_null'])}."
        )
    if known(library["label_accuracy"]) is not None:
        said.append(
            f"Described by their concepts, {percent(library['label_accuracy'])} of new objects are told by name "
            f"(by all raw features {percent(library['raw_label_accuracy'])}, by the best single view "
            f"{percent(library['best_single_view_label_accuracy'])})."
        )
    return " ".join(said)


def key_figures(
    summary: Mapping[str, Any], config: SocietyConfig, best_view: float | None
) -> list[tuple[str, str, str]]:
    """(what, value, beside what) for the strip of key figures."""
    library, talk, felt = summary["library"], summary["communication"], summary["superiority"]
    jungle = summary["selection"]
    keys = [
        (
            "Shared concepts",
            number(library["n_concepts"], 0),
            f"no agent holds more than {number(jungle['max_dims'], 0)}",
        ),
        (
            "Variance explained",
            percent(library["explained_variance"]),
            f"best single view {percent(best_view)}, central PCA {percent(library['optimal_explained_variance'])}",
        ),
        ("Efficiency", percent(library["efficiency"]), "of one mind&#x27;s PCA with as many dimensions"),
    ]
    if known(library["mcc"]) is not None:
        keys.append(("Match with the truth", number(library["mcc"]), f"chance {number(library['mcc_null'])}"))
    if known(library["label_accuracy"]) is not None:
        beside = f"raw features {percent(library['raw_label_accuracy'])}"
        keys.append(("Labels told", percent(library["label_accuracy"]), beside))
    before = talk["success_before"]
    start = f"{percent(before)} before the library, " if known(before) is not None else ""
    keys.append(("Talk that succeeds", percent(talk["success"]), f"{start}guessing {percent(talk['chance'])}"))
    if config.game == "language":
        per_concept = talk["words_per_concept"]
        beside = f"{number(per_concept, 1)} per concept" if known(per_concept) is not None else "before any are shared"
        keys.append(("Words in use", number(talk["distinct_words"], 0), beside))
    heading = f", heading for {number(felt['predicted'])}" if known(felt["predicted"]) is not None else ""
    keys.append(("Superiority felt", number(felt["mean_felt"]), f"true {number(felt['mean_true'])}{heading}"))
    beside = f"{count(jungle['births'], 'birth')} kept the number" if jungle["deaths"] else "everybody lives"
    keys.append(("Deaths", number(jungle["deaths"], 0), beside))
    return keys
