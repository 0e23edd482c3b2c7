"""Whatever README.md and docs/ tell people to type works: every command and every block of Python is run, in small.

`COMMANDS` says for each command, as written, what is run for it. A command in the pages that is not in the table fails
the tests, and so does one in the table that is in no page.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import os
import re
import runpy
import shlex
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.detection import torchvision_reference
from tests.detection.small_runs import write_set
from tests.documented import BEGINNINGS, ROOT, commands, options_in, python_blocks
from tests.experiments.small import objects
from tests.tally import counted

SECONDS = 900
"""What the slowest of them may take."""

LIFE = "--agents 12 --steps 8 --probe 40 --record-interval 2 --discovery-interval 2 --merge-interval 4"
QUICK = "--quick --agents 8 --steps 12 --seeds 2"
PLANTED = "--planted-objects 300 --planted-features 24 --planted-factors 4"
PIXELS = "--iterations 2 --short-side 64 --min-side 8 --agents 12 --steps 12 --device cpu"
TRAINING = (
    "--max-iterations 2 --batch-size 2 --workers 0 --short-sides 64 --short-side 64 --max-side 96 --device cpu "
    "--score-threshold 0.001"  # after two updates nothing is surer of itself
)
THROUGH_MINI = (
    "python -m experiments.pixels_to_minds --data runs/shapes --checkpoint runs/mini/last.pt --out runs/pixels "
    + PIXELS
)
ROWS = "--rows b4-lr5e-3 --seeds 1 --quick"
DAYS = "--agents 40 --shards 2 --days 2 --ticks 3"


@dataclasses.dataclass(frozen=True)
class Run:
    """What is run for a documented command.

    line : the program with smaller numbers; names with a star stand for the files they match, PORT for a free port
    first : a command that has to be run before
    adds : what make's programs are given beside what the Makefile has
    instead : why options of the documented command are left out, or why something else stands in for it
    cluster : whether a scheduler and a worker have to be there
    """

    line: str
    first: str = ""
    adds: str = ""
    instead: str = ""
    cluster: bool = False


COMMANDS: dict[str, Run] = {
    # ---- two commands, and the programs behind them
    "make run": Run("make run", adds=LIFE),
    "make test": Run("make test", adds="tests/test_tally.py"),
    "make docs": Run("make docs"),
    "make coverage": Run("make coverage", adds="tests/test_tally.py --cov-report="),
    "make check-slow": Run("make check-slow", adds="tests/test_tally.py tests/trust/test_order.py -k few"),
    "make notebook": Run("make notebook", instead="it opens a browser; tests/notebooks runs the notebook itself"),
    # ---- a set of shapes and a detector, which others below look at
    "python -m detection.data.shapes --out runs/shapes --images 400": Run(
        "python -m detection.data.shapes --out runs/shapes --images 40 --val-images 12 --size 96 --workers 1"
    ),
    "python -m detection.train --preset mini --data runs/shapes --out runs/mini": Run(
        f"python -m detection.train --preset mini --data runs/shapes --out runs/mini {TRAINING}"
    ),
    "python -m detection.data.shapes --out runs/shapes-256 --images 2560 --val-images 400 --size 256": Run(
        "python -m detection.data.shapes --out runs/shapes-256 --images 8 --val-images 4 --size 64 --workers 1"
    ),
    "python -m detection.train --preset lab-b4-lr1e-2-scratch-gn --data runs/shapes-256 --out runs/gn "
    "--max-iterations 2000 --precision bf16 --short-side 256 --max-side 256 --short-sides 256": Run(
        "python -m detection.train --preset lab-b4-lr1e-2-scratch-gn --data runs/shapes-256 --out runs/gn "
        "--max-iterations 2 --precision bf16 --short-side 64 --max-side 64 --short-sides 64 --workers 0 --device cpu "
        "--score-threshold 0.001"
    ),
    "python -m detection.evaluate --checkpoint runs/gn/last.pt --data runs/shapes-256 --precision bf16": Run(
        "python -m detection.evaluate --checkpoint runs/gn/last.pt --data runs/shapes-256 --precision bf16 "
        "--device cpu --workers 0"
    ),
    "python -m detection.evaluate --checkpoint runs/mini/last.pt --data runs/shapes": Run(
        "python -m detection.evaluate --checkpoint runs/mini/last.pt --data runs/shapes --device cpu --workers 0"
    ),
    "python -m detection.predict --checkpoint runs/mini/last.pt IMAGE... --draw runs/drawn": Run(
        "python -m detection.predict --checkpoint runs/mini/last.pt runs/shapes/val2017/*1.* --draw runs/drawn "
        "--device cpu"
    ),
    "python -m detection.ceilings --data runs/shapes": Run(
        "python -m detection.ceilings --data runs/shapes --rays 8 --strides 4 --short-side 64 --max-side 96"
    ),
    "python -m detection.ceilings --data ROOT [--rays 8 36 90] [--strides 2 4 8] [--curve F.svg]": Run(
        "python -m detection.ceilings --data runs/shapes --rays 8 12 --strides 4 8 --curve runs/F.svg --short-side 64 "
        "--max-side 96"
    ),
    "python -m detection.embed --checkpoint runs/mini/last.pt --data runs/shapes --out runs/objects.npz": Run(
        "python -m detection.embed --checkpoint runs/mini/last.pt --data runs/shapes --out runs/objects.npz "
        "--device cpu --workers 0"
    ),
    "python -m detection.embed --checkpoint F --data ROOT --out F.npz": Run(
        "python -m detection.embed --checkpoint runs/mini/last.pt --data runs/shapes --out runs/F1.npz --min-side 8 "
        "--device cpu --workers 0"
    ),
    "python -m detection.embed --checkpoint F --data ROOT --out F.npz --boxes detected --pool mask "
    "--embedding backbone": Run(
        "python -m detection.embed --checkpoint runs/masks/last.pt --data runs/shapes --out runs/F2.npz "
        "--boxes detected --pool mask --embedding backbone --min-side 1 --min-score 0 --device cpu --workers 0",
        first=f"python -m detection.train --preset mini-condinst --data runs/shapes --out runs/masks {TRAINING}",
    ),
    "python -m detection.embed --preset mini --features backbone --split train2017 val2017 --short-side 800 "
    "--max-side 1333 --data ROOT --out F.npz --thumbnails 48": Run(
        "python -m detection.embed --preset mini --features backbone --split train2017 val2017 --short-side 64 "
        "--max-side 96 --data runs/shapes --out runs/F3.npz --thumbnails 16 --device cpu --workers 0"
    ),
    "python -m detection.convert --from torchvision IN.pth OUT.pt": Run(
        "python -m detection.convert --from torchvision IN.pth OUT.pt"
    ),
    "python -m experiments.benchmark detection": Run(
        "python -m experiments.benchmark detection --quick --backbone resnet18 --threads 1 --batch 1 --height 64 "
        "--width 64"
    ),
    # ---- societies
    "python -m experiments.run_society --world planted --agents 200 --steps 300 --seed 1 --out runs/planted": Run(
        f"python -m experiments.run_society --world planted {LIFE} {PLANTED} --seed 1 --out runs/planted"
    ),
    "python -m experiments.run_society --world my_table.csv --label species --out runs/mine": Run(
        f"python -m experiments.run_society --world my_table.csv --label species --out runs/mine {LIFE}"
    ),
    "python -m experiments.run_society --resume runs/mine --steps 600": Run(
        "python -m experiments.run_society --resume runs/mine --steps 12"
    ),
    "python -m experiments.run_society --help": Run("python -m experiments.run_society --help"),
    "python -m experiments.run_society": Run(f"python -m experiments.run_society {LIFE} --out runs/bare"),
    "python -m experiments.run_society --world planted --agents 200 --steps 300 --seed 1 [--no-library-word]": Run(
        f"python -m experiments.run_society --world planted {LIFE} {PLANTED} --seed 1 --no-library-word "
        "--out runs/wordless"
    ),
    "python -m experiments.run_society --world digits --out runs/digits": Run(
        f"python -m experiments.run_society --world digits {LIFE} --out runs/told"
    ),
    "python -m experiments.run_society --world runs/objects.npz --out runs/seen": Run(
        f"python -m experiments.run_society --world runs/F1.npz --out runs/seen {LIFE}"
    ),
    "python -m experiments.run_society --world digits": Run(
        f"python -m experiments.run_society --world digits {LIFE} --out runs/digits"
    ),
    "python -m experiments.pixels_to_minds --data ROOT": Run(
        f"python -m experiments.pixels_to_minds --data runs/shapes {PIXELS}"
    ),
    "python -m experiments.pixels_to_minds --data ROOT [--checkpoint F] [--out DIR] [--resume]": Run(
        f"{THROUGH_MINI} --resume",
        first=THROUGH_MINI,
    ),
    "python -m experiments.validate [--quick] [--report limits.html]": Run(
        "python -m experiments.validate --quick --report limits.html --only attribution --seeds 2"
    ),
    "python -m experiments.validate --only merging [--quick]": Run(
        "python -m experiments.validate --only merging --help",
        instead="its planted worlds take minutes and have no smaller size; check-slow runs `validate --quick` whole",
    ),
    "python -m experiments.upbringing --world objects": Run(
        f"python -m experiments.upbringing --world objects {QUICK} --steps 30"
    ),
    "make baselines-mini": Run("make baselines-mini", adds=ROWS),
    "python -m experiments.detectors": Run(f"python -m experiments.detectors --runs runs/baselines-mini-quick {QUICK}"),
    "python -m experiments.origins": Run(f"python -m experiments.origins {QUICK}"),
    "python -m experiments.jungle": Run(f"python -m experiments.jungle {QUICK}"),
    "python -m experiments.self_serving": Run(f"python -m experiments.self_serving {QUICK}"),
    "python -m experiments.benchmark society": Run(
        "python -m experiments.benchmark society --quick --no-peers --threads 1"
    ),
    "python -m experiments.benchmark society --plot society.svg": Run(
        "python -m experiments.benchmark society --quick --threads 1 --plot society.svg"
    ),
    "python -m experiments.benchmark society --world digits": Run(
        "python -m experiments.benchmark society --quick --no-peers --threads 1 --world digits"
    ),
    "python -m experiments.benchmark society --device cuda": Run(
        "python -m experiments.benchmark society --quick --no-peers --threads 1 --device cpu",
    ),
    "python -m experiments.benchmark library": Run("python -m experiments.benchmark library --quick --threads 1"),
    # ---- the lab's table
    "make baselines-mini [PHOTOGRAPHS=DIR]": Run(
        "make baselines-mini PHOTOGRAPHS=runs/photographs", adds=f"{ROWS} --out runs/with-photographs"
    ),
    "make frozen-batchnorm": Run("make frozen-batchnorm", adds="--quick --seeds 1"),
    "python -m experiments.baselines --preset coco": Run("python -m experiments.baselines --preset coco"),
    "python -m experiments.baselines --list-rows --preset coco": Run(
        "python -m experiments.baselines --list-rows --preset coco"
    ),
    # Training on COCO takes a GPU for hours; the plan, which comes first, does a few updates of the same network.
    "python -m experiments.baselines --preset coco --data COCO --rows b4-lr5e-3 --backbone-weights R-50.pth": Run(
        "python -m experiments.baselines --preset coco --data runs/photographs --rows b4-lr5e-3 "
        "--backbone-weights R-50.pth --device cpu --quick --plan",
    ),
    "python -m experiments.baselines --preset coco --data COCO --rows b4-lr1e-2-scratch-bn": Run(
        "python -m experiments.baselines --preset coco --data runs/photographs --rows b4-lr1e-2-scratch-bn "
        "--device cpu --quick --plan",
    ),
    "python -m experiments.baselines --preset coco --data COCO --rows b16-lr1e-2 --backbone-weights R-50.pth "
    "--fit-memory 10": Run(
        "python -m experiments.baselines --preset coco --data runs/photographs --rows b16-lr1e-2 "
        "--backbone-weights R-50.pth --fit-memory 10 --device cpu --quick --plan",
    ),
    # ---- many lives, many workers
    "python -m experiments.sweep docs/sweep.toml": Run("python -m experiments.sweep small.toml --workers 1"),
    "python -m experiments.shards --agents 2000 --shards 4 --days 20": Run(f"python -m experiments.shards {DAYS}"),
    "python -m experiments.shards --agents 2000 --shards 4 --days 20 [--letters .05] [--merge-days 5] [--ticks 10] "
    "[--out FILE.json]": Run(f"python -m experiments.shards {DAYS} --letters .2 --merge-days 2 --out runs/shards.json"),
    "python -m experiments.benchmark shards [--workers 1 2] [--agents 200000] [--quick]": Run(
        "python -m experiments.benchmark shards --workers 0 --agents 400 --quick --days 1 --ticks 2"
    ),
    "dask scheduler &": Run("dask scheduler --host 127.0.0.1 --port PORT --no-dashboard", cluster=True),
    "dask worker tcp://localhost:8786 --nworkers 4 --nthreads 1 &": Run(
        "dask worker tcp://127.0.0.1:PORT --nworkers 1 --nthreads 1 --no-dashboard", cluster=True
    ),
    "python -m experiments.sweep docs/sweep.toml --scheduler tcp://localhost:8786": Run(
        "python -m experiments.sweep small.toml --scheduler tcp://127.0.0.1:PORT --out runs/spread", cluster=True
    ),
    "python -m experiments.shards ... --scheduler tcp://HOST:8786 [--keep DIR]": Run(
        f"python -m experiments.shards {DAYS} --scheduler tcp://127.0.0.1:PORT --keep runs/kept", cluster=True
    ),
}
"""In this order they are run, and later ones use what earlier ones have made."""

SWEEP = """
replications = 1
seed = 0
[fixed]
world = "my_table.csv"
label = "species"
steps = 6
probe = 40
[sweep]
agents = [10, 12]
"""
"""What is swept instead of docs/sweep.toml, which lives 72 societies."""


@dataclasses.dataclass(frozen=True)
class Page:
    """How the Python of a page is run: what is put in place of what, what is done before, and what holds after it."""

    smaller: dict[str, str]
    before: str = ""
    after: str = ""


SMALL_LIBRARY = """
from agents import Society, SocietyConfig
from agents.world import digits
from knowledge_graph import Library

