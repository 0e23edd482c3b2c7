"""How much memory training takes, measured; and how to make it take less without learning anything else.

Two things make a batch fit: to send it through the network in parts (step.py sees to it that nothing else is learned),
and to compute the backbone's activations a second time instead of keeping them. Neither is guessed at: trial updates
at the largest size that the data can give run in a process of their own, which is asked for its peak.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

import detection
from detection.config import TrainConfig, to_json
from detection.errors import InputError
from detection.training.step import batch_norms, uses_batch_statistics

GIB = 2**30

HEADROOM = 0.95
"""Share of the limit that trial updates may fill: a long run may leave more gaps in its memory than a short one."""

TRIAL = "trial"
"""How the program of the trials calls itself."""

OUT_OF_MEMORY, BAD_INPUT = 77, 2
"""Exit statuses of a trial."""

Measure = Callable[[TrainConfig], float]
"""Peak in bytes of training by a configuration; infinite if the memory did not suffice."""


class Plan(NamedTuple):
    """How to fit: fields of `TrainConfig`, and the peak in bytes that was measured with them."""

    micro_batch: int
    checkpoint_activations: bool
    peak: float


def peak_memory(device: torch.device) -> float:
    """Bytes that this process has had at most: of the GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    try:
        # Not getrusage: a process begins with the maximum of the one that started it.
        status = Path("/proc/self/status").read_text()
        return 1024.0 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(most if sys.platform == "darwin" else 1024 * most)


def fit(config: TrainConfig, *, share: int, measure: Measure, say: Callable[[str], None]) -> Plan:
    """The fewest parts of a process's ``share`` of the batch that fit into ``config.fit_memory`` GiB.

    Without computing activations twice if that is possible at all. The result of training stays what it is: a network
    that normalises by batches is not given parts of them.

    Raises
    ------
    InputError
        If nothing fits, with the least that was measured.
    """
    assert config.fit_memory is not None
    limit = HEADROOM * config.fit_memory * GIB
    whole_only = uses_batch_statistics(config.model)
    sizes = [share] if whole_only else [size for size in range(share, 0, -1) if share % size == 0]
    least = math.inf

    def tried(size: int, *, twice: bool) -> float:
        peak = measure(dataclasses.replace(config, micro_batch=size, checkpoint_activations=twice))
        with_it = " with checkpoint_activations" if twice else ""
        amount = f"{peak / GIB:.2f} GiB" if peak < math.inf else "more than there is"
        say(f"Trial: {size} of {share} images at once{with_it} take {amount}.")
        return peak

    for twice in (True,) if config.checkpoint_activations else (False, True):
        # What a pass takes grows in proportion to its images, so small trials say which large one to verify.
        peaks = {size: tried(size, twice=twice) for size in sizes[:-3:-1] if len(sizes) > 1}
        for size in promising(sizes, peaks, limit=limit):
            if size not in peaks:
                peaks[size] = tried(size, twice=twice)
            if peaks[size] <= limit:
                return Plan(size, twice, peaks[size])
        least = min(least, *peaks.values())
    fields = " and ".join(batch_norms(config.model))
    kept = f", and {fields} allows no parts of a batch (gn would)" if whole_only else ""
    enough = least / HEADROOM / GIB
    needed = f"{math.ceil(100 * enough) / 100:.2f} GiB" if math.isfinite(enough) else "more than there is"
    raise InputError(
        f"fit_memory is {config.fit_memory:g} GiB, but the least that training can do with is {needed}{kept}; give "
        "that, or smaller images (short_side, max_side)"
    )


def promising(sizes: Sequence[int], peaks: Mapping[int, float], *, limit: float) -> list[int]:
    """Of falling ``sizes`` those that may stay within ``limit``, judged by a line through two measured ``peaks``.

    Those that were measured are among them. Without measurements all may; where one was infinite, no other may.
    """
    if not peaks:
        return list(sizes)
    (small, low), (large, high) = sorted(peaks.items())
    if math.isinf(high):
        return [size for size in sizes if size in peaks]
    slope = max(0.0, (high - low) / (large - small))
    return [size for size in sizes if size in peaks or high + slope * (size - large) <= limit]


def measured(config: TrainConfig, *, share: int, device: torch.device) -> float:
    """The peak in bytes of trial updates in a process of their own; infinite if they ran out of memory."""
    asked = {"config": {**to_json(config), "device": str(device)}, "share": share}
    paths = [str(Path(detection.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    trial = subprocess.run(
        [sys.executable, "-m", "detection.training.trial"],
        input=json.dumps(asked),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
        capture_output=True,
        text=True,
    )
    # Whom it has no memory for the kernel kills.
    if trial.returncode in (OUT_OF_MEMORY, -signal.SIGKILL):
        return math.inf
    if trial.returncode == BAD_INPUT:
        raise InputError(trial.stderr.strip().splitlines()[-1].removeprefix(f"{TRIAL}: "))
    if trial.returncode:
        raise RuntimeError(f"the trial ended with status {trial.returncode}:\n{trial.stderr}")
    return float(trial.stdout)
