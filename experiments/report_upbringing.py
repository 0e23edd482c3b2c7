"""The section of the report on upbringing: how agents who have met different things describe the same object."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from agents.society import Society
from agents.world import World
from experiments.minds import (
    Common,
    Minds,
    agreement,
    comparable,
    gesture,
    in_common,
    likest,
    minds_of,
    overlap,
    pairs_by,
    probe_objects,
    standings,
)
from experiments.report_objects import categories_of, counted, found, named, picture, pictured
from experiments.report_page import Section
from experiments.report_text import count, esc, number, percent
from knowledge_graph.library import Library

N_PAIRS, N_TOLD = 2, 3
"""Pairs of agents who are shown, and objects that each pair tells."""

N_DIMENSIONS, N_BESIDE = 3, 5
"""Dimensions by which an agent tells an object, and concepts on which the two are set side by side."""

N_CATEGORIES = 4
MEASURED = 30
"""Pairs of most and of least different memories over which agreement is averaged, at most."""

REACH = 3.0
"""Standard deviations to either side that are drawn."""


def upbringing_section(society: Society, library: Library) -> Section:
    """Pairs of agents of the most different memories, and what they say of a few objects."""
    section = {"id": "upbringing", "short": "Upbringing", "heading": "One object, told by different minds"}
    if not len(library):
        return Section(**section, text="There are no concepts yet by which anybody could be compared.")
    minds = minds_of(society, library)
    apart, allowed = overlap(minds.units), comparable(minds)
    pairs = pairs_by(apart, allowed, N_PAIRS)
    if not pairs:
        return Section(**section, text="No two agents who remember enough hold a concept in common.")
    what = "images" if society.world.groups is not None else "objects"
    text = (
        "Each agent grows up with what it happens to meet, and finds dimensions of its own in it. Here are pairs whose "
        f"memories come from the most different {what}, among those who remember at least as much as half of all do "
        "and hold a concept in common. Each says in its own words by which of its dimensions an object stands out "
        "most, how many standard deviations above or below the average probe object, what the library took that "
        "dimension for, and which of the other&#x27;s orders the probe objects most like it. The objects are of the "
        "most frequent categories, and not both of a pair remember them. "
    )
    parts = [_pair(society.world, library, minds, one, other) for one, other in pairs]
    return Section(**section, text=text + _measured(minds, apart, allowed, what), parts=parts)


def _measured(minds: Minds, apart: NDArray[np.float64], allowed: NDArray[np.bool_], what: str) -> str:
    """Whether those of different memories agree less than those of similar ones (a sentence)."""
    n = min(MEASURED, len(minds) // 4)
    far, near = pairs_by(apart, allowed, n), pairs_by(-apart, allowed, n)
    r_far, r_near = agreement(minds, far), agreement(minds, near)
    if n < 2 or r_far is None or r_near is None:
        return ""
    common = [float(np.mean([apart[pair] for pair in pairs])) for pairs in (far, near)]
    return (
        f"Among the {count(len(far), 'pair')} of the most different memories ({percent(common[0])} of their {what} in "
        "common) levels on a concept that both hold correlate "
        f"{number(r_far)} over the probe objects, among the {len(near)} of the most similar ({percent(common[1])}) "
        f"{number(r_near)}."
    )


def _pair(world: World, library: Library, minds: Minds, one: int, other: int) -> str:
    ids = minds.agent[one], minds.agent[other]
    common = in_common(minds, one, other)
    both = set(minds.memory[one].tolist()) & set(minds.memory[other].tolist())
    objects = probe_objects(world, library.probe, both, N_TOLD)
    lived = "".join(
        f"<p><strong>Agent {minds.agent[who]}</strong> {_grew_up(world, minds, who, beside)}</p>"
        for who, beside in ((one, other), (other, one))
    )
    told = "".join(_told(world, library, minds, (one, other), common, number_) for number_ in objects)
    return (
        f'<article class="sheet minds"><h3>Agents {ids[0]} and {ids[1]}</h3><div class="two">{lived}</div>'
        f'<p class="key">{_agree(library, minds, one, other, common, world)}</p>{told}</article>'
    )


def _grew_up(world: World, minds: Minds, who: int, beside: int) -> str:
    """What an agent remembers (HTML, goes on after its name)."""
    own, others = (categories_of(world, minds.memory[at]) for at in (who, beside))
    images = f" in {count(minds.units[who].sum(), 'image')}" if world.groups is not None else ""
    text = f"remembers {count(len(minds.memory[who]), 'object')}{images}"
    if own:
        text += f": most often {esc(counted(own, N_CATEGORIES))}"
    # What one has met that the other has not says more than what is common everywhere.
    more = Counter({name: n - others[name] for name, n in own.items() if n > others[name]})
    if more:
        first = sorted(more.items(), key=lambda item: (-item[1], item[0]))[:N_CATEGORIES]
        listed = ", ".join(f"{name} ({own[name]} against {others[name]})" for name, _ in first)
        text += f"; more than the other {esc(listed)}"
    return f"{text}."


def _agree(library: Library, minds: Minds, one: int, other: int, common: list[Common], world: World) -> str:
    alike, either = minds.units[[one, other]].all(axis=0).sum(), minds.units[[one, other]].any(axis=0).sum()
    what = "images" if world.groups is not None else "objects"
    each = ", ".join(f"{number(same.r)} on {esc(_name(library, same.concept))}" for same in common)
    return (
        f"They share {alike:,} of {either:,} {what}, and hold {count(len(common), 'concept')} in common. Over all "
        f"{len(library.probe):,} probe objects their levels correlate {each}. Where they put an object on these is "
        f'drawn in the direction of the concept, <i class="one"></i> for agent {minds.agent[one]} and '
        f'<i class="other"></i> for agent {minds.agent[other]}.'
    )


def _told(
    world: World,
    library: Library,
    minds: Minds,
    pair: tuple[int, int],
    common: list[Common],
    object_: int,
) -> str:
    """One object as both tell it, and as the library does."""
    at = int(np.flatnonzero(library.probe == object_)[0])
    look = picture(world, object_) if pictured(world) else ""
    said = "".join(
        f"<div><h5>Agent {minds.agent[who]}{_met(minds, who, object_)}</h5>"
        f"{_said(library, minds, who, beside, at)}</div>"
        for who, beside in (pair, pair[::-1])
    )
    return (
        f'<div class="told"><div class="what">{look}<div><h4>O{esc(named(world, object_)[1:])}</h4>'
        f"<p>{_where(world, object_)}{_described(library, at)}</p></div></div>"
        f'<div class="two">{said}</div>{_beside(library, minds, pair, common, at)}</div>'
    )


def _where(world: World, object_: int) -> str:
    where = found(world, object_).partition(" of ")[2]
    size = " pixels" if world.instances is not None else ""
    return f"From {esc(where)}{size}. " if where else ""


def _met(minds: Minds, who: int, object_: int) -> str:
    return " <small>has met it</small>" if object_ in minds.memory[who] else ""


def _described(library: Library, at: int) -> str:
    """The concepts on which an object stands out most, in the library's words."""
    unified = library.unified
    if unified is None or not len(unified.scores):
        return ""
    standing = standings(unified.scores)[at]
    first = np.argsort(-np.abs(standing), kind="stable")[:N_DIMENSIONS].tolist()
    return "For the library it is " + ", ".join(f"{_high(standing[k])} {esc(_name(library, k))}" for k in first) + "."


