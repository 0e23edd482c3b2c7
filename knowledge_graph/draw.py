"""The concept map: an interactive picture of a library, as a plotly figure.

A disc is a concept, its size the support, its colour how close its members come to it, the word on it its name. Lines
are `related` edges where there are any, the strongest of each concept. Where there are none (factors that have nothing
in common), a line says that the same agents hold both concepts more often than chance would have it; and in a small
society the agents themselves are drawn, with a line to every concept they hold.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from knowledge_graph.concept import Concept
from knowledge_graph.graph import relations
from knowledge_graph.layout import Link, positions
from knowledge_graph.library import Library

INK, MUTED, PAPER, PALE = "#23262f", "#6d7280", "#ffffff", "#f3f4f1"
ALIKE, OPPOSED, HELD = "#5b8fb9", "#d98032", "#b9bdc7"
SCALE = ((0.0, "#dcead6"), (0.35, "#86c5b6"), (0.7, "#2f86a8"), (1.0, "#17406d"))
"""Light to dark in one direction, so that the colour-blind and a black-and-white printer keep the order."""

FEW_AGENTS = 16
FEW_RELATIONS, FEW_PARTNERS = 3, 2
"""Lines that a concept sends out: to those most like it, or else to those that share most holders with it."""

LEGIBLE = 64
"""Concepts up to which all of their names are written on the map."""

READABLE = 7.0
"""Pixels that letters have at least where there are more: names are written on those discs that have room for them."""


def concept_graph(library: Library, *, feature_names: Sequence[str] | None = None) -> go.Figure:
    """The concept map of a library; `caption` says what is seen.

    The ``customdata`` of every point of a disc or a line are the ids of the nodes that it belongs to.

    Parameters
    ----------
    library : as of its last merge; one without concepts gives an empty map that says so
    feature_names : what to call features in the hover text, by default as the library calls them
    """
    concepts = library.concepts()
    figure = go.Figure(layout=_layout())
    if not concepts:
        figure.add_annotation(text="no concepts yet", showarrow=False, font={"size": 15, "color": MUTED})
        return figure
    links, agents = links_of(library), agents_of(library)
    radius = {c.id: r for c, r in zip(concepts, _radii(concepts), strict=True)} | dict.fromkeys(agents, 5.0)
    place = positions(radius, links)
    for kind, name, colour in (
        ("alike", "alike", ALIKE),
        ("opposed", "opposed", OPPOSED),
        ("shared", "share holders", ALIKE),
        ("held", "holds", HELD),
    ):
        figure.add_traces(_lines([link for link in links if link.kind == kind], place, name, colour))
    figure.add_trace(_middles(links, place))
    if agents:
        figure.add_trace(_agents(agents, place))
    close = closeness(library)
    for with_members in (True, False):
        chosen = [concept for concept in concepts if (concept.id in close) == with_members]
        if chosen:
            hover = [_told(library, concept, close.get(concept.id), feature_names) for concept in chosen]
            figure.add_trace(_discs(library, chosen, radius, place, close if with_members else None, hover))
    return figure


def caption(library: Library) -> str:
    """What the map of this library shows, in plain words."""
    if not len(library):
        return "The library has no concepts yet."
    kinds = {link.kind for link in links_of(library)}
    close = closeness(library)
    room = "" if len(library) <= LEGIBLE else ", where there is room for it,"
    said = [f"Every disc is a concept, and the word on it{room} its name; the larger, the better supported."]
    if close:
        said.append("The darker, the closer the dimensions of single agents come to it (mean |correlation|).")
    if len(close) < len(library):
        said.append("Pale discs with a rim are in the views only in mixtures: no single dimension comes close to them.")
    if kinds & {"alike", "opposed"}:
        said.append(
            "A line joins two concepts that weigh much the same features, blue in the same direction and orange in "
            f"opposite ones; the thicker, the more alike. Each concept sends out its {FEW_RELATIONS} strongest lines."
        )
    elif "shared" in kinds:
        said.append(
            "No two concepts weigh the same features, so a line says something else here: the same agents hold both "
            f"concepts more often than chance would have it. Each concept sends out its {FEW_PARTNERS} strongest lines."
        )
    elif "held" not in kinds:
        said.append("There are no lines: no two concepts weigh the same features or share more holders than by chance.")
    if "held" in kinds:
        said.append("The small squares are the agents, each joined to the concepts it holds.")
    return " ".join(said)


def escaped(text: str) -> str:
    """Text as plotly shows it literally: plotly takes a few HTML tags and entities for formatting."""
    return html.escape(re.sub(r"[\s\x00-\x1f\x7f]+", " ", text), quote=False)


def closeness(library: Library) -> dict[str, float]:
    """For each concept that has members their mean |correlation| with it over the probe."""
    if library.unified is None:
        return {}
    found = {}
    for k, name in enumerate(library.ids):
        member = library.membership == k
        if member.any():
            found[name] = float(np.abs(library.unified.correlation[:, :, k][member]).mean(dtype=np.float64))
    return found


def agents_of(library: Library) -> list[str]:
    """The agents worth drawing: all of a society of at most `FEW_AGENTS`, else none."""
    if library.views is None or len(library.views) > FEW_AGENTS:
        return []
    return [f"agent {number}" for number in library.views.agent.tolist()]


def links_of(library: Library) -> list[Link]:
    """The lines of the map: relations, else shared holders; and the holdings of agents that are drawn."""
    links = _relations(library) or _partners(library)
    agents = agents_of(library)
    for row, name in enumerate(agents):
        for k in sorted(set(library.membership[row][library.membership[row] >= 0].tolist())):
            ends = (name, library.ids[k])
            links.append(Link(ends=ends, kind="held", strength=0.0, says=f"{name} holds {library.ids[k]}"))
    return links


def _relations(library: Library) -> list[Link]:
    names = {concept.id: _name(library, concept) for concept in library.concepts()}
    sent: dict[str, int] = dict.fromkeys(names, 0)
    links = []
    for source, target, r in sorted(relations(library), key=lambda edge: (-abs(edge[2]), edge[:2])):
        if min(sent[source], sent[target]) < FEW_RELATIONS:
            says = f"{names[source]} and {names[target]}: congruence {_signed(r)}"
            kind = "alike" if r >= 0 else "opposed"
            links.append(Link(ends=(source, target), kind=kind, strength=abs(r), says=says))
        sent[source] += 1
        sent[target] += 1
    return links


def _partners(library: Library) -> list[Link]:
    """For every concept the few others that more agents hold together with it than independence would make."""
    concepts = {concept.id: concept for concept in library.concepts()}
    k, n = len(library.ids), len(library.membership)
    holds = np.zeros((n, k))
    row, slot = np.nonzero(library.membership >= 0)
    holds[row, library.membership[row, slot]] = 1.0
    both = holds.T @ holds
    expected = np.outer(holds.sum(axis=0), holds.sum(axis=0)) / max(n, 1)
    surplus = np.where(np.eye(k, dtype=bool), 0.0, both - expected)
    pairs = {
        (min(i, j), max(i, j))
        for i in range(k)
        for j in np.argsort(-surplus[i], kind="stable")[:FEW_PARTNERS].tolist()
        if surplus[i, j] > 0
    }
    most = surplus.max(initial=0.0)
    links = []
    for i, j in sorted(pairs):
        one, other = library.ids[i], library.ids[j]
        says = (
            f"{_name(library, concepts[one])} and {_name(library, concepts[other])}: "
            f"{both[i, j]:.0f} agents hold both, {expected[i, j]:.0f} expected by chance"
        )
        links.append(Link(ends=(one, other), kind="shared", strength=float(surplus[i, j] / most), says=says))
    return links


def _radii(concepts: Sequence[Concept]) -> NDArray[np.float64]:
    """Radii in pixels: the area grows with support, and a crowd is drawn smaller."""
    support = np.array([concept.support for concept in concepts])
    share = np.sqrt(support / max(float(support.max()), 1e-12))
    scale = min(1.0, np.sqrt(36 / len(concepts)))
    return np.asarray(scale * (9.0 + 17.0 * share))


def _lines(links: Sequence[Link], place: Mapping[str, tuple[float, float]], name: str, colour: str) -> list[go.Scatter]:
    """One trace for each of three widths, because a trace has only one."""
    traces: list[go.Scatter] = []
    for width, opacity, low, high in ((4.0, 0.75, 0.6, 9.0), (2.4, 0.65, 0.35, 0.6), (1.2, 0.5, -1.0, 0.35)):
        chosen = [link for link in links if low <= link.strength < high]
        if chosen:
            ends = [[place[link.ends[0]], place[link.ends[1]], (None, None)] for link in chosen]
            x, y = zip(*(point for line in ends for point in line), strict=True)
            traces.append(
                go.Scatter(
                    x=x,
                    y=y,
                    customdata=[link.ends for link in chosen for _ in range(3)],
                    mode="lines",
                    line={"width": width, "color": colour},
                    opacity=opacity,
                    hoverinfo="skip",
                    name=name,
                    legendgroup=name,
                    showlegend=not traces,
                )
            )
    return traces


def _middles(links: Sequence[Link], place: Mapping[str, tuple[float, float]]) -> go.Scatter:
    """Points that cannot be seen, where a line can be asked what it says."""
    told = [link for link in links if link.kind != "held"]
    return go.Scatter(
        x=[(place[link.ends[0]][0] + place[link.ends[1]][0]) / 2 for link in told],
        y=[(place[link.ends[0]][1] + place[link.ends[1]][1]) / 2 for link in told],
        customdata=[link.ends for link in told],
        mode="markers",
        marker={"size": 9, "color": PAPER, "opacity": 0.0},
        hovertext=[link.says for link in told],
        hoverinfo="text",
        showlegend=False,
    )


def _agents(agents: Sequence[str], place: Mapping[str, tuple[float, float]]) -> go.Scatter:
    return go.Scatter(
        x=[place[name][0] for name in agents],
        y=[place[name][1] for name in agents],
        mode="markers",
        marker={"size": 9, "symbol": "square", "color": MUTED},
        hovertext=list(agents),
        hoverinfo="text",
        name="agent",
    )


def _discs(
    library: Library,
    concepts: Sequence[Concept],
    radius: Mapping[str, float],
    place: Mapping[str, tuple[float, float]],
    close: Mapping[str, float] | None,
    hover: Sequence[str],
) -> go.Scatter:
    """The discs of concepts, coloured by ``close``; or pale with a rim for those without members."""
    names = [library.spell(concept.word) for concept in concepts]
    short = [name if len(name) <= 9 else name[:8] + "…" for name in names]
    size = [min(13.0, 1.75 * radius[c.id] / (0.58 * max(len(s), 3))) for c, s in zip(concepts, short, strict=True)]
    marker: dict[str, Any] = {"size": [2 * radius[concept.id] for concept in concepts], "opacity": 1.0}
    ink: list[str] = [INK] * len(concepts)
    if close is None:
        marker |= {"color": PALE, "line": {"width": 1.5, "color": HELD}}
    else:
        values = [close[concept.id] for concept in concepts]
        low, high = min(values), max(max(values), min(values) + 0.05)
        ink = [PAPER if value > low + 0.55 * (high - low) else INK for value in values]
        marker |= {
            "color": values,
            "cmin": low,
            "cmax": high,
            "colorscale": SCALE,
            "line": {"width": 1.5, "color": PAPER},
            "colorbar": _scale_bar("mean |r| of members", low, high),
        }
    return go.Scatter(
        x=[place[concept.id][0] for concept in concepts],
        y=[place[concept.id][1] for concept in concepts],
        customdata=[(concept.id,) for concept in concepts],
        mode="markers+text",
        marker=marker,
        text=[
            escaped(name) if len(library) <= LEGIBLE or letters >= READABLE else ""
            for name, letters in zip(short, size, strict=True)
        ],
        textposition="middle center",
        textfont={"size": size, "color": ink},
        hovertext=hover,
        hoverinfo="text",
        cliponaxis=False,
        showlegend=False,
    )


def _scale_bar(title: str, low: float, high: float) -> dict[str, Any]:
    return {
        "title": {"text": title, "side": "top", "font": {"size": 11, "color": MUTED}},
        "orientation": "h",
        "x": 1.0,
        "xanchor": "right",
        "y": 0.0,
        "yanchor": "top",
        "len": 0.4,
        "thickness": 8,
        "outlinewidth": 0,
        "tickvals": [low, (low + high) / 2, high],
        "tickformat": ".2f",
        "tickfont": {"size": 11, "color": MUTED},
    }


def _told(library: Library, concept: Concept, close: float | None, feature_names: Sequence[str] | None) -> str:
    """The hover text of a concept."""
    others = [library.spell(word) for word in concept.words if word != concept.word][:5]
    features = [
        f"{_clipped(feature_names[i] if feature_names else library.feature_name(i))} "
        f"{_signed(float(concept.loadings[i]))}"
        for i in concept.heaviest(4)
    ]
    lines = [
        f"<b>{escaped(library.spell(concept.word))}</b> ({concept.id})",
        f"support {concept.support:.2f}, {concept.members} members" + ("" if close is None else f" (|r| {close:.2f})"),
        f"since step {concept.since}",
        *(["also called " + ", ".join(escaped(word) for word in others)] if others else []),
        "features:",
        *(f"   {escaped(feature)}" for feature in features),
    ]
    if concept.strongest:
        lines.append("strongest: objects " + ", ".join(map(str, concept.strongest[:4])))
        lines.append("weakest: objects " + ", ".join(map(str, concept.weakest[:4])))
    return "<br>".join(lines)


def _name(library: Library, concept: Concept) -> str:
    return f"{escaped(library.spell(concept.word))} ({concept.id})"


def _clipped(text: str, limit: int = 28) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _layout() -> dict[str, Any]:
    hidden = {"visible": False, "fixedrange": False, "range": [-0.02, 1.02]}
    return {
        "template": "none",
        "height": 640,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12, "color": INK},
        "xaxis": hidden,
        "yaxis": hidden,
        "dragmode": False,
        "modebar": {"bgcolor": "rgba(255,255,255,0)", "color": HELD, "activecolor": INK},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": HELD, "align": "left", "font": {"size": 12, "color": INK}},
        # Under the scale of colours, which is as wide as the map on a telephone.
        "legend": {"orientation": "h", "x": 0, "y": -0.08, "yanchor": "top", "font": {"color": MUTED}},
    }
