"""A log of interactions to be read: who said what of which object to whom, and what was understood.

Of all conversations an even random sample is kept, so that the log of a long run is no longer than that of a short one
and covers the whole of it: every conversation gets a random number, and those with the smallest stay (reservoir
sampling; Efraimidis & Spirakis 2006 with equal weights). The numbers come from a generator of the log's own: whether
somebody listens changes nothing in the society, and a log that is saved goes on as if it had never been.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.archive import first_sentence
from agents.communication import Talk, spelled, standardised
from agents.errors import InputError
from agents.meeting import Meeting
from agents.perception import levels
from agents.population import NOTHING, Population
from agents.world import World
from knowledge_graph.history import number_of

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "step", "speaker", "hearer", "topic", "label", "candidates", "word", "level", "known", "picked", "picked_label",
    "success", "speaker_dimension", "hearer_dimension", "speaker_concept", "hearer_concept",
)  # fmt: skip
"""What a row of the log says: see `records`."""

WHOLE_NUMBERS = ("step", "speaker", "hearer", "topic", "picked", "speaker_dimension", "hearer_dimension")

HIGH = 0.5
"""Levels so many standard deviations above the mean of the scene are called high, as far below it low."""


def row_type(candidates: int) -> np.dtype[np.void]:
    """The type of a row as it is kept: numbers alone, -1 for none.

    ``key`` is the random number that it is kept by, ``number`` counts the conversations heard; objects are numbers of
    the world's rows, agents ids, and concepts the numbers of their ids.
    """
    return np.dtype(
        [
            ("key", np.float64),
            ("number", np.int64),
            ("step", np.int32),
            ("speaker", np.int64),
            ("hearer", np.int64),
            ("topic", np.int32),
            ("candidates", np.int32, (candidates,)),
            ("word", np.int32),
            ("level", np.float64),
            ("known", np.bool_),
            ("picked", np.int32),
            ("success", np.bool_),
            ("speaker_dimension", np.int8),
            ("hearer_dimension", np.int8),
            ("speaker_concept", np.int32),
            ("hearer_concept", np.int32),
        ]
    )


LARGEST = 2**62
"""Nobody hears so many conversations: from here up they could not be counted on in 64 bits."""


class InteractionLog:
    """An even sample of the conversations of a society.

    Parameters
    ----------
    size : how many are kept at most; by default none, which costs nothing
    seed : of the log's own generator
    candidates : objects in a scene
    """

    def __init__(self, *, size: int = 0, seed: int = 0, candidates: int = 1) -> None:
        if size < 0:
            raise ValueError(f"size is {size}, but a log keeps at least 0 conversations")
        self.size = size
        self.heard = 0
        self.rng = np.random.default_rng([seed, 0x106])
        self._kept = 0
        self._rows = np.zeros(0, dtype=row_type(candidates))
        self._threshold = np.inf

    def __len__(self) -> int:
        return self._kept

    @property
    def rows(self) -> NDArray[np.void]:
        """What is kept, in the order in which it was said (a copy, see `row_type`)."""
        rows = self._rows[: self._kept]
        return rows[np.argsort(rows["number"])]

    def spread(self, n: int) -> NDArray[np.void]:
        """At most ``n`` of the rows, evenly from the first to the last."""
        rows = self.rows
        places: NDArray[np.intp] = np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int)
        return rows[np.unique(places)]

    def listen(
        self,
        population: Population,
        world: World,
        meeting: Meeting,
        outcome: Talk,
        *,
        step: int,
        concepts: Sequence[str] = (),
    ) -> None:
        """Hear the conversations that have just been held, and keep some.

        ``concepts`` are the ids that the numbers in ``population.concept`` stand for. To be called before anything
        else happens to the agents, as what was shown and picked is read off them.
        """
        self.overhear(
            len(meeting), lambda at: conversations(population, world, meeting, outcome, at, concepts), step=step
        )

    def overhear(self, n: int, told: Callable[[NDArray[np.intp]], NDArray[np.void]], *, step: int) -> None:
        """Hear of ``n`` conversations those that ``told`` tells, as rows, of the places that it is asked for."""
        if self.size == 0:
            return
        key = self.rng.random(n)
        at = np.flatnonzero(key < self._threshold)
        if len(at) > self.size:
            at = np.sort(at[np.argpartition(key[at], self.size - 1)[: self.size]])
        if len(at):
            rows = told(at)
            rows["key"], rows["number"], rows["step"] = key[at], self.heard + at, step
            self._keep(rows)
        self.heard += n

    def _keep(self, new: NDArray[np.void]) -> None:
        """Fill the free places, then let those with the smallest keys have the places of those with the largest."""
        free = min(self.size - self._kept, len(new))
        if self._kept + free > len(self._rows):
            room = np.zeros(min(max(2 * len(self._rows), self._kept + free), self.size), dtype=self._rows.dtype)
            room[: self._kept] = self._rows[: self._kept]
            self._rows = room
        self._rows[self._kept : self._kept + free] = new[:free]
        self._kept += free
        n = len(new) - free
        if n:
            largest = np.argpartition(self._rows["key"], self.size - n)[self.size - n :]
            rivals = np.concatenate([self._rows[largest], new[free:]])
            self._rows[largest] = rivals[np.argpartition(rivals["key"], n - 1)[:n]]
        if self._kept == self.size:
            self._threshold = float(self._rows["key"].max())

    def state(self) -> dict[str, NDArray[Any]]:
        """All of it as plain arrays, for a checkpoint."""
        generator = np.array(json.dumps(self.rng.bit_generator.state))
        rows = self.rows
        columns = {f"row/{name}": rows[name].copy() for name in rows.dtype.names or ()}
        return {"size": np.array(self.size), "heard": np.array(self.heard), "generator": generator, **columns}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], world: World) -> InteractionLog:
        """The log that `state` was taken from, of a society in that ``world``, which goes on exactly as that would.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the arrays are not those of such a log.
        """
        scenes = arrays["row/candidates"]
        if scenes.ndim != 2 or scenes.shape[1] == 0:
            raise ValueError(f"candidates are {scenes.shape}")
        size, heard = (_number(arrays[name], name) for name in ("size", "heard"))
        if len(scenes) > min(size, heard):
            raise ValueError(f"of {heard} conversations {len(scenes)} are kept where there is room for {size}")
        log = cls(size=size, candidates=scenes.shape[1])
        rows = np.zeros(len(scenes), dtype=log._rows.dtype)
        for name in rows.dtype.names or ():
            column = arrays[f"row/{name}"]
            if column.shape != rows[name].shape or column.dtype != rows[name].dtype:
                raise ValueError(f"{name} is {column.dtype} {column.shape}, not {rows[name].dtype} {rows[name].shape}")
            rows[name] = column
        if not ((rows["key"] >= 0) & (rows["key"] < 1)).all() or np.isinf(rows["level"]).any():
            raise ValueError("key or level is no such number")
        scene, there = rows["candidates"], (rows["candidates"] >= 0) & (rows["candidates"] < world.n_objects)
        meant, picked = ((scene == rows[name][:, None]).any(axis=1) for name in ("topic", "picked"))
        if not (there.all() and meant.all() and (picked | (rows["picked"] == NOTHING)).all()):
            raise ValueError("candidates, topic or picked names what was not there")
        if (rows["word"] < NOTHING).any():
            raise ValueError("word is no number of a word")
        log.heard = heard
        log.rng.bit_generator.state = json.loads(str(arrays["generator"]))
        log._rows, log._kept = rows, len(rows)
        if log._kept == log.size and log.size:
            log._threshold = float(rows["key"].max())
        return log


def conversations(
    population: Population,
    world: World,
    meeting: Meeting,
    outcome: Talk,
    at: NDArray[np.intp],
    concepts: Sequence[str],
) -> NDArray[np.void]:
    """Rows for the conversations ``at`` these places of a meeting."""
    rows, each = np.zeros(len(at), dtype=row_type(meeting.scene.shape[1])), np.arange(len(at))
    speaker, hearer, scene, topic = meeting.speaker[at], meeting.hearer[at], meeting.scene[at], meeting.topic[at]
    numbers = np.array([*(number_of(name) for name in concepts), NOTHING], dtype=np.int32)
    for side, row, slot in (
        ("speaker", speaker, outcome.speaker_slot[at]),
        ("hearer", hearer, outcome.hearer_slot[at]),
    ):
        rows[side], rows[f"{side}_dimension"] = population.id[row], slot
        rows[f"{side}_concept"] = numbers[np.where(slot >= 0, population.concept[row, slot], NOTHING)]
    rows["candidates"], rows["topic"] = scene, scene[each, topic]
    rows["word"], rows["known"], rows["success"] = outcome.word[at], outcome.known[at], outcome.success[at]
    shown = standardised(levels(population, world, speaker, scene))[each, topic, outcome.speaker_slot[at]]
    rows["level"] = np.where(outcome.speaker_slot[at] >= 0, shown, np.nan)
    picked = outcome.picked[at]
    rows["picked"] = np.where(picked >= 0, scene[each, picked], NOTHING)
    return rows


def _number(value: NDArray[Any], name: str) -> int:
    if value.shape != () or value.dtype.kind != "i" or not 0 <= value <= LARGEST:
        raise ValueError(f"{name} is {value.dtype} {value.shape}, not a number from 0 to {LARGEST}")
    return int(value)


# ---- reading


def records(rows: NDArray[np.void], world: World) -> list[dict[str, Any]]:
    """Rows of a log as dictionaries of `COLUMNS`, None where there is none: what interactions.csv holds.

    ``step``; ``speaker`` and ``hearer``, ids of agents; ``topic``, the object that was meant, and its ``label``;
    ``candidates``, the objects that were there, with spaces between; ``word`` as it is spelled and the ``level`` shown,
    in standard deviations above the mean of the scene; whether the word was ``known``; the object ``picked`` and its
    label; ``success``; the number of the dimension that each side used, and the concept that it had been told this is.
    In the gesture game there are no words.
    """

    def there(value: int) -> int | None:
        return None if value == NOTHING else value

    def label(object_: int) -> str | None:
        if world.labels is None or object_ == NOTHING:
            return None
        index = int(world.labels[object_])
        return world.label_names[index] if index < len(world.label_names) else str(index)

    told = []
    for row in rows:
        said = {name: row[name].item() for name in rows.dtype.names or () if name != "candidates"}
        values = said | {
            "label": label(said["topic"]),
            "candidates": " ".join(str(object_) for object_ in row["candidates"]),
            "word": None if said["word"] == NOTHING else spelled(said["word"]),
            "level": None if np.isnan(said["level"]) else said["level"],
            "picked_label": label(said["picked"]),
        }
        for side in ("speaker", "hearer"):
            number = said[f"{side}_concept"]
            values[f"{side}_concept"] = None if number == NOTHING else f"c{number}"
            values[f"{side}_dimension"] = there(said[f"{side}_dimension"])
        values["picked"] = there(said["picked"])
        told.append({name: values[name] for name in COLUMNS})
    return told


def read(path: Path) -> pd.DataFrame:
    """The table in an interactions.csv, a row for each conversation in the order in which they were held.

    Raises
    ------
    InputError
        If it is missing, or not such a table.
    """
    import pandas as pd

    try:
        types = dict.fromkeys(WHOLE_NUMBERS, "Int64") | dict.fromkeys(("label", "picked_label", "candidates"), "string")
        table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the interactions.csv of a run") from error
    except (ValueError, TypeError) as error:  # of numbers where whole ones belong
        raise InputError(
            f"{path} is not the log of a run ({first_sentence(error)}); give the interactions.csv of one"
        ) from error
    if tuple(table.columns) != COLUMNS:
        raise InputError(
            f"{path} does not have the columns of a log of interactions; give the interactions.csv of a run"
        )
    return table


def sentences(rows: pd.DataFrame | Iterable[Mapping[str, Any]]) -> list[str]:
    """What happened, a sentence for each of ``rows``: those of `records`, or a table as `read` gives it.

    ``sentences(read(path).sample(3))`` are three out of a run.
    """
    told: Iterable[Mapping[str, Any]] = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
    return [_sentence(row) for row in told]


def _sentence(row: Mapping[str, Any]) -> str:
    start, hearer = f"step {row['step']}: agent {row['speaker']}", f"agent {row['hearer']}"
    topic = _object(row["topic"], row["label"])
    if not _there(row["level"]):
        return f"{start} had no dimension to tell {topic} by, and {hearer} was told nothing."
    height = "high" if row["level"] >= HIGH else "low" if row["level"] <= -HIGH else "middling"
    picked = "it" if row["success"] else _object(row["picked"], row["picked_label"]) if row["known"] else ""
    if not _there(row["word"]):
        understood = f"picked {picked}" if row["known"] else "had no dimension that it could mean"
        return f"{start} showed to {hearer} how {height} {topic} stands, who {understood}."
    if row["known"]:
        understood = f"knew the word and picked {picked}"
    elif _there(row["hearer_dimension"]):
        understood = f"did not know the word, and took it for its dimension {row['hearer_dimension']}"
    else:
        understood = "did not know the word, and had no dimension that it could mean"
    return f"{start} said “{row['word']}” ({height}) of {topic} to {hearer}, who {understood}."


def _object(number: Any, label: Any) -> str:
    if not _there(label):
        return f"object {number}"
    name = " ".join("".join(sign if sign.isprintable() else " " for sign in str(label)).split())
    return f"object {number} ({'an' if name[:1].lower() in tuple('aeiou8') else 'a'} {name})"


def _there(value: Any) -> bool:
    import pandas as pd

    return not pd.isna(value)
