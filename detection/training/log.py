"""What a run says while it learns: lines of JSON for machines, one line on the terminal for people."""

from __future__ import annotations

import datetime
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detection import files
from detection.errors import InputError
from detection.training.learner import Update

SECONDS_BETWEEN_LINES = 10.0
"""Where no terminal shows one line anew and anew, a line is written so often."""

SECONDS_BETWEEN_LOOKS = 0.2

Row = dict[str, Any]
"""A line of the log: plain numbers by name, "iteration" among them."""


class Meter:
    """Means over the updates since the last line of the log; its sums go into checkpoints."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, update: Update) -> None:
        """Take an update in."""
        norm = math.inf if update.gradient_norm is None else update.gradient_norm
        values = {**update.losses, "positives": update.positives, "gradient_norm": norm}
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def taken(self) -> dict[str, float | None]:
        """The means, None for what was infinite; from here on the sums begin anew."""
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return {name: value if math.isfinite(value) else None for name, value in means.items()}

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"sums": dict(self.sums), "count": self.count}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.sums, self.count = dict(state["sums"]), int(state["count"])


class Log:
    """``log.jsonl``: one line of strict JSON after another, and TensorBoard's files beside it if asked for.

    Parameters
    ----------
    directory : Path
        Of the run.
    after : int
        Iterations that the run goes on after: lines of later ones, and one broken off, are dropped first.

    Raises
    ------
    InputError
        If TensorBoard is asked for and not installed.
    """

    def __init__(self, directory: Path, *, after: int, tensorboard: bool) -> None:
        self.path = directory / "log.jsonl"
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError(
                    "tensorboard is on, but not installed; give pip install 'dimensional-views[tensorboard]' first"
                ) from None
            self.board = SummaryWriter(str(directory / "tensorboard"), purge_step=after + 1)
        if self.path.exists():
            with files.replacing(self.path) as stream:
                stream.writelines(kept_lines(self.path.read_bytes(), after=after))
        self.stream = open(self.path, "ab")  # noqa: SIM115 (for as long as the run)

    def write(self, row: Row) -> None:
        """Append a line."""
        with files.naming(self.path):
            self.stream.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self.stream.flush()
        if self.board is not None:
            for name, value in row.items():
                if name != "iteration" and value is not None:
                    self.board.add_scalar(name, value, row["iteration"])

    def settle(self) -> None:
        """Let all lines reach the disk, so that no checkpoint is there without those before it."""
        with files.naming(self.path):
            os.fsync(self.stream.fileno())

    def close(self) -> None:
        """Write no more."""
        self.stream.close()
        if self.board is not None:
            self.board.close()


def kept_lines(contents: bytes, *, after: float) -> list[bytes]:
    """The whole lines of a log up to iteration ``after``."""
    kept = []
    for line in contents.splitlines(keepends=True):
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n") or not isinstance(row, dict) or row.get("iteration", math.inf) > after:
            break
        kept.append(line)
    return kept


class Progress:
    """How far a run is, on stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self, *, iterations: int, done: int) -> None:
        self.iterations, self.first = iterations, done
        self.terminal = sys.stderr.isatty()
        self.begun = self.shown = time.monotonic()
        self.seconds_per_update = 0.0

    def show(self, done: int, update: Update, *, seconds: float, images: int) -> None:
        """Tell of the latest update, which took so many ``seconds`` for so many ``images``."""
        # A mean of about the last 20 updates, and of all of them at first.
        weight = max(0.05, 1 / (done - self.first))
        self.seconds_per_update += weight * (seconds - self.seconds_per_update)
        now = time.monotonic()
        pause = SECONDS_BETWEEN_LOOKS if self.terminal else SECONDS_BETWEEN_LINES
        if now - self.shown < pause and done not in (self.first + 1, self.iterations):
            return
        self.shown = now
        left = datetime.timedelta(seconds=round(self.seconds_per_update * (self.iterations - done)))
        parts = " ".join(f"{name} {value:.3f}" for name, value in update.losses.items())
        text = (
            f"{done}/{self.iterations}  loss {sum(update.losses.values()):.3f} ({parts})  lr {update.learning_rate:.2g}"
            f"  {images / max(self.seconds_per_update, 1e-9):.1f} images/s  {left} left"
        )
        print(
            f"\r\033[K{text}" if self.terminal else text, end="" if self.terminal else "\n", file=sys.stderr, flush=True
        )

    def close(self) -> None:
        """End the line that changes."""
        if self.terminal:
            print(file=sys.stderr)