society = Society(digits(seed=0), SocietyConfig(agents=16, merge_interval=4, discovery_interval=4), seed=0)
for _ in range(12):
    society.step()
by_id = {agent.unique_id: agent for agent in society.agents}
one, word = next((a, d.words[-1]) for a in society.library.views.agent.tolist() for d in by_id[a].view if d.words)
two = next(a for a in society.library.views.agent.tolist() if a != one)
"""

PYTHON: dict[str, Page] = {
    "README.md": Page(
        {"SocietyConfig(agents=200)": "SocietyConfig(agents=20, merge_interval=8)", "range(100)": "range(24)"},
        after="assert len(library) and len(agents) == 20",
    ),
    "docs/extending.md": Page(
        {},
        after="""
            import torch
            c3, c4, c5 = Plain(frozen_stages=2)(torch.zeros(1, 3, 64, 96))
            assert [tuple(c.shape[1:]) for c in (c3, c4, c5)] == [(64, 8, 12), (128, 4, 6), (256, 2, 3)]
            from agents import SocietyConfig
            from agents.world import digits
            modest = Modest(digits(seed=0), SocietyConfig(agents=12), seed=0)
            modest.step()
            assert (modest.population.score == Society(modest.world, modest.config, seed=0).population.score).all()
            """,
    ),
    "docs/tutorial.md": Page(
        {"agents=200": "agents=20, merge_interval=8", "< 100": "< 24"},
        before=f"""
