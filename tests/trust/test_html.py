"""Names that come from data are text in every page, whatever signs they are made of; none is taken for markup."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plotly.offline import get_plotlyjs

from detection import files
from experiments import comparison_page, detectors_page, sweep
from experiments.lab import page as lab_page
from experiments.lab import scales
from experiments.lab.parts import Part
from experiments.lab.rows import ROWS, Row
from experiments.run_society import RunConfig
from experiments.sweeps import page as sweep_page
from experiments.sweeps import plan
from experiments.sweeps.running import Outcome
from experiments.sweeps.table import Swept
from knowledge_graph.explorer import explorer_page
from knowledge_graph.library import Library
from tests.experiments import test_comparison, test_detectors
from tests.experiments.lab.made_up import record
from tests.experiments.small import call, lively, objects
from tests.experiments.test_sweep import spec
from tests.tally import counted

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)//",
    "a & b &lt;i&gt; <b>bold</b>",
    "<!-- --> ]]> ${alert(1)} %{x}",
    "Ünïcödé 概念 \u2028 🙂 \u202e",
    "javascript:alert(1)",
)

SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", flags=re.DOTALL)

VOID = {"meta", "img", "input", "br", "link", "hr"}


class Parsed(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment came into the page: {data[:100]}")


def safe(page: str, *, scripts: int, shows: tuple[str, ...] = ()) -> None:
    """Nothing in a page runs or is fetched but its own ``scripts``; it ``shows`` some texts as they are."""
    plotly_js = get_plotlyjs().replace("</script", r"<\/script")
    assert page.count(plotly_js) == 1
    page = page.replace(plotly_js, "")
    parsed = Parsed(page)
    assert sum(tag == "script" for tag, _ in parsed.tags) == page.count("<script") == page.count("</script") == scripts
    assert not parsed.open
    for tag, attributes in parsed.tags:
        assert tag not in ("iframe", "object", "embed", "base", "form") or attributes == {
            "id": "tools",
            "role": "search",
        }
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "action", "srcset"):
                assert (value or "").startswith(("data:image/", "#")), (tag, name, value)
    for bad in (HOSTILE[0], HOSTILE[1], HOSTILE[3]):
        assert bad not in page, bad
    assert HOSTILE[2] not in SCRIPT.sub("", page)
    for script in SCRIPT.findall(page):
        for sign in ("<b>bold", "<img", "<!--", "\u2028"):
            assert sign not in script
    for text in shows:
        assert text in parsed.text, text
    counted("hostile names shown as text", len(HOSTILE))


def drawn(page: str) -> list[dict[str, object]]:
    """The figures of a report, as plotly gets them."""
    found = []
    for line in page.splitlines():
        if line.startswith('show("'):
            name = line.index(",")
            found.append(json.JSONDecoder().raw_decode(line[name + 1 :].lstrip())[0])
    return found


def plain_for_plotly(value: object) -> None:
    """Plotly takes some tags in texts for markup: none of a name's may be left."""
    if isinstance(value, dict):
        for one in value.values():
            plain_for_plotly(one)
    elif isinstance(value, list):
        for one in value:
            plain_for_plotly(one)
    elif isinstance(value, str):
        assert "<script" not in value, value
        assert "<img" not in value, value
        assert "<b>bold" not in value, value


def hostile_world(place: Path) -> Path:
    """Objects found in images, of which everything that can have a name has a hostile one, and the file too."""
    n, names = 120, list(HOSTILE)
    source = {
        "format": "object-embeddings",
        "version": 1,
        "preset": HOSTILE[0],
        "data": HOSTILE[1],
        "made_by": HOSTILE[2],
    }
    arrays = {
        "features": objects(n, 12),
        "feature_names": np.array([f"{names[i % len(names)]} {i}" for i in range(12)]),
        "labels": np.arange(n) % len(names),
        "category_names": np.array(names),
        "object_ids": np.arange(n),
        "image_ids": np.arange(n) // 2,
        "boxes": np.tile(np.array([1, 2, 30, 40], dtype=np.float32), (n, 1)),
        "thumbnails": np.random.default_rng(0).integers(0, 255, (n, 8, 8, 3), dtype=np.uint8),
        "source": np.array(json.dumps(source)),
    }
    path = place / "\"><img src=x onerror=alert(1)> & '<b>bold.npz"
    files.write_arrays(path, arrays)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    assert call(lively(world, out, agents=20, steps=20, probe=60)) == 0
    return out


def test_the_report_of_a_run_shows_names_as_text(run: Path) -> None:
    page = (run / "report.html").read_text()
    safe(page, scripts=2, shows=HOSTILE[:3])
    figures = drawn(page)
    assert len(figures) > 5
    for figure in figures:
        plain_for_plotly(figure)


