"""The page of the limits: every row with its verdict, and a plot for each law; one file that works offline."""

from __future__ import annotations

import re
from collections.abc import Sequence

import plotly.graph_objects as go

from experiments.limits.rows import Law, Row
from experiments.report_chart import BLUE, GREY, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import count, esc
from experiments.validate_text import expectation, missed, number_of, verdict

VERDICTS = {"ok": "ok", "NOT OK": "<strong>not ok</strong>", "": ""}


def render(rows: Sequence[Row], laws: Sequence[Law], *, seeds: Sequence[int], quick: bool) -> str:
    """The page as HTML."""
    judged = [row for row in rows if row.relation != "report"]
    headings = list(dict.fromkeys([*(row.group for row in rows), *(law.group for law in laws)]))
    sections = [
        section(group, [row for row in rows if row.group == group], [law for law in laws if law.group == group], place)
        for place, group in enumerate(headings)
    ]
    met = f"{sum(row.ok for row in judged)} of {len(judged)}"
    said = "".join(f"<li>Not ok: {esc(missed(row))}.</li>" for row in rows if not row.ok)
    return page(
        title=f"Limits: {met} met",
        eyebrow="Dimensional views &middot; what is published or provable",
        heading=f"{met} limits met",
        lede=(
            "Every mechanism alone, in a setting in which something exact or published is known of it. Means over "
            f"{count(len(seeds), 'seed')}; what is about a figure may differ from it by what chance allows, as stated."
        ),
        sections=sections,
        header=f'<ul class="said">{said}</ul>\n' if said else "",
        footer=(
            f"{count(len(rows), 'row')}, {count(len(laws), 'law')}; seeds {seeds[0]} to {seeds[-1]}"
            f"{', quick' if quick else ''}. The same seeds give the same figures."
        ),
    )


def section(group: str, rows: Sequence[Row], laws: Sequence[Law], place: int) -> Section:
    """A group of rows, as a table and its laws."""
    head = "".join(f'<th scope="col">{what}</th>' for what in ("", "measured", "spread", "expected", "source"))
    body = "".join(
        f'<tr><td>{VERDICTS[verdict(row)]}</td><th scope="row">{esc(row.name)}</th><td class="n">'
        f'{number_of(row.measured)}</td><td class="n">{number_of(row.spread, digits=2)}</td>'
        f"<td>{esc(expectation(row))}</td><td>{esc(row.source)}{f'<br>{esc(row.note)}' if row.note else ''}</td></tr>"
        for row in rows
    )
    table = f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    name, _, what = group.partition(": ")
    plots = [
        Plot(name=f"law-{place}-{nth}", heading=esc(opened(law.name)), figure=drawn(law), note=esc(law.note))
        for nth, law in enumerate(laws)
    ]
    return Section(
        id=re.sub(r"\W+", "-", group.lower()).strip("-"),
        short=esc(opened(group)),
        heading=esc(opened(name)),
        text=esc(opened(what)),
        parts=[table, *(tuple(plots[start : start + 2]) for start in range(0, len(plots), 2))],
    )


def opened(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def drawn(law: Law) -> go.Figure:
    """What was measured, with its spread over the seeds, and the line of what is expected."""
    figure = chart(x=esc(law.x), y=esc(law.y))
    figure.add_scatter(
        x=law.at,
        y=law.measured,
        name="measured",
        mode="markers",
        marker={"size": 8, "color": BLUE},
        error_y={"type": "data", "array": law.spread, "thickness": 1.4, "width": 3, "color": BLUE},
        hovertemplate="%{y:.4g}",
    )
    if law.expected is not None:
        figure.add_scatter(
            x=law.at,
            y=law.expected,
            name=esc(law.source),
            mode="lines",
            line={"color": GREY, "width": 2},
            hovertemplate="%{y:.4g}",
        )
    if law.logarithmic:
        figure.update_xaxes(type="log")
        figure.update_yaxes(type="log")
    return figure
