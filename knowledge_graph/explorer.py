"""The map of a library to walk about in: one HTML page that works offline, or a frame of it in a notebook.

Zoom, drag, ask for concepts of at least some support, find one by its word, and open it to see what it is made of.
Everything is inside the page (plotly.js once, pictures, data as one JSON block), and a content security policy forbids
it to fetch anything. What comes from data is only ever written as text, never as markup.
"""

from __future__ import annotations

import dataclasses
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from knowledge_graph.concept import Concept
from knowledge_graph.draw import (
    ALIKE,
    HELD,
    INK,
    LEGIBLE,
    MUTED,
    OPPOSED,
    PALE,
    PAPER,
    SCALE,
    caption,
    closeness,
    concept_graph,
    escaped,
    links_of,
)
from knowledge_graph.history import Event
from knowledge_graph.library import Library

N_FEATURES, N_WORDS = 8, 12
"""Features and other words that the panel of a concept shows."""

SAID = {
    "birth": ("born", ""),
    "split": ("split off from", "gave rise to"),
    "merge": ("took in", "went into"),
    "return": ("came back", ""),
    "retirement": ("retired", ""),
}
"""What an event says of its concept, and of the parents of that; the others are named behind it."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

COLOURS = {
    "ink": INK,
    "muted": MUTED,
    "paper": PAPER,
    "pale": PALE,
    "rule": HELD,
    "more": ALIKE,
    "less": OPPOSED,
    "accent": SCALE[-1][1],
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Explorer:
    """A page that Jupyter shows in place, in a frame of ``height`` pixels."""

    page: str
    title: str
    height: int

    def _repr_html_(self) -> str:
        """The page in a frame, whose sandbox keeps its styles and scripts away from the notebook."""
        return (
            f'<iframe title="{_heading(self.title)}" sandbox="allow-scripts" width="100%" height="{self.height}" '
            f'style="border:0" srcdoc="{html.escape(self.page)}"></iframe>'
        )


def show(
    library: Library,
    *,
    feature_names: Sequence[str] | None = None,
    pictures: Mapping[int, str] | None = None,
    title: str = "Concept map",
    height: int = 760,
) -> Explorer:
    """The explorer for a notebook; arguments as for `explorer_page`, and its ``height`` in pixels."""
    page = explorer_page(library, feature_names=feature_names, pictures=pictures, title=title)
    return Explorer(page=page, title=title, height=height)


def framed(figure: go.Figure, *, title: str, height: int = 480) -> Explorer:
    """A plotly figure for a notebook, in a frame with all that it needs inside; ``height`` in pixels.

    What plotly itself hands to a notebook is drawn by whatever shows the notebook; once exported it is not drawn at
    all.
    """
    config = {"displayModeBar": False, "responsive": True}
    drawn = figure.to_html(
        full_html=False, include_plotlyjs=True, config=config, div_id="figure", default_height=f"{height - 20}px"
    )
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{_heading(title)}</title>
</head>
<body>
{drawn}
</body>
</html>
"""
    return Explorer(page=page, title=title, height=height)