def _said(library: Library, minds: Minds, who: int, beside: int, at: int) -> str:
    """The dimensions along which an object stands out most for an agent, and what the other has most like each."""
    assert library.views is not None
    held = np.flatnonzero(library.views.held[int(minds.row[who])])
    standing = minds.standing[who, at]
    rows = []
    for slot in held[np.argsort(-np.abs(standing[held]), kind="stable")][:N_DIMENSIONS].tolist():
        k, against = int(minds.concept[who, slot]), minds.r[who, slot] < 0
        meant = "a form of no concept" if k < 0 else f"a form of {esc(_name(library, k))}"
        turned = ", turned round" if k >= 0 and against else ""
        rows.append(
            f"<li>{_called(library, minds, who, slot)} {_high(standing[slot])} "
            f"<small>{meant}{turned}; {_for_the_other(library, minds, who, slot, beside, at)}</small></li>"
        )
    return f"<ul>{''.join(rows)}</ul>"


def _for_the_other(library: Library, minds: Minds, who: int, slot: int, beside: int, at: int) -> str:
    like = likest(minds, who, slot, beside)
    if like is None:
        return f"agent {minds.agent[beside]} has nothing like it"
    place, r = like
    level = minds.standing[beside, at, place]
    called = _called(library, minds, beside, place)
    return f"agent {minds.agent[beside]} has {called} (r = {number(r)}) and says {_signed(level)}"


def _called(library: Library, minds: Minds, who: int, slot: int) -> str:
    """A dimension by the agent's oldest word for it, or by its slot where it has none."""
    assert library.views is not None
    words = [int(word) for word in library.views.words[int(minds.row[who]), slot] if word >= 0]
    if not words:
        return f"<i>dimension {slot}</i>"
    return f"\N{LEFT DOUBLE QUOTATION MARK}{esc(library.spell(words[0]))}\N{RIGHT DOUBLE QUOTATION MARK}"


def _beside(library: Library, minds: Minds, pair: tuple[int, int], common: list[Common], at: int) -> str:
    """Where both put the object on the concepts they share, on one line each."""
    shown = sorted(common, key=lambda same: -abs(same.one[at]) - abs(same.other[at]))[:N_BESIDE]
    rows = []
    for same in shown:
        marks = "".join(
            f'<i class="{side}" style="left:{50 + 50 * float(np.clip(value / REACH, -1, 1)):.1f}%"></i>'
            for side, value in (("one", same.one[at]), ("other", same.other[at]))
        )
        rows.append(
            f'<dt>{esc(_name(library, same.concept))}</dt><dd class="line">{marks}</dd>'
            f"<dd>{_signed(same.one[at])} and {_signed(same.other[at])}</dd>"
        )
    alike = sum(gesture(float(same.one[at])) == gesture(float(same.other[at])) for same in common)
    if len(common) == 1:
        said = f"The concept that both hold: {'the same height' if alike else 'different heights'}."
    else:
        said = f"The {len(common)} concepts that both hold: the same height on {'none' if alike == 0 else alike}."
    return f'<p>{said}</p><dl class="beside">{"".join(rows)}</dl>'


def _high(standing: float) -> str:
    how = gesture(float(standing))
    return f'<span class="{how}">{how}</span> ({_signed(standing)})'


def _signed(value: float) -> str:
    text = number(value, 1)
    return text if text.startswith("\N{MINUS SIGN}") or text == "0.0" else f"+{text}"


def _name(library: Library, k: int) -> str:
    return library.spell(library.names[library.ids[k]])
