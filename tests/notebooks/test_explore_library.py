"""The notebook as a newcomer meets it: run from top to bottom without a network, exported, and opened in a browser."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from agents.world import digits
from knowledge_graph.library import Library
from tests.browser import Page, launched, needs_browser, opened
from tests.experiments.small import call, lively, world_file
from tests.knowledge_graph.exploring import DISCS, OPEN, clipped, where

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "explore_library.ipynb"

AGENTS, STEPS = 60, 100

Values = dict[str, str | int]


def committed() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def executed(place: Path, values: Values, *, until: str | None = None) -> NotebookNode:
    """The notebook, run in ``place`` by a fresh kernel with other parameters, up to the heading ``until``."""
    notebook = committed()
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    named = set(re.findall(r"\b[A-Z]{3,}\b", parameters.source))
    assert named >= set(values)
    parameters.source = "\n".join([parameters.source, *(f"{name} = {value!r}" for name, value in values.items())])
    if until is not None:
        headings = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith(f"## {until}")]
        notebook.cells = notebook.cells[: headings[0]]
    client = NotebookClient(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": str(place)}})
    # On small matrices threads cost more than they give; and the kernel is to import this checkout from anywhere.
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    return notebook


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def printed(notebook: NotebookNode, name: str = "stdout") -> str:
    return "".join(o.text for o in outputs(notebook) if o.output_type == "stream" and o.name == name)


def shown(notebook: NotebookNode, kind: str = "text/html") -> str:
    return "\n".join(output.data[kind] for output in outputs(notebook) if kind in output.get("data", {}))


def exported(notebook: NotebookNode, path: Path) -> Path:
    """The notebook as a page; what nbconvert would have it fetch (MathJax and RequireJS) is left out."""
    page, _ = HTMLExporter(require_js_url="", mathjax_url="").from_notebook_node(notebook)
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def lived(tmp_path_factory) -> NotebookNode:
    """Run where there are no runs, so that two small societies live inside."""
    return executed(tmp_path_factory.mktemp("empty"), {"AGENTS": AGENTS, "STEPS": STEPS})


@pytest.fixture(scope="module")
def page(lived, tmp_path_factory) -> Iterator[Page]:
    path = exported(lived, tmp_path_factory.mktemp("exported") / "notebook.html")
    with launched() as browser, opened(path, browser=browser) as page:
        page.wait_for("document.readyState === 'complete'")
        yield page


# -- as it is committed -------------------------------------------------------------------------------------------


def test_the_notebook_and_its_text_form_hold_the_same_cells():
    text = jupytext.read(NOTEBOOK.with_suffix(".py"))
    pair = [
        [(cell.cell_type, cell.source, cell.metadata.get("tags")) for cell in notebook.cells]
        for notebook in (text, committed())
    ]
    assert pair[0] == pair[1], "bring them together with: jupytext --sync notebooks/explore_library.ipynb"


def test_the_notebook_is_committed_without_what_came_out_of_it():
    notebook = committed()
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert {cell.execution_count for cell in notebook.cells if cell.cell_type == "code"} == {None}
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"jupytext", "kernelspec"}


def test_every_section_is_a_question_and_tells_how_to_read_the_answer():
    told = [cell.source for cell in committed().cells if cell.cell_type == "markdown"]
    sections = re.split(r"^## ", "\n\n".join(told), flags=re.MULTILINE)[1:]
    numbered = [section for section in sections if re.match(r"\d\. ", section)]
    assert [int(section[0]) for section in numbered] == list(range(1, len(numbered) + 1))
    for section in numbered:
        assert section.splitlines()[0].endswith("?"), section
        assert "*How to read it:*" in section, section
    listed = re.findall(r"^(\d\. .*)$", told[0], flags=re.MULTILINE)
    assert listed == [section.splitlines()[0] for section in numbered]


# -- run from top to bottom ---------------------------------------------------------------------------------------


def test_it_runs_where_there_is_no_run_and_complains_of_nothing(lived):
    assert printed(lived, "stderr") == ""
    assert not any(output.output_type == "error" for output in outputs(lived))
    assert f"There is no runs/digits, so {AGENTS} agents live {STEPS} steps here." in printed(lived)
    assert f"There is no runs/yesterday, so {AGENTS} agents live {STEPS} steps here." in printed(lived)


def test_every_cell_that_asks_something_shows_something(lived):
    silent = [cell.source for cell in lived.cells if cell.cell_type == "code" and not cell.outputs]
    assert len(silent) == 2
    assert silent[0].startswith("import ")
    assert silent[1].startswith("RUN, YESTERDAY = ")


def test_it_answers_the_questions_of_its_headings(lived):
    text = printed(lived)
    assert re.search(r"c\d+, called \w+: support 0\.\d\d, since step \d+\n  held by \d+ agents", text)
    assert re.search(r"a:\d+ <-held_by- d:\d+\.\d -merged_into-> c\d+ <-merged_into- d:\d+\.\d -held_by-> a:\d+", text)
    assert re.search(r"How many agents say '\w+', and for what:\nagent \d+, dimension \d", text)
    assert re.search(r"\d+ of \d+ translate as they are\n   agent \d+'s \w+ is agent \d+'s dimension \d, called", text)
    assert re.search(r"\d+ concepts kept, \d+ of them renamed; \d+ new, \d+ gone", text)
    assert "MultiDiGraph with" in text
    for name in ("library.gexf", "library.graphml", "library.jsonld", "library.npz"):
        assert re.search(rf"{name} +\d+\.\d MB", text)


def test_the_counts_of_translations_add_up(lived):
    counts = re.findall(r"^(\d+) of (\d+) (translate as|translate if|do not)", printed(lived), flags=re.MULTILINE)
    assert len(counts) == 3
    (total,) = {int(total) for _, total, _ in counts}
    assert sum(int(count) for count, *_ in counts) == total > 0
    assert total % (AGENTS - 1) == 0


def test_the_library_tells_more_of_held_out_objects_than_one_agent_and_less_than_one_mind_that_sees_all(lived):
    (table,) = [o.data["text/plain"] for o in outputs(lived) if "told right" in o.get("data", {}).get("text/plain", "")]
    together, mind, _, best, mean = (float(value) for value in re.findall(r" (-?\d\.\d\d)$", table, flags=re.MULTILINE))
    assert 0 < mean <= best < together < mind < 1


def test_pictures_are_inside_and_no_output_asks_the_network_for_anything(lived):
    pictures = re.findall(r'<img src="([^"]*)"', shown(lived))
    assert len(pictures) > 40
    assert all(picture.startswith("data:image/png;base64,") for picture in pictures)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", re.sub(r'srcdoc="[^"]*"', "", shown(lived)))


def test_it_reads_the_run_that_is_there_from_its_own_directory_too(tmp_path):
    """From notebooks/, as Jupyter starts it; a run of digits, whose world is made anew and whose library is loaded."""
    out = tmp_path / "runs" / "digits"
    assert call(lively("digits", out, agents=24, probe=100, seed=3)) == 0
    (tmp_path / "notebooks").mkdir()
    notebook = executed(tmp_path / "notebooks", {"AGENTS": 0, "STEPS": 0}, until="2.")
    library, world = Library.load(out / "library.npz"), digits(seed=3, probe=100)
    assert printed(notebook, "stderr") == ""
    assert "Reading runs/digits." in printed(notebook)
    assert f"{library!r}\n" in printed(notebook)
    assert f"{len(world.held_out)} kept for measuring" in printed(notebook)
    np.testing.assert_array_equal(library.probe, world.probe)
    assert library.concepts()[0].id in shown(notebook)


def test_it_runs_to_the_end_on_two_runs_of_a_world_without_pictures(tmp_path):
    world = world_file(tmp_path)
    for name, seed in (("today", 0), ("yesterday", 1)):
        assert call(lively(world, tmp_path / "runs" / name, seed=seed)) == 0
    notebook = executed(tmp_path, {"RUN": "runs/today", "YESTERDAY": "runs/yesterday", "AGENTS": 0, "STEPS": 0})
    assert printed(notebook, "stderr") == ""
    assert "Reading runs/today." in printed(notebook)
    assert "Reading runs/yesterday." in printed(notebook)
    today, yesterday = (Library.load(tmp_path / "runs" / name / "library.npz") for name in ("today", "yesterday"))
    assert f"{today.diff(yesterday)}\n" in printed(notebook)
    assert "<img" not in shown(notebook)


def test_agents_without_words_are_explored_all_the_same(tmp_path):
    run = lively(world_file(tmp_path), tmp_path / "runs" / "mute", game="gesture", library_word=False)
    assert call(run) == 0
    notebook = executed(tmp_path, {"RUN": "runs/mute", "AGENTS": 0, "STEPS": 0}, until="4.")
    assert "These agents have no words." in printed(notebook)
    assert "0 of 0 translate as they are" in printed(notebook)


def test_a_library_without_concepts_ends_the_story_with_a_sentence(tmp_path):
    assert call(lively(world_file(tmp_path), tmp_path / "runs" / "alone", merge_interval=0)) == 0
    with pytest.raises(CellExecutionError, match=r"SystemExit.*This library has no concepts, so there is nothing"):
        executed(tmp_path, {"RUN": "runs/alone", "AGENTS": 0, "STEPS": 0}, until="2.")


# -- in a browser -------------------------------------------------------------------------------------------------


def frame_of(page: Page, selector: str) -> int:
    """The number of the frame in which there is such an element."""
    count = page.evaluate("document.querySelectorAll('iframe').length")
    there = [n for n in range(1, count + 1) if page.evaluate(f"!!document.querySelector({selector!r})", frame=n)]
    assert len(there) == 1
    return there[0]


@needs_browser
def test_the_exported_notebook_draws_its_concepts_and_a_click_opens_one(lived, page):
    frame = frame_of(page, "#side")
    page.wait_for("document.querySelector('#side').childElementCount > 0", frame=frame)
    concepts = page.evaluate("JSON.parse(document.getElementById('data').textContent).concepts", frame=frame)
    page.wait_for(f"{DISCS} === {len(concepts)}", frame=frame)
    assert len(concepts) > 10
    assert f"<Library of {len(concepts)} concepts in the views of {AGENTS} agents" in printed(lived)
    page.centre("#plot .nsewdrag", frame=frame)
    best = concepts[0]
    left, top = page.evaluate("(b => [b.x, b.y])(document.querySelector('iframe').getBoundingClientRect())")
    x, y = where(page, clipped(best["name"]), frame=frame)
    page.click(left + x, top + y)
    page.wait_for(f"({OPEN}) === {best['id']!r}", frame=frame)
    assert page.evaluate("document.querySelectorAll('.objects img').length", frame=frame) == 10
    loaded = "[...document.querySelectorAll('.objects img')].every(image => image.complete && image.naturalWidth > 0)"
    page.wait_for(loaded, frame=frame)


@needs_browser
def test_the_exported_notebook_draws_the_lives_of_the_concepts(page):
    frame = frame_of(page, "#figure")
    page.wait_for("document.querySelector('#figure .heatmaplayer image')", frame=frame)
    names = page.evaluate("[...document.querySelectorAll('#figure .ytick text')].map(t => t.textContent)", frame=frame)
    assert names[0].startswith("c")
    assert len(names) == len(set(names)) > 10
    sticks_out = (
        "document.documentElement.scrollHeight > innerHeight || document.documentElement.scrollWidth > innerWidth"
    )
    assert not page.evaluate(sticks_out, frame=frame)


@needs_browser
def test_the_exported_notebook_fetches_nothing_says_nothing_and_fits_its_window(page):
    page.evaluate("window.scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    boxes = "[...document.querySelectorAll('.jp-OutputArea-output')].map(box => [box.scrollWidth, box.clientWidth])"
    widths = np.array(page.evaluate(boxes))
    assert len(widths) > 30
    assert np.all(widths[:, 0] <= widths[:, 1] + 1)
    assert page.requests == []
    assert page.console == []
