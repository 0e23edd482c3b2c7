"""The report of a run: one HTML page that works offline, made to be looked at.

Everything is inside the page (styles, images, plotly.js once), and a content security policy forbids it to fetch
anything. Whatever comes from data is escaped, for HTML and for plotly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.society import Society
from experiments.report_coverage import coverage_section
from experiments.report_landlords import landlords_section
from experiments.report_library import looks_section, map_section, number_section, words_section
from experiments.report_objects import symbols
from experiments.report_page import page
from experiments.report_society import deaths_section, doing_section, feelings_section, settings_section
from experiments.report_talk import talk_section
from experiments.report_text import DASH, Row, count, esc, headline, key_figures, known, last, lede, number
from experiments.report_upbringing import upbringing_section
from knowledge_graph.library import Library


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
        landlords_section(society, library),
        # Without categories a reader could not tell what agents speak about.
        *([] if society.world.labels is None else [upbringing_section(society, library)]),
        number_section(library, metrics),
        coverage_section(metrics, summary),
        talk_section(society, metrics, summary),
        feelings_section(society, metrics, summary),
        deaths_section(society),
        doing_section(society),
        words_section(society, library),
        settings_section(society),
    ]
    drawn = symbols(society.world, "".join(section.html for section in sections))
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
    return page(
        title=title,
        eyebrow=f"Dimensional views &middot; a society at step {number(summary['n_steps'], 0)}",
        heading=headline(summary, society.config, society.world.name),
        lede=lede(summary, best_view),
        sections=sections,
        header=f'<dl class="keys">{keys}</dl>\n{drawn}',
        footer=f"{lived}{took}{pace}. The same seed gives the same society.",
    )
