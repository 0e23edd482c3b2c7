"""Whatever is in a checkpoint or in the directory of a run: a society goes on from it, or it is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from agents import checkpoint
from agents.archive import read_arrays
from agents.config import SocietyConfig
from agents.errors import InputError
from agents.interactions import InteractionLog
from agents.society import Society
from agents.world import World, build
from experiments import run_files, run_society
from tests.agents.test_society_invariants import assert_sound
from tests.experiments.small import call, lively, objects, world_file
from tests.tally import counted
from tests.trust.malformed import (
    CHANGES,
    TRIED,
    Arrays,
    Change,
    accepted,
    amounts,
    as_json,
    as_npz,
    changed,
    go_through,
    mostly_archives,
    mostly_documents,
    places_in,
)

# ---- checkpoints of societies

WORLD: World = build(name="small", raw=objects(), seed=0, probe=30)
LIFE = SocietyConfig(agents=10, sensors=8, memory=24, childhood=12, discovery_interval=3, selection_interval=4,
                     merge_interval=5, turnover=0.2)  # fmt: skip


@pytest.fixture(scope="module")
def kept() -> Arrays:
    """The state of a society in which everything has happened."""
    society = Society(WORLD, LIFE, seed=3)
    society.log = InteractionLog(size=20, seed=3, candidates=LIFE.candidates)
    for _ in range(11):
        society.step()
    assert len(society.deaths) == 2
    assert len(society.library) > 0
    return dict(checkpoint.state(society))


def check_checkpoint(path: Path, written: bytes) -> None:
    """What is restored is sound, and can live on through a discovery, a selection and a merge."""
    path.write_bytes(written)
    society = accepted(lambda: checkpoint.restored(read_arrays(path), WORLD, LIFE), InputError)
    if society is None:
        return
    assert_sound(society)
    for _ in range(5):
        society.step()
    assert_sound(society)
    assert np.isfinite(society.library.loadings).all()
    json.dumps({name: array.shape for name, array in checkpoint.state(society).items()})


@amounts()
def test_a_checkpoint_is_a_society_or_one_sentence(cases: int, tmp_path: Path, kept: Arrays) -> None:
    path = tmp_path / "checkpoint.npz"
    check_checkpoint(path, as_npz(kept))
    ways = mostly_archives(kept, texts=("scalars", "library/scalars", "log/generator"))
    go_through(ways, lambda written: check_checkpoint(path, written), cases)


LARGE = (2**31 - 3, 2**31 - 1, 2**31, 2**53, 2**62, 2**63 - 1)


@pytest.mark.slow
@pytest.mark.parametrize("large", LARGE)
def test_a_number_that_cannot_be_counted_on_from_is_refused(large: int, tmp_path: Path, kept: Arrays) -> None:
    path = tmp_path / "checkpoint.npz"
    for name, array in kept.items():
        if name.endswith("scalars"):
            document = json.loads(str(array))
            texts = [
                json.dumps(changed(document, [Change("replace", at, 0, large)])) for at in range(places_in(document))
            ]
            spoiled: list[np.ndarray] = [np.array(text) for text in texts]
        elif array.dtype.kind == "i" and array.size and large <= np.iinfo(array.dtype).max:
            one, all_of_them = array.copy(), np.full_like(array, large)
            one.reshape(-1)[0] = large
            spoiled = [one, all_of_them]
        else:
            continue
        for wrong in spoiled:
            check_checkpoint(path, as_npz(kept | {name: wrong}))
            counted(TRIED)


# ---- runs to go on with


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of 12 steps."""
    directory = tmp_path_factory.mktemp("finished")
    assert call(lively(world_file(directory), directory / "run", steps=12)) == 0
    return directory / "run"


def check_run(out: Path) -> None:
    config = run_society.RunConfig(resume=out)

    def go_on() -> tuple[Society, Any, float]:
        longer, saved = run_society.resumed(config, ["--resume"])
        return run_society.settle(longer, saved)

    settled = accepted(go_on, InputError)
    if settled is not None:
        society, recorder, lived_s = settled
        assert society.steps == len(recorder.success) == 12
        assert lived_s >= 0
        assert_sound(society)
        for history in (recorder.success, recorder.known):
            recorder.talk(history)
        recorder.heard(society)


@amounts()
def test_the_configuration_of_a_run_is_gone_on_with_or_one_sentence(cases: int, tmp_path: Path, finished: Path) -> None:
    fields = json.loads((finished / run_files.CONFIG).read_text())
    (tmp_path / run_files.CHECKPOINT).write_bytes((finished / run_files.CHECKPOINT).read_bytes())

    def check(written: bytes) -> None:
        (tmp_path / run_files.CONFIG).write_bytes(written)
        check_run(tmp_path)

    check(as_json(fields))
    go_through(mostly_documents(fields), check, cases)


@amounts()
def test_a_run_that_is_wrong_in_both_of_its_files_is_gone_on_with_or_one_sentence(
    cases: int, tmp_path: Path, finished: Path
) -> None:
    """The configuration is written twice, so that one of them is not believed alone; here both say the same."""
    arrays = read_arrays(finished / run_files.CHECKPOINT)
    said = json.loads(str(arrays["run"]))

    def told(changes: list[Change], within: str) -> tuple[bytes, bytes]:
        new = said | {within: changed(said[within], changes)}
        return as_json(new["config"]), as_npz(arrays | {"run": np.array(json.dumps(new))})

    def check(both: tuple[bytes, bytes]) -> None:
        (tmp_path / run_files.CONFIG).write_bytes(both[0])
        (tmp_path / run_files.CHECKPOINT).write_bytes(both[1])
        check_run(tmp_path)

    check(told([], "config"))
    go_through(st.builds(told, CHANGES, st.sampled_from(["config", "config", "recorder", "lived_s"])), check, cases)
