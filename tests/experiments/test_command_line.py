"""Command lines from dataclasses: values, refusals in one sentence, exit statuses."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Literal

import pytest

from agents.errors import InputError
from experiments import command_line


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tea:
    """How to make tea."""

    cups: int = 1
    """How many."""
    sugar: float = 0.0
    """Spoons."""
    kind: Literal["black", "green", "white"] = "black"
    """Of leaf."""
    milk: bool = True
    """Whether with milk."""
    minutes: int | None = None
    """How long it draws."""
    pot: Path | None = None
    """What it draws in."""
    guest: str = "me"
    """For whom."""

    def __post_init__(self) -> None:
        if self.cups < 1:
            raise InputError(f"cups is {self.cups}, but it must be at least 1")


def tea(*args: str) -> Tea:
    return command_line.parse(Tea, list(args), prog="tea", description="Make tea.")


def refusal(*args: str) -> str:
    with pytest.raises(InputError) as caught:
        tea(*args)
    return str(caught.value)


def test_nothing_given_is_all_defaults() -> None:
    assert tea() == Tea()


def test_values_are_taken_with_space_or_equals_sign_and_either_dash() -> None:
    made = tea("--cups", "3", "--sugar=.5", "--kind", "green", "--no-milk", "--minutes", "4", "--pot", "a b")
    assert made == Tea(cups=3, sugar=0.5, kind="green", milk=False, minutes=4, pot=Path("a b"))


def test_without_arguments_those_of_the_process_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tea", "--cups", "2"])
    assert command_line.parse(Tea, prog="tea", description="") == Tea(cups=2)
    assert command_line.given() == ["--cups"]
    monkeypatch.setattr(sys, "argv", ["tea", "--cups", "many"])
    with pytest.raises(InputError, match="--cups is 'many'"):
        command_line.parse(Tea, prog="tea", description="")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--cups", "x"], "--cups is 'x', but it must be a whole number"),
        (["--cups", "1.5"], "--cups is '1.5', but it must be a whole number"),
        (["--cups="], "--cups is '', but it must be a whole number"),
        (["--cups", "2", "--cups", "two"], "--cups is 'two', but it must be a whole number"),
        (["--sugar", "sweet"], "--sugar is 'sweet', but it must be a number"),
        (['--sugar=it\'s "sweet"'], "--sugar is 'it\\'s \"sweet\"', but it must be a number"),
        (["--minutes", "x" * 90], f"--minutes is {'x' * 90!r}, but it must be a whole number"),
        (["--kind", "red"], "--kind is 'red', but it must be black, green or white"),
        (["--kind"], "--kind has no value; give it one"),
        (["--pot"], "--pot has no value; give it one"),
        (["--cups", "--sugar", "1"], "--cups has no value; give it one"),
        (["--cup", "3"], "--cup is not a flag; --cups is"),
        (["--saucers", "3"], "--saucers is not a flag"),
        (["-c", "3"], "-c is not a flag"),
        (["now"], "'now' belongs to no flag"),
        (["--milk", "no"], "'no' belongs to no flag"),
        (["--cups", "3", "4"], "'4' belongs to no flag"),
        (["--" + "x" * 200], f"--{'x' * 200} is not a flag"),
        (["/a/path/" * 30], f"{'/a/path/' * 30!r} belongs to no flag"),
    ],
)
def test_what_the_parser_refuses_is_one_sentence_in_plain_words(args: list[str], says: str) -> None:
    assert refusal(*args) == f"{says} (tea --help lists the flags)"


@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_a_refusal_does_not_depend_on_the_width_of_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert refusal("--kind", "a very long kind of tea").startswith(
        "--kind is 'a very long kind of tea', but it must be"
    )
    assert refusal("--" + "x" * 200).startswith(f"--{'x' * 200} is not a flag")
    assert refusal("--cups", "0") == "cups is 0, but it must be at least 1"


def test_what_the_dataclass_refuses_is_passed_on_word_for_word() -> None:
    assert refusal("--cups", "-1") == "cups is -1, but it must be at least 1"


def test_help_names_every_flag_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        tea("--help")
    assert stop.value.code == 0
    page = capsys.readouterr().out
    assert "Make tea." in page
    for field in dataclasses.fields(Tea):
        assert f"--{field.name}" in page


def test_given_flags_are_told_by_name_in_order() -> None:
    args = ["--rate_up=.1", "--out", "--", "x", "--no-audience", "-h"]
    assert command_line.given(args)[:2] == ["--rate-up", "--out"]
    assert command_line.given(args)[-1] == "--no-audience"
    assert command_line.given([]) == []


def test_the_status_of_a_program_that_ends_is_its_own() -> None:
    assert command_line.run(lambda: 0, prog="tea") == 0
    assert command_line.run(lambda: 7, prog="tea") == 7


def test_bad_input_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> int:
        raise InputError("cups is 0, but it must be at least 1")

    assert command_line.run(refuse, prog="tea") == 2
    assert capsys.readouterr() == ("", "tea: cups is 0, but it must be at least 1\n")


def test_an_interruption_is_one_line_and_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert command_line.run(interrupted, prog="tea") == 130
    assert capsys.readouterr() == ("", "tea: interrupted\n")


def test_a_defect_keeps_its_traceback() -> None:
    def broken() -> int:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        command_line.run(broken, prog="tea")
