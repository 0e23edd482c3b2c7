"""What all tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

settings.register_profile("seeded", derandomize=True)
settings.load_profile("seeded")


@pytest.fixture(autouse=True, scope="session")
def one_blas_thread() -> Iterator[None]:
    """Matrices in tests are small: threads would only make them slower and their rounding less repeatable."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
