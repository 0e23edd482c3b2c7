"""Command lines made from dataclasses: one sentence and exit status 2 for bad input, a traceback for defects."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from agents.errors import InputError

Config = TypeVar("Config")

BOX = "╭╮╰╯│─ "


def parse(config: type[Config], args: Sequence[str] | None = None, *, prog: str, description: str) -> Config:
    """The configuration that ``args`` (default: those of the process) ask for.

    Raises
    ------
    InputError
        With one sentence, for an unknown flag, a value of the wrong kind, or one that the dataclass refuses.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(config, args=args, prog=prog, description=description)
    except SystemExit as stop:
        if stop.code in (0, None):  # --help
            raise
        raise InputError(f"{_sentence(complaint.getvalue())} ({prog} --help lists the flags)") from None


def run(main: Callable[[], int], *, prog: str) -> int:
    """The exit status of ``main``; bad input becomes 2 and one line on stderr."""
    try:
        return main()
    except InputError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2


def _sentence(box: str) -> str:
    """What the parser's framed message says, on one line: its text up to the first rule inside the frame."""
    lines: list[str] = []
    for line in box.splitlines()[1:]:
        if set(line) <= set(BOX):
            break
        lines.append(line.strip(BOX))
    return " ".join(" ".join(lines).split()).rstrip(".") or "the command line could not be read"
