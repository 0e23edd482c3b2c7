"""Processes of its own: how many threads they have, and that they end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from experiments.workers import workers


def threads() -> dict[str, int]:
    """Threads of every library for matrices there is, after the large ones have been loaded."""
    import scipy.linalg
    import sklearn
    from threadpoolctl import threadpool_info

    assert scipy.linalg
    assert sklearn
    return {library["filepath"]: library["num_threads"] for library in threadpool_info()}


def vanish() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_every_library_for_matrices_has_as_many_threads_as_asked_whenever_it_is_loaded() -> None:
    with workers(1, threads=1) as pool:
        found = pool.submit(threads).result()
    assert found
    assert set(found.values()) == {1}


def test_fresh_workers_do_each_piece_in_another_process() -> None:
    with workers(1, fresh=True) as pool:
        first, second = (pool.submit(os.getpid).result() for _ in range(2))
    assert first != second
    assert os.getpid() not in (first, second)


def test_a_worker_that_is_killed_is_an_error_and_not_a_wait() -> None:
    with workers(1) as pool, pytest.raises(BrokenProcessPool):
        pool.submit(vanish).result(timeout=60)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to tell whether a process is running")
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from experiments.workers import workers\n"
        "if __name__ == '__main__':\n"
        "    with workers(1) as pool:\n"
        "        print(pool.submit(os.getpid).result(), flush=True)\n"
        "        time.sleep(600)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(root)}
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert alive(worker)
        parent.kill()
    deadline = time.monotonic() + 60
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def alive(process: int) -> bool:
    """Whether a process is running; one that has ended and waits to be collected is not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
