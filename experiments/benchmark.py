"""Ratios against peers, measured side by side in one run: ``python -m experiments.benchmark library``.

What can be measured is a module with a function ``main(args)``, and a line in `SUBJECTS`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from agents.errors import InputError
from experiments import bench_library, command_line

PROG = "benchmark"

SUBJECTS: dict[str, Callable[[Sequence[str]], int]] = {
    "library": bench_library.main,
}


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    tokens = list(sys.argv[1:] if args is None else args)
    subjects = ", ".join(SUBJECTS)
    if tokens[:1] in (["-h"], ["--help"]):
        print(f"usage: {PROG} SUBJECT [flags]\n\nSubjects: {subjects}. {PROG} SUBJECT --help lists the flags of one.")
        return 0
    if not tokens:
        raise InputError(f"{PROG} needs to be told what to measure; give one of {subjects}")
    if tokens[0] not in SUBJECTS:
        raise InputError(f"{tokens[0]!r} cannot be measured; give one of {subjects} first")
    return SUBJECTS[tokens[0]](tokens[1:])


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
