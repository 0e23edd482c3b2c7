"""What comparing the origins of dimensions says: origins beside each other, in sentences and in charts.

Within a mixed society the origins are compared as conditions are: seed by seed, with random directions as the
baseline, since a difference between origins in the same views is one that their source alone has made.
"""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from experiments.compared import Compared, interval, listed, paired, so_many, spread_of, told
from experiments.comparison_page import table_section
from experiments.origins import CONTESTS, EMBEDDED, LASTING, MIXED, OF_ORIGIN
from experiments.report_chart import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, chart
from experiments.report_page import Plot, Section

PLURAL = {
    "random": "random directions",
    "exemplar": "exemplars",
    "factor": "common factors",
    "component": "principal components",
    "embedding": "coordinates of the embedding",
}
"""The origins in words; the first is the baseline."""

COLOURS = {"random": GREY, "exemplar": ORANGE, "factor": BLUE, "component": GREEN, "embedding": PURPLE}
SHOWN = ("taken up", "held", "hazard", "kept", "felt")
"""What the terminal shows of the origins."""

STAGES = {"taken up": "taken up", "held": "held at the end", "in concepts": "kept by the library"}
"""What becomes of proposals, of which every source makes as many."""


def by_origin(found: Compared) -> Compared:
    """The origins within the mixed society, as if each were a condition; random directions are the baseline."""
    mixed = found.found[MIXED]
    there = [name for name in PLURAL if name != "embedding" or EMBEDDED in found.found]
    figures = {PLURAL[name]: {key: mixed[f"{name}: {key}"] for key in OF_ORIGIN} for name in there}
    compared = Compared(question=found.question, found=figures, seeds=found.seeds, figures=OF_ORIGIN, answers=())
    known = {figure: what for figure, what in OF_ORIGIN.items() if compared.known(figure)}
    shown = [figure for figure in SHOWN if figure in known]
    return Compared(question=found.question, found=figures, seeds=found.seeds, figures=known, answers=shown)


def sentences(found: Compared, origins: Compared) -> list[str]:
    """The answer in six sentences or fewer, all made from what was measured."""
    said = [_verdict(origins), _lasting(origins), _inherited(found), _kept(origins), _feelings(origins), _alone(found)]
    return [sentence for sentence in said if sentence]


def _verdict(origins: Compared) -> str:
    """Whether random directions are more or less of what lasts than of what is proposed."""
    even, held = 100 / len(origins.found), origins.values(origins.baseline, "held")
    first = {
        -1: "Not by chance alone",
        1: "By chance as well as in any other way, or better",
        0: f"Whether by chance, {len(origins.seeds)} seeds cannot tell",
    }[interval(held - even).sign]
    means = {name: spread_of(origins.values(name, "held"))["mean"] for name in origins.found}
    most = max(means, key=lambda name: means[name] if math.isfinite(means[name]) else -1.0)
    return (
        f"{first}: where {len(origins.found)} sources propose equally often to the same views, random directions are "
        f"{told(origins.values(origins.baseline, 'taken up'))}% of what is taken up and {told(held)}% of what is held "
        f"at the end, when {even:.3g}% would be even; the most held are {most}, {told(origins.values(most, 'held'))}%."
    )


def _lasting(origins: Compared) -> str:
    return (
        f"Once taken up, a random direction is eliminated {told(origins.values(origins.baseline, 'hazard'))} times per "
        f"100 contests: {_beside(origins, 'hazard', 'sooner than', 'later than')}."
    )


def _inherited(found: Compared) -> str:
    """Own and inherited dimensions of the mixed society, whatever their origin."""
    own, late = found.values(MIXED, "own: hazard"), found.values(MIXED, "inherited: hazard")
    difference = paired(late, own)
    if difference.seeds < 2:
        return ""
    words = {
        1: "What is inherited goes sooner than what is found oneself",
        -1: "What is inherited lasts longer than what is found oneself",
        0: f"Whether what is inherited lasts longer than what is found oneself {difference.seeds} seeds cannot tell",
    }[difference.sign]
    return f"{words}: {told(late)} eliminations per 100 contests, against {told(own)}."


def _kept(origins: Compared) -> str:
    return (
        f"As forms of a concept the library keeps {told(origins.values(origins.baseline, 'kept'))}% of the random "
        f"directions brought to it: {_beside(origins, 'kept', 'more than of', 'less than of')}."
    )


def _feelings(origins: Compared) -> str:
    felt, true = (origins.values(origins.baseline, key) for key in ("felt", "true"))
    return (
        f"Superiority felt along random directions is {told(felt)}, and {told(true)} would be true: what is felt is "
        f"{_beside(origins, 'felt', 'higher than along', 'lower than along')}."
    )


