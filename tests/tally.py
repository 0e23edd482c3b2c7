"""What the tests of trust went through, counted over all processes and told at the end of a run.

A test says ``counted("kills survived")``; `tests.conftest` prints the sums.
"""

from __future__ import annotations

from collections import Counter

COUNTS: Counter[str] = Counter()
"""What was counted in this process, or, in the one that tells the result, in all."""


def counted(what: str, times: int = 1) -> None:
    """Count something that happened, and passed; ``what`` is a plural in plain words."""
    COUNTS[what] += times


def told() -> list[str]:
    """A line for everything that was counted, in alphabetical order."""
    return [f"{COUNTS[what]:>9,} {what}" for what in sorted(COUNTS)]
