import base64
import dataclasses
import json
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from agents.config import SocietyConfig
from agents.interactions import InteractionLog, records, sentences
from agents.society import Society
from agents.world import build, digits, planted
from experiments.measuring import Recorder, closing_library, metrics, summarise, true_standing
from experiments.report import render
from experiments.report_cards import diverging, label_standing
from experiments.report_society import standings_of
from experiments.report_text import esc, number, percent
from knowledge_graph.pictures import png
from tests.browser import needs_browser, opened

SECTIONS = [
    "map", "looks", "landlords", "number", "coverage", "talk", "feelings", "deaths", "doing", "words", "settings",
]  # fmt: skip
LABELLED = [*SECTIONS[:3], "upbringing", *SECTIONS[3:]]
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"quoted\" & 'single' onclick=alert(3)",
    "%{x} $\\alpha$ <b>bold</b>",
    "a\nnew\x07line",
    "ümlaut 概念 \u2028",
)
VOID = {"meta", "img", "br", "path", "rect", "link", "input", "hr"}


class Page(HTMLParser):
    """All elements of a page, its text, and whether every element that was opened was closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    def ids(self, tag: str) -> list[str]:
        return [str(attrs["id"]) for name, attrs in self.elements if name == tag and attrs.get("id")]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def run(world, *, steps: int = 40, record: int = 10, seed: int = 1, heard: int = 0, **config):
    society = Society(world, SocietyConfig(**({"agents": 24, "merge_interval": 20} | config)), seed=seed)
    society.log = InteractionLog(size=heard, candidates=society.config.candidates)
    recorder = Recorder()
    for _ in range(steps):
        society.step()
        recorder.heard(society)
        if society.steps % record == 0:
            recorder.rows.append(metrics(society, recorder))
    library = closing_library(society)
    summary = summarise(society, library, recorder, name=world.name, seed=seed, wall_s=1.5)
    return {"society": society, "metrics": recorder.rows, "summary": summary, "library": library}


def mixed_world(**more):
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((240, 4)) @ rng.standard_normal((4, 16)) + 0.5 * rng.standard_normal((240, 16))
    return build(**({"name": "mixed", "raw": raw, "seed": 1, "probe": 60} | more))


def hostile_world():
    rng = np.random.default_rng(1)
    return mixed_world(
        name=HOSTILE[0],
        labels=rng.integers(len(HOSTILE), size=240),
        label_names=HOSTILE,
        feature_names=[f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(16)],
    )


@pytest.fixture(scope="module")
def digits_run():
    return run(digits(seed=1, probe=200), steps=60)


@pytest.fixture(scope="module")
def digits_page(digits_run) -> str:
    return render(**digits_run)


@pytest.fixture(scope="module")
def hostile_page() -> str:
    made = run(hostile_world(), heard=200)
    made["library"].spell = lambda word: f"{HOSTILE[word % len(HOSTILE)]}{word}"
    return render(**made)


def own_script(page: Page) -> str:
    """The script that is not plotly's."""
    (script,) = [script for script in page.scripts if "const show" in script]
    return script


def figures(page: Page) -> dict[str, dict]:
    """The figures that the script draws, by the id of the place that they are drawn into."""
    calls = re.findall(r'^show\("(plot-[a-z]+)", (.*)\);$', own_script(page), flags=re.MULTILINE)
    return {place: json.loads(f"[{arguments}]")[0] for place, arguments in calls}


def test_the_page_has_every_section_and_draws_every_plot_into_its_place(digits_page):
    page = Page(digits_page)
    assert page.open == []
    assert page.ids("section") == LABELLED
    places = [name for name in page.ids("div") if name.startswith("plot-")]
    assert places == list(figures(page))
    assert {f"plot-{name}" for name in (
        "map", "spectrum", "concepts", "coverage", "living", "labels", "talk", "scenes", "words",
        "agreement",
        "superiority", "spread", "standing", "fitness", "deaths", "ages", "doing",
    )} == set(places)  # fmt: skip
    assert len(digits_page) < 6e6


def test_the_headline_and_the_key_figures_say_what_the_summary_says(digits_run, digits_page):
    words, summary = Page(digits_page).words, digits_run["summary"]
    library = summary["library"]
    assert f"24 agents of 8 dimensions recovered {library['n_concepts']} dimensions of digits" in words
    assert f"Together they explain {percent(library['explained_variance'])} of what varies" in words
    assert (
        f"Labels told {percent(library['label_accuracy'])} raw features {percent(library['raw_label_accuracy'])}"
        in words
    )
    assert f"Deaths {summary['selection']['deaths']}" in words
    assert "60 steps of 24 agents, seed 1, in 2 seconds" in words


