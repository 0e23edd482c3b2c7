"""What talk is expected to reach; and that talk which is broken turns its own rows red."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from agents import communication
from experiments.limits import talk
from experiments.limits.rows import Law, Row
from experiments.pieces import Figures
from knowledge_graph.library import Library


@pytest.fixture(autouse=True)
def fewer_games(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talk, "GAMES", 5000)


def shown(figures: Figures) -> list[Row | Law]:
    return list(talk.stranger_rows({name: np.array([figure]) for name, figure in figures.items()}))


def red(figures: Figures) -> set[str]:
    return {row.name for row in shown(figures) if isinstance(row, Row) and not row.ok}


FOUR = "a dimension that both have a name for, 4 candidates"
BEST = "the best dimension of eight, if the other has it too"
POINTED = "gestures at 64 objects"
TWINS = "agents with one and the same view"


def test_talk_meets_all_its_limits_and_its_curves_rise_and_fall() -> None:
    figures = talk.strangers(3)
    assert red(figures) == set()
    by_candidates, by_pointing = (law for law in shown(figures) if isinstance(law, Law))
    assert list(by_candidates.measured) == sorted(by_candidates.measured, reverse=True)
    assert by_candidates.expected is not None
    assert all(np.array(by_candidates.measured) > np.array(by_candidates.expected) + 0.2)
    assert by_pointing.measured[0] < by_pointing.measured[-1]


def lost_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library says which dimension it is, and not which way it points."""
    merge = Library.merge

    def told(self: Library, *args: object, **kwargs: object) -> object:
        found = merge(self, *args, **kwargs)  # type: ignore[arg-type]
        return dataclasses.replace(found, sign=np.abs(found.sign))

    monkeypatch.setattr(Library, "merge", told)


def farthest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hearer picks what is farthest from the gesture."""

    def picked(heard: NDArray[np.float64], gesture: NDArray[np.float64]) -> NDArray[np.intp]:
        return np.abs(heard - gesture[:, None]).argmax(axis=1)

    monkeypatch.setattr(communication, "nearest", picked)


def any_dimension(monkeypatch: pytest.MonkeyPatch) -> None:
    """The speaker takes its first dimension, whether it tells the topic apart or not."""

    def chosen(
        spoken: NDArray[np.float64], topic: NDArray[np.intp], held: NDArray[np.bool_], preferred: NDArray[np.bool_]
    ) -> NDArray[np.intp]:
        return np.zeros(len(topic), dtype=np.intp)

    monkeypatch.setattr(communication, "choose_dimension", chosen)


def no_pointing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pointed at says nothing."""

    def agreed(shown: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.zeros((len(own), own.shape[2]))

    monkeypatch.setattr(communication, "agreement", agreed)


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        (lost_direction, {FOUR, BEST}),
        (farthest, {FOUR, BEST, TWINS}),
        (any_dimension, {FOUR, BEST}),
        (no_pointing, {POINTED}),
    ],
)
def test_talk_that_is_broken_turns_its_rows_red(
    broken: Callable[[pytest.MonkeyPatch], None], names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(communication, "MANY", np.inf)  # or what is broken here would not be asked
    broken(monkeypatch)
    assert red(talk.strangers(3)) >= names
