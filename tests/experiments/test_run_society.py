"""A run from the command line to its files: all there, the same for the same seed, and the same when interrupted."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from agents import interactions
from agents.society import Society
from experiments import command_line, run_files, run_society
from experiments.closing_table import closing_table
from experiments.measuring import metrics
from experiments.run_society import PROG, RunConfig
from tests.experiments.small import WRITTEN, call, contents, flags, lively, objects, world_file

KEYS = {
    "": "world n_agents n_steps seed wall_s agent_steps_per_s library unlived communication superiority "
    "selection attribution",
    "library": "n_concepts efficiency explained_variance optimal_explained_variance rank8_explained_variance mcc "
    "score_mcc mcc_null central_mcc best_single_view_mcc label_accuracy raw_label_accuracy "
    "best_single_view_label_accuracy mean_single_view_label_accuracy weights_efficiency weights_mcc prediction "
    "prediction_bound reconstruction",
    "unlived": "n_concepts efficiency mcc weights_efficiency weights_mcc",
    "communication": "candidates success success_before chance distinct_words words_per_concept words_per_dimension "
    "synonymy homonymy coherence success_unseen success_by_candidates success_unseen_by_candidates "
    "chance_by_candidates topographic_similarity topographic_similarity_null shared_topographic_similarity "
    "shared_topographic_similarity_null steps_to_convention steps_to_understanding",
    "superiority": "mean_felt mean_true illusory tau predicted contests",
    "selection": "deaths births dims_dropped dims_discovered max_dims",
    "attribution": "self others luck",
}
SAME = ("metrics.csv", "interactions.csv", "library.json", "library.graphml", "library.npz")
"""What does not tell how long it took."""


def files_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in SAME}


def summary_of(out: Path) -> dict[str, Any]:
    """The summary without what depends on the clock."""
    summary = json.loads((out / "summary.json").read_text())
    return {name: value for name, value in summary.items() if name not in ("wall_s", "agent_steps_per_s")}


def assert_same_results(one: Path, other: Path) -> None:
    assert files_of(one) == files_of(other)
    assert summary_of(one) == summary_of(other)
    first, second = (np.load(out / "checkpoint.npz", allow_pickle=False) for out in (one, other))
    with first, second:
        assert first.files == second.files
        for name in set(first.files) - {"run"}:
            assert np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f"), name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world_file(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps in one go."""
    out = tmp_path_factory.mktemp("runs") / "deep" / "run"
    assert call(lively(world, out)) == 0
    return out


# ---- the files


def test_every_file_of_the_contract_is_there_and_nothing_else(run: Path) -> None:
    assert set(contents(run)) == WRITTEN


def test_the_summary_has_the_promised_keys_and_numbers_or_nulls(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    for part, names in KEYS.items():
        values = summary[part] if part else summary
        assert set(values) == set(names.split()), part
        for name, value in values.items():
            if name.endswith("by_candidates"):
                assert set(value) == {"2", "4", "8", "16"}
            numbers = value.values() if name.endswith("by_candidates") else [value]
            if name != "world" and name not in KEYS:
                assert all(number is None or type(number) in (int, float) for number in numbers), name
    assert summary["n_agents"] == 14
    assert summary["n_steps"] == 20
    assert summary["library"]["mcc"] is None
    assert summary["library"]["label_accuracy"] is not None
    assert summary["selection"]["max_dims"] <= 8
    assert summary["communication"]["chance"] == 0.25
    assert summary["agent_steps_per_s"] == pytest.approx(14 * 20 / summary["wall_s"])


def test_the_configuration_is_saved_whole_without_the_directories(run: Path, world: Path) -> None:
    saved = json.loads((run / "config.json").read_text())
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    assert set(saved) == fields - {"out", "resume"}
    assert saved["world"] == str(world)
    assert saved["turnover"] == 0.2
    assert saved["steps"] == 20
    assert RunConfig(**saved).merge_interval == 6


def test_metrics_have_a_row_for_each_recorded_step(run: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((run / "metrics.csv").read_text())))
    assert [row["step"] for row in rows] == ["4", "8", "12", "16", "20"]
    assert rows[0]["explained_variance"] == ""
    assert float(rows[-1]["explained_variance"]) > 0
    assert b"\r" not in (run / "metrics.csv").read_bytes()


