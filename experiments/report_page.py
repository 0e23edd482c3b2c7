"""What the report's page is made of: plots, sections, and the script that draws the plots into their places."""

from __future__ import annotations

import dataclasses
import html
import json
from collections.abc import Sequence
from importlib.resources import files

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from experiments.report_text import esc

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
BUTTONS = ["toImage"]
MAP_BUTTONS = ["zoomIn2d", "zoomOut2d", "pan2d", "resetScale2d", "toImage"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plot:
    """A chart with its heading, which whoever cannot see it is told, and what to know to read it (HTML both)."""

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
            f'aria-label="{esc(html.unescape(self.heading))}" style="height:{height}px"></div></figure>'
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


def page(
    *,
    title: str,
    eyebrow: str,
    heading: str,
    lede: str,
    sections: Sequence[Section],
    footer: str,
    header: str = "",
    style: str = "",
) -> str:
    """A page that works offline: styles, plotly.js and all plots are in it, and it is forbidden to fetch anything.

    ``header`` comes below the navigation; all texts are HTML, escaped by whoever made them, but the title.
    """
    # Inside the library's own strings the end of a script can be written in a way that a page does not take for one.
    plotly_js = get_plotlyjs().replace("</script", r"<\/script")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{esc(title)}</title>
<style>
{files("experiments").joinpath("report.css").read_text(encoding="utf-8")}{style}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">{eyebrow}</p>
<h1>{heading}</h1>
<p class="lede">{lede}</p>
<nav>{"".join(f'<a href="#{section.id}">{section.short}</a>' for section in sections)}</nav>
{header}</header>
{"".join(section.html for section in sections)}
<noscript><p class="note">The charts are drawn by JavaScript, which is switched off here.</p></noscript>
<footer>{footer}</footer>
</main>
<script>{plotly_js}</script>
<script>
{script([plot for section in sections for plot in section.plots])}
</script>
</body>
</html>
"""


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
