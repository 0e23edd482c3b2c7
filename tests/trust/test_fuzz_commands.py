"""Whatever is typed after the name of a program: what it asks for, or one sentence, before anything is done."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

import detection.command_line
import experiments.command_line
from detection import ceilings, convert, embed, evaluate, predict, train
from detection.data import shapes
from experiments import (
    baselines,
    bench_detection,
    bench_library,
    bench_shards,
    bench_society,
    comparison,
    detectors,
    frozen_batchnorm,
    pixels_to_minds,
    run_society,
    shards,
    sweep,
    validate,
)
from tests.documented import ROOT
from tests.trust.malformed import FRACTIONS, NUMBERS, TEXTS, accepted, amounts, go_through

Parse = Callable[[Sequence[str]], Any]

REFUSALS = experiments.command_line.REFUSALS


def by_its_dataclass(config: type, package: Any) -> Parse:
    return functools.partial(package.parse, config, prog="program", description="It does.")


PROGRAMS: dict[str, Parse] = {
    "detection.ceilings": by_its_dataclass(ceilings.CeilingsConfig, detection.command_line),
    "detection.convert": by_its_dataclass(convert.ConvertConfig, detection.command_line),
    "detection.data.shapes": by_its_dataclass(shapes.Shapes, detection.command_line),
    "detection.embed": by_its_dataclass(embed.EmbedConfig, detection.command_line),
    "detection.evaluate": by_its_dataclass(evaluate.EvaluateConfig, detection.command_line),
    "detection.predict": by_its_dataclass(predict.PredictConfig, detection.command_line),
    "detection.train": train.parse,
    "experiments.baselines": by_its_dataclass(baselines.BaselinesConfig, experiments.command_line),
    "experiments.bench_detection": by_its_dataclass(bench_detection.DetectionBench, experiments.command_line),
    "experiments.bench_library": by_its_dataclass(bench_library.LibraryBench, experiments.command_line),
    "experiments.bench_shards": by_its_dataclass(bench_shards.ShardsBench, experiments.command_line),
    "experiments.bench_society": by_its_dataclass(bench_society.SocietyBench, experiments.command_line),
    "experiments.comparison": by_its_dataclass(comparison.ComparisonConfig, experiments.command_line),
    "experiments.detectors": by_its_dataclass(detectors.DetectorsConfig, experiments.command_line),
    "experiments.frozen_batchnorm": by_its_dataclass(frozen_batchnorm.NormsConfig, experiments.command_line),
    "experiments.pixels_to_minds": by_its_dataclass(pixels_to_minds.PixelsConfig, experiments.command_line),
    "experiments.run_society": run_society.parse,
    "experiments.shards": shards.parse,
    "experiments.sweep": by_its_dataclass(sweep.SweepConfig, experiments.command_line),
    "experiments.validate": by_its_dataclass(validate.ValidateConfig, experiments.command_line),
}

AS_OTHERS = {"experiments.command_line", "experiments.origins"}
"""What calls the parser for others, or with the dataclass of another program."""

VALUES = [text for text in TEXTS if "\0" not in text]
VALUES += [repr(number) for number in FRACTIONS] + [str(number) for number in NUMBERS if number < 10**400]
VALUES += ["none", "None", "True", "false", "a,b", "1 2", "1e3", "0x10", "1_0", "½"]
VALUES += ["--", "-", "-x", "{}", "[]", "'", "$HOME"]


def helped(parse: Parse) -> tuple[list[str], list[str]]:
    """The flags of a program and the values that it lists for some of them, by its own --help."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as stop:
        parse(["--help"])
    assert stop.value.code in (0, None)
    flags = sorted(set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", said.getvalue())))
    choices = [choice for found in re.findall(r"\{([\w,.-]+)\}", said.getvalue()) for choice in found.split(",")]
    return flags, sorted(set(choices))


def lines(flags: list[str], choices: list[str]) -> st.SearchStrategy[list[str]]:
    """Command lines of a few flags with values of all sorts, some of them cut short, doubled or misspelled."""
    value = st.sampled_from([*choices, *VALUES, "x.json", "runs/x"]) | st.integers(-2, 50).map(str)
    value |= st.floats(-2, 2).map(repr) | st.text(alphabet=st.characters(exclude_characters="\0"), max_size=8)
    flag = st.sampled_from(flags)
    odd_flag = flag.map(lambda name: name[:-1]) | flag.map(lambda name: name.replace("-", "_")) | st.text(max_size=5)
    group = st.one_of(
        st.tuples(flag, value),
        st.tuples(flag, value),
        st.builds(lambda name, given: (f"{name}={given}",), flag, value),
        st.tuples(flag),
        st.tuples(odd_flag.map(lambda name: name.replace("\0", "")), value),
        st.tuples(flag, value, value),
        st.tuples(value),
    )
    return st.lists(group, max_size=4).map(lambda groups: [token for group in groups for token in group])


def check_line(parse: Parse, args: list[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as complaint:
        try:
            config = accepted(lambda: parse(args), *REFUSALS)
        except SystemExit as stop:
            asked_for_help = stop.code in (0, None) and {"-h", "--help"} & set(args)
            if not asked_for_help:
                raise
            return
    assert complaint.getvalue() == "", "the sentence is all that is said"
    if config is not None:
        assert dataclasses.is_dataclass(config)
        assert dataclasses.replace(config) == config, "it is as valid as it was"


@amounts()
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_command_line_asks_for_something_or_is_one_sentence(name: str, cases: int) -> None:
    flags, choices = helped(PROGRAMS[name])
    assert len(flags) > 2
    go_through(lines(flags, choices), lambda args: check_line(PROGRAMS[name], args), cases)


def test_every_program_is_among_them() -> None:
    parsing = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("agents", "knowledge_graph", "detection", "experiments")
        for path in Path(ROOT / package).rglob("*.py")
        if "command_line.parse(" in path.read_text()
    }
    assert parsing - AS_OTHERS == set(PROGRAMS)
