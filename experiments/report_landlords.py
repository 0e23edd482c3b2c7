"""The section of the report on landlords: of which single objects an abstract dimension is what they share."""

from __future__ import annotations

from collections.abc import Sequence

from agents.society import Society
from agents.world import World
from experiments.landlords import Landlord, Origin, origins, raw_shares
from experiments.report_objects import named, pictured, row_of_pictures
from experiments.report_page import Section
from experiments.report_text import count, esc, known, number, percent
from knowledge_graph.library import Library

N_CONCEPTS = 8
N_NAMED, N_PICTURED = 3, 6
"""Landlords of either end of a concept that are named, and that are shown."""


def landlords_section(society: Society, library: Library) -> Section:
    """For each of the best supported concepts, the objects that its forms come from."""
    section = {"id": "landlords", "short": "Landlords", "heading": "Which landlords became abstract"}
    if not len(library):
        return Section(**section, text="There are no concepts yet that anybody could have become.")
    world = society.world
    text = (
        "A raw dimension is likeness to one object: one landlord. An abstract one is what many have in common, and "
        "comes most from those that stand farthest out on it. A concept that objects of one kind raise may be lowered "
        "by another kind, so that it tells the two apart; a dimension is a form of it from |r| = 0.5 on, signs aside. "
    )
    shares = [share for value in raw_shares(library) if (share := known(value)) is not None]
    if len(shares) > 1:
        text += (
            f"At the first merge {percent(shares[0])} of all dimensions were likenesses to one object, at the last "
            f"{percent(shares[-1])}."
        )
    rows = "".join(_row(world, library, origin) for origin in origins(library, world, N_CONCEPTS))
    return Section(**section, text=text, parts=[f'<div class="landlords">{rows}</div>'])


def _row(world: World, library: Library, origin: Origin) -> str:
    name = esc(library.spell(library.names[library.ids[origin.concept]]))
    high, low = origin.ends(N_PICTURED)
    shown = "".join(
        f'<p class="end"><i class="{side}"></i> {end}</p>{row_of_pictures(world, [one.number for one in some])}'
        for end, side, some in (("rises with", "high", high), ("falls with", "low", low))
        if some and pictured(world)
    )
    pictures = f"<div>{shown}</div>" if shown else ""
    return (
        f'<article class="card landlord"><div><h3>{name} <small>{esc(library.ids[origin.concept])}</small></h3>'
        f"<p>{became(world, name, origin)}</p><p>{held(origin)} {nearest(world, origin)}</p></div>{pictures}</article>"
    )


def became(world: World, name: str, origin: Origin) -> str:
    """Whose common factor a concept is, in a sentence (HTML); ``name`` is escaped already."""
    high, low = origin.ends(N_NAMED)
    if not high and not low:
        return f"Nobody holds <strong>{name}</strong> as a dimension of its own; it is known in mixtures only."
    if not high:
        return f"The abstract landlord <strong>{name}</strong> is the opposite of what {_shared(world, low)}."
    against = f", as against {_listed(world, low)}" if low else ""
    return f"The abstract landlord <strong>{name}</strong> is what {_shared(world, high)}{against}."


def held(origin: Origin) -> str:
    """Who holds a concept as the likeness to one object, and who as an abstract dimension, in a sentence."""
    if origin.raw + origin.abstract == 0:
        return ""
    abstract = (f"{origin.abstract:,}" if origin.abstract else "nobody") + " as an abstract dimension"
    if origin.raw:
        once = f", as {count(origin.ever, 'agent')} did at some merge" if origin.ever > origin.raw else ""
        who = f"{count(origin.raw, 'agent')} still {_hold(origin.raw)}"
        return f"{who} it as the likeness to one object{once}, {abstract}."
    if origin.ever:
        once = f"as {count(origin.ever, 'agent')} did"
        return f"Nobody holds it any more as the likeness to one object, {once}; {abstract}."
    who = f"{count(origin.abstract, 'agent')} {_hold(origin.abstract)}"
    return f"{who} it as an abstract dimension, nobody as the likeness to one object."


def nearest(world: World, origin: Origin) -> str:
    """How well likeness to a single object does, beside the dimensions that agents hold, in a sentence (HTML)."""
    best = origin.nearest
    if best is None:
        return ""
    among = f"Of the {len(origin.landlords):,} objects that these come from, l" if len(origin.landlords) > 1 else "L"
    goes = "goes best with it" if len(origin.landlords) > 1 else "goes with it"
    text = f"{among}ikeness to {esc(named(world, best.number))} {goes} (r = {number(best.r)})"
    middle = [
        f"half of the {what} by {number(r)} or more"
        for what, r in (("abstract dimensions", origin.r_abstract), ("likenesses as agents sense them", origin.r_raw))
        if known(r) is not None
    ]
    return f"{text}, {' and '.join(middle)}."


def _hold(n: int) -> str:
    return "holds" if n == 1 else "hold"


def _shared(world: World, some: Sequence[Landlord]) -> str:
    return f"{_listed(world, some)} {'is like' if len(some) == 1 else 'have in common'}"


def _listed(world: World, some: Sequence[Landlord]) -> str:
    names = [esc(named(world, one.number)) for one in some]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