def test_the_charts_hold_what_was_recorded(digits_run, digits_page):
    drawn = figures(Page(digits_page))
    rows, summary = digits_run["metrics"], digits_run["summary"]

    def trace(plot: str, name: str) -> dict:
        (found,) = [trace for trace in drawn[f"plot-{plot}"]["data"] if trace.get("name") == name]
        return found

    assert trace("talk", "understood")["x"] == [row["step"] for row in rows]
    assert trace("talk", "understood")["y"] == [row["success"] for row in rows]
    assert trace("talk", "guessing")["y"] == [0.25, 0.25]
    assert trace("talk", "merge")["x"] == [20, 40, 60]
    talk = summary["communication"]
    assert trace("scenes", "objects of their world")["x"] == ["2", "4", "8", "16"]
    assert trace("scenes", "objects of their world")["y"] == list(talk["success_by_candidates"].values())
    assert trace("scenes", "objects never met")["y"] == list(talk["success_unseen_by_candidates"].values())
    assert trace("scenes", "guessing")["y"] == [1 / 2, 1 / 4, 1 / 8, 1 / 16]
    assert trace("words", "words for one concept")["y"] == [row["synonymy"] for row in rows]
    assert trace("words", "concepts for one word")["y"] == [row["homonymy"] for row in rows]
    assert trace("agreement", "the same word")["y"] == [row["coherence"] for row in rows]
    assert trace("superiority", "felt")["y"] == [row["mean_felt"] for row in rows]
    assert trace("superiority", "true")["y"] == [row["mean_true"] for row in rows]
    assert trace("superiority", "where it settles")["y"] == [row["predicted"] for row in rows]
    assert trace("coverage", "library")["y"] == [row["explained_variance"] for row in rows]
    pca = summary["library"]["optimal_explained_variance"]
    assert trace("coverage", "one mind's PCA")["y"][-1] == pytest.approx(pca)
    assert trace("doing", "self")["x"] == [summary["attribution"]["self"]]
    dead = sum(trace("deaths", "founders")["y"]) + sum(trace("deaths", "born later")["y"])
    assert dead == summary["selection"]["deaths"] > 0


def test_some_conversations_are_told_one_by_one_if_any_were_kept(digits_page):
    assert "Overheard" not in digits_page
    made = run(mixed_world(), steps=12, heard=30)
    society, page = made["society"], Page(render(**made))
    assert "Overheard: 8 of 144 conversations" in page.words
    for sentence in sentences(records(society.log.spread(8), society.world)):
        assert sentence in page.words


def test_concepts_of_an_image_world_are_shown_as_images(digits_run, digits_page):
    library, world = digits_run["library"], digits_run["society"].world
    page = Page(digits_page)
    images = [str(attrs["src"]) for tag, attrs in page.elements if tag == "img"]
    assert len(images) == 3 * min(12, len(library))
    first = library.concepts()[0]
    assert np.array_equal(pixels(images[0]), diverging(first.loadings.reshape(8, 8)))
    strongest = (world.features[list(first.strongest)] * world.scale + world.mean).mean(axis=0).reshape(8, 8)
    shown = pixels(images[2])[:, :, 0].astype(float)
    assert np.corrcoef(shown.ravel(), strongest.ravel())[0, 1] < -0.999
    columns = [attrs for tag, attrs in page.elements if tag == "svg" and attrs.get("class") == "columns"]
    assert len(columns) == min(12, len(library))


def pixels(uri: str) -> np.ndarray:
    """Read a PNG written without filters back, checking its sums on the way."""
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colour) == (8, 2)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_a_png_holds_its_pixels():
    image = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)
    assert np.array_equal(pixels("data:image/png;base64," + base64.b64encode(png(image)).decode()), image)


def test_diverging_colours_are_pale_at_zero_blue_below_and_orange_above():
    low, middle, high = diverging(np.array([[-2.0, 0.0, 2.0]]))[0].astype(int)
    assert middle.min() > 240
    assert low[2] > low[0] + 50
    assert high[0] > high[2] + 50


