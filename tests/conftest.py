"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

from tests import tally

settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> Iterator[None]:
    """Matrices in tests are small: threads would only make them slower and their rounding less repeatable."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where tests run in several processes: hand what this one counted to the one that tells the result."""
    handed: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if handed is not None:
        handed["tally"] = dict(tally.COUNTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what another process counted; one that crashed has handed over nothing."""
    tally.COUNTS.update(getattr(node, "workeroutput", {}).get("tally", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell what was counted, if anything was."""
    if tally.COUNTS:
        terminalreporter.section("what was gone through")
        for line in tally.told():
            terminalreporter.write_line(line)
