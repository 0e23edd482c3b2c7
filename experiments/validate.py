"""Hold the program against what is published or provable: ``python -m experiments.validate``.

Prints a table of all limits with what was measured, and ends with 1 if any is missed. A group of limits is a module in
`experiments.limits` with two functions, what has to be measured and what is expected of it, and a line in `GROUPS`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

from tyro.conf import arg

from agents.errors import InputError
from experiments import command_line, out_file
from experiments.limits import (
    attribution,
    covariation,
    descent,
    discovery,
    games,
    meeting,
    merging,
    naming,
    selection,
    superiority,
    talk,
)
from experiments.limits.rows import Law, Row
from experiments.pieces import Found, Kept, Measure, over_seeds, program
from experiments.validate_text import missed, table
from knowledge_graph.files import atomic_write

PROG = "validate"
SEEDS, QUICK_SEEDS = 8, 3
MISSED = 1
"""Exit status where a row is not ok."""


class Group(Protocol):
    """A module of limits."""

    def measures(self, *, quick: bool) -> Mapping[str, Measure]:
        """What has to be measured for each seed, the longest first; ``quick`` leaves out what takes minutes."""
        ...

    def rows(self, found: Mapping[str, Found]) -> Iterator[Row | Law]:
        """What was measured, held against what is expected of it."""
        ...


GROUPS: dict[str, Group] = {
    "merging": merging,
    "meeting": meeting,
    "naming": naming,
    "games": games,
    "talk": talk,
    "superiority": superiority,
    "attribution": attribution,
    "covariation": covariation,
    "discovery": discovery,
    "selection": selection,
    "descent": descent,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ValidateConfig:
    """What to measure, and how thoroughly."""

    quick: bool = False
    """Fewer seeds, and nothing that takes minutes."""
    only: Annotated[str | None, arg(metavar="GROUP", help_behavior_hint="(default: all of them)")] = None
    """One group of limits."""
    seeds: Annotated[
        int | None, arg(metavar="INT", help_behavior_hint=f"(default: {SEEDS}, with --quick {QUICK_SEEDS})")
    ] = None
    """How many seeds to measure with."""
    seed: int = 0
    """The first of them."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """A JSON file for the rows; while they are measured, FILE.part holds what is done."""
    report: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """An HTML file for the rows and a plot of each law."""
    resume: bool = False
    """Go on with what FILE.part holds."""

    def __post_init__(self) -> None:
        if self.only is not None and self.only not in GROUPS:
            raise InputError(f"only is {self.only!r}, but it must be one of {', '.join(GROUPS)}")
        if self.seeds is not None and self.seeds < 2:
            raise InputError(f"seeds is {self.seeds}, but it must be at least 2: the spread between seeds is reported")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, but it must be at least 0")
        if self.resume and self.out is None:
            raise InputError("resume needs an --out, beside which the pieces that are done were kept; give the same")
        if self.out is not None and self.report is not None:
            out, report = self.out.resolve(), self.report.resolve()
            for taken, what in ((out, "the out"), (Path(f"{out}.part"), "where the pieces of the out are kept")):
                if taken == report:
                    raise InputError(f"report is {self.report}, which is also {what}; give each a file of its own")


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    description = "Measure what is published or provable of this program, and say where it is missed."
    config = command_line.parse(ValidateConfig, args, prog=PROG, description=description)
    out_file.check(config.out)
    out_file.check(config.report, name="report")
    if config.report is not None and importlib.util.find_spec("plotly") is None:
        raise InputError("plotly, which draws the report, is not installed; install dimensional-views[viz]")
    started = time.perf_counter()
    number = config.seeds or (QUICK_SEEDS if config.quick else SEEDS)
    seeds = range(config.seed, config.seed + number)
    groups = {name: group for name, group in GROUPS.items() if config.only in (None, name)}
    measures = {name: dict(group.measures(quick=config.quick)) for name, group in groups.items()}
    kept = (
        None if config.out is None else Kept(path=part_of(config.out), of={"quick": config.quick, "program": program()})
    )
    measured = over_seeds(
        {f"{name}: {what}": measure for name, some in measures.items() for what, measure in some.items()},
        seeds,
        kept=kept,
        resume=config.resume,
    )
    shown = [
        shown
        for name, group in groups.items()
        for shown in group.rows({what: measured[f"{name}: {what}"] for what in measures[name]})
    ]
    found = [row for row in shown if isinstance(row, Row)]
    out_file.write(config.out, [as_json(row) for row in found])
    if config.report is not None:
        from experiments import validate_page  # needs plotly

        laws = [law for law in shown if isinstance(law, Law)]
        atomic_write(config.report, validate_page.render(found, laws, seeds=seeds, quick=config.quick).encode("utf-8"))
    if kept is not None:
        kept.remove()
    print(table(found))
    not_ok = [row for row in found if not row.ok]
    judged = [row for row in found if row.relation != "report"]
    met = sum(row.ok for row in judged)
    print(
        f"\n{len(found)} rows: {met} of {len(judged)} limits met, {len(found) - len(judged)} figures reported; "
        f"{number} seeds, {time.perf_counter() - started:.0f} s"
    )
    for row in not_ok:
        print(f"{PROG}: not ok: {missed(row)}", file=sys.stderr)
    return MISSED if not_ok else 0


def part_of(out: Path) -> Path:
    """Where the pieces that are done are kept while the others are measured."""
    return out.with_name(f"{out.name}.part")


def as_json(row: Row) -> dict[str, Any]:
    """A row as JSON has it; what is not finite is null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in dataclasses.asdict(row).items()
    }


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
