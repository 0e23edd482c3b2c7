"""The summary of a run as a table for the terminal."""

from __future__ import annotations

from typing import Any


def closing_table(summary: dict[str, Any]) -> str:
    """The summary as a table for the terminal: measured beside one central mind, the floors and the single view."""
    library, talk, unlived = summary["library"], summary["communication"], summary.get("unlived") or {}
    felt, jungle, credit = summary["superiority"], summary["selection"], summary["attribution"]
    # What superiority settles at is known for comparison alone; where other rewards are felt, nothing is said of it.
    settles = "" if felt["predicted"] is None else f", settles at {number(felt['predicted'])}"
    rows: list[tuple[str, str, str]] = [
        ("concepts", number(library["n_concepts"], 0), f"no view holds more than {jungle['max_dims']}"),
        (
            "held-out variance explained",
            number(library["explained_variance"]),
            f"PCA of as many directions {number(library['optimal_explained_variance'])}, of 8 directions "
            f"{number(library['rank8_explained_variance'])}",
        ),
        ("efficiency", number(library["efficiency"]), _listed("that PCA = 1", _before(unlived.get("efficiency")))),
        *_own_weights(library, unlived, "efficiency"),
    ]
    if library["mcc"] is not None:
        beside = (
            f"one mind that holds all {number(library['central_mcc'])}, best view "
            f"{number(library['best_single_view_mcc'])}, chance {number(library['mcc_null'])}"
        )
        rows += [
            (
                "match with the planted truth",
                number(library["mcc"]),
                _listed(beside, _before(unlived.get("mcc"))),
            ),
            *_own_weights(library, unlived, "mcc"),
        ]
    if library["label_accuracy"] is not None:
        rows.append(
            (
                "label accuracy",
                number(library["label_accuracy"]),
                f"raw features {number(library['raw_label_accuracy'])}, best view "
                f"{number(library['best_single_view_label_accuracy'])}, mean view "
                f"{number(library['mean_single_view_label_accuracy'])}",
            )
        )
    if library["prediction"] is not None:
        rows.append(
            (
                "unsensed features foretold",
                number(library["prediction"]),
                f"by one agent through the library; at best {number(library['prediction_bound'])}",
            )
        )
    rows += [
        (
            "success of talk",
            number(talk["success"]),
            f"before the library {number(talk['success_before'])}, guessing {number(talk['chance'])}",
        ),
        *_about_unseen(talk),
        (
            "words",
            number(talk["distinct_words"], 0),
            _listed(f"{number(talk['words_per_concept'], 1)} per concept", _agreed(talk.get("steps_to_convention"))),
        ),
        (
            "superiority felt",
            number(felt["mean_felt"]),
            f"true {number(felt['mean_true'])}{settles}, tau {number(felt['tau'])}",
        ),
        (
            "outcomes due to self",
            number(credit["self"]),
            f"others {number(credit['others'])}, luck {number(credit['luck'])}",
        ),
        (
            "deaths",
            number(jungle["deaths"], 0),
            f"dimensions found {number(jungle['dims_discovered'], 0)}, dropped {number(jungle['dims_dropped'], 0)}",
        ),
        (
            "time",
            f"{summary['wall_s']:.1f} s",
            f"{number(summary['agent_steps_per_s'], 0)} agent-steps/s",
        ),
    ]
    wide = max(len(name) for name, _, _ in rows)
    head = f"{summary['n_agents']} agents, {summary['n_steps']} steps of {summary['world']}, seed {summary['seed']}"
    return "\n".join([head, *(f"  {name:<{wide}}  {value:>8}  {note}".rstrip() for name, value, note in rows)])


def _listed(*said: str) -> str:
    return ", ".join(filter(None, said))


def _before(value: float | None) -> str:
    return "" if value is None else f"before living {number(value)}"


def _agreed(step: float | None) -> str:
    return "" if step is None else f"agreed on from step {number(step, 0)}"


def _about_unseen(talk: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The row for talk about objects that nobody has met, among few and many; none where it is not known."""
    value, among = talk.get("success_unseen"), talk.get("success_unseen_by_candidates") or {}
    others = {n: share for n, share in among.items() if n != str(talk["candidates"]) and share is not None}
    beside = ", ".join(f"among {n} {number(share)}" for n, share in others.items())
    return [] if value is None else [("  about objects never met", number(value), beside)]


def _own_weights(library: dict[str, Any], unlived: dict[str, Any], name: str) -> list[tuple[str, str, str]]:
    """The row for the same figure taken from the agents' own weights alone; none where it is not known."""
    value = library.get(f"weights_{name}")
    before = _before(unlived.get(f"weights_{name}"))
    return [] if value is None else [("  by own weights alone", number(value), before)]


def number(value: float | None, digits: int = 3) -> str:
    """A number for the terminal; a hyphen where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"
