"""The style of the report's charts: an empty one, and lines and levels to put into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from experiments.report_text import Row, known, series

INK, MUTED, GRID = "#23262f", "#666b78", "#e8e5dd"
BLUE, ORANGE, GREEN, PURPLE, GREY = "#1f6fa8", "#d3722a", "#2e9178", "#8d5a97", "#9a9ea8"
"""Told apart by the colour-blind (after Okabe & Ito 2008), and by lightness where two share a chart."""

SEQUENTIAL = ((0.0, "#dcead6"), (0.35, "#86c5b6"), (0.7, "#2f86a8"), (1.0, "#17406d"))
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def chart(*, x: str, y: str | None = None, height: int = 330, legend: bool = True) -> go.Figure:
    """An empty chart in the style of the report; ``x`` and ``y`` say what the axes are."""
    axis: dict[str, Any] = {
        "gridcolor": GRID,
        "zeroline": False,
        "fixedrange": True,
        "automargin": True,
        "tickfont": {"size": 12, "color": MUTED},
    }
    title = {"font": {"size": 12.5, "color": MUTED}, "standoff": 8}
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "margin": {"l": 44, "r": 14, "t": 10, "b": 40},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": FONT, "size": 12.5, "color": INK},
            "xaxis": axis | {"title": title | {"text": x}, "showgrid": False, "ticks": "outside", "tickcolor": GREY},
            "yaxis": axis | ({"title": title | {"text": y}} if y else {}),
            "dragmode": False,
            "modebar": {"bgcolor": "rgba(255,255,255,0)", "color": "#b9b4a8", "activecolor": INK},
            "hovermode": "closest",
            "hoverlabel": {
                "bgcolor": "#ffffff",
                "bordercolor": GREY,
                "font": {"family": FONT, "size": 12.5, "color": INK},
            },
            "showlegend": legend,
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": INK}},
        }
    )


def over_time(figure: go.Figure, rows: Sequence[Row]) -> go.Figure:
    """Let the time axis run from step 0 to the end, and ask about all lines at once."""
    end = float(rows[-1]["step"] or 0)
    figure.update_xaxes(range=[0, 1.015 * end if end else 1])
    figure.update_layout(hovermode="x unified")
    return figure


def line(figure: go.Figure, rows: Sequence[Row], key: str, name: str, colour: str, **style: Any) -> None:
    """Add a column of the metrics as a line, unless nothing of it is known."""
    x, y = series(rows, key)
    if any(value is not None for value in y):
        few = sum(value is not None for value in y) < 3
        figure.add_scatter(
            x=x,
            y=y,
            name=name,
            mode="lines+markers" if few else "lines",
            line={"color": colour, "width": 2.4} | style,
            hovertemplate="%{y:.3f}",
        )


def level(
    figure: go.Figure, rows: Sequence[Row], value: float | None, name: str, colour: str, dash: str = "dot"
) -> None:
    """Add a horizontal line over the recorded steps, with a legend entry of its own."""
    if known(value) is None or not rows:
        return
    x = [rows[0]["step"], rows[-1]["step"]]
    figure.add_scatter(
        x=x,
        y=[value, value],
        name=name,
        mode="lines" if x[0] != x[1] else "markers",
        line={"color": colour, "width": 1.6, "dash": dash},
        hovertemplate="%{y:.3f}",
    )