def test_a_run_too_short_for_a_row_leaves_the_names_of_the_metrics(world: Path, tmp_path: Path) -> None:
    assert call(lively(world, tmp_path / "run", steps=3)) == 0
    (header,) = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    config = RunConfig(world=str(world))
    society = Society(run_society.make_world(config), run_society.society_config(config), seed=0)
    assert header.split(",") == list(metrics(society, run_files.Recorder()))


def test_the_log_of_interactions_can_be_read_and_retold(
    run: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = interactions.read(run / "interactions.csv")
    # Seven pairs in each of 20 steps are fewer than are kept.
    assert len(table) == 140
    assert table["step"].tolist() == np.repeat(np.arange(1, 21), 7).tolist()
    assert set(table["label"]) == {"0", "1", "2"}
    last = [row["success"] for row in csv.DictReader(io.StringIO((run / "metrics.csv").read_text()))][-1]
    assert table["success"].mean() == pytest.approx(float(last))
    assert call(lively(world, tmp_path / "run")) == 0
    printed = capsys.readouterr().out
    assert "140 of 140 conversations are in interactions.csv" in printed
    told = interactions.sentences(table)
    assert [f"  {told[i]}" in printed for i in (0, 70, 139)] == [True] * 3


@pytest.mark.parametrize("activation", ["synchronous", "sequential"])
def test_a_small_log_is_the_same_after_an_interruption(
    activation: str, world: Path, tmp_path: Path, stopping: dict[int, int]
) -> None:
    given = {"interactions": 25, "activation": activation}
    assert call(lively(world, tmp_path / "whole", **given)) == 0
    stopping |= {2: signal.SIGINT, 11: signal.SIGINT}
    assert call(lively(world, tmp_path / "parts", **given)) == 130
    assert call(flags(resume=tmp_path / "parts")) == 130
    assert call(flags(resume=tmp_path / "parts")) == 0
    assert_same_results(tmp_path / "parts", tmp_path / "whole")
    assert len(interactions.read(tmp_path / "parts" / "interactions.csv")) == 25


def test_without_a_log_the_table_is_empty_and_all_else_the_same(
    run: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lively(world, tmp_path / "run", interactions=0)) == 0
    assert "interactions.csv" not in capsys.readouterr().out
    assert (tmp_path / "run" / "interactions.csv").read_text().splitlines() == [",".join(interactions.COLUMNS)]
    unheard, heard = files_of(tmp_path / "run"), files_of(run)
    assert {name for name in SAME if unheard[name] != heard[name]} == {"interactions.csv"}


def test_the_library_can_be_read_by_networkx_in_both_forms(run: Path) -> None:
    graph = nx.node_link_graph(json.loads((run / "library.json").read_text()), edges="edges")
    drawn = nx.read_graphml(run / "library.graphml", force_multigraph=True)
    assert set(graph) == set(drawn)
    assert graph.number_of_edges() == drawn.number_of_edges()
    concepts = [node for node, data in graph.nodes(data=True) if data["type"] == "concept"]
    assert len(concepts) == json.loads((run / "summary.json").read_text())["library"]["n_concepts"]


def test_the_report_is_one_page(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.rstrip().endswith("</html>")


def test_nothing_in_the_checkpoint_can_run(run: Path) -> None:
    with np.load(run / "checkpoint.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "biufU" for name in archive.files)


def test_the_closing_table_shows_what_is_in_the_summary(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = closing_table(json.loads((run / "summary.json").read_text()))
    summary = summary_of(run)
    assert table.startswith("14 agents, 20 steps of ")
    for value in (
        summary["library"]["efficiency"],
        summary["library"]["label_accuracy"],
        summary["library"]["mean_single_view_label_accuracy"],
        summary["communication"]["success"],
        summary["communication"]["success_before"],
        summary["communication"]["success_unseen"],
        summary["communication"]["success_unseen_by_candidates"]["16"],
        summary["superiority"]["mean_felt"],
        summary["attribution"]["luck"],
    ):
        assert f"{value:.3f}" in table
    assert "planted truth" not in table
    assert "None" not in table
    assert "nan" not in table


def test_the_closing_table_sets_the_library_beside_the_unlived_merge_where_there_is_one(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["library"] |= {"efficiency": 0.973, "weights_efficiency": 0.931}
    summary["unlived"] = {"n_concepts": 9, "efficiency": 0.951, "weights_efficiency": 0.86}
    table = closing_table(summary)
    assert re.search(r"efficiency +0\.973  that PCA = 1, before living 0\.951\n", table)
    assert re.search(r"by own weights alone +0\.931  before living 0\.860\n", table)
    summary["unlived"] = dict.fromkeys(summary["unlived"])
    unmeasured = closing_table(summary)
    assert re.search(r"efficiency +0\.973  that PCA = 1\n +by own weights alone +0\.931\n", unmeasured)
    del summary["unlived"], summary["library"]["weights_efficiency"]
    assert "own weights" not in closing_table(summary)


def test_the_closing_table_does_not_foretell_what_cannot_be_foretold(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    summary["superiority"] |= {"mean_true": 0.5, "predicted": 0.81, "tau": 0.75}
    assert "true 0.500, settles at 0.810, tau 0.750" in closing_table(summary)
    summary["superiority"]["predicted"] = None
    assert "true 0.500, tau 0.750" in closing_table(summary)


def test_a_society_that_does_nothing_leaves_nulls_and_dashes(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    idle = {f.name: 0 for f in dataclasses.fields(RunConfig) if f.name.endswith("_interval")} | {"record_interval": 4}
    assert call(lively(world, tmp_path / "run", exemplars=0, **idle)) == 0
    summary = summary_of(tmp_path / "run")
    for part, names in KEYS.items():
        assert set(summary[part] if part else summary) >= set(names.split()) - {"wall_s", "agent_steps_per_s"}
    assert summary["library"]["n_concepts"] == 0
    assert summary["library"]["efficiency"] is None
    assert summary["communication"]["success"] is None
    assert summary["superiority"]["mean_felt"] is None
    assert summary["attribution"] == {"self": None, "others": None, "luck": None}
    table = capsys.readouterr().out
    assert "-  PCA of as many directions -" in table
    assert "before living" not in table
    assert "settles at" not in table


def test_a_planted_world_is_measured_against_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = {"planted_objects": 150, "planted_features": 12, "planted_factors": 3}
    assert call(lively("planted", tmp_path / "run", **shape)) == 0
    library = summary_of(tmp_path / "run")["library"]
    assert library["label_accuracy"] is None
    assert library["raw_label_accuracy"] is None
    assert 0 < library["mcc"] <= 1
    assert 0 < library["mcc_null"] < library["central_mcc"] <= 1
    assert "match with the planted truth" in capsys.readouterr().out


# ---- progress and help


def test_without_a_terminal_progress_is_a_line_for_each_tenth(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lively(world, tmp_path / "run")) == 0
    shown = capsys.readouterr().err
    assert "\r" not in shown
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert len(lines) == 10
    assert lines[0] == f"{PROG}: step 2 of 20"
    assert re.fullmatch(rf"{PROG}: step 20 of 20: success \S+, concepts \d+, efficiency \S+", lines[-1])


def test_on_a_terminal_progress_is_a_bar(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert call(lively(world, tmp_path / "run")) == 0
    shown = capsys.readouterr().err
    assert "20/20" in shown
    assert "success" in shown.rsplit("\r", 1)[-1]
    assert f"{PROG}: step" not in shown


def test_every_flag_has_a_line_of_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as stop:
        call(["--help"])
    assert stop.value.code == 0
    page = capsys.readouterr().out
    assert "None" not in page
    lines = [line.strip("│ ") for line in page.splitlines()]
    for field in dataclasses.fields(RunConfig):
        flag = f"--{field.name.replace('_', '-')}"
        at = next(i for i, line in enumerate(lines) if line.startswith((f"{flag} ", f"{flag},")))
        # The text stands beside the flag, or below it where the flag is long.
        text = lines[at].split("  ", 1)[-1] if "  " in lines[at] else lines[at + 1]
        assert re.match(r"[a-zA-Z]\S* \S+ \S+", text.strip()), flag


# ---- the same again


@pytest.mark.parametrize("more", [{}, {"activation": "sequential"}, {"world": "digits", "steps": 8, "agents": 10}])
def test_the_same_seed_gives_the_same_files_and_another_seed_others(
    more: dict[str, Any], world: Path, tmp_path: Path
) -> None:
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        assert call(lively(world, tmp_path / name, seed=seed, **more)) == 0
    assert_same_results(tmp_path / "one", tmp_path / "same")
    assert files_of(tmp_path / "one")["metrics.csv"] != files_of(tmp_path / "other")["metrics.csv"]


def test_a_checkpoint_on_the_way_changes_nothing(run: Path, world: Path, tmp_path: Path) -> None:
    assert call(lively(world, tmp_path / "run", checkpoint_interval=3)) == 0
    assert files_of(tmp_path / "run") == files_of(run)


def test_a_new_run_replaces_an_earlier_one_only_with_its_first_checkpoint(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    assert call(lively(world, out, steps=4)) == 0
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    seen: dict[int, set[str]] = {}
    step = Society.step

    def watched(society: Society) -> None:
        seen[society.steps] = set(contents(out))
        if society.steps <= 7:
            assert contents(out) == before
        step(society)

    monkeypatch.setattr(Society, "step", watched)
    assert call(lively(world, out, steps=9, seed=2, checkpoint_interval=7)) == 0
    assert seen[8] == {"config.json", "checkpoint.npz", "notes.txt"}
    assert set(contents(out)) == WRITTEN | {"notes.txt"}


# ---- interrupted


@pytest.fixture
def stopping(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sends the process a signal at the end of a step, as Ctrl-C would in the midst of it."""
    plan: dict[int, int] = {}
    step = Society.step

    def stopped(society: Society) -> None:
        step(society)
        if society.steps in plan:
            signal.raise_signal(plan.pop(society.steps))

    monkeypatch.setattr(Society, "step", stopped)
    yield plan
    assert plan == {}


@pytest.mark.parametrize("at", [1, 3, 4, 5, 6, 8, 12, 17, 19])
def test_an_interrupted_run_goes_on_to_the_same_result(
    at: int, run: Path, world: Path, tmp_path: Path, stopping: dict[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    stopping[at] = signal.SIGINT
    assert call(lively(world, out)) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1] == f"{PROG}: interrupted at step {at}; go on with --resume {out}"
    assert set(contents(out)) == {"config.json", "checkpoint.npz"}
    assert call(flags(resume=out)) == 0
    assert_same_results(out, run)
    assert (out / "config.json").read_bytes() == (run / "config.json").read_bytes()


@pytest.mark.parametrize("more", [{"activation": "sequential"}, {"game": "gesture"}, {"talk_interval": 3}])
def test_every_kind_of_society_goes_on_to_the_same_result(
    more: dict[str, Any], world: Path, tmp_path: Path, stopping: dict[int, int]
) -> None:
    assert call(lively(world, tmp_path / "whole", **more)) == 0
    stopping |= {5: signal.SIGINT, 13: signal.SIGINT}
    assert call(lively(world, tmp_path / "parts", **more)) == 130
    assert call(flags(resume=tmp_path / "parts")) == 130
    assert call(flags(resume=tmp_path / "parts")) == 0
    assert_same_results(tmp_path / "parts", tmp_path / "whole")


def test_a_signal_to_end_is_obeyed_like_ctrl_c(world: Path, tmp_path: Path, stopping: dict[int, int]) -> None:
    stopping[3] = signal.SIGTERM
    before = signal.getsignal(signal.SIGTERM)
    assert call(lively(world, tmp_path / "run")) == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before
    assert run_files.saved(tmp_path / "run").steps == 3


def test_ctrl_c_in_the_last_step_comes_too_late(world: Path, tmp_path: Path, stopping: dict[int, int]) -> None:
    stopping[20] = signal.SIGINT
    assert call(lively(world, tmp_path / "run")) == 0
    assert set(contents(tmp_path / "run")) == WRITTEN


def test_a_second_ctrl_c_ends_at_once_and_leaves_whole_files(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Society.step

    def stopped(society: Society) -> None:
        step(society)
        if society.steps == 6:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Society, "step", stopped)
    assert call(lively(world, tmp_path / "run", checkpoint_interval=5)) == command_line.INTERRUPTED
    assert capsys.readouterr().err.splitlines()[-1] == f"{PROG}: interrupted"
    assert run_files.saved(tmp_path / "run").steps == 5


def test_a_run_can_be_lived_outside_the_main_thread(run: Path, world: Path, tmp_path: Path) -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(call(lively(world, tmp_path / "run"))))
    thread.start()
    thread.join()
    assert statuses == [0]
    assert files_of(tmp_path / "run") == files_of(run)


# ---- on a device


@pytest.fixture(scope="module")
def on_cpu(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run of 20 steps, its ticks done by PyTorch."""
    out = tmp_path_factory.mktemp("device") / "run"
    assert call(lively(world, out, device="cpu")) == 0
    return out


def test_a_run_on_a_device_is_the_same_up_to_rounding(run: Path, on_cpu: Path) -> None:
    assert json.loads((on_cpu / "config.json").read_text())["device"] == "cpu"
    assert json.loads((run / "config.json").read_text())["device"] == "numpy"
    said, expected = (interactions.read(out / "interactions.csv") for out in (on_cpu, run))
    assert said.drop(columns="level").equals(expected.drop(columns="level"))
    one, other = (np.load(out / "checkpoint.npz", allow_pickle=False) for out in (on_cpu, run))
    with one, other:
        for name in other.files:
            if name.startswith("population/"):
                np.testing.assert_allclose(one[name], other[name], rtol=0, atol=1e-5, err_msg=name)


def test_a_run_on_a_device_goes_on_there_to_the_same_result(
    on_cpu: Path, world: Path, tmp_path: Path, stopping: dict[int, int]
) -> None:
    stopping |= {7: signal.SIGINT}
    assert call(lively(world, tmp_path / "parts", device="cpu")) == 130
    assert call(flags(resume=tmp_path / "parts")) == 0
    assert_same_results(tmp_path / "parts", on_cpu)


def test_a_run_can_change_its_device_on_the_way(run: Path, world: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert call(lively(world, out, steps=6)) == 0
    for device, steps in (("cpu", 13), ("numpy", 20)):
        assert call(flags(resume=out, steps=steps, device=device)) == 0
        assert json.loads((out / "config.json").read_text())["device"] == device
    said, expected = (interactions.read(path / "interactions.csv") for path in (out, run))
    assert said.drop(columns="level").equals(expected.drop(columns="level"))


# ---- longer


@pytest.mark.parametrize("steps", [6, 10, 13])
def test_a_finished_run_can_go_on_as_if_it_had_been_longer_from_the_start(
    steps: int, run: Path, world: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert call(lively(world, out, steps=steps)) == 0
    assert summary_of(out)["n_steps"] == steps
    assert call(flags(resume=out, steps=20)) == 0
    assert_same_results(out, run)
    assert json.loads((out / "config.json").read_text())["steps"] == 20


def test_a_finished_run_that_goes_on_for_nothing_writes_its_results_again(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert call(lively(world, out)) == 0
    before, summary = contents(out), summary_of(out)
    for name in run_files.RESULTS:
        (out / name).unlink()
    for args in (flags(resume=out), flags(resume=out, steps=20)):
        assert call(args) == 0
        assert set(contents(out)) == WRITTEN
        for name in ("checkpoint.npz", "config.json", *SAME):
            assert (out / name).read_bytes() == before[name], name
        assert summary_of(out) == summary


def test_a_run_can_be_moved_and_goes_on_where_it_lies(run: Path, world: Path, tmp_path: Path) -> None:
    assert call(lively(world, tmp_path / "here", steps=9)) == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert call(flags(resume=tmp_path / "there", steps=20)) == 0
    assert_same_results(tmp_path / "there", run)
    assert not (tmp_path / "here").exists()


def test_time_lived_before_is_counted(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10**6, 100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    out = tmp_path / "run"
    assert call(lively(world, out, steps=4)) == 0
    first = json.loads((out / "summary.json").read_text())["wall_s"]
    assert first >= 100
    lived = run_files.saved(out).lived_s
    assert 0 < lived <= first
    assert call(flags(resume=out, steps=8)) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["wall_s"] >= lived + 100
    assert summary["agent_steps_per_s"] == pytest.approx(14 * 8 / summary["wall_s"])


# ---- things that go wrong on the way


def test_a_disk_that_fills_up_is_one_sentence_and_spoils_no_file(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    write = run_files.atomic_write

    def full(path: Path, data: bytes) -> None:
        if path.name == "checkpoint.npz" and path.exists():
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(run_files, "atomic_write", full)
    assert call(lively(world, out, checkpoint_interval=6)) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"{PROG}: {out / 'checkpoint.npz'} cannot be written (No space left on device)")
    assert "make room" in said
    assert run_files.saved(out).steps == 6
    monkeypatch.undo()
    assert call(flags(resume=out)) == 0


def test_a_defect_is_not_taken_for_bad_input(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(society: Society) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(Society, "step", broken)
    with pytest.raises(ValueError, match="a bug"):
        call(lively(world, tmp_path / "run"))


# ---- as processes


def started(args: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.run_society", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )


def test_ctrl_c_saves_the_run_and_says_how_to_go_on(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(lively(world, out, steps=1000, record_interval=50))
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith(f"{PROG}: step 100 of 1000")
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    found = re.fullmatch(
        rf"{PROG}: interrupted at step (\d+); go on with --resume {re.escape(str(out))}", said.splitlines()[-1]
    )
    assert found
    steps = int(found[1])
    assert 100 <= steps < 1000
    assert run_files.saved(out).steps == steps
    assert call(flags(resume=out, steps=steps + 5)) == 0
    assert call(lively(world, tmp_path / "whole", steps=steps + 5, record_interval=50)) == 0
    assert_same_results(out, tmp_path / "whole")


def test_a_killed_run_goes_on_from_its_last_checkpoint(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = started(lively(world, out, steps=1000, record_interval=50, checkpoint_interval=30))
    deadline = time.monotonic() + 60
    while not (out / "checkpoint.npz").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    whole = {name for name in contents(out) if not name.endswith(".tmp")}
    assert whole == {"config.json", "checkpoint.npz"}
    steps = run_files.saved(out).steps
    assert steps % 30 == 0
    assert call(flags(resume=out, steps=steps + 5)) == 0
    more = {"record_interval": 50, "checkpoint_interval": 30}
    assert call(lively(world, tmp_path / "whole", steps=steps + 5, **more)) == 0
    assert_same_results(out, tmp_path / "whole")


def test_a_whole_run_prints_its_table_and_where_the_report_is(world: Path, tmp_path: Path, run: Path) -> None:
    process = started(lively(world, tmp_path / "run"))
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert printed.startswith("14 agents, 20 steps of ")
    assert printed.rstrip().endswith(f"Report: {tmp_path / 'run' / 'report.html'}")
    assert_same_results(tmp_path / "run", run)


def test_objects_is_a_file_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "objects.npz", features=objects())
    assert call(lively("objects.npz", tmp_path / "run", steps=3)) == 0
    assert summary_of(tmp_path / "run")["world"] == "objects.npz"
