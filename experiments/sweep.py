"""Societies by the dozen: ``python -m experiments.sweep SPEC [--workers N | --scheduler ADDRESS] --out DIR``.

SPEC is a small TOML file (`experiments.sweeps.plan` says what stands in it): what all runs have in common, what is
swept, and how many societies live with each combination. Runs are spread over processes of this machine, or over a Dask
cluster; a worker that dies costs nothing but time. Seeds are made before anything runs, the same for every combination,
so that results do not hang on where, by how many or in which order they were computed.

Writes to DIR: table.csv (a row per run), results.json (means by combination, and what failed), sweep.html, times.csv
(seconds, which alone differ from one time to the next), and runs.jsonl, a line for each run that is finished. With
``--resume`` these are not run again, so that an interrupted sweep goes on to the same results, and a finished one can
be given more values or more replications. The exit status is 1 if any run failed; the others are in the results.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import tyro
from tqdm import tqdm
from tyro.conf import arg

from agents.errors import InputError
from detection.files import naming
from experiments import command_line, out_file, run_files
from experiments.pieces import Figures, Kept, as_line, program
from experiments.run_society import digest_of, settle
from experiments.sweeps import places, plan, table
from experiments.sweeps.plan import Plan, Run
from experiments.sweeps.running import Outcome, Submits, figure_names, outcomes
from experiments.sweeps.table import WALL, Swept
from experiments.workers import processors
from knowledge_graph.files import atomic_write

PROG = "sweep"
TABLE, TIMES, RESULTS, PAGE, RUNS = "table.csv", "times.csv", "results.json", "sweep.html", "runs.jsonl"

ON_A_CLUSTER = 2000
"""Runs that a cluster has at a time: enough for every worker, few enough to hand out before the first is finished."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What to sweep, and where."""

    spec: Annotated[Path, tyro.conf.Positional, arg(metavar="SPEC")]
    """A TOML file that says what to run."""
    workers: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: one for each processor)")] = None
    """Processes on this machine; 0 runs everything in this one."""
    scheduler: Annotated[str | None, arg(metavar="ADDRESS", help_behavior_hint="")] = None
    """The scheduler of a Dask cluster to run on instead, as tcp://HOST:8786."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: runs/ and the name of SPEC)")] = None
    """Directory for the results."""
    resume: bool = False
    """Go on with what DIR holds."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise InputError(f"workers is {self.workers}, but it must be at least 0")
        places.check_address(self.scheduler)
        if self.workers is not None and self.scheduler is not None:
            raise InputError(
                f"workers is {self.workers}, but the cluster of scheduler {self.scheduler} has its own; leave out one"
            )


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(args: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status.

    Raises
    ------
    InputError
        If something about it is wrong, before anything has run; or if the scheduler goes away for good.
    """
    config = command_line.parse(SweepConfig, args, prog=PROG, description="Sweep parameters of societies.")
    asked = plan.read(config.spec)
    runs = plan.runs_of(asked)
    check(asked, runs)
    if config.scheduler is not None:
        with places.cluster(config.scheduler):  # before anything of an earlier sweep goes
            pass
    out = config.out or Path("runs") / config.spec.stem
    kept = run_files.claim_for_pieces(
        out, work_of(asked, runs), pieces=RUNS, results=(TABLE, TIMES, RESULTS, PAGE), resume=config.resume
    )
    done = kept.done() if config.resume else {}
    kept.begin(done)
    done = {run.key: done[run.key] for run in runs if run.key in done}
    started, before = time.perf_counter(), len(done)
    try:
        with _stoppable():
            swept = finish(asked, runs, done, kept, opened(config, len(runs) - before))
            write(swept, out)
    except Stopped as stop:
        print(f"{PROG}: interrupted with {len(done)} of {len(runs)} runs done; go on with --resume", file=sys.stderr)
        return 128 + stop.number
    except InputError as error:
        raise InputError(f"{error}; {len(done)} of {len(runs)} runs are done, go on with --resume") from error
    print(table.printed(swept))
    print(f"\n{len(done) - before} runs in {time.perf_counter() - started:.0f} s, {before} done before")
    print(f"Table: {out / TABLE}\nPage: {out / PAGE}")
    return 1 if swept.failed else 0


def check(asked: Plan, runs: Sequence[Run]) -> None:
    """See that every value of every parameter can be lived with, beside the first of the others.

    Raises
    ------
    InputError
        If not, with the combination; or if there is no figure of a name that the plan has.
    """
    candidates = sorted({run.config.candidates for run in runs if run.replication == 1})
    if asked.figures and (strange := set(asked.figures) - set(names := figure_names(candidates))):
        near = difflib.get_close_matches(min(strange), names, n=1) or ["library.efficiency"]
        raise InputError(f"figures has {min(strange)!r}, which is no figure of a run; {near[0]!r} is")
    some = [run for run in runs if run.replication == 1 and sum(place > 0 for place in run.combination.places) <= 1]
    for run in some:
        try:
            settle(run.config, None)
        except InputError as error:
            raise InputError(f"{error} (with {run.combination.name})" if asked.axes else str(error)) from error


def opened(config: SweepConfig, runs: int) -> tuple[Callable[[], AbstractContextManager[Submits]], int]:
    """What opens the place where runs are done, and how many of them it is given at a time."""
    if config.scheduler is not None:
        return functools.partial(places.cluster, config.scheduler), min(runs, ON_A_CLUSTER)
    number = min(processors() if config.workers is None else config.workers, runs)
    return (functools.partial(places.processes, number), number) if number else (places.here, 1)


def work_of(asked: Plan, runs: Sequence[Run]) -> dict[str, Any]:
    """What runs are of: those of other settings, or of another version of this program, are not taken for them.

    Values of parameters and replications may be added.
    """
    work: dict[str, Any] = {"program": program(), "parameters": asked.parameters, "base seed": asked.seed}
    digests = defaultdict[str, list[str]](list)  # files in different directories may have one name
    for world in sorted({run.combination.config.world for run in runs if run.replication == 1}):
        if (digest := digest_of(world)) is not None:
            digests[f"world {Path(world).name}"].append(digest)
    work |= {name: ", ".join(some) for name, some in digests.items()}
    return work | {f"fixed {name}": value for name, value in asked.fixed.items()}


def finish(
    asked: Plan,
    runs: Sequence[Run],
    done: dict[tuple[str, int], Figures],
    kept: Kept,
    where: tuple[Callable[[], AbstractContextManager[Submits]], int],
) -> Swept:
    """Do the runs that are not in ``done``, writing down each as it is finished, and show on stderr how far it is.

    ``done`` grows, so that whoever is interrupted knows how far it came.
    """
    place, at_once = where
    failed: dict[tuple[str, int], Outcome] = {}
    left = [run for run in runs if run.key not in done]
    shown = sys.stderr.isatty()
    with (
        tqdm(total=len(runs), initial=len(done), unit="run", leave=False, disable=not shown) as bar,
        open(kept.path, "a", encoding="utf-8") as file,
        closing(outcomes(left, place, at_once=at_once)) as finished,
    ):
        for run, outcome in finished:
            bar.update()
            if outcome.error:
                failed[run.key] = outcome
                tqdm.write(f"{PROG}: {run} failed: {outcome.error}", file=sys.stderr)
                continue
            found = outcome.figures | {WALL: outcome.wall_s}
            with naming(kept.path):
                file.write(as_line(*run.key, found) + "\n")
                file.flush()
            done[run.key] = found
            if not shown:
                print(f"{len(done) + len(failed)} of {len(runs)}: {run}", file=sys.stderr, flush=True)
    return Swept(plan=asked, runs=runs, done=done, failed=failed)


def write(swept: Swept, out: Path) -> None:
    """Leave table.csv, times.csv, results.json and sweep.html in the directory."""
    from experiments.sweeps import page  # needs plotly, see `run_files.claim`

    atomic_write(out / TABLE, table.table(swept))
    atomic_write(out / TIMES, table.times(swept))
    out_file.write(out / RESULTS, table.results(swept))
    atomic_write(out / PAGE, page.render(swept).encode())


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into `Stopped`. Only the main thread can; in others the signals stay as they are."""

    def stop(number: int, frame: FrameType | None) -> None:
        # Who does not wait for what is open to be closed stops the program as any other.
        for usual, handler in before.items():
            signal.signal(usual, handler)
        raise Stopped(number)

    heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in heard}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(command_line.run(main, prog=PROG))
