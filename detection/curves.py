"""Precision by recall, of all classes and of each: as a table and as a picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detection import files, plotting
from detection.coco_eval import IOUS, KINDS, RECALLS, Evaluation
from detection.errors import InputError

TITLES = ("IoU .50", "IoU .75", "IoU .50:.95")


def curves(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precision [3, R] at IoU .5, at .75 and on average over .5:.95, from [T, R, K] for some categories.

    It is the mean over the categories that have objects, so that the area under a curve is its AP; NaN where no
    category has any.
    """
    defined = precision[:, :, (precision > -1).all(axis=(0, 1))]
    if not defined.shape[2]:
        return np.full((3, len(RECALLS)), np.nan)
    mean = defined.mean(axis=2)
    return np.stack([mean[0], mean[int(np.argmin(np.abs(IOUS - 0.75)))], mean.mean(axis=0)])


def check() -> None:
    """Refuse, with an InputError, to draw where matplotlib is not installed."""
    plotting.matplotlib("curves are")


def write(directory: Path, evaluation: Evaluation) -> None:
    """Write ``precision_recall.csv``, of all classes together and of each one, and ``precision_recall.svg``.

    Those of masks are ``mask_precision_recall``.

    Raises
    ------
    InputError
        If matplotlib is not installed, or the files cannot be written.
    """
    matplotlib = plotting.matplotlib("curves are")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        name = "precision_recall" if evaluation.iou_type == "bbox" else "mask_precision_recall"
        with files.replacing(directory / f"{name}.csv") as stream:
            stream.write(_table(evaluation).encode())
        with files.replacing(directory / f"{name}.svg") as stream:
            stream.write(_picture(evaluation, matplotlib))
    except OSError as error:
        raise InputError(
            f"curves is {directory}, which cannot be written to ({error.strerror}); give a directory that can"
        ) from error


def _table(evaluation: Evaluation) -> str:
    """A row for every class and recall; what is not defined is empty."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["category_id", "category", "recall", "precision_50", "precision_75", "precision_50_95"])
    kinds: list[tuple[Any, str, NDArray[np.float64]]] = [("", "all", evaluation.precision)]
    for k, result in enumerate(evaluation.per_class):
        kinds.append((result.category.id, result.category.name, evaluation.precision[:, :, k : k + 1]))
    for identity, name, precision in kinds:
        for recall, *values in zip(RECALLS, *curves(precision), strict=True):
            cells = ["" if np.isnan(value) else f"{value:.6f}" for value in values]
            rows.writerow([identity, name, f"{recall:.2f}", *cells])
    return text.getvalue()


def _picture(evaluation: Evaluation, matplotlib: Any) -> bytes:
    # A figure of its own, without pyplot: no state, no window, whatever else the program draws. Text stays text, and
    # neither ids nor dates differ from run to run.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "precision by recall"}):
        figure = matplotlib.figure.Figure(figsize=(5.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for title, values in zip(TITLES, curves(evaluation.precision), strict=True):
            if not np.isnan(values).any():
                axes.plot(RECALLS, values, label=f"{title}   AP {values.mean():.3f}", linewidth=1.6)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.set_title(f"{evaluation.images} images, {KINDS[evaluation.iou_type]}", fontsize=10)
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False, loc="upper right")
        else:
            axes.text(0.5, 0.5, "no objects", ha="center", va="center", color="0.5")
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
