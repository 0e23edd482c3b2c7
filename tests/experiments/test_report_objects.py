"""What the report says where objects were found in images: categories, exemplars, landlords, and different minds."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from agents.config import SocietyConfig
from agents.consult import new_library
from agents.population import ABSTRACT, RAW
from agents.world import Instances, build
from experiments import landlords, minds
from experiments.report import render
from experiments.report_categories import ends, separation, separations
from experiments.report_landlords import became, held, landlords_section, nearest
from experiments.report_objects import (
    SIDE,
    counted,
    found,
    label_name,
    named,
    of_images,
    picture,
    symbols,
    thumbnail,
)
from experiments.report_text import number
from experiments.report_upbringing import upbringing_section
from knowledge_graph.views import Views
from tests.browser import needs_browser, opened
from tests.experiments.test_report import HOSTILE, LABELLED, SECTIONS, Page, mixed_world, run
from tests.experiments.test_report_in_browser import STICKING_OUT

N = 240
NAMES = ("cat", "dog", "apple", "8-ball")


def instances(*, thumbnails: bool = True, side: int = 20) -> Instances:
    rng = np.random.default_rng(3)
    corner = rng.integers(100, size=(N, 2))
    return Instances(
        object_ids=np.arange(1000, 1000 + N),
        image_ids=np.arange(N) // 4 + 500,
        boxes=np.hstack([corner, corner + rng.integers(5, 90, size=(N, 2))]).astype(np.float32),
        source={"preset": "made up"},
        thumbnails=rng.integers(256, size=(N, side, side, 3), dtype=np.uint8) if thumbnails else None,
    )


def object_world(*, thumbnails: bool = True, names: tuple[str, ...] = NAMES, **more):
    """240 objects in 60 images; those of each category stand apart along one of four common factors."""
    rng = np.random.default_rng(0)
    labels = rng.integers(len(names), size=N)
    factors = rng.standard_normal((N, 4))
    factors[np.arange(N), labels % 4] += 2.0
    raw = factors @ rng.standard_normal((4, 16)) + 0.5 * rng.standard_normal((N, 16))
    given = {"labels": labels, "label_names": names, "groups": np.arange(N) // 4}
    world = build(**({"name": "photographs", "raw": raw, "seed": 1, "probe": 60} | given | more))
    return dataclasses.replace(world, instances=instances(thumbnails=thumbnails))


@pytest.fixture(scope="module")
def objects_run():
    return run(object_world(), steps=60, heard=20)


@pytest.fixture(scope="module")
def objects_page(objects_run) -> Page:
    return Page(render(**objects_run))


# ---- objects, as people know them


def test_objects_are_told_by_category_image_and_size():
    world = object_world()
    first = {name: int(np.flatnonzero(world.labels == i)[0]) for i, name in enumerate(NAMES)}
    assert named(world, first["cat"]) == f"object {first['cat']} (a cat)"
    assert named(world, first["apple"]) == f"object {first['apple']} (an apple)"
    assert named(world, first["8-ball"]) == f"object {first['8-ball']} (an 8-ball)"
    width, height = world.instances.boxes[9, 2:] - world.instances.boxes[9, :2]
    assert found(world, 9) == f"object 9 of image 502, {width:.0f} \N{MULTIPLICATION SIGN} {height:.0f}"
    assert found(dataclasses.replace(world, instances=None), 9) == "object 9 of image 2"
    alone = mixed_world()
    assert (named(alone, 9), found(alone, 9)) == ("object 9", "object 9")


def test_a_label_without_a_name_goes_by_its_number():
    world = object_world(names=("", "  ", "None", "nan"))
    assert [label_name(world, i) for i in range(5)] == ["0", "1", "None", "nan", "4"]


def test_names_are_counted_the_most_frequent_first_and_equal_ones_by_name():
    assert counted(Counter("bacc"), 2) == "c (2), a"
    assert counted(Counter(), 3) == ""


def test_worlds_of_objects_in_images_are_those_that_know_their_images_and_what_is_on_them():
    world = object_world()
    assert of_images(world)
    assert of_images(dataclasses.replace(world, instances=None))
    assert not of_images(mixed_world())
    assert not of_images(mixed_world(labels=np.zeros(N, dtype=np.int64)))


@pytest.mark.parametrize("side", [8, SIDE, 100])
def test_a_thumbnail_is_a_small_png_of_the_same_colours(side):
    pixels = np.zeros((side, side, 3), dtype=np.uint8)
    pixels[:, : side // 2] = (200, 40, 30)
    uri = thumbnail(pixels)
    assert uri.startswith("data:image/png;base64,")
    image = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)
    assert image.shape == (min(side, SIDE), min(side, SIDE), 3)
    assert abs(image[:, 0] - (200, 40, 30)).max() < 12
    assert image[:, -1].max() < 12


def test_every_picture_is_in_the_page_once_however_often_it_is_shown():
    world = object_world()
    drawn = symbols(world, picture(world, 7) + picture(world, 3) + picture(world, 7))
    assert re.findall(r'<symbol id="object-(\d+)"', drawn) == ["3", "7"]
    assert symbols(world, "<p>nothing to see</p>") == ""
    bare = object_world(thumbnails=False)
    assert symbols(bare, picture(bare, 7)) == ""
    assert "<svg" not in picture(bare, 7)


# ---- categories


def test_the_auc_is_the_chance_that_an_object_of_the_category_stands_higher():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 50, 40])
    scores = np.round(rng.standard_normal((120, 3)) + 0.8 * (labels == 1)[:, None], 1)  # with ties
    told = separation(scores, labels)
    assert told.count.tolist() == [30, 50, 40]
    for label in range(3):
        for k in range(3):
            assert told.auc[label, k] == pytest.approx(roc_auc_score(labels == label, scores[:, k]))
    assert told.stands_apart[1].all()


def test_a_category_that_always_stands_higher_has_an_auc_of_one_and_the_others_the_mirror_image():
    told = separation(np.arange(40.0)[:, None], np.repeat([0, 1], 20))
    assert told.auc[:, 0].tolist() == [0.0, 1.0]
    assert ends(told.auc[:, 0], told.stands_apart[:, 0]) == ([1], [0])


def test_categories_of_all_or_few_objects_are_never_said_to_stand_apart():
    alone = separation(np.arange(40.0)[:, None], np.zeros(40, dtype=int))
    assert np.isnan(alone.auc).all()
    assert not alone.stands_apart.any()
    few = separation(np.arange(40.0)[:, None], np.repeat([0, 1], [35, 5]))
    assert few.auc[1, 0] == 1.0
    assert not few.stands_apart.any()
    gap = separation(np.arange(40.0)[:, None], np.repeat([0, 2], 20))
    assert np.isnan(gap.auc[1, 0])


def test_many_objects_of_one_image_are_no_more_evidence_than_one():
    scores, labels = np.arange(60.0)[:, None], np.repeat([0, 1], 30)
    apart = separation(scores, labels, np.arange(60))
    assert np.array_equal(apart.stands_apart, separation(scores, labels).stands_apart)
    assert apart.stands_apart.all()
    crowded = separation(scores, labels, np.repeat([0, 1], 30))
    assert np.array_equal(crowded.auc, apart.auc)
    assert not crowded.stands_apart.any()


def test_images_alone_do_not_make_categories_stand_apart():
    rng = np.random.default_rng(2)
    image = np.repeat(np.arange(60), 8)
    labels = np.where(rng.random(480) < 0.7, (image * 7) % 10, rng.integers(10, size=480))
    scores = rng.standard_normal((60, 200))[image] + 0.3 * rng.standard_normal((480, 200))
    named_by_objects = separation(scores, labels).stands_apart.any(axis=0).mean()
    named_by_images = separation(scores, labels, image).stands_apart.any(axis=0).mean()
    assert named_by_images < 0.1 < 0.5 < named_by_objects


def test_chance_alone_names_a_category_for_few_concepts():
    rng = np.random.default_rng(1)
    told = separation(rng.standard_normal((400, 300)), rng.integers(15, size=400))
    assert told.stands_apart.any(axis=0).mean() < 0.09


def test_a_card_says_which_categories_a_concept_separates_and_shows_its_ends(objects_run, objects_page):
    library, world = objects_run["library"], objects_run["society"].world
    first = library.concepts()[0]
    told, k = separations(library, world), library.ids.index(first.id)
    high, low = ends(told.auc[:, k], told.stands_apart[:, k])
    assert high or low
    for label in [*high, *low]:
        assert f"{NAMES[label]} {told.count[label]} {number(told.auc[label, k])}" in objects_page.words
    used = {str(attrs["href"]) for tag, attrs in objects_page.elements if tag == "use"}
    assert {f"#object-{one}" for one in (*first.strongest, *first.weakest)} <= used
    assert "x0" not in " ".join(objects_page.text).split()
    assert used == {f"#{name}" for name in objects_page.ids("symbol")}


def test_the_page_of_an_object_world_is_whole_and_says_nothing_of_nan(objects_page):
    assert objects_page.open == []
    assert objects_page.ids("section") == LABELLED
    assert not re.search(r"\b(nan|None|inf)\b", objects_page.words)


# ---- landlords


def likenesses(world, *, kinds, exemplars):
    """A library of agents who all hold the first factor of the world, each as a dimension of one of ``kinds``."""
    axis = np.linalg.eigh(np.cov(world.features[world.train].T))[1][:, -1]
    n, m = len(kinds), world.n_features
    sensor = np.tile(np.arange(m, dtype=np.int32), (n, 1))
    loading = np.tile(axis, (n, 1, 1)).astype(np.float32)
    levels = np.matmul(world.features[world.probe][None], loading.swapaxes(1, 2))
    views = Views.of(levels=levels, sensor=sensor, loading=loading)
    sources = np.asarray(exemplars, dtype=np.int32)[:, None, :]
    kind = np.asarray(kinds, dtype=np.int8)[:, None]
    return dataclasses.replace(views, kind=kind, sources=sources), axis


def test_landlords_are_the_objects_that_the_forms_of_a_concept_come_from():
    world = object_world()
    kinds = [RAW, RAW, ABSTRACT, ABSTRACT, ABSTRACT, ABSTRACT]
    exemplars = [[5, -1], [9, -1], [5, 7], [5, 7], [7, 11], [5, -1]]
    views, axis = likenesses(world, kinds=kinds, exemplars=exemplars)
    library = new_library(world, SocietyConfig())
    library.merge(views, step=1)
    assert len(library) == 1
    (origin,) = landlords.origins(library, world, 8)
    assert (origin.raw, origin.abstract, origin.ever) == (2, 4, 2)
    assert {one.number: (one.raw, one.abstract) for one in origin.landlords} == {
        5: (1, 3),
        7: (0, 3),
        9: (1, 0),
        11: (0, 1),
    }
    assert [one.number for one in origin.landlords][:2] == [5, 7]
    assert origin.r_raw == pytest.approx(1.0, abs=1e-3)
    assert origin.nearest.number == max(origin.landlords, key=lambda one: abs(one.r)).number
    level = world.features @ axis
    agree = np.sign(level[[one.number for one in origin.landlords]]) * np.sign([one.r for one in origin.landlords])
    assert abs(agree.sum()) == 4, "whoever stands high is like the concept, whoever stands low is unlike it"
    # Raw dimensions are forgotten, but the history knows who held them.
    later = dataclasses.replace(views, kind=np.full_like(views.kind, ABSTRACT))
    library.merge(later, step=2)
    (origin,) = landlords.origins(library, world, 8)
    assert (origin.raw, origin.abstract, origin.ever) == (0, 6, 2)
    assert np.isnan(origin.r_raw)
    assert landlords.raw_shares(library) == [pytest.approx(1 / 3), 0.0]


def test_likeness_is_correlated_over_the_other_objects_only():
    world = object_world()
    scores = np.random.default_rng(0).standard_normal(len(world.probe))
    mine, stranger = int(world.probe[3]), int(np.setdiff1d(world.train, world.probe)[0])
    r = landlords.likeness_r(world, [mine, stranger], world.probe, scores)
    others = np.delete(np.arange(len(world.probe)), 3)
    for obj, places in ((mine, others), (stranger, np.arange(len(world.probe)))):
        alike = world.features[world.probe[places]] @ world.features[obj]
        assert r[obj] == pytest.approx(np.corrcoef(alike, scores[places])[0, 1], abs=1e-6)
    assert landlords.likeness_r(world, [], world.probe, scores) == {}
    assert landlords.likeness_r(world, [4], world.probe, np.zeros(0)) == {4: 0.0}
    assert landlords.likeness_r(world, [4], world.probe, np.ones(len(world.probe))) == {4: 0.0}


def origin_of(raw, abstract, ever, *pairs, r_raw=float("nan"), r_abstract=float("nan")):
    owners = tuple(landlords.Landlord(number=number_, raw=0, abstract=1, r=r) for number_, r in pairs)
    return landlords.Origin(
        concept=0, raw=raw, abstract=abstract, ever=ever, r_raw=r_raw, r_abstract=r_abstract, landlords=owners
    )


def test_what_became_of_landlords_is_told_in_sentences():
    world = mixed_world(labels=np.arange(N) % 2, label_names=("cat", "dog"))
    both = origin_of(3, 57, 9, (4, 0.5), (6, 0.4), (7, -0.7), r_raw=0.6, r_abstract=0.8)
    name = "<strong>kiru</strong>"
    assert became(world, "kiru", both) == (
        f"The abstract landlord {name} is what object 4 (a cat) and object 6 (a cat) have in common, as against "
        "object 7 (a dog)."
    )
    assert held(both) == (
        "3 agents still hold it as the likeness to one object, as 9 agents did at some merge, 57 as an abstract "
        "dimension."
    )
    assert nearest(world, both) == (
        "Of the 3 objects that these come from, likeness to object 7 (a dog) goes best with it "
        "(r = \N{MINUS SIGN}0.70), half of the abstract dimensions by 0.80 or more and half of the likenesses as "
        "agents sense them by 0.60 or more."
    )
    assert held(origin_of(2, 0, 2)) == (
        "2 agents still hold it as the likeness to one object, nobody as an abstract dimension."
    )
    one = origin_of(0, 1, 0, (7, -0.7), r_abstract=0.5)
    assert (
        became(world, "kiru", one) == f"The abstract landlord {name} is the opposite of what object 7 (a dog) is like."
    )
    assert held(one) == "1 agent holds it as an abstract dimension, nobody as the likeness to one object."
    assert held(origin_of(0, 2, 1)) == (
        "Nobody holds it any more as the likeness to one object, as 1 agent did; 2 as an abstract dimension."
    )
    nobody = origin_of(0, 0, 0)
    assert "in mixtures only" in became(world, "kiru", nobody)
    assert (held(nobody), nearest(world, nobody)) == ("", "")


def test_every_world_has_landlords(objects_run, objects_page):
    library, world = objects_run["library"], objects_run["society"].world
    for origin in landlords.origins(library, world, 8):
        if origin.landlords:
            assert f"{origin.abstract:,}" in objects_page.words
            assert named(world, origin.landlords[0].number) in objects_page.words
    made = run(mixed_world())
    page = Page(render(**made))
    assert page.ids("section") == SECTIONS
    assert "The abstract landlord" in page.words


# ---- different minds


def test_overlap_is_what_two_share_of_what_either_has():
    units = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)
    assert minds.overlap(units) == pytest.approx(np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]))


def test_memories_are_counted_by_image_and_without_images_by_object():
    world = object_world()
    memory = [np.array([0, 1, 4]), np.array([239]), np.zeros(0, dtype=np.int32)]
    units = minds.units_of(world, memory)
    assert units.shape == (3, 60)
    assert [np.flatnonzero(row).tolist() for row in units] == [[0, 1], [59], []]
    assert minds.units_of(dataclasses.replace(world, groups=None), memory).sum(axis=1).tolist() == [3, 1, 0]


def test_pairs_are_the_least_alike_and_nobody_is_in_two():
    order = np.array([[0, 5, 1, 4], [5, 0, 2, 3], [1, 2, 0, 6], [4, 3, 6, 0.0]])
    everybody = np.ones((4, 4), dtype=bool)
    assert minds.pairs_by(order, everybody, 2) == [(0, 2), (1, 3)]
    assert minds.pairs_by(-order, everybody, 1) == [(2, 3)]
    barred = everybody.copy()
    barred[0, 2] = barred[2, 0] = False
    assert minds.pairs_by(order, barred, 9) == [(1, 2), (0, 3)]
    assert minds.pairs_by(order, np.zeros((4, 4), dtype=bool), 2) == []
    assert minds.pairs_by(np.zeros((0, 0)), np.zeros((0, 0), dtype=bool), 2) == []


def test_concepts_that_two_hold_are_counted():
    concept = np.array([[0, 2, -1], [2, 0, 1], [-1, -1, -1]])
    assert minds.shared(concept).tolist() == [[2, 2, 0], [2, 3, 0], [0, 0, 0]]


def two_minds(standing, concept, r, memory=((0, 1), (2, 3))):
    standing = np.asarray(standing, dtype=float)
    return minds.Minds(
        agent=np.arange(len(standing)),
        memory=[np.array(objects) for objects in memory],
        units=np.eye(len(standing), dtype=bool),
        row=np.arange(len(standing)),
        standing=minds.standings(standing),
        concept=np.asarray(concept),
        r=np.asarray(r, dtype=float),
    )


def test_agreement_is_measured_in_the_direction_of_the_concept():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 50))
    both = two_minds(
        [np.stack([x, y], axis=1), np.stack([np.zeros(50), -3 * x + 1], axis=1)],
        concept=[[4, 7], [-1, 4]],
        r=[[0.9, 0.8], [0.0, -0.9]],
    )
    (common,) = minds.in_common(both, 0, 1)
    assert common.concept == 4
    assert common.r == pytest.approx(1.0)
    assert common.one == pytest.approx(common.other)
    assert minds.agreement(both, [(0, 1)]) == pytest.approx(1.0)
    assert minds.agreement(both, []) is None
    apart = dataclasses.replace(both, concept=np.array([[4, 7], [-1, 5]]))
    assert minds.in_common(apart, 0, 1) == []
    assert minds.agreement(apart, [(0, 1)]) is None


def test_the_likest_dimension_of_another_is_found_whatever_its_sign():
    rng = np.random.default_rng(0)
    x, y, z = rng.standard_normal((3, 400))
    both = two_minds(
        [np.stack([x, y], axis=1), np.stack([z, 0.5 * z - x], axis=1)], concept=[[-1, -1]] * 2, r=np.zeros((2, 2))
    )
    slot, r = minds.likest(both, 0, 0, 1)
    assert slot == 1
    assert r == pytest.approx(np.corrcoef(x, 0.5 * z - x)[0, 1])
    assert minds.likest(both, 0, 1, 1) is None
    flat = two_minds([np.stack([x, y], axis=1), np.ones((400, 2))], concept=[[-1, -1]] * 2, r=np.zeros((2, 2)))
    assert minds.likest(flat, 0, 0, 1) is None


def test_the_young_are_not_compared():
    all_alike = two_minds(
        np.ones((4, 5, 1)), concept=[[0]] * 4, r=[[1.0]] * 4, memory=(range(9), range(9), range(8), range(2))
    )
    old = minds.comparable(all_alike)
    assert old[0, 1]
    assert not old[2:].any()
    assert not minds.comparable(dataclasses.replace(all_alike, concept=np.arange(4)[:, None]))[0, 1]


def test_standings_are_in_standard_deviations_and_flat_dimensions_say_nothing():
    told = minds.standings(np.array([[1.0, 4.0], [3.0, 4.0]]))
    assert told.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert [minds.gesture(value) for value in (0.5, 0.4, -0.5)] == ["high", "middling", "low"]


def test_probe_objects_are_of_the_most_frequent_categories_and_not_known_to_both():
    world = object_world()
    frequency = np.bincount(world.labels[world.probe], minlength=4)
    chosen = minds.probe_objects(world, world.probe, (), 3)
    assert world.labels[chosen].tolist() == np.argsort(-frequency, kind="stable")[:3].tolist()
    area = np.prod(world.instances.boxes[:, 2:] - world.instances.boxes[:, :2], axis=1)
    of_label = world.probe[world.labels[world.probe] == world.labels[chosen[0]]]
    assert area[chosen[0]] == area[of_label].max()
    assert chosen[0] not in minds.probe_objects(world, world.probe, {chosen[0]}, 3)
    assert minds.probe_objects(world, world.probe, set(world.probe.tolist()), 3) == []
    assert minds.probe_objects(mixed_world(), world.probe, (), 3) == []
    plain = dataclasses.replace(world, instances=None)
    assert minds.probe_objects(plain, plain.probe, (), 1)[0] == of_label[0]


def test_two_minds_tell_the_same_object_in_their_own_words(objects_run, objects_page):
    society, library = objects_run["society"], objects_run["library"]
    these = minds.minds_of(society, library)
    assert 0 < len(these) <= len(society.population)
    apart = minds.overlap(these.units)
    one, other = minds.pairs_by(apart, minds.comparable(these), 1)[0]
    words = objects_page.words
    assert f"Agents {these.agent[one]} and {these.agent[other]}" in words
    alike, either = (these.units[one] & these.units[other]).sum(), (these.units[one] | these.units[other]).sum()
    assert f"They share {alike} of {either} images" in words
    common = minds.in_common(these, one, other)
    name = library.spell(library.names[library.ids[common[0].concept]])
    assert f"their levels correlate {number(common[0].r)} on {name}" in words
    both = set(these.memory[one].tolist()) & set(these.memory[other].tolist())
    for object_ in minds.probe_objects(society.world, library.probe, both, 3):
        assert f"O{named(society.world, object_)[1:]}" in words
    row = int(these.row[one])
    assert re.search(rf"agent {these.agent[other]} has (nothing like it|.{{1,20}} \(r = .?0\.\d\d\) and says)", words)
    assert np.array_equal(library.views.agent[these.row], these.agent)
    levels = library.levels(int(these.agent[one]), society.world.features[library.probe])
    assert these.standing[one] == pytest.approx(minds.standings(levels))
    assert np.array_equal(these.concept[one], library.membership[row])


@needs_browser
@pytest.mark.parametrize("thumbnails", [True, False])
def test_a_browser_shows_the_objects_on_a_desk_and_on_a_telephone(objects_run, thumbnails, tmp_path):
    society = objects_run["society"]
    world = society.world
    society.world = dataclasses.replace(world, instances=instances(thumbnails=thumbnails))
    (tmp_path / "report.html").write_text(render(**objects_run), encoding="utf-8")
    society.world = world
    for width in (1200, 400):
        with opened(tmp_path / "report.html", width=width) as page:
            assert page.evaluate(STICKING_OUT) == []
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sizes = page.evaluate(
                "[...document.querySelectorAll('.picture')].map(one => one.querySelector('use').getBBox().width > 0 && "
                "Math.min(one.clientWidth, one.clientHeight))"
            )
            assert bool(sizes) == thumbnails
            assert all(size >= 30 for size in sizes)
            assert page.requests == []
            assert page.console == []


# ---- what is missing, and what is hostile


@pytest.mark.parametrize("thumbnails", [True, False])
def test_hostile_categories_stay_text(thumbnails):
    made = run(object_world(names=HOSTILE, thumbnails=thumbnails), steps=40)
    made["library"].spell = lambda word: f"{HOSTILE[word % len(HOSTILE)]}{word}"
    page = Page(render(**made))
    assert page.open == []
    assert {tag for tag, _ in page.elements if tag in ("script", "img", "b")} == {"script"}
    assert len(page.scripts) == 2
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    told = " ".join(str(attrs.get("title")) for _, attrs in page.elements) + page.words
    for name in HOSTILE[:4]:
        assert name in told
    for tag, attrs in page.elements:
        assert not str(attrs.get("href", "#")).strip().lower().startswith(("http", "javascript", "//")), tag


CASES = {
    "one category": {"labels": np.zeros(N, dtype=np.int64)},
    "categories called None and nan": {"names": ("None", "nan", "", "null")},
    "objects without groups": {"groups": None},
    "no categories": {"labels": None, "label_names": ()},
    "fewer names than labels": {"label_names": ("cat",)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("thumbnails", [True, False])
def test_object_worlds_that_lack_something_are_told(case, thumbnails):
    world = object_world(thumbnails=thumbnails, **CASES[case])
    page = Page(render(**run(world, steps=40)))
    assert page.open == []
    assert page.ids("section") == (SECTIONS if world.labels is None else LABELLED)
    if case != "categories called None and nan":
        assert not re.search(r"\b(nan|None)\b", page.words)
    if case == "one category":
        assert "No category stands apart" in page.words


def test_agents_without_dimensions_and_libraries_without_concepts_are_told_of():
    for steps, config in ((15, {}), (12, {"merge_interval": 0}), (25, {"exemplars": 0, "discovery_interval": 0})):
        made = run(object_world(), steps=steps, **config)
        library = made["society"].library
        assert not len(library)
        assert len(minds.minds_of(made["society"], library)) == 0
        assert landlords.origins(library, made["society"].world, 8) == []
        assert "no concepts yet" in upbringing_section(made["society"], library).text
        assert "no concepts yet" in landlords_section(made["society"], library).text
        page = Page(render(**made | {"library": library}))
        assert page.ids("section") == LABELLED


def test_some_agents_without_dimensions_are_left_out():
    made = run(object_world(), steps=40)
    society, library = made["society"], made["library"]
    dead = library.views.agent[0]
    views = dataclasses.replace(library.views, held=library.views.held.copy())
    views.held[1] = False
    library.merge(
        dataclasses.replace(
            views,
            levels=np.matmul(
                society.world.features[library.probe][:, views.sensor].swapaxes(0, 1), views.loading.swapaxes(1, 2)
            ),
        ),
        step=41,
    )
    society.population.id[society.population.id == dead] = 10_000
    these = minds.minds_of(society, library)
    assert dead not in these.agent
    assert views.agent[1] not in these.agent
    assert len(these) > 2
    assert Page(upbringing_section(society, library).html).open == []


def test_a_library_of_other_times_can_be_told(objects_run):
    society, library = objects_run["society"], objects_run["library"]
    for earlier in (library.at(1), library.at(0)):
        assert Page(upbringing_section(society, earlier).html).open == []
        assert Page(landlords_section(society, earlier).html).open == []


def test_a_large_page_is_soon_written_and_small(objects_run):
    society = objects_run["society"]
    large = dataclasses.replace(society.world, instances=instances(side=96))
    bare = dataclasses.replace(society.world, instances=instances(thumbnails=False))
    pages = {}
    for name, world in (("pictures", large), ("bare", bare)):
        before, society.world = society.world, world
        started = time.perf_counter()
        pages[name] = render(**objects_run)
        taken = time.perf_counter() - started
        society.world = before
        assert taken < 10
    assert len(pages["pictures"]) - len(pages["bare"]) < 1.3e6
