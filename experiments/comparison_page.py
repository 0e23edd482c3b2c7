"""The page of a comparison: the answer, its figures as charts, and all that was measured; one file that works offline.

Every chart shows each seed as a point and each mean with the interval of its paired difference to the baseline, so that
an interval that keeps clear of the baseline's line is a difference that the seeds show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from experiments.compared import CONFIDENCE, Compared, by_chance, change, mark, sentence, spread_of, told
from experiments.report_chart import BLUE, GREEN, GREY, ORANGE, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import count, esc
from experiments.run_society import RunConfig

STYLE = """
.figures td { white-space: nowrap; }
.figures th { min-width: 150px; }
.figures small { color: var(--muted); }
"""

ROW = 46
"""Height of a condition in a chart, in pixels."""

NOT_SHOWN = {"seed", "out", "resume", "label", "record_interval", "checkpoint_interval", "interactions", "device"}
"""Fields of a run that a comparison has no use for."""

COLOURS = {1: ORANGE, -1: BLUE, 0: GREY}
"""Of what is shown to be above the baseline, below it, and of what cannot be told from it."""


def render(
    compared: Compared,
    answer: Sequence[str],
    lives: Mapping[str, RunConfig],
    *,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    first: Sequence[Section] = (),
) -> str:
    """The page as HTML.

    Parameters
    ----------
    compared : what was found
    answer : the sentences that answer the question
    lives : how each condition was lived
    given : by condition what its society was given beside that
    first : sections of the experiment's own, to stand before the others
    """
    sections = [
        *first,
        answer_section(compared),
        table_section(compared),
        conditions_section(compared, lives, given or {}),
    ]
    if compared.at:
        sections.insert(len(first) + 1, curve_section(compared))
    config = lives[compared.baseline]
    where = f"{count(config.agents, 'agent')}, {count(config.steps, 'step')}, {esc(config.world)}"
    said = "".join(f"<li>{esc(text)}</li>" for text in answer[1:])
    seeds = f"{count(len(compared.found), 'condition')}, each with the same {count(len(compared.seeds), 'seed')}: "
    return page(
        title=compared.question,
        eyebrow=f"Dimensional views &middot; societies compared &middot; {where}",
        heading=esc(compared.question),
        lede=esc(answer[0]) if answer else "Nothing was measured that could answer it.",
        sections=sections,
        header=f'<ul class="said">{said}</ul>\n',
        footer=f"{seeds}{', '.join(str(seed) for seed in compared.seeds)}. The same seeds give the same figures.",
        style=STYLE,
    )


def answer_section(compared: Compared) -> Section:
    """A chart for each figure that answers the question."""
    plots = [
        Plot(
            name=f"answer-{place}",
            heading=esc(compared.figures[figure]),
            note=esc(sentence(compared, figure).partition(": ")[2]),
            figure=conditions_figure(compared, figure),
        )
        for place, figure in enumerate(compared.answers)
    ]
    return Section(
        id="answer",
        short="The answer",
        heading="What the conditions make of it",
        text=(
            "Small points are seeds, large ones their means. The dotted line is the baseline&#x27;s mean; a bar is the "
            f"{CONFIDENCE:.0%} interval of the difference to it, seed by seed. Where it keeps clear of the line the "
            "seeds show a difference (orange above, blue below, grey none that can be shown). "
            f"{esc(by_chance(compared))}"
        ),
        parts=_in_pairs(plots),
    )


def conditions_figure(compared: Compared, figure: str) -> go.Figure:
    """One figure under every condition, a row each, the baseline on top."""
    names = [esc(name) for name in compared.found]
    drawn = chart(x="", height=96 + ROW * len(names), legend=False)
    centre = spread_of(compared.values(compared.baseline, figure))["mean"]
    if np.isfinite(centre):
        drawn.add_vline(x=centre, line={"color": GREY, "width": 1.4, "dash": "dot"})
    for name, condition in zip(names, compared.found, strict=True):
        values = compared.values(condition, figure)
        drawn.add_scatter(
            x=values,
            y=[name] * len(values),
            mode="markers",
            marker={"size": 6, "color": GREY, "opacity": 0.55},
            text=[f"seed {seed}" for seed in compared.seeds],
            hovertemplate="%{text}: %{x:.4g}<extra></extra>",
        )
        found = compared.difference(condition, figure)
        mean, half = spread_of(values)["mean"], (found.high - found.low) / 2
        base = condition == compared.baseline
        colour = GREEN if base else COLOURS[found.sign]
        if not base and np.isfinite(half):
            # Seen from the line: where a seed lacks one of the two figures, pairs differ by else than the means do.
            drawn.add_scatter(
                x=[centre + found.mean],
                y=[name],
                mode="markers",
                marker={"size": 0.1, "color": colour},
                error_x={"type": "data", "array": [half], "thickness": 2.2, "width": 5},
                hoverinfo="skip",
            )
        drawn.add_scatter(
            x=[mean],
            y=[name],
            mode="markers",
            marker={"size": 12, "color": colour},
            hovertemplate=f"{told(values)}" + ("" if base else f" ({change(found)})") + "<extra></extra>",
        )
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1], range=[-0.6, len(names) - 0.4], showgrid=False)
    drawn.update_xaxes(showgrid=True, zeroline=False)
    return drawn


def curve_section(compared: Compared) -> Section:
    """The figures along the curve of conditions."""
    plots = [
        Plot(name=f"curve-{place}", heading=esc(compared.figures[figure]), figure=curve_figure(compared, figure))
        for place, figure in enumerate(compared.answers)
    ]
    return Section(
        id="curve",
        short="The curve",
        heading=f"How it goes with {esc(compared.curve)}",
        text="Thin lines are seeds, the thick one their mean, with its standard deviation.",
        parts=_in_pairs(plots),
    )


def curve_figure(compared: Compared, figure: str) -> go.Figure:
    """One figure over the axis of the curve, a thin line for each seed."""
    names = sorted(compared.at, key=lambda name: compared.at[name])
    places = [compared.at[name] for name in names]
    values = np.stack([compared.values(name, figure) for name in names])
    drawn = chart(x=esc(compared.curve), height=300, legend=False)
    for seed, line in zip(compared.seeds, values.T, strict=True):
        drawn.add_scatter(
            x=places,
            y=line,
            mode="lines",
            line={"color": GREY, "width": 1},
            opacity=0.6,
            hovertemplate=f"seed {seed}: %{{y:.4g}}<extra></extra>",
        )
    spread = [spread_of(row) for row in values]
    drawn.add_scatter(
        x=places,
        y=[some["mean"] for some in spread],
        mode="lines+markers",
        line={"color": BLUE, "width": 3},
        marker={"size": 8},
        error_y={"type": "data", "array": [some["sd"] for some in spread], "thickness": 1.6, "width": 4},
        hovertemplate="%{y:.4g}<extra></extra>",
    )
    return drawn


def table_section(compared: Compared) -> Section:
    """Everything measured: mean and spread, and the paired difference under it."""
    head = "".join(f'<th scope="col">{esc(name)}</th>' for name in compared.found)
    rows = "".join(
        f'<tr><th scope="row">{esc(what)}</th>'
        + "".join(f"<td>{_cell(compared, condition, figure)}</td>" for condition in compared.found)
        + "</tr>"
        for figure, what in compared.figures.items()
    )
    return Section(
        id="figures",
        short="All figures",
        heading="Everything that was measured",
        text=(
            "Mean and standard deviation over the seeds; under it the difference to the baseline, with its "
            f"{CONFIDENCE:.0%} interval. A triangle marks an interval that is wholly on one side of 0; of "
            f"{len(compared.figures) * len(compared.others)} such intervals chance alone would mark "
            f"{(1 - CONFIDENCE) * len(compared.figures) * len(compared.others):.0f} or so."
        ),
        parts=[f'<div class="figures">{_table(head, rows)}</div>'],
    )


def _cell(compared: Compared, condition: str, figure: str) -> str:
    value = esc(told(compared.values(condition, figure)))
    if condition == compared.baseline:
        return value
    found = compared.difference(condition, figure)
    beside = f"{change(found)} {mark(found)}".rstrip() if found.seeds else ""
    return f"{value}<br><small>{esc(beside)}</small>"


def conditions_section(
    compared: Compared, lives: Mapping[str, RunConfig], given: Mapping[str, Mapping[str, Any]]
) -> Section:
    """What is different under each condition, and what is the same under all."""
    fields = {name: {**vars(config), **given.get(name, {})} for name, config in lives.items()}
    usual = fields[compared.baseline]
    keys = dict.fromkeys(key for some in fields.values() for key in some)
    changed = [key for key in keys if any(some.get(key, "") != usual.get(key, "") for some in fields.values())]
    head = "".join(f'<th scope="col">{esc(key)}</th>' for key in changed)
    different = {name: [some.get(key, "") for key in changed] for name, some in fields.items()}
    rows = "".join(
        f'<tr><th scope="row">{esc(name)}</th>{"".join(f"<td>{esc(value)}</td>" for value in values)}</tr>'
        for name, values in different.items()
    )
    planted = [key for key in usual if key.startswith("planted_") and usual["world"] != "planted"]
    same = "".join(
        f"<div><dt>{esc(key)}</dt><dd>{esc(value)}</dd></div>"
        for key, value in usual.items()
        if key not in {*changed, *planted, *NOT_SHOWN}
    )
    return Section(
        id="conditions",
        short="Conditions",
        heading="How they lived",
        text="What differs from condition to condition, and below it what all have in common.",
        parts=[_table(head, rows), f'<dl class="settings">{same}</dl>'],
    )


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _in_pairs(plots: Sequence[Plot]) -> list[str | Plot | tuple[Plot, ...]]:
    return [tuple(plots[start : start + 2]) for start in range(0, len(plots), 2)]