def test_a_world_of_features_shows_those_that_say_most():
    made = run(mixed_world(feature_names=[f"length of limb {i}" for i in range(16)]))
    page = Page(render(**made))
    assert not [tag for tag, _ in page.elements if tag == "img"]
    first = made["library"].concepts()[0]
    top = int(np.argmax(np.abs(first.loadings)))
    assert f"length of limb {top} {number(first.loadings[top])}" in page.words
    assert "label" not in page.words.lower()


def test_a_planted_world_shows_the_match_with_its_truth():
    made = run(planted(seed=1, objects=400, features=24, factors=4, probe=80))
    page = Page(render(**made))
    library = made["summary"]["library"]
    drawn = figures(page)["plot-truth"]["data"]
    levels = {trace["name"]: trace["y"][-1] for trace in drawn}
    assert levels["library"] == made["metrics"][-1]["mcc"]
    assert levels["one mind"] == library["central_mcc"]
    assert levels["chance"] == library["mcc_null"]
    assert f"mean congruence of {number(library['mcc'])}" in page.words
    assert "plot-labels" not in figures(page)


UNLIVED = {"n_concepts": 17, "efficiency": 0.951, "mcc": 0.832, "weights_efficiency": 0.86, "weights_mcc": 0.713}
"""The merge of the founders, made up so that every figure can be told apart."""


def with_weights(made, *, mcc=None, unlived=None):
    """A run whose own weights and unlived merge are these; without ``unlived`` it has none."""
    summary = {name: part for name, part in made["summary"].items() if name != "unlived"}
    summary["library"] = summary["library"] | {"efficiency": 1.004, "weights_efficiency": 0.931, "weights_mcc": mcc}
    return made | {"summary": summary if unlived is None else summary | {"unlived": unlived}}


def dots(page: Page, plot: str) -> dict[tuple[str, str], float]:
    """What a chart of before and now shows: {(what, when): place}."""
    traces = figures(page)[plot]["data"]
    return {(trace["y"][0], trace["name"]): trace["x"][0] for trace in traces if "markers" in trace["mode"]}


def test_what_living_adds_is_shown_beside_the_merge_of_the_founders(digits_run):
    page = Page(render(**with_weights(digits_run, unlived=UNLIVED | {"mcc": None, "weights_mcc": None})))
    assert dots(page, "plot-living") == {
        ("the library", "before living"): 0.951,
        ("the library", "now"): 1.004,
        ("own weights alone", "before living"): 0.86,
        ("own weights alone", "now"): 0.931,
    }
    low, high = figures(page)["plot-living"]["layout"]["xaxis"]["range"]
    assert low < 0.86
    assert high > 1.004
    assert "an efficiency of 0.951 with 17 concepts" in page.words
    assert "alone, reach 0.931 (0.860 before living)" in page.words
    assert "plot-nearer" not in figures(page)


def test_in_a_planted_world_the_match_before_living_is_shown_too():
    made = run(planted(seed=1, objects=400, features=24, factors=4, probe=80))
    page = Page(render(**with_weights(made, mcc=0.9, unlived=UNLIVED)))
    assert dots(page, "plot-nearer") == {
        ("the library", "before living"): 0.832,
        ("the library", "now"): made["summary"]["library"]["mcc"],
        ("own weights alone", "before living"): 0.713,
        ("own weights alone", "now"): 0.9,
    }


@pytest.mark.parametrize("unlived", [None, dict.fromkeys(UNLIVED), dict.fromkeys(UNLIVED) | {"n_concepts": 0}])
def test_own_weights_are_shown_even_where_nothing_is_known_from_before_living(digits_run, unlived):
    page = Page(render(**with_weights(digits_run, unlived=unlived)))
    assert dots(page, "plot-living") == {("the library", "now"): 1.004, ("own weights alone", "now"): 0.931}
    assert "alone, reach 0.931." in page.words
    assert ("share no concepts yet" in page.words) == (unlived is not None and unlived["n_concepts"] == 0)


def test_without_own_weights_and_an_unlived_merge_the_chart_of_them_is_left_out(digits_run):
    made = with_weights(digits_run)
    library = {name: value for name, value in made["summary"]["library"].items() if not name.startswith("weights_")}
    page = Page(render(**made | {"summary": made["summary"] | {"library": library}}))
    assert "plot-living" not in figures(page)
    assert "own weights" not in page.words


def test_a_central_fit_is_never_called_a_limit(digits_page):
    words = Page(digits_page).words
    for claim in ("optimum", "optimal", "best possible", "best map", "at best", "whatever"):
        assert claim not in words


