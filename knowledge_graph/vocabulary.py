"""The words of linked data about a library: standard vocabularies, and the project's own terms with their meanings."""

from __future__ import annotations

import re
from typing import Any

BASE = "urn:library:"
"""What the IRIs of a library's things begin with."""

VOCABULARY = "urn:dimensional-views:"
"""Namespace of the project's own terms, prefix ``dv``."""

NAMESPACES = {
    "dct": "http://purl.org/dc/terms/",
    "dv": VOCABULARY,
    "owl": "http://www.w3.org/2002/07/owl#",
    "prov": "http://www.w3.org/ns/prov#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

THINGS = ("agent", "concept", "dimension", "event", "membership", "object", "relation", "round", "usage")
"""Prefixes of the library's own things: ``agent:17`` is <base>agent/17."""

CLASSES = {
    "Dimension": "one dimension of one agent, by the agent's number and the slot it has there",
    "Event": "something that happened to a concept at a merge",
    "Merge": "one merge of the views of many agents into the library",
    "Object": "an object of the world",
    "Relation": "how alike the loadings of two concepts are",
    "Usage": "how often a word names a concept",
}

REALS = {
    "congruence": "Tucker's congruence of the loadings of two concepts, -1 to 1; negative where they are opposed",
    "correlation": "of a dimension with the concept that it is a form of; negative where it runs against it",
    "superiority": "what the agent feels along a dimension, from inferior to superior",
    "support": "share of the agents who know a concept, times how reliably they do",
}

LINKS = {
    "concept": "the concept, or concepts, that this is about",
    "parent": "a concept that an event began with",
    "round": "the merge at which an event happened",
    "splitFrom": "the concept that this one came out of, which went on",
    "weakest": "an object at the low end of a concept; skos:example has those at the high end",
}

PLAIN = {
    "agents": "how many agents hold a concept, or have their views in a merge",
    "born": "the step at which a dimension arose",
    "count": "how many members of a concept have a word",
    "kind": "of a dimension: raw or abstract; of an event: birth, split, return, merge or retirement",
    "members": "how many dimensions are merged into a concept",
    "method": "how a merge unified the views",
    "number": "of an agent, an object or a merge",
    "objects": "over how many shared objects a correlation was seen; 0 where features of the same name were compared",
    "rounds": "how many merges the library has seen",
    "since": "the step at which a concept first came up",
    "slot": "the place of a dimension in its agent",
    "step": "when, in steps of the society",
    "word": "what an agent calls a dimension, or members call a concept",
}

IRI_VALUED = (
    "dct:isReplacedBy", "dct:replaces", "prov:entity", "prov:hadActivity", "prov:qualifiedDerivation", "prov:used",
    "prov:wasAttributedTo", "prov:wasDerivedFrom", "prov:wasGeneratedBy", "prov:wasInformedBy",
    "prov:wasInvalidatedBy", "rdfs:subClassOf", "rdfs:subPropertyOf", "skos:example", "skos:hasTopConcept",
    "skos:inScheme", "skos:related",
)  # fmt: skip
"""Properties whose values, in this file, are things rather than text."""


def terms() -> list[dict[str, str]]:
    """What the project's own words mean, so that the file needs no other."""
    above = {
        "Merge": {"rdfs:subClassOf": "prov:Activity"},
        "splitFrom": {"rdfs:subPropertyOf": "prov:wasDerivedFrom"},
    }
    named = [*((name, told, "rdfs:Class") for name, told in CLASSES.items())]
    named += [(name, told, "rdf:Property") for name, told in sorted((REALS | LINKS | PLAIN).items())]
    return [
        {"@id": f"dv:{name}", "@type": type_, "rdfs:label": name, "rdfs:comment": told} | above.get(name, {})
        for name, told, type_ in named
    ]


def context(base: str) -> dict[str, Any]:
    """The ``@context`` of a document: prefixes, and how the values of properties are to be read.

    Raises
    ------
    ValueError
        If ``base`` is no beginning of an IRI, does not end with ":", "/" or "#", or begins with one of the prefixes,
        and would be read as what that stands for.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`\x7f-\x9f\ud800-\udfff]*", base) or (
        base[-1] not in ":/#"
    ):
        raise ValueError(
            f'base is {base!r}, but it must begin with a scheme and end with ":", "/" or "#", without spaces or any of '
            f'<>"{{}}|\\^`; an example is {BASE!r}'
        )
    scheme = base.partition(":")[0]
    if scheme in (*NAMESPACES, "library", *THINGS):
        raise ValueError(f"base is {base!r}, but {scheme!r} is a prefix in this file; an example is {BASE!r}")
    found: dict[str, Any] = NAMESPACES | {"library": base} | {name: f"{base}{name}/" for name in THINGS}
    found |= {f"dv:{name}": {"@type": "xsd:double"} for name in REALS}
    return found | {name: {"@type": "@id"} for name in (*(f"dv:{name}" for name in LINKS), *IRI_VALUED)}