def explorer_page(
    library: Library,
    *,
    feature_names: Sequence[str] | None = None,
    pictures: Mapping[int, str] | None = None,
    title: str = "Concept map",
) -> str:
    """The explorer as one HTML page of about 5 MB, nearly all of which is plotly.js.

    Parameters
    ----------
    library : as of its last merge; one without concepts gives a page that says so
    feature_names : D names, by default as the library calls its features
    pictures : what objects look like, as image data URIs by object number (`knowledge_graph.pictures.pictures_of`);
        an exemplar without a picture is shown by its number. Only those of exemplars go into the page.
    title : heading of the page

    Raises
    ------
    ValueError
        If there are not as many names as features, or a picture is not an image data URI.
    """
    data = _data(library, feature_names, pictures or {})
    text = json.dumps(data, allow_nan=False)
    # Nothing in the data can then end the block or be taken for markup; JSON reads the escapes back as the signs.
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    asset = files("knowledge_graph").joinpath
    colours = " ".join(f"--{name}: {value};" for name, value in COLOURS.items())
    # Inside plotly's own strings the end of a script can be written in a way that a page does not take for one.
    plotly_js = get_plotlyjs().replace("</script", r"<\/script")
    heading = _heading(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{heading}</title>
<style>
:root {{ {colours} }}
{asset("explorer.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<div>
<h1>{heading}</h1>
<form id="tools" role="search">
<label>Find <input id="find" type="search" placeholder="word or id" autocomplete="off" spellcheck="false"></label>
<label>Support at least <output id="least" for="support"></output>
<input id="support" type="range" min="0" value="0"></label>
</form>
</div>
<output id="count" for="support find"></output>
</header>
<main>
<section id="map" aria-label="Map of the concepts; all of them are also in the list">
<div id="plot"></div>
<div id="zoom"><button type="button" data-zoom="0.7" aria-label="Zoom in">+</button
><button type="button" data-zoom="1.4" aria-label="Zoom out">&minus;</button
><button type="button" data-zoom="0" aria-label="Show all">&#8634;</button></div>
</section>
<aside id="side" tabindex="-1" aria-label="Concepts"></aside>
</main>
<noscript><p>The map is drawn by JavaScript, which is switched off here.</p></noscript>
<script type="application/json" id="data">{text}</script>
<script>{plotly_js}</script>
<script>
{asset("explorer.js").read_text(encoding="utf-8")}</script>
</body>
</html>
"""


def _heading(title: str) -> str:
    """A title for a page; signs that no page can hold are blanks."""
    return html.escape(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", " ", title))


def _data(library: Library, feature_names: Sequence[str] | None, pictures: Mapping[int, str]) -> dict[str, Any]:
    """What the script in the page works with; plain numbers, texts, lists and mappings."""
    concepts, n_features = library.concepts(), len(library.loadings)
    # The library's own names may be more: of a feature that nobody senses concepts do not know.
    names = [library.feature_name(i) for i in range(n_features)] if feature_names is None else feature_names
    if concepts and len(names) != n_features:
        raise ValueError(
            f"feature_names has {len(names)} names, but the library's objects have {n_features} features: give one "
            "name each"
        )
    figure = concept_graph(library, feature_names=names)
    close, near, told = closeness(library), _near(library), _told(library.history)
    objects = sorted({number for concept in concepts for number in (*concept.strongest, *concept.weakest)})
    return {
        "caption": caption(library),
        "concepts": [
            {
                "id": concept.id,
                "name": library.spell(concept.word),
                "label": escaped(library.spell(concept.word)),
                "support": concept.support,
                "members": concept.members,
                "close": close.get(concept.id),
                "since": concept.since,
                "words": _words(library, concept),
                "strongest": list(concept.strongest),
                "weakest": list(concept.weakest),
                "features": _features(concept, names),
                "near": near.get(concept.id, []),
                "events": told.get(concept.id, []),
            }
            for concept in concepts
        ],
        "pictures": {number: _picture(number, pictures[number]) for number in objects if number in pictures},
        "crowded": len(concepts) > LEGIBLE,
        "figure": _figure(figure),
    }


def _figure(figure: go.Figure) -> dict[str, Any]:
    """The drawing as JSON, fitted to whatever room there is; the caption explains what its legend would."""
    figure.update_layout(height=None, autosize=True, dragmode="pan", showlegend=False, margin={"r": 24, "b": 34})
    drawing: dict[str, Any] = json.loads(figure.to_json())
    return drawing


def _words(library: Library, concept: Concept) -> dict[str, Any]:
    """The words that members go by other than the name: the most used, with counts, and how many there are beyond."""
    others = [[library.spell(word), count] for word, count in concept.words.items() if word != concept.word]
    return {"top": others[:N_WORDS], "more": max(len(others) - N_WORDS, 0)}


def _features(concept: Concept, names: Sequence[str]) -> list[list[Any]]:
    """The features with the largest loadings, [name, loading], from the most positive to the most negative."""
    top = sorted(concept.heaviest(N_FEATURES), key=lambda i: -concept.loadings[i])
    return [[names[i], float(concept.loadings[i])] for i in top]


def _near(library: Library) -> dict[str, list[dict[str, str]]]:
    """For each concept those it has a line to on the map, closest first, and what the line says."""
    near: dict[str, list[dict[str, str]]] = {}
    for link in sorted(links_of(library), key=lambda link: -link.strength):
        if link.kind != "held":
            # A line says "one and other: what they have in common"; no number after it contains ": ".
            why = link.says.rpartition(": ")[2]
            for one, other in (link.ends, link.ends[::-1]):
                near.setdefault(one, []).append({"id": other, "kind": link.kind, "says": why})
    return near


def _told(history: Sequence[Event]) -> dict[str, list[dict[str, Any]]]:
    """For each concept what happened to it, and what came of it, in order of time."""
    told: dict[str, list[dict[str, Any]]] = {}
    for event in history:
        parents = [parent for parent in event.parents if parent != event.concept]
        of_it, of_parents = SAID[event.kind]
        told.setdefault(event.concept, []).append({"step": event.step, "says": of_it, "others": parents})
        for parent in parents:
            told.setdefault(parent, []).append({"step": event.step, "says": of_parents, "others": [event.concept]})
    return told


def _picture(number: int, uri: str) -> str:
    if not uri.startswith("data:image/"):
        raise ValueError(f"the picture of object {number} is {uri[:40]!r}: it must be a data URI of an image")
    return uri
