"""The limits in words: a table for the terminal, and what is expected of a row."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.limits.rows import Row


def table(rows: Sequence[Row]) -> str:
    """The rows under their groups, for the terminal."""
    parts = []
    for group in dict.fromkeys(row.group for row in rows):
        lines = [("", "", "measured", "spread", "expected", "source")]
        lines += [
            (
                verdict(row),
                row.name,
                number_of(row.measured),
                number_of(row.spread, digits=2),
                expectation(row),
                f"{row.source}; {row.note}" if row.note else row.source,
            )
            for row in rows
            if row.group == group
        ]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = ("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)
        parts.append("\n".join([group, *(f"  {line}".rstrip() for line in shown)]))
    return "\n\n".join(parts)


def verdict(row: Row) -> str:
    """Whether a row is as expected; nothing for one that only reports, and has a figure to report."""
    if not row.ok:
        return "NOT OK"
    return "" if row.relation == "report" else "ok"


def expectation(row: Row) -> str:
    """What is expected of a row, in words."""
    if row.expected is None:
        return ""
    expected = number_of(row.expected)
    if row.relation == "report":
        return f"beside {expected} ({row.measured - row.expected:+.3g})"
    if row.relation == "about":
        return f"{expected} +- {number_of(row.tolerance, digits=2)}"
    way = {"at least": "less", "at most": "plus"}.get(row.relation, "+-")
    tolerated = f" ({way} {number_of(row.tolerance, digits=2)})" if row.tolerance else ""
    return f"{row.relation} {expected}{tolerated}"


def missed(row: Row) -> str:
    """What a row that is not ok measured, and what was expected of it: of a report, that there is a figure at all."""
    wanted = "a figure" if row.relation == "report" else expectation(row)
    return f"{row.name}: {number_of(row.measured)}, expected {wanted}"


def number_of(value: float, *, digits: int = 4) -> str:
    """A figure with so many digits."""
    return f"{value:.{digits}g}"