def test_where_feeling_settles_is_left_out_where_it_cannot_be_foretold(digits_run):
    felt = digits_run["summary"]["superiority"] | {"predicted": None}
    rows = [row | {"predicted": None} for row in digits_run["metrics"]]
    made = digits_run | {"metrics": rows, "summary": digits_run["summary"] | {"superiority": felt}}
    page = Page(render(**made))
    drawn = figures(page)
    names = {trace.get("name") for plot in ("plot-superiority", "plot-standing") for trace in drawn[plot]["data"]}
    assert "felt" in names
    assert "where it settles" not in names
    assert not re.search("settle|heading for", page.words)


def test_label_standing_is_the_mean_standardised_score_of_each_label():
    made = run(hostile_world())
    library, world = made["library"], made["society"].world
    standing = label_standing(library, world)
    z = library.transform(world.features)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    assert standing is not None
    assert np.allclose(standing[2], z[world.labels == 2].mean(axis=0))


def test_hostile_names_stay_text(hostile_page):
    page = Page(hostile_page)
    assert page.open == []
    assert {tag for tag, _ in page.elements if tag in ("script", "img", "b")} == {"script"}
    assert len(page.scripts) == 2
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    for name in HOSTILE[:4]:
        assert name in page.words
    for sign in ("<", ">", "&", "\u2028"):
        assert sign not in re.sub(r"=>", "", own_script(page))
    told = json.dumps(figures(page)["plot-map"])
    assert "&lt;img src=x onerror=alert(1)&gt;" in told
    assert "<img" not in told


