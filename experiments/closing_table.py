"""The summary of a run as a table for the terminal."""

from __future__ import annotations

from typing import Any


def closing_table(summary: dict[str, Any]) -> str:
    """The summary as a table for the terminal: measured beside its optimum, its floor and the single view."""
    library, talk = summary["library"], summary["communication"]
    felt, jungle, credit = summary["superiority"], summary["selection"], summary["attribution"]
    rows: list[tuple[str, str, str]] = [
        ("concepts", _number(library["n_concepts"], 0), f"no view holds more than {jungle['max_dims']}"),
        (
            "held-out variance explained",
            _number(library["explained_variance"]),
            f"optimum {_number(library['optimal_explained_variance'])}, 8 dimensions at best "
            f"{_number(library['rank8_explained_variance'])}",
        ),
        ("efficiency", _number(library["efficiency"]), "of the best map of that many dimensions"),
    ]
    if library["mcc"] is not None:
        rows.append(
            (
                "match with the planted truth",
                _number(library["mcc"]),
                f"one mind that holds all {_number(library['central_mcc'])}, best view "
                f"{_number(library['best_single_view_mcc'])}, chance {_number(library['mcc_null'])}",
            )
        )
    if library["label_accuracy"] is not None:
        rows.append(
            (
                "label accuracy",
                _number(library["label_accuracy"]),
                f"raw features {_number(library['raw_label_accuracy'])}, best view "
                f"{_number(library['best_single_view_label_accuracy'])}, mean view "
                f"{_number(library['mean_single_view_label_accuracy'])}",
            )
        )
    rows += [
        (
            "success of talk",
            _number(talk["success"]),
            f"before the library {_number(talk['success_before'])}, guessing {_number(talk['chance'])}",
        ),
        ("words", _number(talk["distinct_words"], 0), f"{_number(talk['words_per_concept'], 1)} per concept"),
        (
            "superiority felt",
            _number(felt["mean_felt"]),
            f"true {_number(felt['mean_true'])}, settles at {_number(felt['predicted'])}, tau {_number(felt['tau'])}",
        ),
        (
            "outcomes due to self",
            _number(credit["self"]),
            f"others {_number(credit['others'])}, luck {_number(credit['luck'])}",
        ),
        (
            "deaths",
            _number(jungle["deaths"], 0),
            f"dimensions found {_number(jungle['dims_discovered'], 0)}, dropped {_number(jungle['dims_dropped'], 0)}",
        ),
        (
            "time",
            f"{summary['wall_s']:.1f} s",
            f"{_number(summary['agent_steps_per_s'], 0)} agent-steps/s",
        ),
    ]
    wide = max(len(name) for name, _, _ in rows)
    head = f"{summary['n_agents']} agents, {summary['n_steps']} steps of {summary['world']}, seed {summary['seed']}"
    return "\n".join([head, *(f"  {name:<{wide}}  {value:>8}  {note}" for name, value, note in rows)])


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
