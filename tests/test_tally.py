"""What tests count is told at the end, from one process or several."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

COUNTING = """
from tests.tally import counted
def test_one():
    counted("kills survived", 1_200)
def test_other():
    counted("kills survived", 34)
    counted("invariants checked")
"""


@pytest.mark.parametrize("processes", [0, 2])
def test_counts_are_told_in_the_end(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(root))
    pytester.makeconftest((root / "tests/conftest.py").read_text())
    pytester.makepyfile(COUNTING)
    split = ["-n", str(processes)] if processes else []
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *split)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*what was gone through*", "        1 invariants checked", "    1,234 kills survived"])


def test_nothing_is_told_of_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", str(root))
    pytester.makeconftest((root / "tests/conftest.py").read_text())
    pytester.makepyfile("def test_one(): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert "gone through" not in result.stdout.str()
