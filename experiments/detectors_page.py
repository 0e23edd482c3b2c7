"""The page on detectors and their societies: a point for each detector, a number for each row, and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from agents.config import SocietyConfig
from experiments.detectors_found import BACKBONE, FIGURES, PYRAMID, Detectors
from experiments.detectors_text import headlines, lines_of, told_of
from experiments.lab.rows import Row
from experiments.lab.sentences import HEADINGS
from experiments.report_chart import BLUE, GREEN, GREY, INK, ORANGE, chart
from experiments.report_page import Plot, Section, page
from experiments.report_text import count, esc, number, percent

PRETRAINED, SCRATCH, MASKS = "pretrained", "from scratch", "with masks"
STYLES: Mapping[str, tuple[str, str]] = {
    PRETRAINED: (BLUE, "circle"),
    SCRATCH: (ORANGE, "square"),
    MASKS: (GREEN, "diamond"),
}
"""Colour and shape of a detector's point."""
AXES = {"ap": "AP of the detector", "raw": FIGURES["raw"].lower()}
UP = {"library": "labels told by the library", "talk": "share of talks", "narrow": "share of the variance"}
STYLE = (
    ".numbers td, .numbers th { padding: 5px 8px; } .numbers td:first-child { min-width: 210px; }\n"
    ".numbers td:not(:first-child), .numbers th:not(:first-child) { text-align: right; white-space: normal; }\n"
)


def render(found: Sequence[Detectors], *, seeds: int, agents: int, steps: int) -> str:
    """The page as HTML."""
    said = "".join(f"<li>{esc(sentence)}</li>" for one in found for sentence in headlines(one)[0])
    detectors = sum(len(one.rows) for one in found)
    return page(
        title="Does a better detector make a better society?",
        eyebrow="From pixels to minds &middot; detectors",
        heading="Does a better detector make a better society?",
        lede=(
            f"{count(detectors, 'detector')}, from those that find next to nothing to the best, and "
            f"{count(agents, 'agent')} who live among what each of them sees."
        ),
        sections=[section for one in found for section in (answer(one), table(one))],
        header=f'<ul class="said">{said}</ul>\n',
        footer=(
            f"{count(seeds, 'society', 'societies')} of {count(agents, 'agent')} and {count(steps, 'step')} for each "
            "detector and each place that features are read from; the same seeds hold the same objects out. The same "
            "seeds give the same figures."
        ),
        style=STYLE,
    )


def answer(found: Detectors) -> Section:
    """AP beside what libraries tell, and what explains it."""
    rows, where = list(found.by_name.values()), found.measured_on
    kinds = "drawn shapes" if found.name == "shapes" else "photographs"
    learned = ", on the very images that were learned from" if where == "train2017" else ""
    library = found.together("ap", "library")
    reads = f"The line is the commonest category ({number(found.chance, 3)})"
    backbone = found.together("ap", "library", BACKBONE)
    return Section(
        id=found.name,
        short=kinds,
        heading=HEADINGS[found.name],
        text=(
            f"{count(found.objects, 'object')} of {kinds} that no detector has learned from. A quarter of them, whole "
            "images, is held out from agents and library; its labels are told by the 5 nearest of the others. AP is "
            f"that of the table{learned}."
        ),
        parts=[
            Plot(
                name=f"{found.name}-library",
                heading="What a library tells, by the AP of the detector",
                note=f"Rank correlation over {count(len(rows), 'row')}: {told_of(library)}. {reads}. A point is a "
                "detector; a number is the mean of its row, as numbered in the table.",
                figure=scatter(found, "ap", "library", height=470, numbers=True),
            ),
            (
                Plot(
                    name=f"{found.name}-backbone",
                    heading="The same in what the backbone makes of an image",
                    note=f"Rank correlation {told_of(backbone)}. The dashed line is the backbone as ImageNet left it "
                    f"({number(found.untrained['library'], 3)}).",
                    figure=scatter(found, "ap", "library", BACKBONE),
                ),
                Plot(
                    name=f"{found.name}-raw",
                    heading="What a library tells, by what raw features tell",
                    note=f"Rank correlation {told_of(found.together('raw', 'library'))}. On the line both tell "
                    "as much.",
                    figure=scatter(found, "raw", "library", diagonal=True),
                ),
            ),
            (
                Plot(
                    name=f"{found.name}-talk",
                    heading=FIGURES["talk"],
                    note=f"Rank correlation with AP {told_of(found.together('ap', 'talk'))}. Guessing would succeed in "
                    f"{percent(1 / SocietyConfig.candidates)}.",
                    figure=scatter(found, "ap", "talk", reference=False),
                ),
                Plot(
                    name=f"{found.name}-narrow",
                    heading=FIGURES["narrow"],
                    note=f"Rank correlation with AP {told_of(found.together('ap', 'narrow'))}. No agent holds more "
                    "than 8 dimensions.",
                    figure=scatter(found, "ap", "narrow", reference=False),
                ),
            ),
        ],
    )


