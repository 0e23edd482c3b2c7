"""The page of the table: every row with its seeds as points, the orders that hold, and the table itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from experiments.lab import records, sentences, table
from experiments.lab.claims import Verdict
from experiments.lab.parts import Part
from experiments.lab.records import Record
from experiments.lab.rows import Row
from experiments.report_chart import BLUE, GREY, ORANGE, PURPLE, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import esc

STYLE = """
.lab { width: min(1280px, 100vw - 40px); margin-left: 50%; transform: translateX(-50%); }
.lab td, .lab th { white-space: nowrap; font-size: 11px; padding: 3px 4px; }
.verdicts td:first-child { min-width: 300px; }
"""

HEIGHT = 30
"""Of a row in a chart, in pixels."""

HOLDS = {"yes": "✓ holds", "no": "✗ does not", "not with every seed": "not with every seed", "not measured": "not run"}


def render(parts: Sequence[Part], *, scale: str) -> str:
    """The page as HTML."""
    sections = [section for part in parts for section in sections_of(part)]
    measured = sum(len({record.row for record in part.records}) for part in parts)
    of = sum(len(part.rows) for part in parts)
    return page(
        title="The lab's baselines",
        eyebrow=f"Detection bench &middot; baselines &middot; {esc(scale)}",
        heading="The lab&#x27;s baselines, reported beside measured",
        lede=f"{measured} of {of} rows are measured here; the others say that they are not.",
        sections=sections,
        footer="Every figure is of runs whose commands stand in table.json.",
        style=STYLE,
    )


def sections_of(part: Part) -> list[Section]:
    """What there is to say of one set of images."""
    found = [row for row in part.rows if records.of_row(part.records, row.name)]
    drawn: list[str | Plot | tuple[Plot, ...]] = []
    if found:
        drawn.append(
            Plot(
                name=f"rows-{part.name}",
                heading="AP of every row",
                note="Small points are seeds, large ones their means."
                + (" Crosses are what the lab reported." if part.name == "coco" else ""),
                figure=rows_figure(found, part.records, reported=part.name == "coco"),
            )
        )
    about = esc(sentences.about(part.name, part.scale))
    text = f"{about} {esc(sentences.provenance(part.records))}"
    sections = [Section(id=part.name, short=part.name, heading=sentences.HEADINGS[part.name], text=text, parts=drawn)]
    if said := [verdict for verdict in part.verdicts if verdict.seeds]:
        schedule = sentences.about_schedule(part.records)
        sections.append(
            Section(
                id=f"orders-{part.name}",
                short=f"orders ({part.name})",
                heading="Which of the orders hold",
                text=esc(schedule) or "Judged seed by seed.",
                parts=[verdicts_table(said)],
            )
        )
    sections.append(
        Section(
            id=f"table-{part.name}",
            short=f"table ({part.name})",
            heading="The table with check marks",
            text="COCO&#x27;s 12 numbers; AP with its standard deviation from seed to seed.",
            parts=[marks_table(part.lines)],
        )
    )
    return sections


def rows_figure(rows: Sequence[Row], found: Sequence[Record], *, reported: bool) -> go.Figure:
    """AP of boxes, and of masks where there are any, a row each, the first on top."""
    names = [esc(row.title) for row in rows]
    drawn = chart(x="AP", height=110 + HEIGHT * len(rows))
    for kind, colour in (("boxes", BLUE), ("masks", ORANGE)):
        seeds: list[tuple[float, str]] = []
        means: list[tuple[float, str]] = []
        for row, name in zip(rows, names, strict=True):
            if kind == "masks" and row.masks == "none":
                continue
            values = records.values(records.of_row(found, row.name), "AP", masks=kind == "masks")
            known = values[np.isfinite(values)]
            seeds += [(float(value), name) for value in known]
            means += [(float(known.mean()), name)] if len(known) else []
        for places, size, opacity, label in ((seeds, 6, 0.5, ""), (means, 11, 1.0, f"measured, {kind}")):
            if places:
                drawn.add_scatter(
                    x=[value for value, _ in places],
                    y=[name for _, name in places],
                    mode="markers",
                    name=label,
                    showlegend=bool(label),
                    marker={"size": size, "color": colour if label else GREY, "opacity": opacity},
                    hovertemplate="%{x:.3f}<extra></extra>",
                )
    lab = [(row.reported["AP"], name) for row, name in zip(rows, names, strict=True) if row.reported]
    if reported and lab:
        drawn.add_scatter(
            x=[value for value, _ in lab],
            y=[name for _, name in lab],
            mode="markers",
            name="reported",
            marker={"size": 9, "color": PURPLE, "symbol": "x"},
            hovertemplate="%{x:.3f}<extra></extra>",
        )
    drawn.update_yaxes(categoryorder="array", categoryarray=names[::-1], range=[-0.6, len(names) - 0.4], showgrid=True)
    drawn.update_xaxes(showgrid=True, rangemode="tozero")
    return drawn


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    """The claims, each with what was reported, what was measured, and whether it holds."""
    rows = "".join(
        f"<tr><td>{esc(verdict.claim.text)}</td><td>{esc(verdict.claim.reported)}</td><td>{esc(verdict.measured)}</td>"
        f"<td>{esc(HOLDS[verdict.holds])}</td><td>{verdict.agree} of {verdict.seeds}</td></tr>"
        for verdict in verdicts
    )
    head = "".join(f"<th scope='col'>{name}</th>" for name in ("claim", "reported", "measured", "holds", "seeds"))
    return f'<div class="scroll verdicts"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def marks_table(lines: Sequence[table.Line]) -> str:
    """The table as HTML; what has no numbers says so in their place."""
    head = "".join(f"<th scope='col'>{esc(name)}</th>" for name in table.HEAD)
    rows = []
    for line in lines:
        for (what, numbers), cells in zip(line.numbers, table.cells(line), strict=True):
            shown = cells if numbers else cells[: len(table.MARKS) + 1]
            tds = "".join(f"<td>{esc(cell)}</td>" for cell in shown)
            rows.append(f"<tr>{tds}</tr>" if numbers else f'<tr>{tds}<td colspan="13">{esc(what)}</td></tr>')
    return f'<div class="scroll lab"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
