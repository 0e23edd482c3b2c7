"""Sections of the report on the library: its map, its concepts, their number, and their words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from agents.society import Society
from agents.world import World
from experiments import report_figures as draw
from experiments.report_cards import N_CARDS, cards
from experiments.report_categories import ENOUGH
from experiments.report_objects import of_images, pictured
from experiments.report_page import MAP_BUTTONS, Plot, Section
from experiments.report_text import Row, count, esc, number
from knowledge_graph.draw import caption, concept_graph
from knowledge_graph.library import Library
from knowledge_graph.views import Unified

N_WORDS = 6
"""Other words of a concept that the table shows."""


def map_section(society: Society, library: Library) -> Section:
    """The map of concepts, agents' dimensions and words."""
    figure = concept_graph(library, feature_names=society.world.feature_names)
    if not len(library):
        why = (
            "The library never took the views in, because merging is switched off."
            if society.config.merge_interval == 0
            else f"No views have been merged yet: the library takes them in every "
            f"{count(society.config.merge_interval, 'step')}."
            if library.unified is None
            else "The views have been merged, but no direction is shared by more of them than chance would have it."
        )
        return Section(id="map", short="The map", heading="The map is still empty", text=why)
    return Section(
        id="map",
        short="The map",
        heading=f"The map of {count(len(library), 'concept')}",
        text=esc(caption(library)),
        parts=[
            Plot(
                name="map",
                heading="Concepts and how they hang together",
                note="Point at a disc or at the middle of a line to be told more.",
                figure=figure,
                buttons=MAP_BUTTONS,
            )
        ],
    )


def looks_section(society: Society, library: Library) -> Section:
    """What the best supported concepts look like."""
    world = society.world
    heading = "What the strongest concepts look like"
    if not len(library):
        return Section(id="looks", short="Concepts", heading=heading, text="There are none to be looked at yet.")
    shown = min(N_CARDS, len(library))
    text = f"The {shown} best supported concepts." if shown > 1 else "The only concept."
    if of_images(world):
        return Section(
            id="looks",
            short="Concepts",
            heading=heading,
            text=text + objects_told(world),
            parts=[cards(library, world)],
        )
    if world.image_shape:
        text += (
            " On the left what a concept weighs: orange pixels raise it, blue ones lower it. Beside it the average of "
            "the objects that stand lowest on it, and of those that stand highest."
        )
    else:
        text += (
            " The bars are the features that say most about each: orange ones rise with the concept, blue ones fall."
        )
    if world.labels is not None:
        text += (
            " Below, how high the objects of each label stand on it; no agent has ever seen a label, so what is sorted "
            "there was found without."
        )
    return Section(id="looks", short="Concepts", heading=heading, text=text, parts=[cards(library, world)])


def objects_told(world: World) -> str:
    """How to read the cards of concepts where the objects were found in images."""
    text = ""
    if world.labels is not None:
        text += (
            " The bars are the categories that each separates best, with their number of objects: the figure is how "
            "likely an object of the category stands higher on the concept than one of another (0.50 would be chance; "
            f"only categories of {ENOUGH} objects or more that differ from it by more than chance are named, and since "
            "objects of one image are alike, what chance can do is judged by the number of images). No agent has ever "
            "seen a category; what is sorted there was found without."
        )
    told = "" if pictured(world) else ", by number and image"
    if told and world.instances is not None:
        told += ", with width and height in pixels"
    return f"{text} Below, the probe objects that stand highest and lowest{told}."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """How concepts were counted: in words, and what one point of the chart, its height and the chart are called."""

    text: str
    what: str
    height: str
    heading: str