def _alone(found: Compared) -> str:
    """Societies of one source each."""
    said = {"efficiency": "the library's efficiency is", "success": "the share of talk that succeeds is"}
    parts = [
        f"{what} {told(found.values(found.baseline, figure))}, "
        f"{_beside(found, figure, 'higher than with', 'lower than with')}"
        for figure, what in said.items()
        if found.known(figure)
    ]
    return f"Where all dimensions are {found.baseline}, {'; and '.join(parts)}." if parts else ""


def _beside(compared: Compared, figure: str, above: str, below: str) -> str:
    """How the baseline stands beside the others, each with what it has: ``above`` some, ``below`` others."""
    differences = {name: compared.difference(name, figure) for name in compared.others}
    unshown = so_many(found for found in differences.values() if found.seeds > 1 and not found.sign)
    same = f"no difference that {unshown} seeds can show to"
    parts: dict[str, list[str]] = {above: [], below: [], same: [], "not to be compared with": []}
    for name, found in differences.items():
        words = {-1: above, 1: below, 0: same}[found.sign] if found.seeds > 1 else "not to be compared with"
        parts[words].append(f"{name} ({told(compared.values(name, figure))})")
    return ", ".join(f"{words} {listed(names)}" for words, names in parts.items() if names)


# ---- charts


def survival(found: Compared) -> dict[str, dict[str, list[float]]]:
    """Percent that outlives so many contests in the mixed society, for JSON: by origin and contests, [seeds]."""
    return {
        name: {str(t): found.values(MIXED, f"{name}: beyond {t} contests").tolist() for t in CONTESTS}
        for name in (*PLURAL, "own", "inherited")
    }


def section(found: Compared, origins: Compared) -> Section:
    """The figure that answers the question: from proposal to library, and how long dimensions last."""
    plots = (
        Plot(
            name="origins-stages",
            heading="From proposal to library",
            figure=stages_figure(origins),
            note="Every source proposes as often as the others (dotted line); bars are standard deviations of seeds.",
        ),
        Plot(
            name="origins-survival",
            heading="How long a dimension stays in the view of who found it",
            figure=survival_figure(found, origins),
            note="Kaplan-Meier estimates, means of the seeds; who dies takes its dimensions with it, which counts as "
            "censored. Inherited: of all origins, in the view of the heir.",
        ),
    )
    return Section(
        id="origins",
        short="The origins",
        heading="Where dimensions come from, and which last",
        text=(
            "All sources in one society, proposing to the same views and going through the same contests. In the "
            "sentences above a difference is one whose 95% interval over the seeds, pair by pair, is clear of zero; "
            "each holds for itself alone, so that of twenty such differences chance would show one."
        ),
        parts=[plots, *table_section(origins).parts],
    )


def stages_figure(origins: Compared) -> go.Figure:
    """Percent of each origin among what is taken up, held at the end, and kept by the library."""
    drawn = chart(x="", y="percent", height=420)
    drawn.add_hline(y=100 / len(origins.found), line={"color": INK, "width": 1.2, "dash": "dot"})
    for name, plural in PLURAL.items():
        if plural not in origins.found:
            continue
        spread = [spread_of(origins.values(plural, key)) for key in STAGES]
        drawn.add_bar(
            x=list(STAGES.values()),
            y=[some["mean"] for some in spread],
            error_y={"type": "data", "array": [some["sd"] for some in spread], "thickness": 1.4, "width": 3},
            name=plural,
            marker_color=COLOURS[name],
            hovertemplate="%{y:.1f}%",
        )
    drawn.update_layout(barmode="group")
    return drawn


def survival_figure(found: Compared, origins: Compared) -> go.Figure:
    """Percent of dimensions that outlive so many contests, a line for each origin and one for what is inherited."""
    drawn = chart(x="contests outlived", y="percent", height=420)
    lines = [(name, plural, COLOURS[name], "solid") for name, plural in PLURAL.items() if plural in origins.found]
    for name, shown, colour, dash in (*lines, ("inherited", "inherited", INK, "dot")):
        share = np.stack([found.values(MIXED, f"{name}: beyond {t} contests") for t in CONTESTS])
        # Where some seeds have nobody left to watch, the others are no fair mean of all: nan, a gap in the line.
        y = [float(value) if np.isfinite(value) else None for value in share.mean(axis=1)]
        drawn.add_scatter(
            x=list(CONTESTS),
            y=y,
            name=shown,
            mode="lines",
            line={"color": colour, "width": 2.4, "dash": dash, "shape": "hv"},
            hovertemplate="%{y:.0f}%",
        )
    drawn.add_vline(x=LASTING, line={"color": GREY, "width": 1, "dash": "dot"})
    drawn.update_yaxes(range=[0, 102])
    drawn.update_layout(hovermode="x unified")
    return drawn
