"""What the report's page is made of: plots, sections, and the script that draws the plots into their places."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import plotly.graph_objects as go

from experiments.report_text import esc

BUTTONS = ["toImage"]
MAP_BUTTONS = ["zoomIn2d", "zoomOut2d", "pan2d", "resetScale2d", "toImage"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart with its heading and what to know to read it (HTML), and what a reader who cannot see it is told."""

    name: str
    heading: str
    figure: go.Figure
    note: str = ""
    buttons: Sequence[str] = tuple(BUTTONS)

    @property
    def html(self) -> str:
        """The place in the page that the chart is drawn into."""
        note = f"<p>{self.note}</p>" if self.note else ""
        height = int(self.figure.layout.height)
        return (
            f'<figure class="sheet"><h3>{self.heading}</h3>{note}<div class="plot" id="plot-{self.name}" role="img" '
            f'aria-label="{esc(self.heading)}" style="height:{height}px"></div></figure>'
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the page: a heading, what is to be seen (HTML), and its parts, HTML or plots; a tuple is a pair."""

    id: str
    short: str
    heading: str
    text: str
    parts: Sequence[str | Plot | tuple[Plot, ...]] = ()

    @property
    def plots(self) -> list[Plot]:
        """All plots of the section, in order."""
        rows = (part if isinstance(part, tuple) else (part,) for part in self.parts)
        return [plot for row in rows for plot in row if isinstance(plot, Plot)]

    @property
    def html(self) -> str:
        """The section as it stands in the page."""
        body = ""
        for part in self.parts:
            if isinstance(part, tuple):
                body += (
                    f'<div class="pair">{"".join(plot.html for plot in part)}</div>' if len(part) > 1 else part[0].html
                )
            else:
                body += part if isinstance(part, str) else part.html
        return f'<section id="{self.id}"><h2>{self.heading}</h2><p>{self.text}</p>{body}</section>'


def script(plots: Sequence[Plot]) -> str:
    """JavaScript that draws every plot into its place; nothing in the data can end it or be taken for markup."""
    calls = []
    for plot in plots:
        config = {"responsive": True, "displaylogo": False, "modeBarButtons": [list(plot.buttons)]}
        text = f"{plot.figure.to_json()}, {json.dumps(config)}"
        for sign in "<>&\u2028\u2029":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        calls.append(f'show("plot-{plot.name}", {text});')
    draw = "const show = (id, figure, config) => Plotly.newPlot(id, figure.data, figure.layout, config);"
    return "\n".join([draw, *calls])
