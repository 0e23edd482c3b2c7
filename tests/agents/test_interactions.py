"""The log of interactions: a fair and bounded sample of what happened, which changes nothing, and reads well."""

from __future__ import annotations

import csv
import dataclasses
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import InputError, Society, SocietyConfig, communication
from agents import society as society_module
from agents.checkpoint import restored, state
from agents.communication import Talk, spelled
from agents.interactions import COLUMNS, InteractionLog, read, records, sentences
from agents.meeting import Meeting
from agents.world import World, planted

WORLD = planted(seed=0, objects=160, features=12, factors=4, probe=40)
LIVELY: dict[str, Any] = {
    "agents": 10, "memory": 48, "discovery_interval": 4, "selection_interval": 5, "merge_interval": 6, "turnover": 0.2,
}  # fmt: skip
WITNESSED = (
    "speaker", "hearer", "topic", "candidates", "word", "known", "picked", "success", "speaker_dimension",
    "hearer_dimension",
)  # fmt: skip
"""What a witness can say of a conversation."""


def listened(*, steps: int = 14, size: int = 10**6, seed: int = 3, world: World = WORLD, **config: Any) -> Society:
    life = SocietyConfig(**LIVELY | config)
    society = Society(world, life, seed=1)
    society.log = InteractionLog(size=size, seed=seed, candidates=life.candidates)
    for _ in range(steps):
        society.step()
    return society


# ---- what is kept


@dataclasses.dataclass
class Witness:
    """Sees every conversation as it is held: who said what, what was picked, and what they held it to be."""

    seen: list[tuple[Any, ...]]
    picked: list[NDArray[np.intp]]


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Witness:
    """Listens to the games of the societies that live in this test."""
    found = Witness(seen=[], picked=[])
    nearest, talk = communication.nearest, communication.talk

    def picking(heard: NDArray[np.float64], gesture: NDArray[np.float64]) -> NDArray[np.intp]:
        found.picked.append(nearest(heard, gesture))
        return found.picked[-1]

    def talking(population: Any, world: World, meeting: Meeting, *rest: Any) -> Talk:
        ids = population.id.copy()
        outcome = talk(population, world, meeting, *rest)
        topic = meeting.scene[np.arange(len(meeting)), meeting.topic]
        picked = meeting.scene[np.arange(len(meeting)), found.picked[-1]]
        for i in range(len(meeting)):
            found.seen.append(
                (
                    ids[meeting.speaker[i]],
                    ids[meeting.hearer[i]],
                    topic[i],
                    meeting.scene[i].tolist(),
                    outcome.word[i],
                    outcome.known[i],
                    picked[i] if outcome.known[i] else -1,
                    outcome.success[i],
                    outcome.speaker_slot[i],
                    outcome.hearer_slot[i],
                )
            )
        return outcome

    monkeypatch.setattr(communication, "nearest", picking)
    monkeypatch.setattr(society_module, "talk", talking)
    return found


@pytest.mark.parametrize("activation", ["synchronous", "sequential"])
def test_a_log_with_room_for_all_has_every_conversation_as_it_was_held(activation: str, witness: Witness) -> None:
    rows = listened(activation=activation).log.rows
    told = [tuple(row[name].tolist() for name in WITNESSED) for row in rows]
    assert told == [tuple(x.tolist() if isinstance(x, np.generic) else x for x in row) for row in witness.seen]
    per_step = 5 if activation == "synchronous" else 10
    assert rows["step"].tolist() == np.repeat(np.arange(1, 15), per_step).tolist()
    assert (rows["known"] & ~rows["success"]).sum() > 3


def test_the_level_is_how_high_the_topic_stands_among_what_is_there() -> None:
    society = Society(WORLD, SocietyConfig(**LIVELY | {"discovery_interval": 0, "selection_interval": 0}), seed=1)
    society.log = InteractionLog(size=100, candidates=4)
    society.step()
    population = society.population
    for row in society.log.rows:
        i = int(np.flatnonzero(population.id == row["speaker"])[0])
        sensed = WORLD.features[row["candidates"]][:, population.sensor[i]]
        height = sensed @ population.loading[i, row["speaker_dimension"]]
        expected = WORLD.features[row["topic"], population.sensor[i]] @ population.loading[i, row["speaker_dimension"]]
        assert row["level"] == pytest.approx((expected - height.mean()) / height.std(), abs=1e-4)


def test_concepts_are_those_that_the_library_has_told() -> None:
    society = listened(steps=6, selection_interval=0)
    assert (society.log.rows["speaker_concept"] == -1).all()
    told = society.population.concept.copy()
    society.step()
    for row in society.log.rows[-5:]:
        for side in ("speaker", "hearer"):
            i = int(np.flatnonzero(society.population.id == row[side])[0])
            slot = row[f"{side}_dimension"]
            expected = -1 if slot < 0 or told[i, slot] < 0 else int(society.library.ids[told[i, slot]][1:])
            assert row[f"{side}_concept"] == expected
    assert (society.log.rows["speaker_concept"] >= 0).any()


