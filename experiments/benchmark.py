"""Ratios against peers, measured side by side in one run: ``python -m experiments.benchmark library``.

What can be measured is a module with a function ``main(args)``, and a line in `SUBJECTS`. Only the module that is asked
for is imported, so that no other counts in what is measured.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from agents.errors import InputError
from experiments import command_line

PROG = "benchmark"

SUBJECTS = {
    "detection": "experiments.bench_detection",
    "library": "experiments.bench_library",
    "shards": "experiments.bench_shards",
    "society": "experiments.bench_society",
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
    status: int = importlib.import_module(SUBJECTS[tokens[0]]).main(tokens[1:])
    return status


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
