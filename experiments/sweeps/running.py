"""Runs of a sweep, done by anything that takes work as `concurrent.futures` does: processes, threads, a cluster.

A worker that is lost on the way costs its runs one of their tries; what a run itself fails with is told with it, and
does not disturb the others.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
import traceback
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future
from contextlib import AbstractContextManager, contextmanager
from queue import SimpleQueue
from typing import Any, Protocol

from threadpoolctl import threadpool_limits

from agents.archive import first_sentence
from agents.errors import InputError
from experiments.measuring import closing_library, metrics, summarise
from experiments.pieces import Figures
from experiments.run_society import RunConfig, settle
from experiments.sweeps.plan import Run

TRIES = 3
"""How often a run is begun before it is given up."""

NO_FIGURES = ("world", "n_agents", "n_steps", "seed", "wall_s", "agent_steps_per_s")
"""What a summary says of the run rather than of the society, or of the machine."""


class Submits(Protocol):
    """What a `concurrent.futures.Executor` has, as far as it is needed."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Begin ``fn(*args)``, now or later."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a run: figures (nan where one does not apply) and seconds, or what it failed with.

    Attributes
    ----------
    figures : by name; empty for a run that failed
    wall_s : seconds it took
    error, trace : what it failed with in a few words, and where
    final : whether it would be pointless to try again
    """

    figures: Figures = dataclasses.field(default_factory=dict)
    wall_s: float = 0.0
    error: str = ""
    trace: str = ""
    final: bool = False


def life(config: RunConfig) -> Outcome:
    """One society from its founders to its end, measured as `experiments.run_society` does; never raises."""
    started = time.perf_counter()
    try:
        with one_thread():
            figures = figures_of(summary(config))
    except Exception as error:
        said = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {first_sentence(error)}"
        return Outcome(error=said, trace=traceback.format_exc(), final=isinstance(error, InputError))
    return Outcome(figures=figures, wall_s=time.perf_counter() - started)


def summary(config: RunConfig) -> dict[str, object]:
    """What `experiments.run_society` leaves in summary.json, but for the seconds."""
    society, recorder, _ = settle(config, None)
    assert config.steps is not None
    while society.steps < config.steps:
        society.step()
        recorder.heard(society)
        if society.steps % config.record_interval == 0:
            recorder.rows.append(metrics(society, recorder))
    library = closing_library(society)
    return summarise(society, library, recorder, name=config.world, seed=config.seed, wall_s=0.0)


def figures_of(told: Mapping[str, Any]) -> Figures:
    """The figures of a summary by name, those of its parts as ``library.mcc``; nan where there is none."""
    found: Figures = {}
    for name, value in told.items():
        if name in NO_FIGURES:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}.{part}": figure for part, figure in figures_of(value).items()}
        else:
            found[name] = math.nan if value is None or not math.isfinite(value) else float(value)
    return found


def figure_names(candidates: Iterable[int] = ()) -> list[str]:
    """Names of the figures of any run: those of the smallest, and of runs with so many ``candidates`` a scene."""
    small = RunConfig(
        world="planted", agents=4, steps=1, planted_objects=200, planted_features=8, planted_factors=2, probe=20
    )
    names = list(figures_of(summary(small)))
    by_candidates = [stem for name in names if (stem := name.removesuffix(f".{small.candidates}")) != name]
    return list(dict.fromkeys([*names, *(f"{stem}.{number}" for stem in by_candidates for number in candidates)]))


_lives, _counting = 0, threading.Lock()
_limits: list[Any] = []


@contextmanager
def one_thread() -> Iterator[None]:
    """Let matrices have one thread, as long as anybody in this process is in here.

    The last digits of what is measured must not hang on the number of cores; and of lives side by side in threads, the
    first to end must not give back what the others still need.
    """
    global _lives
    with _counting:
        if _lives == 0:
            _limits.append(threadpool_limits(limits=1, user_api="blas"))
        _lives += 1
    try:
        yield
    finally:
        with _counting:
            _lives -= 1
            if _lives == 0:
                _limits.pop().restore_original_limits()


def outcomes(
    runs: Sequence[Run],
    opened: Callable[[], AbstractContextManager[Submits]],
    *,
    at_once: int,
    life: Callable[[RunConfig], Outcome] = life,
) -> Generator[tuple[Run, Outcome]]:
    """Every run with what came of it, as they are done.

    Parameters
    ----------
    runs : what to do
    opened : gives something that takes work; asked for another one if that breaks
    at_once : how many runs it may have at a time
    life : what to do for each run; must not raise
    """
    left, errors, suspects = deque(runs), defaultdict[tuple[str, int], list[str]](list), set[tuple[str, int]]()
    while left:
        with opened() as executor:
            yield from _until_broken(executor, left, errors, suspects, at_once, life)


def _until_broken(
    executor: Submits,
    left: deque[Run],
    errors: dict[tuple[str, int], list[str]],
    suspects: set[tuple[str, int]],
    at_once: int,
    life: Callable[[RunConfig], Outcome],
) -> Iterator[tuple[Run, Outcome]]:
    flying: dict[Future[Outcome], Run] = {}
    finished: SimpleQueue[Future[Outcome]] = SimpleQueue()
    broken = False
    while flying or (left and not broken):
        # When a pool breaks nobody knows who broke it. Runs that were in it are begun again one by one, so that none
        # is blamed for another.
        while left and not broken and len(flying) < (1 if suspects else at_once):
            try:
                future = executor.submit(life, left[0].config)
            except BrokenExecutor:
                broken = True
                break
            flying[future] = left.popleft()
            future.add_done_callback(finished.put)
        if not flying:
            break
        future = finished.get()
        run = flying.pop(future)
        outcome, broke = _outcome(future)
        broken |= broke
        suspects.discard(run.key)
        before = errors[run.key]
        # Who fails twice in the same way by itself will do so a third time.
        hopeless = outcome.final or (outcome.trace and outcome.error in before) or len(before) + 1 >= TRIES
        if not outcome.error or hopeless:
            yield run, outcome
            continue
        before.append(outcome.error)
        if broke:
            suspects.add(run.key)
            left.appendleft(run)
        else:
            left.append(run)


def _outcome(future: Future[Outcome]) -> tuple[Outcome, bool]:
    """What came of a run, where its worker may have been lost; and whether it took all the others with it."""
    try:
        return future.result(), False
    except BrokenExecutor:
        return Outcome(error="its worker process ended before it did, as if killed or out of memory"), True
    except (Exception, CancelledError) as error:
        return Outcome(error=f"its worker was lost ({type(error).__name__}: {first_sentence(error)})"), False
