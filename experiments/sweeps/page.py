"""The page of a sweep: every figure over every parameter, all means, and what the runs had in common; works offline."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from experiments.compared import listed, spread_of, told
from experiments.report_chart import BLUE, GREEN, MUTED, ORANGE, PURPLE, SEQUENTIAL, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import count, esc
from experiments.sweeps.plan import Axis
from experiments.sweeps.table import Swept, means, shown, words

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
MOST_LINES = 9
"""More lines in one chart nobody tells apart."""

WIDE = 20
"""Positive values that differ by more than this factor are drawn on a logarithmic axis."""

ASIDE = 0.014
"""How far lines stand beside each other, as a share of the axis."""

NOT_SHOWN = ("seed", "out", "resume", "label", "interactions", "device", "checkpoint_interval")
"""Fields of a run that a sweep has no use for."""

STYLE = """
.means td, .means th { white-space: nowrap; }
"""


def render(swept: Swept) -> str:
    """The page as HTML."""
    axes = swept.plan.axes
    sections = [_axis_section(swept, place) for place in range(len(axes)) if len(axes[place].values) > 1]
    sections += [_means_section(swept), _settings_section(swept)]
    if swept.failed:
        sections.insert(0, _failed_section(swept))
    parameters = [esc(name) for name in swept.plan.parameters]
    what = f"How it goes with {listed(parameters)}" if parameters else "The same, again and again"
    combinations = count(len(swept.combinations), "combination")
    each = count(swept.plan.replications, "society", "societies")
    return page(
        title="A sweep of societies",
        eyebrow="Dimensional views &middot; a sweep of societies",
        heading=what,
        lede=f"{combinations}, each with {each} of the same seeds: {count(len(swept.done), 'run')} finished"
        + (f", {count(len(swept.failed), 'run')} failed." if swept.failed else "."),
        sections=sections,
        footer=f"Seeds {', '.join(str(seed) for seed in dict.fromkeys(run.seed for run in swept.runs))}, made from "
        f"{swept.plan.seed}. The same file gives the same figures.",
        style=STYLE,
    )


def _axis_section(swept: Swept, place: int) -> Section:
    lines = lines_axis(swept, place)
    name = _named(swept.plan.axes[place])
    also = [_named(axis) for other, axis in enumerate(swept.plan.axes) if other != place and other != lines]
    text = "Small points are runs, large ones their means, with standard deviations."
    if lines is not None:
        text += f" A line for each value of {esc(_named(swept.plan.axes[lines]))}."
    if also:
        text += f" Runs with all values of {listed([esc(some) for some in also])} are taken together."
    plots = [
        Plot(
            name=f"axis-{place}-{number}",
            heading=esc(words(figure)),
            figure=figure_of(swept, figure, place, lines),
        )
        for number, figure in enumerate(swept.answers)
    ]
    return Section(
        id=f"axis-{place}",
        short=esc(name),
        heading=f"Over {esc(name)}",
        text=text,
        parts=[tuple(plots[start : start + 2]) for start in range(0, len(plots), 2)],
    )


def lines_axis(swept: Swept, place: int) -> int | None:
    """Which axis has a line for each of its values where another is the axis of the chart; None for none."""
    axes = swept.plan.axes
    others = [(place + step) % len(axes) for step in range(1, len(axes))]
    return next((other for other in others if 1 < len(axes[other].values) <= MOST_LINES), None)


def figure_of(swept: Swept, figure: str, place: int, lines: int | None) -> go.Figure:
    """One figure over the values of one axis, with a line for each value of another."""
    axis = swept.plan.axes[place]
    labels = [_label(values) for values in axis.values]
    numeric = len(axis.names) == 1 and all(type(value) in (int, float) for (value,) in axis.values)
    at = [float(value) for (value,) in axis.values] if numeric else [float(place) for place in range(len(labels))]
    wide = numeric and min(at) > 0 and max(at) > WIDE * min(at)
    drawn = chart(x=esc(_named(axis)), height=320, legend=lines is not None)
    values = swept.values(figure)
    beside = [None] if lines is None else range(len(swept.plan.axes[lines].values))
    order = np.argsort(at, kind="stable")
    for number, line in enumerate(beside):
        colour = _colours(len(beside))[number]
        found = [
            np.concatenate(
                [
                    values[some.number - 1]
                    for some in swept.combinations
                    if some.places[place] == here and (lines is None or some.places[lines] == line)
                ]
            )
            for here in order
        ]
        # Lines stand a little beside each other, so that none hides what another shows.
        x = _moved([at[here] for here in order], (number - (len(beside) - 1) / 2) * ASIDE, wide=wide)
        drawn.add_scatter(
            x=np.repeat(x, [len(some) for some in found]).tolist(),
            y=np.concatenate(found).tolist(),
            mode="markers",
            marker={"size": 6, "color": colour, "opacity": 0.45},
            hovertemplate="%{y:.4g}<extra></extra>",
            legendgroup=str(number),
            showlegend=False,
        )
        spreads = [spread_of(some) for some in found]
        drawn.add_scatter(
            x=x,
            y=[some["mean"] for some in spreads],
            name="" if lines is None or line is None else esc(_label(swept.plan.axes[lines].values[line])),
            mode="lines+markers",
            line={"color": colour, "width": 2.2},
            marker={"size": 8},
            error_y={"type": "data", "array": [some["sd"] for some in spreads], "thickness": 1.2, "width": 4},
            text=[esc(told(some)) for some in found],
            hovertemplate="%{text}<extra></extra>",
            legendgroup=str(number),
        )
    drawn.update_xaxes(type="log" if wide else "linear", tickvals=at, ticktext=[esc(label) for label in labels])
    if lines is not None:
        drawn.update_layout(
            legend_title={"text": f"{esc(_named(swept.plan.axes[lines]))} ", "font": {"size": 12.5, "color": MUTED}}
        )
    return drawn


def _moved(at: list[float], share: float, *, wide: bool) -> list[float]:
    """Places on an axis, moved aside by a share of its length."""
    if wide:
        return [value * (max(at) / min(at)) ** share for value in at]
    return [value + share * (max(at) - min(at)) for value in at]


def _means_section(swept: Swept) -> Section:
    head, lines = means(swept)
    parameters = len(swept.plan.parameters)
    shown_head = "".join(f'<th scope="col">{esc(name)}</th>' for name in head)
    rows = "".join(f"<tr>{''.join(f'<td>{esc(cell)}</td>' for cell in line)}</tr>" for line in lines)
    return Section(
        id="means",
        short="Means",
        heading="Every combination",
        text="Mean and standard deviation over the seeds. All that was measured is in table.csv, run by run, and in "
        "results.json."
        if len(head) > parameters
        else "Nothing was measured.",
        parts=[
            f'<div class="scroll means"><table><thead><tr>{shown_head}</tr></thead><tbody>{rows}</tbody></table></div>'
        ],
    )


def _failed_section(swept: Swept) -> Section:
    said = "".join(
        f"<li>{esc(run)}: {esc(swept.failed[run.key].error)}</li>" for run in swept.runs if run.key in swept.failed
    )
    return Section(
        id="failed",
        short="Failed",
        heading="Runs that failed",
        text="They are in no figure of this page; where they failed is in results.json.",
        parts=[f'<ul class="said">{said}</ul>'],
    )


def _settings_section(swept: Swept) -> Section:
    fields = {name: value for name, value in vars(swept.runs[0].config).items() if name not in NOT_SHOWN}
    same = "".join(
        f"<div><dt>{esc(name)}</dt><dd>{esc(shown(value))}</dd></div>"
        for name, value in fields.items()
        if name not in swept.plan.parameters and (swept.runs[0].config.world == "planted" or name[:8] != "planted_")
    )
    return Section(
        id="settings",
        short="Settings",
        heading="What they have in common",
        text="As it is with the first combination: what is not in the file follows the world.",
        parts=[f'<dl class="settings">{same}</dl>'],
    )


def _colours(number: int) -> list[str]:
    if number <= len(COLOURS):
        return list(COLOURS[:number])
    return list(sample_colorscale([list(stop) for stop in SEQUENTIAL], np.linspace(0.15, 1.0, number).tolist()))


def _named(axis: Axis) -> str:
    return " and ".join(axis.names)


def _label(values: tuple[object, ...]) -> str:
    return " and ".join(shown(value) for value in values)