def table(found: Detectors) -> Section:
    """All rows, from the highest AP down, and the sentences that did not stand first."""
    head, *lines = lines_of(found)
    ranks = {title: at for at, title in enumerate(_order(found), start=1)}
    top = "".join(f'<th scope="col">{esc(name)}</th>' for name in head)
    body = "".join(
        f"<tr><td>{f'{ranks[first]}. ' if first in ranks else ''}{esc(first)}</td>"
        + "".join(f"<td>{esc(cell)}</td>" for cell in cells)
        + "</tr>"
        for first, *cells in lines
    )
    shown = f'<div class="scroll numbers"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    rest = "".join(f"<li>{esc(sentence)}</li>" for sentence in headlines(found)[1])
    return Section(
        id=f"{found.name}-rows",
        short=f"rows ({found.name})",
        heading="Row by row",
        text="Means over trainings and societies. The best of all single views is chosen by the very objects "
        "that it is measured on, which flatters it; library and raw features are not chosen.",
        parts=[shown, f'<ul class="said">{rest}</ul>'],
    )


def scatter(
    found: Detectors,
    x: str,
    y: str,
    features: str = PYRAMID,
    *,
    height: int = 330,
    numbers: bool = False,
    reference: bool = True,
    diagonal: bool = False,
) -> go.Figure:
    """A point for each detector, coloured by how it began; with ``numbers`` one for each row as well."""
    drawn = chart(x=AXES.get(x, x), y=UP[y], height=height)
    across = found.ap if x == "ap" else found.figures[features][x]
    up = found.figures[features][y]
    ends = [float(across.min()), float(across.max())]
    for kind, (colour, symbol) in STYLES.items():
        of_kind = [at for at, row in enumerate(found.rows) if kind_of(row) == kind]
        if of_kind:
            drawn.add_scatter(
                x=[float(across[at]) for at in of_kind],
                y=[float(up[at]) for at in of_kind],
                mode="markers",
                name=kind,
                text=[f"{esc(found.rows[at].title)}, seed {found.seeds[at]}" for at in of_kind],
                marker={"size": 8, "color": colour, "symbol": symbol, "opacity": 0.55 if numbers else 0.75},
                hovertemplate="%{text}<br>%{x:.3f}, %{y:.3f}<extra></extra>",
            )
    if numbers:
        _numbered(drawn, found, x, y, features)
    if diagonal:
        _line(drawn, ends, ends, "both as much", "dot")
    elif reference:
        _line(drawn, ends, [found.chance] * 2, "commonest category", "dot")
        if features == BACKBONE:
            _line(drawn, ends, [found.untrained[y]] * 2, "untrained here", "dash")
    drawn.update_xaxes(showgrid=True)
    return drawn


def kind_of(row: Row) -> str:
    """How a row is drawn."""
    return MASKS if row.masks != "none" else PRETRAINED if row.pretrained else SCRATCH


def _order(found: Detectors) -> list[str]:
    """Titles of the rows as the table numbers them."""
    return [line[0] for line in lines_of(found)[1:-1]]


def _numbered(drawn: go.Figure, found: Detectors, x: str, y: str, features: str) -> None:
    """The means of the rows, by their number in the table."""
    ranks = {title: at for at, title in enumerate(_order(found), start=1)}
    rows, across, up = list(found.by_name.values()), found.of(x, features), found.of(y, features)
    drawn.add_scatter(
        x=[float(value) for value in across],
        y=[float(value) for value in up],
        mode="text",
        textposition="top center",
        text=[str(ranks[row.title]) for row in rows],
        textfont={"size": 13, "color": INK},
        showlegend=False,
        hoverinfo="skip",
    )


def _line(drawn: go.Figure, x: Sequence[float], y: Sequence[float], name: str, dash: str) -> None:
    drawn.add_scatter(
        x=list(x),
        y=list(y),
        mode="lines",
        name=name,
        line={"color": GREY, "width": 1.6, "dash": dash},
        hoverinfo="skip",
    )
