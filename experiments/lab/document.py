"""What the table is written to: Markdown for people, JSON for programs, a page with charts, and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detection.files import replacing, write_json
from experiments.lab import claims, page, sentences, table
from experiments.lab.parts import Part


def write(directory: Path, parts: Sequence[Part], *, scale: str) -> None:
    """Write table.md, table.json and report.html."""
    for name, text in (("table.md", markdown(parts, scale=scale)), ("report.html", page.render(parts, scale=scale))):
        with replacing(directory / name) as stream:
            stream.write(text.encode())
    write_json(directory / "table.json", as_json(parts, scale=scale))


def markdown(parts: Sequence[Part], *, scale: str) -> str:
    """The whole of it as Markdown."""
    text = [
        "# The lab's baselines",
        "Reported beside measured; ✓ says what is on. The figures are COCO's 12 numbers, means over the seeds (AP with "
        "its standard deviation from seed to seed). Rows that nobody has trained say so.",
    ]
    for part in parts:
        text += [f"## {sentences.HEADINGS[part.name]}", sentences.about(part.name, part.scale)]
        text.append(table.markdown(part.lines))
        if said := [verdict for verdict in part.verdicts if verdict.seeds]:
            text += ["### Which of the orders hold", "\n".join(f"- {sentences.sentence(verdict)}" for verdict in said)]
        if schedule := sentences.about_schedule(part.records):
            text += ["### How much of the drop was the schedule", schedule]
        text.append(sentences.provenance(part.records))
    if scale == "coco":
        text += ["## To start a row", "With COCO and one GPU, each a line that goes on where it was stopped:"]
        text.append("\n".join(["```", *(sentences.start(row) for row in parts[0].rows), "```"]))
    return "\n\n".join(some for some in text if some) + "\n"


def plain(parts: Sequence[Part]) -> str:
    """Tables and verdicts for the terminal."""
    text = []
    for part in parts:
        text.append(f"{part.name}\n{table.plain(part.lines)}")
        text += ["\n".join(sentences.sentence(verdict) for verdict in part.verdicts if verdict.seeds)]
        text.append(sentences.about_schedule(part.records))
    return "\n\n".join(some for some in text if some)


def as_json(parts: Sequence[Part], *, scale: str) -> dict[str, Any]:
    """All of it as plain values."""
    return {"preset": scale, "parts": {part.name: _part(part) for part in parts}}


def _part(part: Part) -> dict[str, Any]:
    schedule = claims.schedule(part.records)
    return {
        "rows": table.as_json(part.lines, part.records),
        "claims": [claims.as_json(verdict) for verdict in part.verdicts],
        "schedule_share": None if schedule is None else schedule.share,
    }