from experiments.run_society import main
assert main({[*f"--world digits {LIFE} --checkpoint-interval 0 --out runs/digits".split()]!r}) == 0
""",
        after="assert len(library) and coordinates.shape[1] == len(society.library)",
    ),
    "docs/how-it-works.md": Page(
        {
            '"runs/digits/library.npz"': "saved",
            '"c12"': "library.ids[0]",
            "17, levels": "one, levels",
            '17, "kiru", 42': "one, 0, two",
            '17, "kiru"': "one, word",
            "17, 42": "one, two",
        },
        before=SMALL_LIBRARY
        + """
saved = "library.npz"
society.library.save(saved)
levels = society.library.levels(one, society.world.features)
""",
    ),
}
"""Pages with Python; the blocks of a page are one program."""


# ---- what is documented, and what the programs know of it


def test_the_table_has_every_documented_command_and_no_other() -> None:
    found = commands()
    assert set(found) - set(COMMANDS) == set(), "documented, but not in the table"
    assert set(COMMANDS) - set(found) == set(), "in the table, but not documented"
    assert set(python_blocks()) == set(PYTHON)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:100])
def test_what_is_run_is_the_documented_program_with_its_options(command: str) -> None:
    run = COMMANDS[command]
    meant, done = command.removesuffix(" &").split(), run.line.split()
    program = 2 if meant[0] in ("make", "dask") else 3
    if meant[2:3] == ["experiments.benchmark"]:
        program = 4
    assert meant[:program] == done[:program]
    if not run.instead:
        assert set(options_in(command)) <= set(options_in(run.line))


def flags_of(program: list[str]) -> set[str]:
    """The flags that ``[module, perhaps a subject]`` knows, as it tells them itself."""
    if program[0] == "dask":
        command = importlib.import_module(f"distributed.cli.dask_{program[1]}").main
        return {flag for parameter in command.params for flag in parameter.opts + parameter.secondary_opts}
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(told):
        patch.setattr(sys, "argv", [*program, "--help"])
        with pytest.raises(SystemExit) as stop:
            runpy.run_module(program[0], run_name="__main__", alter_sys=True)
    assert stop.value.code in (0, None)
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", told.getvalue()))


def programs() -> dict[tuple[str, ...], set[str]]:
    """By program all options that the pages give it, or its stand-in here does."""
    given: dict[tuple[str, ...], set[str]] = {}
    for command, run in COMMANDS.items():
        for line in (command, run.line):
            words = line.split()
            if words[0] == "make":
                continue
            program = words[:2] if words[0] == "dask" else words[2:3]
            if program == ["experiments.benchmark"]:
                program.append(words[3])
            given.setdefault(tuple(program), set()).update(options_in(line))
    return given


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("program", programs(), ids=" ".join)
def test_every_option_in_the_pages_is_one_of_the_program(program: tuple[str, ...]) -> None:
    assert programs()[program] - flags_of(list(program)) <= {"--help"}


def test_every_target_of_make_in_the_pages_is_there() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", text, re.MULTILINE))
    assert {command.split()[1] for command in COMMANDS if command.startswith("make ")} <= targets


# ---- all of it, in small


def made_bin(place: Path) -> None:
    """An environment for make that is taken for installed: its programs are ours, and do what ADDS says beside."""
    (place / "bin").mkdir(parents=True)
    ours = shlex.quote(sys.executable)
    for name, text in {"python": f'exec {ours} "$@" $ADDS', "jupyter": 'test -f "$2" && echo "$@"'}.items():
        (place / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / "bin" / name).chmod(0o755)
    for name in ("run", "dev", "notebook"):
        (place / f"installed-{name}").touch()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout to type commands in, with what the pages take as given: a table, photographs, other people's files."""
    place = tmp_path_factory.mktemp("checkout") / "here"
    place.mkdir()
    for path in ROOT.iterdir():
        if path.name not in ("runs", "build", ".venv", ".git") and not path.name.startswith((".coverage", ".hypo")):
            (place / path.name).symlink_to(path)
    made_bin(place / "venv")
    rows = [",".join([*(f"{value:.5f}" for value in row), "abc"[i % 3]]) for i, row in enumerate(objects(160))]
    (place / "my_table.csv").write_text("\n".join([",".join([*(f"x{i}" for i in range(10)), "species"]), *rows]))
    (place / "small.toml").write_text(SWEEP)
    weights = torchvision_reference.random_weights(depth=50, channels=256)
    torch.save(weights, place / "IN.pth")
    body = "backbone.body."
    torch.save({k.removeprefix(body): v for k, v in weights.items() if k.startswith(body)}, place / "R-50.pth")
    photographs = write_set(place / "runs" / "photographs", images=12)
    write_set(photographs, images=6, split="val2017", seed=1)
    return place


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def environment(adds: str = "") -> dict[str, str]:
    """One thread, this checkout, and no flags of a make that may have started the tests."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ADDS": adds, "PYTHONWARNINGS": ""}


def words_of(run: Run, place: Path, port: int) -> list[str]:
    """The command line of ``run`` as it is started in ``place``."""
    words: list[str] = []
    for word in shlex.split(run.line.replace("PORT", str(port))):
        words += sorted(str(path.relative_to(place)) for path in place.glob(word)) if "*" in word else [word]
    if words[0] == "make":
        return [*words, "VENV=venv"]
    return [sys.executable, *(["-m", "dask"] if words[0] == "dask" else []), *words[1:]]


@pytest.fixture(scope="module")
def cluster(place: Path, port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The documented scheduler and worker, as long as this module is tested; by command."""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for command in ("dask scheduler &", "dask worker tcp://localhost:8786 --nworkers 4 --nthreads 1 &"):
            started[command] = subprocess.Popen(
                words_of(COMMANDS[command], place, port), cwd=place, env=environment(), stderr=subprocess.DEVNULL
            )
        yield started
    finally:
        for process in reversed(started.values()):
            process.terminate()
            process.wait(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:100])
