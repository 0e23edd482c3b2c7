"""The section of the report on talk: how a society came to understand each other, and what its words are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.interactions import records, sentences
from agents.society import Society
from experiments import report_figures as draw
from experiments.report_page import Plot, Section
from experiments.report_text import Row, count, esc, known, percent

OVERHEARD = 8
"""Conversations that are told one by one."""


def talk_section(society: Society, metrics: Sequence[Row], summary: Mapping[str, Any]) -> Section:
    """How talk went over time, among few and many objects, met and never met; and how long words live."""
    config, talk = society.config, summary["communication"]
    words = config.game == "language"
    interval = config.merge_interval
    merges = range(interval, society.steps + 1, interval) if interval and society.library.rounds else []
    figure = draw.talk_figure(metrics, chance=known(talk["chance"]), merges=merges, words=words)
    section = {"id": "talk", "short": "Talk", "heading": "How they came to understand each other"}
    if figure is None:
        return Section(**section, text="Nobody has talked, or it was not recorded.")
    parts: list[str | Plot | tuple[Plot, ...]] = [
        Plot(
            name="talk",
            heading="Conversations in which the right object was picked",
            note="Triangles mark merges, at which agents take the library&#x27;s word for their dimensions."
            if merges and config.library_word
            else "",
            figure=figure,
        )
    ]
    among = draw.scenes_figure(*(talk.get(name) or {} for name in BY_CANDIDATES))
    if among is not None:
        note = "At the end of the run, between doubles of the agents, who learn nothing from it."
        parts.append(Plot(name="scenes", heading="Success among few and many objects", note=note, figure=among))
    if words:
        parts += _words(metrics)
    parts += _overheard(society)
    return Section(**section, text=_text(talk, metrics, words=words, merging=config.library_word), parts=parts)


BY_CANDIDATES = ("success_by_candidates", "success_unseen_by_candidates", "chance_by_candidates")


def _text(talk: Mapping[str, Any], metrics: Sequence[Row], *, words: bool, merging: bool) -> str:
    text = (
        f"One agent means one of {count(talk['candidates'], 'object')}, says a word for a dimension and shows how high "
        "the object stands on it; the other picks. An unknown word is a failure, so a young society does worse than "
        "guessing. "
        if words
        else f"One agent means one of {count(talk['candidates'], 'object')} and points; the other lines up its own "
        "dimensions with what it is shown, and picks. "
    )
    if known(talk["success_before"]) is not None and known(talk["success"]) is not None:
        text += (
            f"{percent(talk['success_before'])} of conversations succeeded before the library first spoke, and "
            f"{percent(talk['success'])} at the end; guessing succeeds in {percent(talk['chance'])}. "
        )
    elif known(talk["success"]) is not None:
        chance = percent(talk["chance"])
        text += f"At the end {percent(talk['success'])} of conversations succeed; guessing does in {chance}. "
    if known(talk.get("success_unseen")) is not None:
        text += f"Of those about objects that nobody has ever met, {percent(talk['success_unseen'])} do. "
    lately = [row.get("coherence") for row in metrics[-max(len(metrics) // 4, 1) :]] if words else []
    agreed = [share for value in lately if (share := known(value)) is not None]
    if agreed:
        text += (
            "Two agents who have a word for the same concept lately said the same one in "
            f"{percent(sum(agreed) / len(agreed))} of cases"
        )
        text += (
            ": the library&#x27;s word makes them agree, and dimensions that are discovered afterwards are named anew."
            if merging
            else "."
        )
    return text.rstrip()


def _words(metrics: Sequence[Row]) -> list[str | Plot | tuple[Plot, ...]]:
    """The life of words: how many there are, how many a concept has, and how far agents agree on them."""
    lexicon, agreed = draw.words_figure(metrics), draw.agreement_figure(metrics)
    plots = []
    if lexicon is not None:
        note = "At first everybody coins words; then most are forgotten. Logarithmic scale."
        plots.append(Plot(name="words", heading="Words in use", note=note, figure=lexicon))
    if agreed is not None:
        note = "Chance that two agents with words for one concept say the same; from the first merge on."
        plots.append(Plot(name="agreement", heading="Agreement on words", note=note, figure=agreed))
    return [tuple(plots)] if plots else []


def _overheard(society: Society) -> list[str]:
    """Some of the conversations that were kept, evenly over the run, as a table; none where none were kept."""
    rows = society.log.spread(OVERHEARD)
    if not len(rows):
        return []
    said = "".join(f'<tr><td class="wide">{esc(told)}</td></tr>' for told in sentences(records(rows, society.world)))
    caption = f"Overheard: {len(rows)} of {society.log.heard:,} conversations"
    return [f'<div class="scroll" tabindex="0"><table><caption>{caption}</caption><tbody>{said}</tbody></table></div>']
