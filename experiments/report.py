"""The report of a run: one HTML page that works offline, made to be looked at.

Everything is inside the page (styles, images, plotly.js once), and a content security policy forbids it to fetch
anything. Whatever comes from data is escaped, for HTML and for plotly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

from agents.society import Society
from experiments.report_coverage import coverage_section
from experiments.report_library import looks_section, map_section, number_section, words_section
from experiments.report_page import script
from experiments.report_society import deaths_section, doing_section, feelings_section, settings_section, talk_section
from experiments.report_text import DASH, Row, count, esc, headline, key_figures, known, last, lede, number
from knowledge_graph.library import Library

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def render(
    *,
    society: Society,
    metrics: Sequence[Row],
    summary: Mapping[str, Any],
    library: Library | None = None,
) -> str:
    """The report as one HTML page.

    Parameters
    ----------
    society : as it is at the end of the run
    metrics : a row for each recorded step; any value but the step may be None
    summary : what summary.json holds; any value may be None
    library : the library to show, by default the society's own as of its last merge
    """
    library = society.library if library is None else library
    best_view = last(metrics, "best_view_variance")
    sections = [
        map_section(society, library),
        looks_section(society, library),
        number_section(library, metrics),
        coverage_section(metrics, summary),
        talk_section(society, metrics, summary),
        feelings_section(society, metrics, summary),
        deaths_section(society),
        doing_section(society),
        words_section(society, library),
        settings_section(society),
    ]
    title = f"{society.world.name}: {count(len(library), 'concept')} of {count(len(society.population), 'agent')}"
    keys = "".join(
        f"<div><dt>{what}</dt><dd>{value}</dd><dd>{beside}</dd></div>"
        for what, value, beside in key_figures(summary, society.config, best_view)
    )
    speed, wall = known(summary["agent_steps_per_s"]), known(summary["wall_s"])
    seed = DASH if summary["seed"] is None else esc(summary["seed"])
    lived = f"{count(summary['n_steps'], 'step')} of {count(summary['n_agents'], 'agent')}, seed {seed}"
    took = f", in {number(wall, 0)} seconds" if wall is not None else ""
    pace = f" ({number(speed, 0)} agent-steps a second)" if speed is not None else ""
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
{files("experiments").joinpath("report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">Dimensional views &middot; a society at step {number(summary["n_steps"], 0)}</p>
<h1>{headline(summary, society.config, society.world.name)}</h1>
<p class="lede">{lede(summary, best_view)}</p>
<nav>{"".join(f'<a href="#{section.id}">{section.short}</a>' for section in sections)}</nav>
<dl class="keys">{keys}</dl>
</header>
{"".join(section.html for section in sections)}
<noscript><p class="note">The charts are drawn by JavaScript, which is switched off here.</p></noscript>
<footer>{lived}{took}{pace}. The same seed gives the same society.</footer>
</main>
<script>{plotly_js}</script>
<script>
{script([plot for section in sections for plot in section.plots])}
</script>
</body>
</html>
"""
