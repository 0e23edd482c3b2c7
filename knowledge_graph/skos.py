"""A library as linked data: concepts in SKOS, their provenance in PROV-O, as JSON-LD or Turtle.

Concepts are ``skos:Concept`` with labels, examples and relations. They come from dimensions of agents
(``prov:wasDerivedFrom``), dimensions from objects, and belong to agents (``prov:wasAttributedTo``). Each merge is a
``prov:Activity``; it generates the concepts that arise at it and ends those that go, which stay as deprecated, with
what replaces them. What neither vocabulary has words for is in one of the project's own, which the file explains:
support, counts, correlations, events. Time is in steps, never by the clock.

The same library gives the same bytes. There are no blank nodes, and nothing to fetch: the context is in the file. IRIs
are made of numbers and of the ids of concepts alone, so that words and features, being literals, may hold anything. The
dimensions are those merged last, as in the graph; so if several states of a library are to go into one store, give each
a ``base`` of its own.

JSON-LD needs nothing more than this project does; Turtle and the graph itself need rdflib.

- SKOS: https://www.w3.org/TR/skos-reference/
- PROV-O: https://www.w3.org/TR/prov-o/
- JSON-LD 1.1: https://www.w3.org/TR/json-ld11/
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import networkx as nx

from knowledge_graph.concept import Concept
from knowledge_graph.export import to_json, xml_text
from knowledge_graph.files import atomic_write
from knowledge_graph.history import number_of, since
from knowledge_graph.queries import N_FEATURES, told
from knowledge_graph.vocabulary import BASE, context, terms

if TYPE_CHECKING:
    import rdflib

    from knowledge_graph.library import Library

Format = Literal["json-ld", "turtle"]

Node = dict[str, Any]
"""One thing and what is said of it, as JSON-LD has it."""

NODES = {"a": "agent", "d": "dimension", "o": "object"}
"""What the graph calls ``a:17`` is ``agent:17`` here."""

SCHEME = "library:scheme"


def linked_data(library: Library, *, base: str = BASE) -> Node:
    """The library as a JSON-LD document, in Python's dicts and lists.

    Parameters
    ----------
    library : as of its last merge; concepts that have gone are in it as deprecated
    base : what all IRIs of the library's things begin with, ending with ":", "/" or "#"

    Raises
    ------
    ValueError
        If ``base`` is no such beginning of an IRI.
    """
    how_to_read = context(base)
    graph, past = library.graph(), _past(library)
    things = [
        _scheme(library),
        *_concepts(library, graph, past),
        *_gone(library, past),
        *_usages(library),
        *_relations(graph),
        *_dimensions(graph),
        *_agents_and_objects(graph),
        *_rounds(library),
        *terms(),
    ]
    return {"@context": how_to_read, "@graph": [_said(thing) for thing in things]}


def to_json_ld(library: Library, *, base: str = BASE) -> bytes:
    """`linked_data` as a file; everything outside ASCII is escaped."""
    return to_json(linked_data(library, base=base))


def to_skos(library: Library, *, base: str = BASE) -> rdflib.Graph:
    """The library as a graph of rdflib, to be asked in SPARQL; needs rdflib.

    Raises
    ------
    ImportError
        If rdflib is not installed.
    ValueError
        If ``base`` is no beginning of an IRI, see `linked_data`.
    """
    try:
        import rdflib
    except ImportError as error:
        raise ImportError(
            "Turtle and the graph of linked data need rdflib, which is not installed; install it with "
            "\"pip install 'dimensional-views[rdf]'\", or write json-ld, which needs nothing"
        ) from error
    return rdflib.Graph().parse(data=to_json_ld(library, base=base), format="json-ld")


def to_turtle(library: Library, *, base: str = BASE) -> bytes:
    """The library as Turtle; raises as `to_skos` does."""
    return to_skos(library, base=base).serialize(format="turtle", encoding="utf-8")


def write_skos(library: Library, path: Path | str, *, format: Format = "json-ld", base: str = BASE) -> None:  # noqa: A002
    """Write the library as linked data to a file, whole or not at all.

    Parameters
    ----------
    library, base : see `linked_data`
    path : by custom ending in .jsonld or .ttl
    format : "json-ld", or "turtle", which needs rdflib

    Raises
    ------
    ImportError
        If rdflib is needed and not installed.
    ValueError
        If there is no such format, or ``base`` is no beginning of an IRI.
    """
    if format not in get_args(Format):
        raise ValueError(f"there is no format {format!r} for linked data; there are {' and '.join(get_args(Format))}")
    atomic_write(path, (to_json_ld if format == "json-ld" else to_turtle)(library, base=base))


def _scheme(library: Library) -> Node:
    when = f"after merge {len(library.rounds)}, at step {library.step}" if library.rounds else "before any merge"
    return {
        "@id": SCHEME,
        "@type": "skos:ConceptScheme",
        "dct:title": f"The library {when}",
        "skos:hasTopConcept": [f"concept:{name}" for name in library.ids],
        "dv:rounds": len(library.rounds),
        "dv:step": library.step if library.rounds else None,
    }


def _concepts(library: Library, graph: nx.MultiDiGraph, past: _Past) -> list[Node]:
    """Those that there are, in the order in which they arose."""
    related: dict[str, list[str]] = defaultdict(list)
    members: dict[str, list[str]] = defaultdict(list)
    for source, target, data in graph.edges(data=True):
        if data["type"] == "related":
            related[source].append(target)
            related[target].append(source)
        elif data["type"] == "merged_into":
            members[target].append(source)
    found = []
    for concept in _in_order(library):
        name = concept.id
        thing = _any_concept(library, name, past, derived_from=[_iri(node) for node in members[name]])
        words = dict.fromkeys(_text(library, word) for word in concept.words)  # two that look alike are one label
        found.append(
            thing
            | {
                "skos:altLabel": [word for word in words if word != thing["skos:prefLabel"]],
                "skos:definition": _definition(library, concept),
                "skos:related": [f"concept:{other}" for other in sorted(related[name], key=number_of)],
                "skos:example": [f"object:{number}" for number in concept.strongest],
                "dv:weakest": [f"object:{number}" for number in concept.weakest],
                "dv:support": _real(concept.support),
                "dv:members": concept.members,
                "dv:agents": len(set(concept.agents())),
                "dct:replaces": [f"concept:{other}" for other, end in past.ends.items() if end.heir == name],
                "prov:qualifiedDerivation": [_iri(node, "membership") for node in members[name]],
            }
        )
    return found


def _gone(library: Library, past: _Past) -> list[Node]:
    """Concepts that there were once."""
    found = []
    for name in sorted(past.ends, key=number_of):
        end = past.ends[name]
        found.append(
            _any_concept(library, name, past, derived_from=[])
            | {
                "owl:deprecated": True,
                "dct:isReplacedBy": f"concept:{end.heir}" if end.heir else None,
                "dct:replaces": [f"concept:{other}" for other, of in past.ends.items() if of.heir == name],
                "prov:wasInvalidatedBy": f"round:{end.round}",
            }
        )
    return found


def _in_order(library: Library) -> list[Concept]:
    return sorted(library.concepts(), key=lambda concept: number_of(concept.id))


def _any_concept(library: Library, name: str, past: _Past, *, derived_from: list[str]) -> Node:
    parent = past.parent.get(name)
    return {
        "@id": f"concept:{name}",
        "@type": ["skos:Concept", "prov:Entity"],
        "skos:inScheme": SCHEME,
        "skos:notation": name,
        "skos:prefLabel": _text(library, library.names[name]),
        "skos:historyNote": past.notes[name],
        "dv:since": past.since[name],
        "dv:splitFrom": f"concept:{parent}" if parent else None,
        "prov:wasDerivedFrom": [*([f"concept:{parent}"] if parent else []), *derived_from],
        "prov:wasGeneratedBy": f"round:{past.origin[name]}",
    }


def _usages(library: Library) -> list[Node]:
    """How often members call a concept by which word."""
    return [
        {
            "@id": f"usage:{concept.id}.{word}",
            "@type": "dv:Usage",
            "dv:concept": f"concept:{concept.id}",
            "dv:word": _text(library, word),
            "dv:count": count,
        }
        for concept in _in_order(library)
        for word, count in concept.words.items()
    ]


def _relations(graph: nx.MultiDiGraph) -> list[Node]:
    """What skos:related cannot say: how alike, and whether opposed."""
    return [
        {
            "@id": f"relation:{source}.{target}",
            "@type": "dv:Relation",
            "dv:concept": [f"concept:{source}", f"concept:{target}"],
            "dv:congruence": _real(data["congruence"]),
        }
        for source, target, data in graph.edges(data=True)
        if data["type"] == "related"
    ]


def _dimensions(graph: nx.MultiDiGraph) -> list[Node]:
    """The dimensions merged last, each followed by its membership in a concept."""
    found: list[Node] = []
    for node, data in graph.nodes(data=True):
        if data["type"] != "dimension":
            continue
        sources, holder, membership = [], "", None
        for _, target, edge in graph.out_edges(node, data=True):
            if edge["type"] == "derived_from":
                sources.append(target)
            elif edge["type"] == "held_by":
                holder = target
            elif edge["type"] == "merged_into":
                membership = edge
        found.append(
            {
                "@id": _iri(node),
                "@type": ["dv:Dimension", "prov:Entity"],
                "dv:slot": data["slot"],
                "dv:kind": data["kind"],
                "dv:word": [xml_text(word) for word in data["words"]],
                "dv:born": data["born"],
                "dv:superiority": _real(data["superiority"]),
                "prov:wasAttributedTo": _iri(holder),
                "prov:wasDerivedFrom": list(dict.fromkeys(_iri(source) for source in sources)),
            }
        )
        if membership is not None:
            found.append(
                {
                    "@id": _iri(node, "membership"),
                    "@type": "prov:Derivation",
                    "prov:entity": _iri(node),
                    "prov:hadActivity": f"round:{membership['round']}",
                    "dv:correlation": _real(membership["sign"] * membership["r"]),
                    "dv:objects": membership["objects"],
                }
            )
    return found


def _agents_and_objects(graph: nx.MultiDiGraph) -> list[Node]:
    found: list[Node] = []
    for kind, types in (("agent", ["prov:Agent", "prov:SoftwareAgent"]), ("object", ["dv:Object", "prov:Entity"])):
        found += [
            {"@id": f"{kind}:{number}", "@type": types, "rdfs:label": f"{kind} {number}", "dv:number": number}
            for number in sorted(data[kind] for _, data in graph.nodes(data=True) if data["type"] == kind)
        ]
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class _End:
    """At which merge a concept went, and into which other."""

    round: int
    heir: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Past:
    """What the history says of each concept: when it arose, out of what, how it ended if it is gone, and in words."""

    since: dict[str, int]
    origin: dict[str, int]
    parent: dict[str, str]
    ends: dict[str, _End]
    notes: dict[str, list[str]]


def _past(library: Library) -> _Past:
    origin: dict[str, int] = {}
    parent: dict[str, str] = {}
    ends: dict[str, _End] = {}
    notes: dict[str, list[str]] = defaultdict(list)
    for round_ in library.rounds:
        for event in round_.events:
            others = [name for name in event.parents if name != event.concept]
            if event.kind == "merge":
                ends |= {name: _End(round=round_.number, heir=event.concept) for name in others}
            elif event.kind == "retirement":
                ends[event.concept] = _End(round=round_.number, heir=None)
            elif event.kind == "return":
                del ends[event.concept]
            else:
                origin[event.concept] = round_.number
                if others:
                    parent[event.concept] = others[0]
            for name in dict.fromkeys((event.concept, *event.parents)):
                notes[name].append(f"step {event.step}: {told(event)}")
    return _Past(since=since(library.history), origin=origin, parent=parent, ends=ends, notes=notes)


def _rounds(library: Library) -> list[Node]:
    """The merges, each followed by its events."""
    found: list[Node] = []
    for round_ in library.rounds:
        parents = {name for event in round_.events for name in event.parents}
        arisen = {event.concept for event in round_.events if event.kind in ("birth", "split")}
        found.append(
            {
                "@id": f"round:{round_.number}",
                "@type": ["dv:Merge", "prov:Activity"],
                "rdfs:label": f"merge {round_.number}, at step {round_.step}",
                "dv:number": round_.number,
                "dv:step": round_.step,
                "dv:method": round_.unified.method,
                "dv:agents": len(round_.views),
                "prov:used": [f"concept:{name}" for name in sorted(parents - arisen, key=number_of)],
                "prov:wasInformedBy": f"round:{round_.number - 1}" if round_.number > 1 else None,
            }
        )
        found += [
            {
                "@id": f"event:{round_.number}.{number}",
                "@type": "dv:Event",
                "dv:kind": event.kind,
                "dv:step": event.step,
                "dv:concept": f"concept:{event.concept}",
                "dv:parent": [f"concept:{name}" for name in event.parents],
                "dv:round": f"round:{round_.number}",
            }
            for number, event in enumerate(round_.events, 1)
        ]
    return found


def _said(thing: Node) -> Node:
    """Without what there is nothing to say about."""
    return {name: value for name, value in thing.items() if value is not None and value != []}


def _iri(node: str, kind: str = "") -> str:
    letter, _, rest = node.partition(":")
    return f"{kind or NODES[letter]}:{rest}"


def _text(library: Library, word: int) -> str:
    return xml_text(library.spell(word))


def _definition(library: Library, concept: Concept) -> str | None:
    heaviest = concept.heaviest(N_FEATURES)
    said = [f"{xml_text(library.feature_name(i))} ({concept.loadings[i]:+.2f})" for i in heaviest]
    return f"high in {', '.join(said)}" if said else None


def _real(value: float) -> float | None:
    """A number in as many digits as every writer of Turtle keeps; None if it is not finite."""
    return float(f"{value:.6e}") if math.isfinite(value) else None
