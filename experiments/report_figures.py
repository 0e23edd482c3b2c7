"""The charts of the report: each takes arrays or rows of metrics and gives a plotly figure, or None without data."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from experiments.report_chart import (
    BLUE,
    GREEN,
    GREY,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SEQUENTIAL,
    chart,
    level,
    line,
    over_time,
)
from experiments.report_text import Row, known, last, number, percent
from knowledge_graph.history import Event

MANY_MERGES = 40
"""From here on merges are ticks on the axis alone, not lines through the chart."""


def talk_figure(rows: Sequence[Row], *, chance: float | None, merges: Sequence[int], words: bool) -> go.Figure | None:
    """Success and, in the language game, the share of words known, beside guessing, with a mark at each merge."""
    if last(rows, "success") is None:
        return None
    figure = chart(x="step")
    shown = [step for step in merges if step <= float(rows[-1]["step"] or 0)]
    if len(shown) <= MANY_MERGES:
        for step in shown:
            figure.add_vline(x=step, line={"color": "#d9d5ca", "width": 1}, layer="below")
    if words:
        line(figure, rows, "known", "hearer knew the word", GREEN, width=2)
    line(figure, rows, "success", "understood", BLUE, width=3)
    level(figure, rows, chance, "guessing", GREY)
    if shown:
        figure.add_scatter(
            x=shown,
            y=[0.0] * len(shown),
            name="merge",
            mode="markers",
            marker={"symbol": "triangle-up", "size": 8 if len(shown) <= MANY_MERGES else 4, "color": MUTED},
            hovertemplate="%{x}",
            cliponaxis=False,
        )
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return over_time(figure, rows)


def scenes_figure(
    met: Mapping[str, float | None], unseen: Mapping[str, float | None], chance: Mapping[str, float | None]
) -> go.Figure | None:
    """Success by number of candidates, about objects that agents can have met and held-out ones, beside guessing."""
    if all(known(value) is None for value in met.values()):
        return None
    figure = chart(x="objects to pick from", height=300)
    for name, values, colour, dash in (
        ("objects of their world", met, BLUE, "solid"),
        ("objects never met", unseen, ORANGE, "solid"),
        ("guessing", chance, GREY, "dot"),
    ):
        if any(known(value) is not None for value in values.values()):
            figure.add_scatter(
                x=list(values),
                y=[known(value) for value in values.values()],
                name=name,
                mode="lines" if dash == "dot" else "lines+markers",
                line={"color": colour, "width": 1.6 if dash == "dot" else 2.4, "dash": dash},
                hovertemplate="%{y:.1%}",
            )
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure


def words_figure(rows: Sequence[Row]) -> go.Figure | None:
    """Words in use beside concepts to be named, and how many of one go with one of the other; logarithmic."""
    if not last(rows, "distinct_words"):
        return None
    figure = chart(x="step", height=340)
    positive = [dict(row) | {k: row.get(k) or None for k in ("distinct_words", "n_concepts")} for row in rows]
    line(figure, positive, "distinct_words", "words in use", GREEN)
    line(figure, positive, "n_concepts", "concepts to be named", BLUE, dash="dash", width=1.8, shape="hv")
    figure.update_traces(hovertemplate="%{y:,.0f}")
    line(figure, rows, "synonymy", "words for one concept", ORANGE)
    line(figure, rows, "homonymy", "concepts for one word", PURPLE)
    figure.update_yaxes(type="log", tickvals=[m * 10**e for e in range(7) for m in (1, 2, 5)], tickformat=",d")
    return over_time(figure, rows)


def agreement_figure(rows: Sequence[Row]) -> go.Figure | None:
    """How likely two agents are to say the same word for a concept."""
    if last(rows, "coherence") is None:
        return None
    figure = chart(x="step", height=340, legend=False)
    line(figure, rows, "coherence", "the same word", GREEN)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return over_time(figure, rows)


def superiority_figure(rows: Sequence[Row], *, tau: float | None) -> go.Figure | None:
    """Mean superiority felt, beside true, beside where it is heading, beside tau."""
    if last(rows, "mean_felt") is None:
        return None
    figure = chart(x="step")
    level(figure, rows, tau, "\N{GREEK SMALL LETTER TAU}, in fair contests", GREY)
    line(figure, rows, "predicted", "where it settles", PURPLE, dash="dash", width=1.8)
    line(figure, rows, "mean_felt", "felt", ORANGE, width=3)
    line(figure, rows, "mean_true", "true", BLUE, width=3)
    values = [v for trace in figure.data for v in trace.y if v is not None]
    low, high = min(values), max(values)
    figure.update_yaxes(range=[max(0.0, low - 0.05), min(1.0, high + 0.05)], tickformat=".2f")
    return over_time(figure, rows)


def standing_histogram(felt: NDArray[np.floating], true: NDArray[np.floating]) -> go.Figure | None:
    """How the superiority felt is spread over dimensions, beside true standing."""
    if len(felt) == 0:
        return None
    figure = chart(x="superiority", height=330)
    edges = np.linspace(0.0, 1.0, 26)
    for name, values, colour in (("true", true, BLUE), ("felt", felt, ORANGE)):
        share = np.histogram(values, bins=edges)[0] / len(values)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=share,
            width=edges[1] - edges[0],
            name=name,
            marker={"color": colour, "opacity": 0.5, "line": {"width": 0}},
            hovertemplate="%{y:.1%} of dimensions near %{x:.2f}",
        )
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_xaxes(range=[0, 1])
    return figure


def standing_scatter(
    felt: NDArray[np.floating],
    true: NDArray[np.floating],
    contests: NDArray[np.integer],
    curve: tuple[NDArray[np.floating], NDArray[np.floating]] | None,
) -> go.Figure | None:
    """Superiority felt over true standing, a point per dimension, with the curve on which it settles, if known."""
    if len(felt) == 0:
        return None
    figure = chart(x="true standing", y="felt", height=330)
    figure.add_scatter(
        x=true,
        y=felt,
        mode="markers",
        name="a dimension",
        showlegend=False,
        marker={
            "size": 5,
            "color": contests,
            "colorscale": SEQUENTIAL,
            "cmin": 0,
            "cmax": max(float(np.percentile(contests, 98)), 1.0),
            "opacity": 0.75,
            "colorbar": {
                "title": {"text": "contests", "font": {"size": 11.5, "color": MUTED}},
                "thickness": 8,
                "outlinewidth": 0,
                "nticks": 5,
                "tickfont": {"size": 11.5, "color": MUTED},
            },
        },
        hovertemplate="true %{x:.2f}, felt %{y:.2f}, %{marker.color} contests<extra></extra>",
    )
    diagonal = {"x": [0, 1], "y": [0, 1], "name": "felt as it is", "line": {"color": INK, "width": 1.4, "dash": "dot"}}
    figure.add_scatter(mode="lines", hoverinfo="skip", **diagonal)
    if curve is not None:
        style = {"name": "where it settles", "line": {"color": ORANGE, "width": 2.4}}
        figure.add_scatter(x=curve[0], y=curve[1], mode="lines", hoverinfo="skip", **style)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(range=[0, 1])
    return figure


def spectrum_figure(
    counted: NDArray[np.floating], edge: NDArray[np.floating], n_concepts: int, *, what: str
) -> go.Figure | None:
    """What was counted (eigenvalues, or strengths of clusters), and the edge that chance alone would reach.

    ``what`` one of them is called.
    """
    values = np.asarray(counted[: max(2 * n_concepts, 24)], dtype=float)
    # On a logarithmic scale the last of them, which are mere rounding errors, would take all the room.
    shown = int(np.cumprod(values > edge[: len(values)] / 8).sum())
    if shown == 0:
        return None
    values, rank = values[:shown], np.arange(1, shown + 1)
    figure = chart(x=f"{what}, strongest first")
    for name, mask, colour in (
        ("kept", rank <= n_concepts, BLUE),
        ("not kept", rank > n_concepts, GREY),
    ):
        if mask.any():
            figure.add_scatter(
                x=rank[mask],
                y=values[mask],
                mode="markers",
                name=name,
                marker={"size": 8, "color": colour},
                hovertemplate="%{x}: %{y:.3f}<extra></extra>",
            )
    dashed = {"color": ORANGE, "width": 2, "dash": "dash"}
    figure.add_scatter(
        x=[0.5, *rank, shown + 0.5],
        y=[edge[0], *edge[:shown], edge[shown - 1]],
        mode="lines",
        name="edge of chance",
        line=dashed,
        hovertemplate="%{y:.3f}",
    )
    figure.update_yaxes(type="log", tickvals=[m * 10.0**e for e in range(-3, 5) for m in (1, 3)])
    figure.update_xaxes(range=[0, shown + 1])
    return figure


def concepts_figure(rows: Sequence[Row], history: Sequence[Event]) -> go.Figure | None:
    """How many concepts there were, and how many arose and were given up at each merge."""
    if not last(rows, "n_concepts"):
        return None
    figure = chart(x="step", height=330)
    steps = sorted({event.step for event in history})
    width = 0.6 * min([b - a for a, b in itertools.pairwise(steps)], default=10)
    for kinds, name, colour, sign in (
        (("birth", "split", "return"), "arose", GREEN, 1),
        (("retirement", "merge"), "given up", ORANGE, -1),
    ):
        happened = [sum(event.kind in kinds and event.step == step for event in history) for step in steps]
        if any(happened):
            figure.add_bar(
                x=steps,
                y=[sign * n for n in happened],
                width=width,
                name=name,
                marker={"color": colour},
                customdata=happened,
                hovertemplate="%{customdata}",
            )
    some = [dict(row) | {"n_concepts": row.get("n_concepts") or None} for row in rows]
    line(figure, some, "n_concepts", "concepts", BLUE, shape="hv")
    figure.update_traces(hovertemplate="%{y:.0f}", selector={"type": "scatter"})
    figure.update_layout(barmode="relative")
    figure.update_yaxes(zeroline=True, zerolinecolor=GREY)
    over_time(figure, rows)
    # The bar of a merge at the very end is as wide as the others.
    end = max(figure.layout.xaxis.range[1], max(steps, default=0) + 0.55 * width)
    return figure.update_xaxes(range=[0, end])


def deaths_figure(steps: Sequence[int], founders: Sequence[int], later: Sequence[int]) -> go.Figure:
    """Deaths at each selection, of the first generation and of those born later."""
    figure = chart(x="step", height=300)
    width = 0.7 * min([b - a for a, b in itertools.pairwise(steps)], default=1)
    for name, deaths, colour in (("founders", founders, GREY), ("born later", later, PURPLE)):
        figure.add_bar(x=steps, y=deaths, width=width, name=name, marker={"color": colour}, hovertemplate="%{y}")
    most = max(a + b for a, b in zip(founders, later, strict=True))
    figure.update_layout(barmode="stack", hovermode="x unified", legend={"traceorder": "normal"})
    figure.update_xaxes(range=[min(steps) - width, max(steps) + width])
    figure.update_yaxes(range=[0, 1.1 * most], dtick=1 if most <= 5 else None)
    return figure


def ages_figure(ages: NDArray[np.integer]) -> go.Figure:
    """How old the dead were."""
    figure = chart(x="age at death, in steps", height=300, legend=False)
    edges = np.histogram_bin_edges(ages, bins=min(24, max(1, len(np.unique(ages)))))
    dead = np.histogram(ages, bins=edges)[0]
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=dead,
        width=0.92 * np.diff(edges),
        marker={"color": PURPLE},
        hovertemplate="about %{x:.0f} steps: %{y}<extra></extra>",
    )
    figure.update_yaxes(rangemode="tozero", dtick=1 if dead.max() <= 5 else None)
    return figure


def fitness_figure(
    dead: Sequence[tuple[int, NDArray[np.floating]]], living: NDArray[np.floating], step: int
) -> go.Figure:
    """Fitness of those who died at each selection (the middle and the range), beside the living at the end."""
    dead = [(at, values) for at, values in dead if len(values)]
    figure = chart(x="step")
    x = [at for at, _ in dead]
    middle = np.array([np.median(values) for _, values in dead])
    reach = {
        "array": np.array([values.max() for _, values in dead]) - middle,
        "arrayminus": middle - np.array([values.min() for _, values in dead]),
    }
    figure.add_scatter(
        x=x,
        y=middle,
        mode="markers",
        name="those who died, lowest to highest",
        marker={"color": PURPLE, "size": 7},
        error_y=reach | {"type": "data", "symmetric": False, "color": PURPLE, "thickness": 1.6, "width": 0},
        hovertemplate="step %{x}: median %{y:.3f}<extra></extra>",
        cliponaxis=False,
    )
    room = max(step - min(x), 1) * 0.06
    figure.add_box(
        x=np.full(len(living), step + room),
        y=living,
        width=room,
        name="the living at the end",
        marker={"color": GREEN, "size": 3},
        boxpoints=False,
        hoverinfo="y",
    )
    figure.update_xaxes(range=[min(x) - room, step + 2 * room])
    figure.update_yaxes(rangemode="tozero")
    return figure


def attribution_figure(shares: Mapping[str, float]) -> go.Figure:
    """Whose doing the outcomes were, as one bar."""
    figure = chart(x="share of what made outcomes differ", height=150)
    for name, key, colour in (("self", "self", BLUE), ("others", "others", ORANGE), ("luck", "luck", "#c9c5bb")):
        figure.add_bar(
            x=[shares[key]],
            y=[""],
            orientation="h",
            name=name,
            marker={"color": colour, "line": {"color": "#ffffff", "width": 2}},
            text=[percent(shares[key]) if shares[key] >= 0.06 else ""],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"size": 14, "color": INK if key == "luck" else "#ffffff"},
            hovertemplate=f"{name}: {number(shares[key], 3)}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.1, legend={"traceorder": "normal"})
    figure.update_xaxes(tickformat=".0%", range=[0, 1.002], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_layout(margin={"l": 14, "r": 30})
    figure.update_yaxes(showgrid=False, showticklabels=False)
    return figure