def test_whether_somebody_listens_changes_nothing() -> None:
    one, other = listened(size=50), listened(size=0)
    for name, column in one.population.columns().items():
        assert np.array_equal(column, getattr(other.population, name)), name
    assert one.rng.bit_generator.state == other.rng.bit_generator.state
    assert len(other.log) == other.log.heard == 0


@pytest.mark.parametrize(("activation", "heard"), [("synchronous", 70), ("sequential", 140)])
def test_a_small_log_keeps_those_of_the_smallest_keys(activation: str, heard: int) -> None:
    rows = listened(activation=activation).log.rows
    assert len(rows) == heard
    for size in (1, 7, heard - 1, heard):
        part = listened(size=size, activation=activation).log
        assert part.heard == heard
        assert len(part) == size
        assert np.array_equal(part.rows, rows[np.sort(np.argsort(rows["key"])[:size])])


def test_the_sample_covers_the_whole_run_evenly() -> None:
    society = listened(steps=0)
    kept = []
    for seed in range(40):
        society.log = InteractionLog(size=20, seed=seed, candidates=4)
        for _ in range(40):
            society.talk(society.meet())
        kept.append(society.log.rows["number"])
        assert society.log.heard == 200
    share = np.bincount(np.concatenate(kept) // 50, minlength=4) / 800
    # Hypergeometric within a log: standard error of a quarter's share under sqrt(.25 * .75 / 800) = .0153.
    assert np.abs(share - 0.25).max() < 4 * 0.0153
    assert len({tuple(rows) for rows in map(tuple, kept)}) == 40


def test_a_log_is_no_longer_than_asked_for_and_spreads_evenly() -> None:
    log = listened(size=30).log
    assert len(log) == len(log.rows) == 30
    rows = log.spread(3)
    assert np.array_equal(rows, log.rows[[0, 14, 29]])
    assert np.array_equal(log.spread(99), log.rows)
    assert len(log.spread(1)) == 1
    assert len(InteractionLog().spread(3)) == 0


def test_a_log_of_less_than_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="size is -1"):
        InteractionLog(size=-1)


# ---- saved


@pytest.mark.parametrize("activation", ["synchronous", "sequential"])
@pytest.mark.parametrize(("size", "at"), [(0, 5), (40, 2), (40, 11), (10**6, 11)])
def test_a_log_that_was_saved_goes_on_as_if_it_had_never_been(activation: str, size: int, at: int) -> None:
    whole = listened(size=size, activation=activation)
    half = listened(size=size, activation=activation, steps=at)
    for twin in (restored(state(half), half.world, half.config), pickle.loads(pickle.dumps(half))):
        while twin.steps < whole.steps:
            twin.step()
        assert twin.log.size == size
        assert twin.log.heard == whole.log.heard
        assert twin.log.rows.tobytes() == whole.log.rows.tobytes()


def test_a_damaged_log_is_refused() -> None:
    society = listened(steps=3, size=10)
    for name, array in (("row/word", np.zeros(3, dtype=np.int32)), ("generator", np.array("{}"))):
        arrays = state(society) | {f"log/{name}": array}
        with pytest.raises(InputError, match="the checkpoint is damaged"):
            restored(arrays, society.world, society.config)
    arrays = state(society)
    for name, wrong in (
        ("topic", 160),
        ("topic", -1),
        ("picked", 10**6),
        ("picked", -2),
        ("word", -2),
        ("candidates", 160),
    ):
        column = arrays[f"log/row/{name}"].copy()
        column[0] = wrong
        with pytest.raises(InputError, match="the checkpoint is damaged"):
            restored(arrays | {f"log/row/{name}": column}, society.world, society.config)
    del arrays["log/heard"]
    with pytest.raises(InputError, match="the checkpoint is damaged"):
        restored(arrays, society.world, society.config)


# ---- read


def labelled(names: tuple[str, ...] = ("apple", "pear", "plum")) -> World:
    return dataclasses.replace(WORLD, labels=np.arange(160) % 3, label_names=names)


