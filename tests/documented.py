"""What README.md and docs/ tell people to type: the commands and the Python in their fenced blocks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BEGINNINGS = ("python -m ", "make ", "dask ")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: its page, the line of the page on which it begins, its language, its text."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page; those inside a list lose their indentation."""
    lines = page.read_text(encoding="utf-8").splitlines()
    begun: int | None = None
    for number, line in enumerate(lines):
        if not line.strip().startswith("```"):
            continue
        if begun is None:
            begun = number
            continue
        indent = len(lines[begun]) - len(lines[begun].lstrip())
        text = "\n".join(inside[indent:] for inside in lines[begun + 1 : number])
        yield Block(page, begun + 1, lines[begun].strip().strip("`").strip(), text)
        begun = None
    if begun is not None:
        raise ValueError(f"{page}:{begun + 1}: the block does not end")


def blocks() -> list[Block]:
    """All blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(page)]


def commands() -> dict[str, list[str]]:
    """Every documented command as written, without remarks, and the places where it stands.

    A line that ends in a backslash goes on in the next; spaces are made single.
    """
    found: dict[str, list[str]] = {}
    for block in blocks():
        if block.language:
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            command = " ".join(re.split(r"\s#\s|\s#$", line)[0].split())
            if command.startswith(BEGINNINGS):
                found.setdefault(command, []).append(block.place)
    return found


def python_blocks() -> dict[str, list[Block]]:
    """The Python of every page that has some, in order: by the page's path."""
    found: dict[str, list[Block]] = {}
    for block in blocks():
        if block.language == "python":
            found.setdefault(str(block.page.relative_to(ROOT)), []).append(block)
    return found


def options_in(command: str) -> list[str]:
    """The flags that a command names, those in brackets too."""
    return re.findall(r"(?<![\w-])--[a-z][\w-]*", command)
