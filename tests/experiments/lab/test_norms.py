"""Trainings that differ in their normalisation: that they do what their names say, and what is told of them."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from detection.errors import InputError
from experiments import command_line, frozen_batchnorm
from experiments.lab import drawing, norms, norms_page, norms_text
from experiments.lab.norms import NETWORKS, VARIANTS, Variant
from experiments.pieces import Found


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("lab") / "shapes"
    drawing.draw(data, quick=True)
    return data


def call(*args: str) -> int:
    main = functools.partial(frozen_batchnorm.main, list(args))
    return command_line.run(main, prog=frozen_batchnorm.PROG)


def made_up(seeds: int = 2) -> dict[str, Found]:
    """Figures of all that is measured, with an AP that grows in the order of `VARIANTS`."""
    found: dict[str, Found] = {}
    for place, variant in enumerate(VARIANTS):
        figures = {name: np.full(seeds, 0.1 + 0.01 * place) for name in norms._unknown(norms.LOOKS)}
        figures["AP"] = np.full(seeds, 0.1 + 0.02 * place) + 0.001 * np.arange(seeds)
        figures["diverged"] = np.full(seeds, np.nan)
        found[variant.name] = figures
    for place, network in enumerate(NETWORKS):
        found[network.name] = {
            f"{what}/{at:02d}": np.full(seeds, 1.0 + at * place) for what in ("scale", "gradient") for at in range(4)
        }
    return found


def test_names_and_titles_are_their_own():
    every = (*VARIANTS, *NETWORKS)
    assert len({one.name for one in every}) == len(every)
    assert len({one.title for one in VARIANTS}) == len(VARIANTS)


def test_a_variant_is_what_its_name_says(shapes: Path):
    for variant in VARIANTS:
        config = norms.train_config(
            variant.model(), data=shapes, batch=variant.batch, images=64, seed=0, pretrained=variant.pretrained
        )
        assert config.model.norm == variant.norm
        assert config.model.frozen_stages == (2 if variant.frozen_stem else 0)
        assert (config.backbone_weights is not None) == variant.pretrained
        assert config.max_iterations == 64 // variant.batch, "as many images"
        assert config.lr / config.batch_size == pytest.approx(5e-3 / 4), "the same learning rate for an image"


def test_a_training_is_followed_to_its_end(shapes: Path):
    found = norms.training(0, variant=Variant(norm="bn", batch=2), data=shapes, quick=True)
    assert found.keys() == {*norms._unknown(norms.QUICK_LOOKS), "AP", "diverged"}
    assert math.isnan(found["diverged"])
    assert all(math.isfinite(value) for name, value in found.items() if name != "diverged")
    again = norms.training(0, variant=Variant(norm="bn", batch=2), data=shapes, quick=True)
    assert again["loss in use@2"] == found["loss in use@2"], "the same seed, the same figures"


def test_what_learns_without_batches_has_no_statistics_and_no_gap(shapes: Path):
    found = norms.training(0, variant=Variant(norm="gn"), data=shapes, quick=True)
    assert math.isnan(found["drift variance@2"])
    assert found["loss in use@2"] == pytest.approx(found["loss in training@2"], rel=1e-5)


def test_a_training_that_diverges_says_so(shapes: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(norms, "LR_PER_IMAGE", 1e9)
    found = norms.training(0, variant=Variant(norm="frozen_bn"), data=shapes, quick=True)
    assert found["AP"] == 0, "what is lost counts, and does not leave the others in a better light"
    assert found["diverged"] < 8


def test_the_answers_follow_the_figures():
    found = made_up()
    said = norms_text.answers(found)
    best = max((v for v in VARIANTS if v.batch == 4 and not v.pretrained), key=lambda one: found[one.name]["AP"].mean())
    lab = said["What should the lab use at batch 4 from scratch?"][0]
    assert best.title in lab
    other = Variant(norm="frozen_bn", frozen_stem=True)
    found[other.name]["AP"] = np.array([0.9, 0.9])
    flipped = norms_text.answers(found)["What should the lab use at batch 4 from scratch?"][0]
    assert other.title in flipped.partition(":")[0]
    hurts = norms_text.answers(found)["When does it hurt?"]
    assert "is better than BN" in hurts[1]
    assert "hurts beside BN" in norms_text.answers(made_up())["When does it hurt?"][1]


def test_every_sentence_of_an_answer_names_its_figure():
    for sentences in norms_text.answers(made_up()).values():
        assert all("(figure" in sentence for sentence in sentences)


def test_every_plot_has_two_sentences_and_the_figure_that_is_referred_to():
    found = made_up()
    sections = [
        make(found) for make in (norms_page.depth_section, norms_page.statistics_section, norms_page.ap_section)
    ]
    plots = [plot for section in sections for plot in section.plots]
    assert [int(plot.heading.split(".")[0]) for plot in plots] == list(range(1, 10))
    for plot in plots:
        assert plot.note.rstrip(".").count(". ") == 1, plot.note


def test_what_diverged_is_told_and_drawn():
    found = made_up()
    lost = Variant(norm="frozen_bn")
    found[lost.name]["AP"] = np.array([0.0, 0.0])
    found[lost.name]["diverged"] = np.array([3.0, 4.0])
    assert "2 of 2 diverged" in norms_text.table(found)
    assert "2 of 2 diverged" in norms_page.render(found, seeds=2)


def test_the_program_writes_what_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    made = made_up(seeds=1)
    asked: list[str] = []

    def pretend(measures, seeds, *, kept, resume):
        asked.extend(measures)
        kept.begin({})
        return made

    monkeypatch.setattr(frozen_batchnorm, "over_seeds", pretend)
    assert call("--quick", "--seeds", "1", "--out", str(tmp_path)) == 0
    assert set(asked) == set(made)
    printed = capsys.readouterr().out
    assert "What does FrozenBatchNorm do?" in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["answers"] == norms_text.answers(made)
    assert not (tmp_path / "pieces.jsonl").exists()
    assert "What FrozenBatchNorm does" in (tmp_path / "report.html").read_text()


def test_finished_trainings_are_not_thrown_away(tmp_path: Path, capsys):
    (tmp_path / "pieces.jsonl").write_text(json.dumps({"program": "another", "quick": True}) + "\n")
    assert call("--quick", "--out", str(tmp_path)) == 2
    assert "is of other work" in capsys.readouterr().err


def test_no_seeds_are_refused(capsys):
    assert call("--seeds", "0") == 2
    assert "seeds is 0" in capsys.readouterr().err
    with pytest.raises(InputError):
        frozen_batchnorm.NormsConfig(seeds=0)