@pytest.mark.parametrize("which", ["digits_page", "hostile_page"])
def test_the_page_fetches_nothing(which, request):
    text = request.getfixturevalue(which)
    page = Page(text)
    for tag, attrs in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "video", "audio")
        for name in ("src", "href", "srcset", "data", "xlink:href", "action", "poster"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,"))
    without = text.replace(get_plotlyjs().replace("</script", r"<\/script"), "")
    assert len(without) < 0.6 * len(text)
    assert not re.search(r"https?:|[\"'(=]//|url\s*\(|@import|fetch\(|XMLHttpRequest", without)
    policy = [attrs["content"] for tag, attrs in page.elements if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert str(policy[0]).startswith("default-src 'none'")
    assert text.count("Plotly.newPlot(id") == 1


DEGENERATE = {
    "two agents, three steps, nothing recorded": (3, {"agents": 2}),
    "no merge yet": (15, {}),
    "merging switched off": (12, {"merge_interval": 0}),
    "nobody dies": (25, {"selection_interval": 0}),
    "gestures alone": (25, {"game": "gesture"}),
    "nobody talks": (25, {"talk_interval": 0}),
    "one dimension each": (25, {"dimensions": 1, "exemplars": 1}),
    "no dimensions at all": (25, {"exemplars": 0, "discovery_interval": 0}),
    "one at a time": (21, {"agents": 6, "activation": "sequential"}),
    "all or nothing": (25, {"superiority": "quantile"}),
    "bad news counts more": (25, {"rate_up": 0.01, "rate_down": 0.05, "reward_talk": 0.5}),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_runs_render(case):
    steps, config = DEGENERATE[case]
    page = Page(render(**run(mixed_world(), steps=steps, **config)))
    assert page.open == []
    assert page.ids("section") == SECTIONS
    assert [name for name in page.ids("div") if name.startswith("plot-")] == list(figures(page))
    assert not re.search(r"\b(nan|None|inf)\b", page.words)
    for figure in figures(page).values():
        assert figure["data"]


def test_degenerate_runs_say_what_is_missing():
    made = run(mixed_world(), steps=15)
    nothing = dict.fromkeys(made["summary"]["library"]) | {"n_concepts": 0}
    unmerged = Page(render(**made | {"library": None, "summary": made["summary"] | {"library": nothing}}))
    assert "lived 15 steps in mixed and share no concepts yet" in unmerged.words
    assert "takes them in every 20 steps" in unmerged.words
    off = Page(render(**run(mixed_world(), steps=12, merge_interval=0)))
    assert "merging is switched off" in off.words
    immortal = Page(render(**run(mixed_world(), steps=12, selection_interval=0)))
    assert "Nobody has died." in immortal.words
    mute = Page(render(**run(mixed_world(), steps=25, game="gesture")))
    assert "Words in use" not in mute.words
    assert "agents have no words" in mute.words


def test_a_summary_and_metrics_of_nothing_known_still_render(digits_run):
    def emptied(value):
        return {key: emptied(item) for key, item in value.items()} if isinstance(value, dict) else None

    summary = emptied(digits_run["summary"]) | {"n_agents": 24, "n_steps": 60}
    rows = [dict.fromkeys(row) | {"step": row["step"]} for row in digits_run["metrics"]]
    page = Page(render(**digits_run | {"metrics": rows, "summary": summary}))
    assert page.open == []
    assert page.ids("section") == LABELLED
    assert not re.search(r"\b(nan|None)\b", page.words)


def test_the_same_run_gives_the_same_page_and_reporting_changes_nothing(digits_run, digits_page):
    society = digits_run["society"]
    luck = json.dumps(society.rng.bit_generator.state, default=str)
    before = {name: column.copy() for name, column in society.population.columns().items()}
    assert render(**digits_run) == digits_page
    assert json.dumps(society.rng.bit_generator.state, default=str) == luck
    assert all(np.array_equal(before[name], column) for name, column in society.population.columns().items())


def test_standings_are_those_of_the_dimensions_that_have_been_in_a_contest(digits_run):
    society = digits_run["society"]
    felt, true, contests = standings_of(society)
    been = society.population.held & (society.population.contests > 0)
    assert np.allclose(felt, society.population.score[been])
    assert np.array_equal(contests, society.population.contests[been])
    assert np.array_equal(true, true_standing(society)[been])


def test_standings_of_a_large_society_are_taken_from_a_sample_close_to_the_whole():
    society = Society(mixed_world(), SocietyConfig(agents=600, merge_interval=0), seed=1)
    for _ in range(20):
        society.step()
    felt, true, _ = standings_of(society)
    been = society.population.held & (society.population.contests > 0)
    assert len(felt) < 250 * 8
    assert felt.mean() == pytest.approx(society.population.score[been].mean(), abs=0.01)
    assert true.mean() == pytest.approx(true_standing(society)[been].mean(), abs=0.03)


def test_another_library_than_the_societys_own_can_be_shown(digits_run):
    society = digits_run["society"]
    younger = Society(society.world, dataclasses.replace(society.config, merge_interval=5), seed=3)
    for _ in range(5):
        younger.step()
    fewer = younger.library
    assert len(fewer) != len(society.library)
    words = Page(render(**digits_run | {"library": fewer})).words
    assert f"The map of {len(fewer)} concepts" in words


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.874, "87%"), (0.9951, "99.5%"), (0.99996, "99.9%"), (1.0, "100%"), (0.0, "0%"), (0.004, "0.4%"),
     (None, "\N{EN DASH}"),
     (float("nan"), "\N{EN DASH}"), (1.0002, "100%"), (-0.2, "\N{MINUS SIGN}20%"),
     (-0.004, "\N{MINUS SIGN}0.4%"), (-1e-6, "0.0%"), (-0.0, "0%")],
)  # fmt: skip
def test_shares_are_written_so_that_rounding_never_claims_all_or_nothing(value, shown):
    assert percent(value) == shown


def test_numbers_have_a_true_minus_and_thousands_apart():
    assert number(-0.001) == "0.00"
    assert number(-0.129) == "\N{MINUS SIGN}0.13"
    assert number(1234567, 0) == "1,234,567"
    assert number(None) == "\N{EN DASH}"


def test_escaping_covers_quotes_and_control_characters():
    assert esc("<a href=\"x\" id='y'>&\x00\ud800") == "&lt;a href=&quot;x&quot; id=&#x27;y&#x27;&gt;&amp;  "


@needs_browser
def test_a_browser_shows_hostile_names_as_they_are_written(hostile_page, tmp_path):
    (tmp_path / "report.html").write_text(hostile_page, encoding="utf-8")
    with opened(tmp_path / "report.html") as page:
        shown = page.evaluate("[...document.querySelectorAll('#plot-map text')].map(text => text.textContent)")
        assert "<img src…" in shown
        assert page.evaluate("[...document.images].every(image => image.src.startsWith('data:'))")
        assert page.requests == []
        assert page.console == []


@pytest.mark.parametrize(
    ("selection", "law"),
    [("tournament", "the least fit 5% of those old enough die"), ("moran", "5% of those old enough")],
)
def test_who_dies_is_told_as_the_society_has_it(selection: str, law: str) -> None:
    words = Page(render(**run(mixed_world(), selection=selection))).words
    assert f"At each selection {law}" in words
    assert ("whoever they are" in words) == (selection == "moran")
