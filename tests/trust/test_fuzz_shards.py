"""Whatever is in the file of a shard: a shard that can live its day with the mail that came, or one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.config import SocietyConfig
from agents.errors import InputError
from agents.sharded import ShardedSociety
from agents.shards import Post, Shard, Sharding, day
from agents.world import World, build
from experiments import on_dask
from tests.agents.test_society_invariants import assert_dimensions_are_sound
from tests.experiments.small import objects
from tests.trust.malformed import Arrays, accepted, amounts, as_npz, go_through, mostly_archives

WORLD: World = build(name="small", raw=objects(), seed=0, probe=30)
LIFE = SocietyConfig(agents=24, sensors=8, memory=24, childhood=12, discovery_interval=3, selection_interval=4,
                     turnover=0.2)  # fmt: skip
SHARDING = Sharding(shards=2, ticks=2, letters=0.6, merge_days=3)
NUMBER = 1


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """What is written of a shard on the evening of a merge, with letters and answers on their way."""
    society = ShardedSociety(WORLD, LIFE, SHARDING, seed=3)
    society.live(3)
    shard, mail = society.shards[NUMBER], society.mail[NUMBER]
    assert shard.asked is not None
    assert all(sent is not None and len(sent) for sent in shard.sent)
    assert any(post.answers is not None and len(post.answers) for post in mail)
    assert any(len(post.letters) for post in mail)
    path = tmp_path_factory.mktemp("shard") / "1.npz"
    on_dask.write(str(path), shard, mail)
    with np.load(path) as archive:
        return dict(archive)


def check_shard(path: Path, written: bytes) -> tuple[Shard, list[Post]] | None:
    path.write_bytes(written)
    read = accepted(lambda: on_dask.read_shard(str(path), WORLD, LIFE, SHARDING, NUMBER), InputError)
    if read is None:
        return None
    shard, mail = read
    evening = day(shard, mail, None, False)
    assert_dimensions_are_sound(evening.shard.society)
    assert 0 <= evening.tally.understood <= sum(len(post.answers or ()) for post in mail)
    return read


@amounts()
def test_the_file_of_a_shard_is_one_or_one_sentence(cases: int, tmp_path: Path, kept: Arrays) -> None:
    path = tmp_path / "shard.npz"
    read = check_shard(path, as_npz(kept))
    assert read is not None
    assert sum(len(post.letters) for post in read[1]) > 0
    ways = mostly_archives(kept, texts=("shard/society/scalars",))
    go_through(ways, lambda written: check_shard(path, written), cases)
