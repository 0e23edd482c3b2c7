"""Precision by recall: what is averaged, the table and the picture."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from detection import curves, plotting
from detection.coco_eval import NUMBERS, RECALLS, ClassResult, Evaluation
from detection.config import Category
from detection.errors import InputError

CATEGORIES = (Category(2, "dog, wet"), Category(9, "cat"), Category(40, "newt"))


def evaluated(*levels: float) -> Evaluation:
    """Precision of each category falls with IoU from its level, whatever the recall; -1: it has no objects."""
    fall = np.linspace(1, 0.1, 10)[:, None, None]
    precision = np.broadcast_to(np.where(np.array(levels) < 0, -1, fall * np.array(levels)), (10, 101, len(levels)))
    results = tuple(ClassResult(c, 1, None, None) for c in CATEGORIES[: len(levels)])
    return Evaluation("bbox", 4, dict.fromkeys(NUMBERS), results, np.array(precision))


def test_curves_are_means_over_the_categories_that_have_objects():
    at_50, at_75, mean = curves.curves(evaluated(1.0, 0.5, -1).precision)
    assert at_50 == pytest.approx(np.full(101, 0.75))
    assert at_75 == pytest.approx(np.full(101, 0.5 * 0.75))  # the sixth of ten
    assert mean == pytest.approx(np.full(101, 0.55 * 0.75))
    assert np.isnan(curves.curves(evaluated(-1, -1).precision)).all()


def test_the_table_has_every_class_and_recall(tmp_path):
    pytest.importorskip("matplotlib")
    curves.write(tmp_path / "new" / "directory", evaluated(1.0, 0.5, -1))
    rows = list(csv.DictReader((tmp_path / "new" / "directory" / "precision_recall.csv").open()))
    assert len(rows) == 4 * 101
    assert [row["category"] for row in rows[::101]] == ["all", "dog, wet", "cat", "newt"]
    assert [float(row["recall"]) for row in rows[:101]] == pytest.approx(RECALLS.tolist(), abs=1e-9)
    assert rows[0] == {
        "category_id": "",
        "category": "all",
        "recall": "0.00",
        "precision_50": "0.750000",
        "precision_75": "0.375000",
        "precision_50_95": "0.412500",
    }
    assert rows[101]["category_id"] == "2"
    assert rows[-1]["precision_50"] == ""


def test_the_picture_is_the_same_every_time_and_names_the_areas(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("one", "two"):
        curves.write(tmp_path / name, evaluated(1.0, 0.4, -1))
    one, two = ((tmp_path / name / "precision_recall.svg").read_bytes() for name in ("one", "two"))
    assert one == two
    assert ElementTree.fromstring(one).tag == "{http://www.w3.org/2000/svg}svg"
    for text in ("recall", "precision", "IoU .50   AP 0.700", "IoU .50:.95   AP 0.385", "4 images, boxes"):
        assert text in one.decode()


def test_a_set_without_objects_is_drawn_as_such(tmp_path):
    pytest.importorskip("matplotlib")
    curves.write(tmp_path, evaluated(-1, -1))
    assert "no objects" in (tmp_path / "precision_recall.svg").read_text()


def test_a_directory_that_cannot_be_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"curves is .*file/below, which cannot be written to"):
        curves.write(tmp_path / "file" / "below", evaluated(1.0))


def test_without_matplotlib_curves_are_refused_with_how_to_install_it(monkeypatch, tmp_path):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(plotting.importlib, "import_module", missing)
    with pytest.raises(InputError, match=r"pip install 'dimensional-views\[viz\]'"):
        curves.check()
    with pytest.raises(InputError, match="matplotlib"):
        curves.write(Path(tmp_path), evaluated(1.0))
    assert list(tmp_path.iterdir()) == []