def how_counted(library: Library, unified: Unified) -> Told:
    """What decided the number of concepts, which differs from method to method."""
    if unified.method == "clustering":
        return Told(
            text="The dimensions of all agents are compared with each other, and dimensions that look alike, signs "
            "aside, are put into one cluster. Each point is a cluster, and its height says how many dimensions agree "
            "in it, as far as stronger clusters leave them unexplained. If every agent had mixed up which object is "
            "which, hardly any cluster would come up to the dashed line; what stands above it is kept.",
            what="cluster",
            height="Dimensions that agree",
            heading="Clusters of dimensions",
        )
    if unified.method == "covariance":
        return Told(
            text="Every view implies how the features that it senses go together, and the mean of all views how all "
            "features do. Each point is a direction of that mean, and its height says how much varies along it, "
            "counted in features. The dashed line is what would be left if every agent turned the sign of each "
            "feature as it pleased, so that views agree by chance alone. What stands above it, place by place, is "
            "kept and taken away, and the rest is compared with chance again, until nothing is left.",
            what="direction",
            height="Variance, in features",
            heading="Directions of what views imply",
        )
    text = (
        "Every view is a few directions in the space of objects. Each point is a direction that views have in common, "
        "and its height says how much of it the average view captures. "
    )
    if library.count == "shared":
        text += (
            f"Views that have nothing in common would come up to the dashed line ({number(float(unified.edge[0]), 3)}) "
            "by chance; what stands above it is kept, and that is all that decides the number. A direction also counts "
            "when views share it merely because many agents sense the same single feature, so where senses overlap "
            "densely there are more concepts than common factors."
        )
    else:
        text += (
            "The dashed line is how high the same agents would come in a world whose features have nothing to do with "
            "each other, where all they share is that they sense the same ones; what stands above it, place by place, "
            "is what features have in common, and is kept."
        )
    return Told(
        text=text,
        what="shared direction",
        height="Mean share captured by a view",
        heading="Directions that views share",
    )


def number_section(library: Library, metrics: Sequence[Row]) -> Section:
    """Why there are as many concepts as there are."""
    unified = library.unified
    if unified is None:
        text = "How many dimensions are shared shows when views are merged; they have not been yet."
        return Section(id="number", short="How many", heading="How many concepts there are", text=text)
    told = how_counted(library, unified)
    plots = []
    spectrum = draw.spectrum_figure(unified.eigenvalues, unified.edge, unified.n_concepts, what=told.what)
    if spectrum is not None:
        note = f"{told.height}, logarithmic scale."
        plots.append(Plot(name="spectrum", heading=told.heading, note=note, figure=spectrum))
    grown = draw.concepts_figure(metrics, library.history)
    if grown is not None:
        note = "Lines are what there is; bars what arose and what was given up at a merge."
        plots.append(Plot(name="concepts", heading="Concepts in the library", note=note, figure=grown))
    heading = f"Why {count(unified.n_concepts, 'concept')}" if unified.n_concepts else "Why there are no concepts"
    return Section(
        id="number", short="How many", heading=heading, text=told.text, parts=[tuple(plots)] if plots else []
    )


def words_section(society: Society, library: Library) -> Section:
    """A table of the concepts, with their names and other words."""
    heading, concepts = "The words", library.concepts()
    if not concepts:
        return Section(id="words", short="Words", heading=heading, text="There is nothing to be named yet.")
    text = (
        "Every concept, with its name and the other words that dimensions of its kind go by (in how many of them)."
        if society.config.game == "language"
        else "In the gesture game agents have no words; the names are the library&#x27;s own."
    )
    rows = []
    for concept in concepts:
        others = [(word, n) for word, n in concept.words.items() if word != concept.word]
        named = ", ".join(f"{esc(library.spell(word))} ({n:,})" for word, n in others[:N_WORDS])
        more = f" and {len(others) - N_WORDS:,} more" if len(others) > N_WORDS else ""
        rows.append(
            f"<tr><td><strong>{esc(library.spell(concept.word))}</strong></td><td>{esc(concept.id)}</td>"
            f'<td class="n">{number(concept.support)}</td><td class="n">{concept.members:,}</td>'
            f'<td class="n">{concept.since:,}</td><td class="wide">{named}{more}</td></tr>'
        )
    head = (
        '<th>Name</th><th>Concept</th><th class="n">Support</th><th class="n">Members</th>'
        '<th class="n">Since step</th><th>Other words</th>'
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return Section(
        id="words", short="Words", heading=heading, text=text, parts=[f'<div class="scroll" tabindex="0">{table}</div>']
    )
