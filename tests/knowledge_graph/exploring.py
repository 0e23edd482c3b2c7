"""What a test does with an explorer that is open in a browser: look at its map, click, write, press keys."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from knowledge_graph.concept import Concept
from knowledge_graph.library import Library
from tests.browser import Browser, Page, opened

NAMES = "[...document.querySelectorAll('#plot .textpoint text')].map(text => text.textContent).filter(Boolean)"
"""What is written on discs."""

POINTS = """[...document.querySelectorAll('#plot path.point')].filter(
    point => getComputedStyle(point).fill {} 'none' && getComputedStyle(point).opacity > 0)"""
DISCS = f"{POINTS.format('!==')}.filter(point => point.closest('.trace').querySelector('.text text')).length"
"""How many discs there are: filled, and with words on them. Agents have none."""

AGENTS = f"{POINTS.format('!==')}.filter(point => !point.closest('.trace').querySelector('.text text')).length"

RINGS = f"""{POINTS.format("===")}.map(
    ring => ring.getBoundingClientRect()).map(box => [box.x + box.width / 2, box.y + box.height / 2])"""
"""Where the middles of the rings are."""

LINES = """[...document.querySelectorAll('#plot path.js-line')].map(
    line => (line.getAttribute('d') ?? '').split('M').length - 1).reduce((a, b) => a + b, 0)"""

LISTED = "[...document.querySelectorAll('#list [data-concept]')].map(row => row.dataset.concept)"
OPEN = "document.querySelector('article h2 small')?.textContent ?? null"
COUNT = "document.querySelector('#count').textContent"
FOCUS = "document.activeElement.dataset.concept ?? document.activeElement.tagName"


@contextlib.contextmanager
def ready(file: Path, browser: Browser, *, frame: int = 0, width: int = 1200, height: int = 900) -> Iterator[Page]:
    """A page whose map is drawn, and which to the end says nothing and asks nobody."""
    with opened(file, browser=browser, width=width, height=height) as page:
        page.wait_for("document.querySelector('#side').childElementCount > 0", frame=frame)
        yield page
        assert page.console == []
        assert page.requests == []


def written(place: Path, text: str) -> Path:
    (place / "page.html").write_text(text, encoding="utf-8")
    return place / "page.html"


def where(page: Page, name: str, *, frame: int = 0) -> tuple[float, float]:
    """The middle of the disc with this name on it, in the viewport of its own frame."""
    x, y = page.evaluate(
        f"""(box => [box.x + box.width / 2, box.y + box.height / 2])([...document.querySelectorAll(
            '#plot .textpoint text')].find(text => text.textContent === {json.dumps(name)}).getBoundingClientRect())""",
        frame=frame,
    )
    return x, y


def amid(page: Page, library: Library) -> list[Concept]:
    """Concepts from the middle of the map to its rim, so that the first are still seen when it is zoomed or moved."""
    centre = page.centre("#plot .nsewdrag")

    def off(concept: Concept) -> float:
        return float(np.linalg.norm(np.subtract(where(page, clipped(library.spell(concept.word))), centre)))

    return sorted(library.concepts(), key=off)


def nowhere(page: Page) -> tuple[float, float]:
    """A place on the map that is far from all that is drawn there."""
    left, top, right, bottom = page.evaluate(
        "(b => [b.x, b.y, b.right, b.bottom])(document.querySelector('#plot .nsewdrag').getBoundingClientRect())"
    )
    points = np.array(
        page.evaluate(
            "[...document.querySelectorAll('#plot path.point')].map(p => p.getBoundingClientRect())"
            ".map(b => [b.x + b.width / 2, b.y + b.height / 2])"
        )
    )
    x, y = np.meshgrid(np.linspace(left + 60, right - 20, 30), np.linspace(top + 20, bottom - 20, 30))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    distance = np.linalg.norm(places[:, None] - points[None], axis=2).min(axis=1)
    assert distance.max() > 45
    return tuple(places[distance.argmax()].tolist())


def at_rest(page: Page) -> None:
    """Wait until the map has not changed for 0.4 s: the wheel and drags are drawn in steps."""
    page.wait_for("""new Promise(done => {
        const before = document.querySelector('#plot').innerHTML;
        setTimeout(() => done(document.querySelector('#plot').innerHTML === before), 400);
    })""")


def ask(page: Page, support: float) -> None:
    """Push the slider."""
    page.evaluate(
        f"(slider => {{ slider.value = {support}; slider.dispatchEvent(new Event('input')); }})"
        "(document.querySelector('#support'))"
    )


def find(page: Page, words: str) -> None:
    """Write into the empty search box."""
    page.evaluate("document.querySelector('#find').focus()")
    page.command("Input.insertText", text=words)


def press(page: Page, key: str, code: int) -> None:
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        page.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)


def clipped(name: str) -> str:
    return name if len(name) <= 9 else name[:8] + "…"
