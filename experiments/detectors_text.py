"""Detectors and their societies in words.

Every sentence is made from the figures at hand: with other figures it says something else, or the opposite.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.compared import change, in_a_line, listed, paired
from experiments.detectors_found import BACKBONE, FIGURES, PYRAMID, Detectors
from experiments.lab.rows import Row
from experiments.lab.sentences import HEADINGS
from experiments.rank_correlation import FEWEST, Correlation
from experiments.report_text import count, number

PLACES = {PYRAMID: "pyramid", BACKBONE: "backbone"}
LARGER = {"concepts": 0}
"""Figures that are no shares, and how many digits after the point they have."""


def sentences(found: Detectors) -> list[str]:
    """The answers, with the figures that they rest on."""
    if not found.together("ap", "library").judged:
        return [better(found), beside(found), before_training(found)]
    return [
        better(found),
        pretrained_alone(found),
        features(found),
        beside(found),
        otherwise(found),
        before_training(found),
    ]


def headlines(found: Detectors) -> tuple[list[str], list[str]]:
    """The sentences that are to stand first, and all others."""
    said = sentences(found)
    first = 3 if found.together("ap", "library").judged else 1
    return said[:first], said[first:]


def better(found: Detectors) -> str:
    """Whether a better detector makes a better society, by what its library tells of objects."""
    along, told, ap = found.together("ap", "library"), found.of("library"), found.of("ap")
    names = list(found.by_name.values())
    verdict = {
        1: "Yes, the better the detector, the more a library tells",
        -1: "No, the better the detector, the less a library tells",
        0: f"Not as far as {count(along.rows, 'row')} can show" if along.judged else _too_few(along),
    }[along.sign]
    best, last = int(np.nanargmax(ap)), int(np.nanargmin(ap))
    lost = f" {count(found.lost, 'training')} left no detector to look through." if found.lost else ""
    return (
        f"{HEADINGS[found.name]}: {verdict}. The rank correlation of AP with the labels that a library tells is "
        f"{told_of(along)}: {number(told[best], 3)} for the row with the highest AP ({_named(names[best], ap[best])}), "
        f"{number(told[last], 3)} for that with the lowest ({_named(names[last], ap[last])}); the commonest category "
        f"alone tells {number(found.chance, 3)}.{lost}"
    )


def pretrained_alone(found: Detectors) -> str:
    """The same among the rows that began alike, so that how they began is not all there is to it."""
    chosen = found.pretrained
    if chosen.all() or not chosen.any():
        return f"All rows began {'with a trained backbone' if chosen.all() else 'at random'}."
    among, rest = (found.together("ap", "library", among=some) for some in (chosen, ~chosen))
    verdict = {1: "it is so as well", -1: "it is the other way round", 0: "it cannot be shown"}[among.sign]
    if not among.judged:
        verdict = "it cannot be said, for they are too few"
    means = [number(np.nanmean(found.of("library")[some]), 3) for some in (chosen, ~chosen)]
    return (
        f"Among the {count(among.rows, 'row')} that began with a trained backbone {verdict}, {told_of(among)}; among "
        f"the {rest.rows} from scratch the correlation is {told_of(rest)}. On average the libraries of the former "
        f"tell {means[0]}, of the latter {means[1]}."
    )


def features(found: Detectors) -> str:
    """Whether it is the features that explain it."""
    of_raw, of_ap = found.together("raw", "library"), found.together("ap", "raw")
    rest, other = found.left("ap", "library", given="raw"), found.left("raw", "library", given="ap")
    verdict = {
        1: "AP still goes with a library that tells more",
        -1: "AP goes with a library that tells less",
        0: f"nothing is left of AP that {count(rest.rows, 'row')} can show",
    }[rest.sign]
    if not rest.judged:
        verdict = "it cannot be said what is left of AP"
    return (
        f"What the library tells goes with what raw features tell, {told_of(of_raw)}, and that goes with AP, "
        f"{told_of(of_ap)}. Once it is known what raw features tell, {verdict}, {told_of(rest)}; once AP is known, of "
        f"raw features there is left {told_of(other)}."
    )


def beside(found: Detectors) -> str:
    """What the library tells, row by row, beside raw features and single views."""
    raw, best = (paired(found.of("library"), found.of(other)) for other in ("raw", "best_view"))
    said = {1: "more than", -1: "less than", 0: "neither more nor less, as far as can be shown, than"}
    return (
        f"Row by row the library tells {said[raw.sign]} raw features do ({change(raw)}), and {said[best.sign]} the "
        f"best of all single views, chosen with hindsight ({change(best)})."
    )


def otherwise(found: Detectors) -> str:
    """Whether what makes the library tell more goes with anything else in a society."""
    named = {figure: found.together("ap", figure) for figure in ("talk", "efficiency", "concepts", "narrow")}

    def of(sign: int) -> str:
        chosen = {name: one for name, one in named.items() if one.sign == sign}
        return listed([f"{in_a_line(FIGURES[name])} ({told_of(one)})" for name, one in chosen.items()])

    signs = {one.sign for one in named.values()}
    parts = [
        f"{words} {of(sign)}"
        for words, sign in (
            ("what rises with AP:", 1),
            ("what falls with AP:", -1),
            ("what shows no trend:", 0),
        )
        if sign in signs
    ]
    alike = found.pretrained
    talk = told_of(found.together("ap", "talk", among=alike))
    alone = f", and with AP among the rows that began with a trained backbone: {talk}" if 0 < alike.mean() < 1 else ""
    return (
        f"In other respects, {'; '.join(parts)}. Talk goes with how much of the features 8 dimensions hold, "
        f"{told_of(found.together('narrow', 'talk'))}{alone}."
    )


def before_training(found: Detectors) -> str:
    """What the backbone told before any of these trainings, and how many rows are above it."""
    raw, library = found.untrained["raw"], found.untrained["library"]
    rows = len(found.by_name)
    above = {place: int((found.of("library", place) > library).sum()) for place in PLACES}
    along = found.together("ap", "library", BACKBONE)
    return (
        f"The backbone as ImageNet left it, which finds nothing, tells {number(raw, 3)} by raw features and "
        f"{number(library, 3)} by the library of a society. More is told by {above[PYRAMID]} of {rows} rows in what "
        f"they read their answers from, and by {above[BACKBONE]} in their own backbone, where the correlation of AP "
        f"with what the library tells is {told_of(along)}."
    )


def told_of(one: Correlation) -> str:
    """A correlation and its interval: .87 (.61 to .95)."""
    if not one.judged:
        return number(one.value)
    return f"{number(one.value)} ({number(one.low)} to {number(one.high)})"


def table(found: Sequence[Detectors]) -> str:
    """AP and figures by row, for the terminal: in the pyramid, and what the library tells in the backbone."""
    blocks = []
    for one in found:
        head, *lines = lines_of(one)
        widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
        shown = [
            "  ".join(
                f"{cell:<{width}}" if at == 0 else f"{cell:>{width}}"
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in (head, *lines)
        ]
        blocks.append("\n".join([HEADINGS[one.name], *(f"  {line}".rstrip() for line in shown)]))
    return "\n\n".join(blocks)


SHORT = {
    "library": "library",
    "raw": "raw",
    "best_view": "best view",
    "efficiency": "efficiency",
    "talk": "talk",
    "concepts": "concepts",
    "narrow": "8 dims",
}


def lines_of(found: Detectors) -> list[list[str]]:
    """The table: a head, a line for each row from the highest AP down, and one for the untrained backbone."""
    columns = [("ap", PYRAMID), *((figure, PYRAMID) for figure in SHORT), ("library", BACKBONE), ("raw", BACKBONE)]
    values = [found.of(figure, place) for figure, place in columns]
    digits = [LARGER.get(figure, 3) for figure, _ in columns]
    head = ["row", "AP", *SHORT.values(), "backbone: library", "raw"]
    lines = [
        [row.title, *(number(some[at], places) for some, places in zip(values, digits, strict=True))]
        for at, row in enumerate(found.by_name.values())
    ]
    order = np.argsort(-np.nan_to_num(found.of("ap")), kind="stable")
    nothing = [number(None)] * (1 + len(SHORT))
    untrained = [number(found.untrained[figure], 3) for figure in ("library", "raw")]
    return [head, *(lines[at] for at in order), ["ImageNet's backbone, untrained here", *nothing, *untrained]]


def as_json(found: Detectors) -> dict[str, Any]:
    """Everything found of one set: by detector, by row, and how figures go together."""
    among = {"all rows": None, "pretrained": found.pretrained, "from scratch": ~found.pretrained}
    return {
        "measured_on": found.measured_on,
        "objects": found.objects,
        "chance": found.chance,
        "untrained": dict(found.untrained),
        "detectors": [
            {
                "row": row.name,
                "seed": seed,
                "AP": float(ap),
                **{place: {name: float(some[at]) for name, some in found.figures[place].items()} for place in PLACES},
            }
            for at, (row, seed, ap) in enumerate(zip(found.rows, found.seeds, found.ap, strict=True))
        ],
        "with AP": {
            place: {
                figure: {
                    which: dataclasses.asdict(found.together("ap", figure, place, among=some))
                    for which, some in among.items()
                }
                for figure in FIGURES
            }
            for place in PLACES
        },
        "AP with library, given raw": {
            place: dataclasses.asdict(found.left("ap", "library", given="raw", features=place)) for place in PLACES
        },
        "raw with library, given AP": {
            place: dataclasses.asdict(found.left("raw", "library", given="ap", features=place)) for place in PLACES
        },
    }


def _too_few(along: Correlation) -> str:
    return f"{count(along.rows, 'row')} are too few to say (fewer than {FEWEST})"


def _named(row: Row, ap: float) -> str:
    return f"{row.title}, AP {number(ap, 3)}"
