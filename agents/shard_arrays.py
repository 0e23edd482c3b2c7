"""What a shard, its mail and the library's word are as plain arrays, and back: nothing in a file of them can run.

What is read is checked as a checkpoint is (`agents.soundness`): the compiled loops look things up without asking
whether they are there, so nothing in a letter may point elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents import checkpoint
from agents.archive import first_sentence, part_of
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.letters import Answers, Letters, Sent, SomeColumns
from agents.population import ABSTRACT, NOTHING, RAW
from agents.shards import IDS, Part, Post, Shard, Sharding, Told, config_of
from agents.world import World


def state(shard: Shard) -> dict[str, NDArray[Any]]:
    """Arrays by name from which `restored` makes the shard."""
    arrays: dict[str, NDArray[Any]] = {
        f"society/{name}": array for name, array in checkpoint.state(shard.society).items()
    }
    for place, sent in enumerate(shard.sent):
        if sent is not None:
            arrays |= {f"sent/{place}/{name}": column for name, column in vars(sent).items()}
    if shard.asked is not None:
        arrays["asked"] = shard.asked
    return arrays


def mail_state(mail: Sequence[Post]) -> dict[str, NDArray[Any]]:
    """Arrays by name from which `mail_restored` makes the post that waits for a shard."""
    arrays: dict[str, NDArray[Any]] = {"answered": np.array([post.answers is not None for post in mail], dtype=bool)}
    for sender, post in enumerate(mail):
        arrays |= {f"{sender}/letters/{name}": column for name, column in vars(post.letters).items()}
        if post.answers is not None:
            arrays |= {f"{sender}/answers/{name}": column for name, column in vars(post.answers).items()}
    return arrays


def told_state(told: Told | None) -> dict[str, NDArray[Any]]:
    """Arrays by name of what a shard will hear from the library; none if that is nothing."""
    if told is None:
        return {}
    return {
        f"{part}/{name}": np.asarray(value)
        for part, said in (("word", told.word), ("merge", told.merge))
        for name, value in vars(said).items()
    }


def restored(
    arrays: Mapping[str, NDArray[Any]], world: World, config: SocietyConfig, sharding: Sharding, number: int
) -> Shard:
    """The shard that `state` was taken from, of a society of that configuration.

    Raises
    ------
    InputError
        If the arrays are no shard, or one of another world, configuration or sharding.
    """
    society = checkpoint.restored(
        part_of(arrays, "society"), world, config_of(config, sharding, number), kind=Part, part_from=number * IDS
    )
    sizes = sharding.sizes(config.agents)
    with _telling_damage():
        before, last = (_sent(part_of(arrays, f"sent/{place}"), world, society.config) for place in range(2))
        asked = arrays.get("asked")
        if asked is not None:
            _check(("asked", asked), Of(np.intp, most=sizes[number] - 1), len(asked))
    return Shard(number=number, of=sharding, sizes=tuple(sizes), society=society, sent=(before, last), asked=asked)


def mail_restored(arrays: Mapping[str, NDArray[Any]], shard: Shard) -> list[Post]:
    """The mail of this shard that `mail_state` was taken from.

    Raises
    ------
    InputError
        If the arrays are no mail, or of another shard.
    """
    with _telling_damage():
        answered = arrays["answered"]
        if answered.dtype != np.bool_ or answered.shape not in ((0,), (shard.of.shards,)):
            raise ValueError(f"answered is {answered.dtype} {answered.shape}")
        return [
            Post(
                letters=_letters(part_of(arrays, f"{sender}/letters"), shard),
                answers=_answers(part_of(arrays, f"{sender}/answers"), shard) if there else None,
            )
            for sender, there in enumerate(answered.tolist())
        ]


# ---- what is believed of columns that were read


class Of(NamedTuple):
    """What a column holds: finite numbers of this type, from ``least`` to ``most``, ``among`` these, so many a row."""

    dtype: type[np.generic]
    least: float = 0
    most: float = np.inf
    width: int | None = None
    among: NDArray[np.int32] | None = None


def _sent(columns: dict[str, NDArray[Any]], world: World, config: SocietyConfig) -> Sent | None:
    if not columns:
        return None
    return _columns(
        Sent,
        columns,
        row=Of(np.intp, most=config.agents - 1),
        id=Of(np.int64),
        slot=Of(np.intp, most=config.dimensions - 1),
        born=Of(np.int32),
        kind=Of(np.int8, least=RAW, most=ABSTRACT),
        word=Of(np.int32),
        meant=Of(np.int32, among=world.train),
        topic=Of(np.int16, most=config.candidates - 1),
    )


def _letters(columns: dict[str, NDArray[Any]], shard: Shard) -> Letters:
    world, config = shard.society.world, shard.society.config
    shown = config.candidates + config.common_ground
    return _columns(
        Letters,
        columns,
        reader=Of(np.int32, most=config.agents - 1),
        place=Of(np.int32),
        scene=Of(np.int32, width=config.candidates, among=world.train),
        pointed=Of(np.int32, width=config.common_ground, among=world.probe),
        topic=Of(np.int16, most=config.candidates - 1),
        word=Of(np.int32),
        gesture=Of(np.float64, least=-np.inf),
        shown=Of(np.float32, least=-np.inf, width=shown),
        body=Of(np.int32, among=world.train),
        success=Of(np.float32, most=1),
    )


def _answers(columns: dict[str, NDArray[Any]], shard: Shard) -> Answers:
    world, config, before = shard.society.world, shard.society.config, shard.sent[0]
    return _columns(
        Answers,
        columns,
        place=Of(np.int32, most=-1 if before is None else len(before) - 1),
        picked=Of(np.int16, least=NOTHING, most=config.candidates - 1),
        body=Of(np.int32, among=world.train),
        success=Of(np.float32, most=1),
    )


def _columns(kind: Callable[..., SomeColumns], columns: Mapping[str, NDArray[Any]], /, **expected: Of) -> SomeColumns:
    """Columns of this kind, in which every number is what it can be."""
    length = len(next(iter(columns.values()), ()))
    for name, of in expected.items():
        _check((name, columns[name]), of, length)
    return kind(**columns)


def _check(named: tuple[str, NDArray[Any]], of: Of, length: int) -> None:
    name, column = named
    shape = (length,) if of.width is None else (length, of.width)
    if column.dtype != of.dtype or column.shape != shape:
        raise ValueError(f"{name} is {column.dtype} {column.shape}, not {np.dtype(of.dtype)} {shape}")
    there = np.isfinite(column) & (column >= of.least) & (column <= of.most)
    if of.among is not None:
        there &= np.isin(column, of.among)
    if not there.all():
        raise ValueError(f"{name} says what cannot be")


@contextmanager
def _telling_damage() -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"the shard is damaged ({type(error).__name__}: {first_sentence(error)}); start anew"
        ) from error
