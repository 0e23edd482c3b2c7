"""The section of the report on what the library covers, beside central fits, single views and the unlived merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from experiments.measuring import SINGLE_VIEWS
from experiments.report_chart import BLUE, GREY, GRID, INK, ORANGE, chart, level, line, over_time
from experiments.report_page import Plot, Section
from experiments.report_text import Row, count, known, last, number, percent


def coverage_section(metrics: Sequence[Row], summary: Mapping[str, Any]) -> Section:
    """How much of the world the library holds, beside a central PCA, single views, the unlived merge and the floor."""
    found, unlived = summary["library"], summary.get("unlived") or {}
    plots = []
    coverage = coverage_figure(metrics, rank8=known(found["rank8_explained_variance"]))
    if coverage is not None:
        note = "Share of the variance of held-out objects. The PCA has as many directions as the library, or 8."
        plots.append(Plot(name="coverage", heading="What is explained", note=note, figure=coverage))
    truth = truth_figure(metrics, found)
    if truth is not None:
        note = "Mean congruence of matched concepts and planted factors; 1 is the truth itself."
        plots.append(Plot(name="truth", heading="Match with the planted truth", note=note, figure=truth))
    told = labels_figure(found)
    if told is not None:
        note = "By the five nearest known objects; labels are used for this alone."
        plots.append(Plot(name="labels", heading="Telling new objects by name", note=note, figure=told))
    parts: list[str | tuple[Plot, ...]] = [tuple(plots[i : i + 2]) for i in range(0, len(plots), 2)]
    lived = []
    note = "The axis does not start at 0."
    gained = living_figure(found, unlived, "efficiency", x="efficiency", beside=("PCA", 1.0))
    if gained is not None:
        heading = "Efficiency, before living and now"
        lived.append(Plot(name="living", heading=heading, note=note, figure=gained))
    central = ("one mind", known(found["central_mcc"]))
    nearer = living_figure(found, unlived, "mcc", x="mean congruence", beside=central)
    if nearer is not None:
        heading = "Match with the truth, before living and now"
        lived.append(Plot(name="nearer", heading=heading, note=note, figure=nearer))
    if lived:
        parts += [f'<p class="between">{_what_living_adds(found, unlived)}</p>', tuple(lived)]
    return Section(
        id="coverage",
        short="Coverage",
        heading="How much of the world they hold together",
        text=_what_is_explained(metrics, summary) or "Nothing was recorded that could be shown here.",
        parts=parts,
    )


def _what_is_explained(metrics: Sequence[Row], summary: Mapping[str, Any]) -> str:
    found = summary["library"]
    best_view = last(metrics, "best_view_variance")
    text = ""
    if known(found["explained_variance"]) is not None:
        text = (
            f"The library explains {percent(found['explained_variance'])} of what varies among the held-out objects, "
            "which neither agents nor library have met. Beside it stands a PCA of the training objects with as many "
            "directions, made by one mind that sees everything: it explains "
            f"{percent(found['optimal_explained_variance'])}. That is a strong rival, not a limit: on objects that are "
            "new to both, the library may come out slightly ahead. "
        )
    if known(best_view) is not None:
        views = min(summary["n_agents"], SINGLE_VIEWS)
        which = f"The best of {views:,} single views" if summary["n_agents"] > views else "The best single view"
        text += (
            f"{which}, described in the very same way, explains {percent(best_view)}; the first 8 directions of that "
            f"PCA explain {percent(found['rank8_explained_variance'])}."
        )
    return text


def _what_living_adds(found: Mapping[str, Any], unlived: Mapping[str, Any]) -> str:
    text = ""
    if known(unlived.get("efficiency")) is not None:
        text = (
            "How much of this comes from living? The founders&#x27; first views, merged in the same way before anybody "
            f"had lived, reach an efficiency of {number(unlived['efficiency'], 3)} with "
            f"{count(unlived['n_concepts'], 'concept')}, beside a PCA of as many: that much pooling many first looks "
            "gives by itself. "
        )
    elif unlived.get("n_concepts") == 0:
        text = "Merged before anybody had lived, the founders&#x27; first views share no concepts yet. "
    if known(found.get("weights_efficiency")) is not None:
        before = unlived.get("weights_efficiency")
        before = f" ({number(before, 3)} before living)" if known(before) is not None else ""
        text += (
            "A concept says how features go along with it, so it may tell more than its members themselves weigh. The "
            "agents&#x27; own weights, taken alone, reach "
            f"{number(found['weights_efficiency'], 3)}{before}."
        )
    return text


def coverage_figure(rows: Sequence[Row], *, rank8: float | None) -> go.Figure | None:
    """Held-out variance explained by the library and the best single view, beside PCA of the training objects."""
    if last(rows, "explained_variance") is None and last(rows, "best_view_variance") is None:
        return None
    figure = chart(x="step")
    central = []
    for row in rows:
        explained, efficiency = known(row.get("explained_variance")), known(row.get("efficiency"))
        central.append(dict(row) | {"central": explained / efficiency if explained and efficiency else None})
    line(figure, central, "central", "one mind's PCA", INK, dash="dash", width=1.6)
    line(figure, rows, "explained_variance", "library", BLUE, width=3)
    level(figure, rows, rank8, "its first 8", GREY)
    line(figure, rows, "best_view_variance", "best single view", ORANGE)
    figure.update_traces(hovertemplate="%{y:.1%}")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return over_time(figure, rows)


def truth_figure(rows: Sequence[Row], library: Mapping[str, Any]) -> go.Figure | None:
    """Match with the planted truth beside one mind that sees everything, the best single view and chance."""
    if last(rows, "mcc") is None:
        return None
    figure = chart(x="step", height=300)
    level(figure, rows, library["central_mcc"], "one mind", INK, "dash")
    line(figure, rows, "mcc", "library", BLUE, width=3)
    level(figure, rows, library["best_single_view_mcc"], "best single view", ORANGE, "dash")
    level(figure, rows, library["mcc_null"], "chance", GREY)
    figure.update_yaxes(range=[0, 1.02])
    return over_time(figure, rows)


def living_figure(
    library: Mapping[str, Any], unlived: Mapping[str, Any], key: str, *, x: str, beside: tuple[str, float | None]
) -> go.Figure | None:
    """One measure of the library and of the agents' own weights alone: now, and as merged before anybody had lived.

    ``beside`` is the name and the place of what both are measured by. None where nothing is known but the library's
    own figure, which other charts show.
    """
    own = f"weights_{key}"
    if all(known(value) is None for value in (unlived.get(key), unlived.get(own), library.get(own))):
        return None
    figure = chart(x=x, height=260)
    places: list[float] = []
    for name, measure in (("the library", key), ("own weights alone", own)):
        before, now = known(unlived.get(measure)), known(library.get(measure))
        ends = [value for value in (before, now) if value is not None]
        places += ends
        if len(ends) == 2:
            grey = {"color": GREY, "width": 3}
            figure.add_scatter(x=ends, y=[name] * 2, mode="lines", line=grey, hoverinfo="skip", showlegend=False)
        # One number above its dot and the other below, so that they stay apart where little has changed.
        for when, value, colour, symbol, beyond in (
            ("before living", before, ORANGE, "circle-open", "bottom"),
            ("now", now, BLUE, "circle", "top"),
        ):
            if value is None:
                continue
            figure.add_scatter(
                x=[value],
                y=[name],
                name=when,
                legendgroup=when,
                showlegend=all(trace.name != when for trace in figure.data),
                mode="markers+text",
                marker={"size": 13, "color": colour, "symbol": symbol, "line": {"width": 2.5, "color": colour}},
                text=[number(value, 3)],
                textposition=f"{beyond} center",
                textfont={"size": 13, "color": INK},
                hoverinfo="skip",
                cliponaxis=False,
            )
    what, place = beside
    if known(place) is not None:
        places.append(float(place or 0.0))
        dashed = {"color": INK, "width": 1.6, "dash": "dash"}
        figure.add_vline(x=place, line=dashed, layer="below")
        figure.add_scatter(x=[None], y=["the library"], name=what, mode="lines", line=dashed, hoverinfo="skip")
    room = 0.1 * max(max(places) - min(places), 0.02)
    figure.update_xaxes(range=[min(places) - room, max(places) + room])
    figure.update_yaxes(range=[1.6, -0.6], showgrid=False, tickfont={"size": 13, "color": INK})
    return figure


def labels_figure(library: Mapping[str, Any]) -> go.Figure | None:
    """Label accuracy of the library's coordinates beside raw features and single views."""
    found = [
        (name, value, colour)
        for name, key, colour in (
            ("all raw features", "raw_label_accuracy", INK),
            ("the library", "label_accuracy", BLUE),
            ("best single view", "best_single_view_label_accuracy", ORANGE),
            ("mean single view", "mean_single_view_label_accuracy", ORANGE),
        )
        if (value := known(library[key])) is not None
    ]
    if not found:
        return None
    figure = chart(x="held-out objects whose label is told", height=300, legend=False)
    names, values, colours = zip(*found, strict=True)
    for name, value in zip(names, values, strict=True):
        figure.add_scatter(
            x=[0, value], y=[name, name], mode="lines", line={"color": GRID, "width": 3}, hoverinfo="skip"
        )
    figure.add_scatter(
        x=values,
        y=names,
        mode="markers+text",
        marker={"size": 15, "color": colours},
        text=[f" {percent(value)}" for value in values],
        textposition="middle right",
        textfont={"size": 13, "color": INK},
        hoverinfo="skip",
        cliponaxis=False,
    )
    figure.update_xaxes(range=[0, 1.2], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 13, "color": INK})
    return figure