def test_records_say_in_words_what_rows_say_in_numbers() -> None:
    rows = listened().log.rows
    for world in (WORLD, labelled()):
        for row, record in zip(rows, records(rows, world), strict=True):
            assert tuple(record) == COLUMNS
            assert record["word"] == spelled(int(row["word"]))
            assert record["candidates"] == " ".join(map(str, row["candidates"]))
            assert record["picked"] == (int(row["picked"]) if row["known"] else None)
            assert record["label"] == (None if world is WORLD else world.label_names[row["topic"] % 3])
            assert (record["picked_label"] is None) == (world is WORLD or not row["known"])
            concept = record["speaker_concept"]
            assert concept == (None if row["speaker_concept"] < 0 else f"c{row['speaker_concept']}")
            assert not any(isinstance(value, np.generic) for value in record.values())


def written(society: Society, path: Path) -> Path:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records(society.log.rows, society.world))
    path.write_text(buffer.getvalue(), encoding="utf-8")
    return path


@pytest.mark.parametrize("labels", [None, ("apple", "pear", "plum"), ("NA", "7", 'a,b\n"c"')])
@pytest.mark.parametrize("game", ["language", "gesture"])
def test_a_table_that_is_read_again_gives_the_same_sentences(
    labels: tuple[str, ...] | None, game: str, tmp_path: Path
) -> None:
    society = listened(size=60, game=game, world=WORLD if labels is None else labelled(labels))
    table = read(written(society, tmp_path / "interactions.csv"))
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 60
    assert sentences(table) == sentences(records(society.log.rows, society.world))
    assert table["step"].tolist() == society.log.rows["step"].tolist()
    assert table["success"].sum() == society.log.rows["success"].sum()
    assert len(sentences(table.sample(3, random_state=1))) == 3
    if labels is not None:
        assert set(table["label"]) <= set(labels)


def test_a_log_of_nothing_is_read_as_a_table_of_nothing(tmp_path: Path) -> None:
    table = read(written(listened(size=0), tmp_path / "interactions.csv"))
    assert len(table) == 0
    assert sentences(table) == []


def test_what_is_no_log_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.csv cannot be read"):
        read(tmp_path / "missing.csv")
    other = tmp_path / "metrics.csv"
    other.write_text("step,success\n10,0.5\n")
    with pytest.raises(InputError, match="does not have the columns"):
        read(other)
    for text in ("", "step,speaker\nten,1\n"):
        other.write_text(text)
        with pytest.raises(InputError, match="is not the log of a run"):
            read(other)


ROW: dict[str, Any] = {
    "step": 120, "speaker": 17, "hearer": 42, "topic": 812, "label": None, "candidates": "812 33", "word": "kiru",
    "level": 1.2, "known": True, "picked": 812, "picked_label": None, "success": True, "speaker_dimension": 0,
    "hearer_dimension": 5, "speaker_concept": "c3", "hearer_concept": None,
}  # fmt: skip
UNKNOWN: dict[str, Any] = {"known": False, "picked": None, "success": False}
MUTE: dict[str, Any] = UNKNOWN | {"word": None, "level": None, "speaker_dimension": None, "hearer_dimension": None}
MISSED: dict[str, Any] = {"success": False, "picked": 33}


SAID = "said “kiru” (high) of object 812"
NO_DIMENSION = "had no dimension that it could mean"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"{SAID} to agent 42, who knew the word and picked it."),
        ({"label": "3", "picked_label": "3"}, f"{SAID} (a 3) to agent 42, who knew the word and picked it."),
        ({"level": -0.5}, "said “kiru” (low) of object 812 to agent 42, who knew the word and picked it."),
        ({"level": 0.4}, "said “kiru” (middling) of object 812 to agent 42, who knew the word and picked it."),
        (MISSED, f"{SAID} to agent 42, who knew the word and picked object 33."),
        (
            MISSED | {"label": "pear", "picked_label": "apple"},
            f"{SAID} (a pear) to agent 42, who knew the word and picked object 33 (an apple).",
        ),
        (UNKNOWN, f"{SAID} to agent 42, who did not know the word, and took it for its dimension 5."),
        (
            UNKNOWN | {"hearer_dimension": None},
            f"{SAID} to agent 42, who did not know the word, and {NO_DIMENSION}.",
        ),
        (MUTE, "had no dimension to tell object 812 by, and agent 42 was told nothing."),
        ({"word": None}, "showed to agent 42 how high object 812 stands, who picked it."),
        (
            {"word": None, "success": False, "picked": 33},
            "showed to agent 42 how high object 812 stands, who picked object 33.",
        ),
        (
            UNKNOWN | {"word": None, "hearer_dimension": None},
            f"showed to agent 42 how high object 812 stands, who {NO_DIMENSION}.",
        ),
        ({"label": "a\x1b[31m\nb"}, f"{SAID} (an a [31m b) to agent 42, who knew the word and picked it."),
    ],
)  # fmt: skip
def test_a_conversation_reads_as_a_sentence(changes: dict[str, Any], said: str) -> None:
    assert sentences([ROW | changes]) == [f"step 120: agent 17 {said}"]