def test_it_runs(command: str, place: Path, port: int, request: pytest.FixtureRequest) -> None:
    run = COMMANDS[command]
    if run.cluster:
        started = request.getfixturevalue("cluster")
        if command in started:
            time.sleep(1)
            assert started[command].poll() is None
            counted("documented commands run")
            return
    if run.first:
        before = run_in(place, port, dataclasses.replace(run, line=run.first))
        assert before.returncode == 0, before.stderr[-3000:]
    done = run_in(place, port, run)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    counted("documented commands run")


def run_in(place: Path, port: int, run: Run) -> subprocess.CompletedProcess[str]:
    """What came of it."""
    return subprocess.run(
        words_of(run, place, port), cwd=place, env=environment(run.adds), capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip


def program_of(page: str) -> str:
    """The Python of a page as one program, with smaller numbers; every replacement has to be of use."""
    text = "\n".join(block.text for block in python_blocks()[page])
    for old, new in PYTHON[page].smaller.items():
        assert old in text, f"{page} has no {old!r} any more"
        text = text.replace(old, new)
    return "\n".join([PYTHON[page].before, text, textwrap.dedent(PYTHON[page].after)])


@pytest.mark.parametrize("page", PYTHON)
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "documented", "np": np}
    exec(compile(program_of(page), f"<{page}>", "exec"), scope)
    counted("blocks of documented Python run", len(python_blocks()[page]))


