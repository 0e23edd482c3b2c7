"""Command lines made from dataclasses: one sentence and exit status 2 for bad input, a traceback for defects."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro

from detection import files
from detection.errors import InputError

Config = TypeVar("Config")

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""

KINDS = {"INT": "a whole number", "FLOAT": "a number", "PATH": "a path", "STR": "a text"}
"""What the parser's placeholders mean."""

FRAME = "╭╮╰╯│─-| "


def parse(
    config: type[Config],
    args: Sequence[str] | None = None,
    *,
    prog: str,
    description: str,
    default: Config | None = None,
    refusals: tuple[type[ValueError], ...] = (InputError,),
) -> Config:
    """The configuration that ``args`` (default: those of the process) ask for.

    ``default`` has the values of what is not given, where the dataclass's own are not meant; ``refusals`` are the
    exceptions by which a dataclass refuses a value.

    Raises
    ------
    refusals[0]
        With one sentence, for an unknown flag, a value of the wrong kind, or one that the dataclass refuses.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            if default is None:
                return tyro.cli(config, args=args, prog=prog, description=description)
            return tyro.cli(config, args=args, prog=prog, description=description, default=default)
    except SystemExit as stop:
        if stop.code in (0, None):  # --help
            raise
        refusal = _refusal(stop, refusals)
        if refusal is None:
            refusal = refusals[0](f"{_sentence(complaint.getvalue(), _tokens(args))} ({prog} --help lists the flags)")
    raise refusal


def given(args: Sequence[str] | None = None) -> list[str]:
    """The flags in ``args`` (default: those of the process), in their order: ``--rate-up=.1`` is ``--rate-up``."""
    return [token.partition("=")[0].replace("_", "-") for token in _tokens(args) if token.startswith("--")]


def run(main: Callable[[], int], *, prog: str, refusals: tuple[type[ValueError], ...] = (InputError,)) -> int:
    """The exit status of ``main``.

    Bad input becomes 2 and one line on stderr, and so does a disk that is full (see `files.NO_ROOM`); Ctrl-C becomes
    130 and another.
    """
    try:
        return main()
    except refusals as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if (said := files.no_room(error)) is None:
            raise
        print(f"{prog}: {said}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _tokens(args: Sequence[str] | None) -> list[str]:
    return list(sys.argv[1:] if args is None else args)


def _refusal(stop: SystemExit, refusals: tuple[type[ValueError], ...]) -> ValueError | None:
    """What the dataclass itself said, if it was the one that refused: the parser only wraps that."""
    error: BaseException | None = stop
    while error is not None:
        if isinstance(error, refusals):
            return error
        error = error.__cause__ or error.__context__
    return None


def _sentence(box: str, tokens: Sequence[str]) -> str:
    """What the parser's framed message says, in the words of this project where the message is a known one."""
    text = _unframed(box)
    if found := re.match(r"Unrecognized options: (.*)", text):
        return _unknown(found[1], box, tokens)
    if found := re.match(r"Error parsing (--\S+):", text):
        kinds = re.search(rf"{found[1]} .*?\b({'|'.join(KINDS)})\b", box)
        if kinds:
            return f"{found[1]} is {_value(found[1], tokens)!r}, but it must be {KINDS[kinds[1]]}"
    if text.startswith("Missing from "):
        *some, last = _missing(box)
        names = f"{', '.join(some)} and {last}" if some else last
        return f"{names} {'are' if some else 'is'} missing; give {'them' if some else 'it'}"
    if found := re.match(r"Missing value for argument '(--[^']*)'", text):
        return f"{found[1]} has no value; give it one"
    if found := re.match(r"invalid choice .* for argument '(--[^']*)'. Expected one of \((.*?),?\)", text):
        *some, last = found[2].replace("'", "").split(", ")
        return f"{found[1]} is {_value(found[1], tokens)!r}, but it must be {', '.join(some)} or {last}"
    return text.rstrip(".") or "the command line could not be read"


def _missing(box: str) -> list[str]:
    """The flags and arguments under "Missing from PROG:", each of which stands four places further right."""
    lines = re.sub("[│|]", " ", box).splitlines()
    start = next(index for index, line in enumerate(lines) if line.strip().startswith("Missing from "))
    right = len(lines[start]) - len(lines[start].lstrip()) + 4
    names = []
    for line in lines[start + 1 :]:
        indent = len(line) - len(line.lstrip())
        if indent < right:
            break
        if indent == right:
            names.append(line.split()[0])
    return names


def _unknown(listed: str, box: str, tokens: Sequence[str]) -> str:
    # The parser lists all that it does not know and breaks long ones over lines; the first as it was typed is clearer.
    squeezed = "".join(listed.split())
    first = max((t for t in tokens if squeezed.startswith("".join(t.split()))), key=len, default=listed)
    if not first.startswith("-"):
        return f"{first!r} belongs to no flag"
    meant = re.search(r"Perhaps you meant:[^-]*(--[\w-]+)", box)
    return f"{first} is not a flag" + (f"; {meant[1]} is" if meant else "")


def _value(flag: str, tokens: Sequence[str]) -> str:
    """What was given for a flag, the last time."""
    value = ""
    for at, token in enumerate(tokens):
        name, equals, inline = token.partition("=")
        if name.replace("_", "-") == flag:
            value = inline if equals else "".join(tokens[at + 1 : at + 2])
    return value


def _unframed(box: str) -> str:
    """The text inside a frame, on one line: below its title, up to the first rule or empty line."""
    lines: list[str] = []
    for line in box.splitlines()[1:]:
        if not set(line) <= set(FRAME):
            lines.append(line.strip(FRAME[:6] + "| "))
        elif lines:
            break
    return " ".join(" ".join(lines).split())
