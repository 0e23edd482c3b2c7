"""A part of the document: the rows on one set of images, with all that was measured there."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.lab import claims, table
from experiments.lab.claims import Verdict
from experiments.lab.records import Record
from experiments.lab.rows import Row
from experiments.lab.runs import Scale


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows on one set of images."""

    name: str
    """What the records call the set."""
    scale: Scale
    rows: tuple[Row, ...]
    records: tuple[Record, ...]

    @property
    def lines(self) -> list[table.Line]:
        """The table of it."""
        return table.lines(self.rows, self.scale, self.records)

    @property
    def verdicts(self) -> list[Verdict]:
        """What it says of the claims whose rows it has."""
        names = {row.name for row in self.rows}
        return [claims.judged(claim, self.records) for claim in claims.CLAIMS if names.issuperset(claim.rows)]
