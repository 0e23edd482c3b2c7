"""Work in pieces: figures of all seeds, in order; what is done is kept, and not repeated."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from agents.errors import InputError
from experiments import pieces
from experiments.pieces import Kept, over_seeds


def roots(seed: int) -> dict[str, float]:
    if seed < 0:
        raise ArithmeticError("no root")
    return {"root": float(np.sqrt(seed)), "cube root" if seed > 3 else "third root": float(np.cbrt(seed))}


def squares(seed: int) -> dict[str, float]:
    return {"square": float(seed**2)}


def test_figures_of_all_seeds_are_gathered_in_the_order_of_the_seeds(capfd: pytest.CaptureFixture[str]) -> None:
    found = over_seeds({"up": squares, "down": roots}, [3, 0, 1])
    np.testing.assert_array_equal(found["up"]["square"], [9, 0, 1])
    np.testing.assert_allclose(found["down"]["root"], np.sqrt([3, 0, 1]))
    assert "6 of 6: " in capfd.readouterr().err


def test_what_goes_wrong_in_another_process_is_not_swallowed() -> None:
    with pytest.raises(ArithmeticError, match="no root"):
        over_seeds({"down": roots}, [1, -1])
    with pytest.raises(ValueError, match="down: one seed has the figures"):
        over_seeds({"down": roots}, [1, 4])
    with pytest.raises(ValueError, match="at least one seed"):
        over_seeds({"down": roots}, [])


def killed(seed: int) -> dict[str, float]:
    if seed > 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(seed)


def test_a_process_that_is_killed_is_told_of_and_what_was_done_is_kept(tmp_path: Path) -> None:
    kept = Kept(path=tmp_path / "part", of={})
    over_seeds({"some": killed}, [1], kept=kept)
    with pytest.raises(
        InputError, match=r"a process ended before its work did, .* with 1 of 2 pieces done; .*--resume"
    ):
        over_seeds({"some": killed}, [1, 2], kept=kept, resume=True)
    assert kept.done() == {("some", 1): {"square": 1.0}}
    with pytest.raises(InputError, match=r"0 of 1 pieces done; ask for less$"):
        over_seeds({"some": killed}, [2])


def waiting(seed: int) -> dict[str, float]:
    """The first seed fails as soon as the second is at work, which is done later; a third is never begun."""
    begun, gone = Path("begun"), Path("gone")
    if seed == 2:
        begun.touch()
        waits_for(gone)
    elif seed == 1:
        waits_for(begun)
        gone.touch()
        raise ArithmeticError("seed 1")
    Path(f"went-{seed}").touch()
    time.sleep(0.3)
    return squares(seed)


def waits_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_is_at_work_when_a_piece_fails_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pieces, "processors", lambda: 2)
    kept = Kept(path=tmp_path / "part", of={})
    with pytest.raises(ArithmeticError, match="seed 1"):
        over_seeds({"some": waiting}, [1, 2, *range(3, 30)], kept=kept)
    done = kept.done()
    assert done["some", 2] == {"square": 4.0}
    assert len(done) < 10, "the others are left for another time"
    assert len(done) == len(list(tmp_path.glob("went-*")))


def unknown(seed: int) -> dict[str, float]:
    return {"unknown": np.nan, "large": np.inf}


def once(seed: int) -> dict[str, float]:
    """Fails where it has been before."""
    with open(f"was-here-{seed}", "x", encoding="utf-8"):
        return {"seed": float(seed)}


def test_pieces_that_are_done_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Kept(path=tmp_path / "part", of={"what": "work"})
    whole = over_seeds({"once": once}, [1, 2], kept=kept)
    lines = kept.path.read_text().splitlines()
    assert json.loads(lines[0]) == {"what": "work"}
    assert len(lines) == 3
    # Stopped in the middle of writing down the last piece.
    kept.path.write_text("\n".join(lines)[:-5])
    Path(f"was-here-{json.loads(lines[2])['seed']}").unlink()
    again = over_seeds({"once": once}, [1, 2, 3], kept=kept, resume=True)
    np.testing.assert_array_equal(again["once"]["seed"], [*whole["once"]["seed"], 3.0])
    assert len(kept.path.read_text().splitlines()) == 4
    for seed in (1, 2, 3):
        Path(f"was-here-{seed}").unlink()
    over_seeds({"once": once}, [1], kept=kept)  # from the beginning, unless it is told to go on
    assert len(kept.path.read_text().splitlines()) == 2


def test_pieces_that_are_not_asked_for_this_time_are_kept_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Kept(path=tmp_path / "part", of={"what": "work"})
    over_seeds({"once": once}, [1, 2], kept=kept)
    fewer = over_seeds({"once": once}, [2], kept=kept, resume=True)
    np.testing.assert_array_equal(fewer["once"]["seed"], [2.0])
    again = over_seeds({"once": once}, [1, 2], kept=kept, resume=True)
    np.testing.assert_array_equal(again["once"]["seed"], [1.0, 2.0])


def test_what_is_not_finite_comes_back_as_not_a_number(tmp_path: Path) -> None:
    kept = Kept(path=tmp_path / "part", of={})
    over_seeds({"unknown": unknown}, [1], kept=kept)
    assert all(np.isnan(figure) for figure in kept.done()["unknown", 1].values())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"quick": false}\n', "of other work (quick is False there, True here)"),
        ('{"quick": true, "slow": null}\n', "of other work (slow is None there, not said here)"),
        ("[1]\n", "does not say of what"),
        ('{"quick": true}\n{}\n', "does not hold finished pieces"),
        ('{"quick": true}\nno\n', "does not hold finished pieces"),
    ],
)
def test_pieces_of_something_else_are_refused(tmp_path: Path, content: str, says: str) -> None:
    kept = Kept(path=tmp_path / "part", of={"quick": True})
    kept.path.write_text(content)
    with pytest.raises(InputError) as refusal:
        over_seeds({"down": roots}, [1], kept=kept, resume=True)
    assert says in str(refusal.value)
    assert kept.path.read_text() == content