@pytest.mark.slow
def test_the_report_of_a_table_shows_names_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(objects(120, len(HOSTILE)), columns=list(HOSTILE))
    frame["label"] = [HOSTILE[i % len(HOSTILE)] for i in range(120)]
    path = tmp_path / "<i onclick=alert(1)>.csv"
    frame.to_csv(path, index=False)
    assert call(lively(path, tmp_path / "out", agents=30, steps=40, probe=60)) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    safe(page, scripts=2, shows=HOSTILE[:2])
    for figure in drawn(page):
        plain_for_plotly(figure)


def test_the_explorer_shows_names_as_text(run: Path) -> None:
    library = Library.load(run / "library.npz")
    words = library.spell
    library.spell = lambda word: f"{HOSTILE[word % len(HOSTILE)]}{words(word)}"
    for title in HOSTILE[:2]:
        safe(explorer_page(library, title=title), scripts=3)
    page = explorer_page(library)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    told = json.loads(data)
    assert told["concepts"]
    plain_for_plotly(told["figure"])


@pytest.mark.slow
def test_the_page_of_a_sweep_shows_names_as_text(world: Path, tmp_path: Path) -> None:
    other = tmp_path / "<script>alert(1)<b>bold.npz"
    other.write_bytes(world.read_bytes())
    file = tmp_path / "s.toml"
    worlds = ", ".join(json.dumps(str(path)) for path in (world, other))
    small = "agents = 10\nsteps = 4\nprobe = 50\nlabel = 'labels'\nsensors = 8"
    file.write_text(f"replications = 1\n[fixed]\n{small}\n[sweep]\nworld = [{worlds}]\ncandidates = [2, 4]\n")
    assert sweep.main([str(file), "--workers", "0", "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / sweep.PAGE).read_text()
    safe(page, scripts=2)
    assert "onerror" in Parsed(page).text
    for figure in drawn(page):
        plain_for_plotly(figure)


def test_runs_of_a_sweep_that_failed_are_told_as_text(tmp_path: Path) -> None:
    asked = plan.read(spec(tmp_path))
    runs = plan.runs_of(asked)
    failed = {run.key: Outcome(error=f"ValueError: {HOSTILE[place % len(HOSTILE)]}") for place, run in enumerate(runs)}
    safe(sweep_page.render(Swept(plan=asked, runs=runs, done={}, failed=failed)), scripts=2, shows=HOSTILE[:2])


def test_the_page_of_a_comparison_shows_names_as_text() -> None:
    made = test_comparison.made_up(hot=[2.0, 3.1, 4.0])
    tea = np.array([2.0, 3.0, 4.0])
    found = {name: {HOSTILE[0]: tea + place} for place, name in enumerate(HOSTILE)}
    hostile = dataclasses.replace(
        made,
        question=HOSTILE[1],
        found=found,
        figures={HOSTILE[0]: HOSTILE[3]},
        answers=(HOSTILE[0],),
        curve=HOSTILE[4],
        at={name: float(place) for place, name in enumerate(HOSTILE)},
    )
    lives = {name: RunConfig(world=f"{name}.npz") for name in HOSTILE}
    given = {name: {HOSTILE[2]: name} for name in HOSTILE}
    page = comparison_page.render(hostile, list(HOSTILE), lives, given=given)
    safe(page, scripts=2, shows=(HOSTILE[0], HOSTILE[1]))
    for figure in drawn(page):
        plain_for_plotly(figure)


@pytest.fixture
def hostile_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Row, "title", property(lambda row: f"{HOSTILE[len(row.name) % 2]} {row.name}"))


def test_the_page_of_baselines_shows_names_as_text(hostile_rows: None) -> None:
    found = record("b4-lr5e-3", 0.3)
    hostile = dataclasses.replace(
        found, device=HOSTILE[0], versions={HOSTILE[1]: HOSTILE[3]}, commands=HOSTILE, measured_on=HOSTILE[4],
        program=HOSTILE[2], split=HOSTILE[1],
    )  # fmt: skip
    part = Part(name="shapes", scale=scales.mini(), rows=(ROWS["b4-lr5e-3"], ROWS["b4-lr1e-3"]), records=(hostile,))
    page = lab_page.render([part], scale=HOSTILE[0])
    safe(page, scripts=2, shows=HOSTILE[:2])
    for figure in drawn(page):
        plain_for_plotly(figure)


def test_the_page_of_detectors_shows_names_as_text(hostile_rows: None) -> None:
    found = test_detectors.made_up()
    hostile = dataclasses.replace(found, measured_on=HOSTILE[0])
    page = detectors_page.render([hostile], seeds=3, agents=100, steps=100)
    safe(page, scripts=2, shows=HOSTILE[:2])
    for figure in drawn(page):
        plain_for_plotly(figure)
