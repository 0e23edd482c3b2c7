"""One table with check marks: for every row what is on, what the lab reported, and what was measured beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detection.coco_eval import NUMBERS, share
from experiments.compared import spread_of
from experiments.lab import records
from experiments.lab.claims import spread
from experiments.lab.records import Record
from experiments.lab.rows import MASK_NAMES, Row
from experiments.lab.runs import Scale
from experiments.report_text import count, known

CHECK = "✓"
MARKS = ("pretrained", "FrozenBN", "BN", "GN", "batch", "accumulated", "lr", "epochs", "masks")
NOT_RUN = "not run"
KINDS = ("boxes", "masks")
HEAD = ("row", *MARKS, "", *NUMBERS)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table: its marks, and up to three lines of numbers, each with what they are."""

    row: Row
    marks: Mapping[str, str]
    numbers: Sequence[tuple[str, Mapping[str, str]]]
    """What the numbers are of (reported, boxes, masks), and the cells; no cells where there are no numbers."""


def lines(rows: Sequence[Row], scale: Scale, found: Sequence[Record]) -> list[Line]:
    """The table of some rows at a scale."""
    return [line(row, scale, records.of_row(found, row.name)) for row in rows]


def line(row: Row, scale: Scale, found: Sequence[Record]) -> Line:
    """A row with the records of it."""
    numbers: list[tuple[str, Mapping[str, str]]] = []
    reported = "reported" if scale.name == "coco" else "reported, COCO"
    if row.reported:
        numbers.append((reported, {name: share(row.reported[name]) for name in NUMBERS}))
    elif row.outcome:
        numbers.append((f"{reported}: {row.outcome}", {}))
    if not found:
        numbers.append((NOT_RUN, {}))
    lost = sum(record.diverged is not None for record in found)
    seeds = count(len(found), "seed") + (f", {lost} diverged" if lost else "")
    for kind in KINDS if row.masks != "none" else KINDS[:1]:
        if found:
            cells = {name: _cell(found, name, masks=kind == "masks") for name in NUMBERS}
            numbers.append((f"{kind}, {seeds}", cells))
    return Line(row=row, marks=marks(row, scale, found), numbers=numbers)


def marks(row: Row, scale: Scale, found: Sequence[Record]) -> dict[str, str]:
    """The columns that say what is on."""
    epochs = found[0].epochs if found and found[0].iterations else row.epochs(scale.iterations, scale.images)
    return {
        "pretrained": CHECK if row.pretrained else "",
        "FrozenBN": CHECK if row.norm == "frozen_bn" else "",
        "BN": CHECK if row.norm == "bn" else "",
        "GN": CHECK if row.norm == "gn" else "",
        "batch": str(row.batch),
        "accumulated": CHECK if (found[0].in_parts if found else row.accumulated) else "",
        "lr": f"{row.lr:g}",
        "epochs": f"{epochs:.1f}",
        "masks": MASK_NAMES.get(row.masks, ""),
    }


def cells(line: Line) -> list[list[str]]:
    """The lines of a row, cell by cell as in `HEAD`; what is on stands in the first alone."""
    found = []
    for at, (what, numbers) in enumerate(line.numbers):
        first = [line.row.title, *line.marks.values()] if at == 0 else [""] * (1 + len(MARKS))
        found.append([*first, what, *(numbers.get(name, "") for name in NUMBERS)])
    return found


def markdown(table: Sequence[Line]) -> str:
    """The table as Markdown."""
    body = [HEAD, ["---"] * len(HEAD), *(one for line in table for one in cells(line))]
    return "\n".join(f"| {' | '.join(one)} |" for one in body)


def plain(table: Sequence[Line]) -> str:
    """The table for the terminal: check marks, and AP reported and measured."""
    head = ["", *MARKS, "reported", "measured", "AP50", "AP75"]
    body = [head]
    for one in table:
        reported = next((some["AP"] for what, some in one.numbers if what.startswith("reported") and some), "-")
        measured = [(what, some) for what, some in one.numbers if what.startswith(KINDS)]
        if not measured:
            body.append([one.row.name, *one.marks.values(), reported, NOT_RUN, "", ""])
        for at, (what, some) in enumerate(measured):
            first = [one.row.name, *one.marks.values(), reported] if at == 0 else [""] * (2 + len(MARKS))
            kind = " masks" if what.startswith("masks") else ""
            body.append([*first, some["AP"] + kind, some["AP50"], some["AP75"]])
    widths = [max(map(len, column)) for column in zip(*body, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(some, widths, strict=True)).rstrip() for some in body
    )


def as_json(table: Sequence[Line], found: Sequence[Record]) -> list[dict[str, Any]]:
    """The table with all numbers, for programs: of every row means over its seeds, and each seed's own."""
    rows = []
    for one in table:
        some = records.of_row(found, one.row.name)
        rows.append(
            {
                "row": one.row.name,
                "title": one.row.title,
                "run_name": one.row.run_name or None,
                "marks": {
                    name: (value == CHECK if name in ("pretrained", "FrozenBN", "BN", "GN", "accumulated") else value)
                    for name, value in one.marks.items()
                },
                "reported": dict(one.row.reported) or None,
                "outcome": one.row.outcome or None,
                "measured": _means(some, masks=False),
                "measured_masks": None if one.row.masks == "none" else _means(some, masks=True),
                "seeds": {
                    str(record.seed): {
                        "boxes": dict(record.boxes),
                        "masks": None if record.masks is None else dict(record.masks),
                        "diverged": record.diverged,
                        "images_per_s": record.images_per_s,
                        "seconds": record.seconds,
                        "device": record.device,
                        "commands": list(record.commands),
                    }
                    for record in some
                },
            }
        )
    return rows


def _means(found: Sequence[Record], *, masks: bool) -> dict[str, dict[str, float | None]] | None:
    some = [record for record in found if not masks or record.masks is not None or record.diverged is not None]
    if not some:
        return None
    spreads = {name: spread_of(records.values(some, name, masks=masks)) for name in NUMBERS}
    return {name: {what: known(value) for what, value in found.items()} for name, found in spreads.items()}


def _cell(found: Sequence[Record], name: str, *, masks: bool) -> str:
    values = records.values(found, name, masks=masks)
    if name == "AP":
        return spread(values)
    return share(known(spread_of(values)["mean"]))