EXAMPLES = {
    "society.py": {"agents=100": "agents=20", "STEPS = 100": "STEPS = 40"},
    "library.py": {"objects=1000, features=64, factors=12": "objects=300, features=24, factors=4",
                   "agents=100": "agents=20", "STEPS = 80": "STEPS = 40"},
    "detector.py": {"IMAGES = 60": "IMAGES = 8", "UPDATES = 60": "UPDATES = 2", "size=128": "size=64",
                    '"128"': '"64"', '"160"': '"64"'},
}  # fmt: skip
"""The programs of docs/examples, and what is put in place of what to make them short."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    text = (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8")
    for old, new in EXAMPLES[name].items():
        assert old in text
        text = text.replace(old, new)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    exec(compile(text, f"<{name}>", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out
    counted("example programs run")


def test_every_example_is_tested() -> None:
    assert {path.name for path in (ROOT / "docs" / "examples").glob("*.py")} == set(EXAMPLES)


PAGES_OF_PATHS = ("tutorial.md", "concepts.md", "extending.md")


@pytest.mark.parametrize("page", PAGES_OF_PATHS)
def test_files_and_links_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    files = re.findall(r"`((?:agents|knowledge_graph|detection|experiments|tests|notebooks)/[\w/]+\.py)`", text)
    links = re.findall(r"\]\(([\w./-]+)\)", text)
    assert files or links
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert [name for name in links if not (ROOT / "docs" / name).exists()] == []


def test_remarks_and_continued_lines_are_read_as_a_shell_does() -> None:
    assert all(command.startswith(BEGINNINGS) and "#" not in command for command in commands())
    assert not any(command.endswith("\\") for command in commands())
