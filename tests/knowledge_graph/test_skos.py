"""The library as linked data: what is in the files, what they can be asked, and that they are sound SKOS and PROV."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib.compare import isomorphic
from rdflib.namespace import DCTERMS, OWL, PROV, RDF, RDFS, SKOS

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import digits
from knowledge_graph.export import xml_text
from knowledge_graph.library import Library
from knowledge_graph.skos import linked_data, to_json_ld, to_skos, to_turtle, write_skos
from tests.knowledge_graph.handmade import PROBE, library_on, planted, views_on

DV = rdflib.Namespace("urn:dimensional-views:")
CONCEPT = rdflib.Namespace("urn:library:concept/")
AGENT = rdflib.Namespace("urn:library:agent/")
ROUND = rdflib.Namespace("urn:library:round/")
PREFIXES = {"agent": AGENT, "dv": DV, "skos": SKOS, "prov": PROV, "dct": DCTERMS, "owl": OWL, "concept": CONCEPT}

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # within rdflib's own reader

NASTY = [
    'say "it"', "<b>&amp;</b>", "back\\slash", "two\nlines\tand a tab", "", " ", "concept:c1", "@id", "_:b0", "../..",
    "a/b?c#d%20", "概念 🙂", "\u2028\u0085", "bell\x07", "lone \ud800", '"""', "'''\\", "{}", "urn:library:concept/c1",
]  # fmt: skip


def story(*, agents: int = 24, spell: Callable[[int], str] | None = None) -> Library:
    """Four merges: two factors are known as one (1), are told apart (2), some are forgotten (3), all are back (4).

    Everybody has words, and dimensions come from objects.
    """
    features, truth = planted()
    mixed = truth.copy()
    mixed[:, 0] = mixed[:, 1] = (truth[:, 0] + truth[:, 1]) / np.sqrt(2)
    fewer = mixed.copy()
    fewer[:, 4], fewer[:, 3] = fewer[:, 5], fewer[:, 2]
    library = library_on(features)
    rng = np.random.default_rng(0)
    for number, known in enumerate((mixed, truth, fewer, truth), 1):
        views = views_on(features, known, agents=agents, seed=number)
        views = dataclasses.replace(
            views,
            words=rng.integers(-1, len(NASTY), views.words.shape).astype(np.int32),
            sources=rng.integers(-1, PROBE, (*views.held.shape, 3)).astype(np.int32),
        )
        library.merge(views, step=5 * number, n_words=100)
    if spell is not None:
        library.spell = spell
    return library


@pytest.fixture(scope="module")
def library() -> Library:
    return story()


@pytest.fixture(scope="module")
def small() -> Library:
    """A library that has merged once, of a few agents."""
    return story(agents=6).at(1)


@pytest.fixture(scope="module")
def graph(library: Library) -> rdflib.Graph:
    return to_skos(library)


@pytest.fixture(scope="module")
def lived() -> Library:
    """The library of a society that has merged twice."""
    society = Society(digits(seed=0), SocietyConfig(agents=40, merge_interval=25), seed=0)
    for _ in range(50):
        society.step()
    return society.library


@pytest.fixture(scope="module")
def lived_graph(lived: Library) -> rdflib.Graph:
    return to_skos(lived)


def ask(graph: rdflib.Graph, question: str) -> set[tuple[object, ...]]:
    """The rows of an answer, IRIs by the last part of their paths."""

    def short(term: rdflib.term.Node | None) -> object:
        if isinstance(term, rdflib.Literal):
            return term.toPython()
        return None if term is None else str(term).rsplit("/", 1)[-1]

    return {tuple(short(term) for term in row) for row in graph.query(question, initNs=PREFIXES)}


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("format_", "name"), [("json-ld", "library.jsonld"), ("turtle", "library.ttl")])
def test_a_file_reads_back_as_the_same_graph(format_, name, tmp_path, library, graph, lived, lived_graph):
    for whose, expected in ((library, graph), (lived, lived_graph)):
        write_skos(whose, tmp_path / name, format=format_)
        back = rdflib.Graph().parse(tmp_path / name, format=format_)
        assert len(back) == len(expected) > 1000
        assert isomorphic(back, expected)
    assert os.listdir(tmp_path) == [name]


def test_nothing_is_anonymous_and_nothing_has_a_language(lived_graph):
    terms = {term for triple in lived_graph for term in triple}
    assert not [term for term in terms if isinstance(term, rdflib.BNode)]
    assert not [term for term in terms if isinstance(term, rdflib.Literal) and term.language]


def test_reading_and_writing_ask_nothing_of_the_network(library, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("something was to be fetched")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    written = to_json_ld(library)
    assert isinstance(json.loads(written)["@context"], dict)  # in the file, and no address of one
    assert len(rdflib.Graph().parse(data=written, format="json-ld")) > 1000
    assert len(rdflib.Graph().parse(data=to_turtle(library), format="turtle")) > 1000


def test_the_same_library_gives_the_same_bytes(library):
    assert to_json_ld(story()) == to_json_ld(library)
    assert to_turtle(story()) == to_turtle(library)


def test_bytes_do_not_depend_on_how_python_shuffles_its_sets(library, tmp_path):
    library.save(tmp_path / "library.npz")
    code = (
        "from knowledge_graph.library import Library\n"
        "from knowledge_graph.skos import write_skos\n"
        "library = Library.load('library.npz')\n"
        "write_skos(library, 'library.jsonld')\n"
        "write_skos(library, 'library.ttl', format='turtle')\n"
    )
    shuffled = os.environ | {
        "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=shuffled, check=True)
    assert (tmp_path / "library.jsonld").read_bytes() == to_json_ld(library)
    assert (tmp_path / "library.ttl").read_bytes() == to_turtle(library)


def test_json_ld_needs_no_rdflib_and_the_rest_says_how_to_get_it(library, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    write_skos(library, tmp_path / "library.jsonld")
    assert json.loads((tmp_path / "library.jsonld").read_bytes())["@graph"]
    with pytest.raises(ImportError, match=r"pip install 'dimensional-views\[rdf\]'"):
        to_skos(library)
    with pytest.raises(ImportError, match="json-ld, which needs nothing"):
        write_skos(library, tmp_path / "library.ttl", format="turtle")
    assert os.listdir(tmp_path) == ["library.jsonld"]


def test_an_unknown_format_is_refused_and_the_old_file_stays(library, tmp_path):
    target = tmp_path / "library.rdf"
    target.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"'xml'.*json-ld and turtle"):
        write_skos(library, target, format="xml")
    assert target.read_bytes() == b"old"


def test_a_library_without_merges_is_a_scheme_without_concepts():
    empty = Library()
    graph = to_skos(empty)
    assert isomorphic(graph, rdflib.Graph().parse(data=to_turtle(empty), format="turtle"))
    assert ask(graph, "SELECT ?rounds WHERE { ?s a skos:ConceptScheme; dv:rounds ?rounds }") == {(0,)}
    for kind in (SKOS.Concept, PROV.Agent, PROV.Activity, PROV.Entity):
        assert not list(graph.subjects(RDF.type, kind))


@pytest.mark.parametrize("base", ["https://example.org/runs/7/", "http://example.org/library#", "urn:uuid:0-1:"])
def test_everything_of_the_library_is_named_under_the_base(base, library, graph):
    other = to_skos(library, base=base)
    assert len(other) == len(graph)
    assert set(other) == set(rdflib.Graph().parse(data=to_turtle(library, base=base), format="turtle"))
    own = {str(term) for term in other.subjects() if not str(term).startswith(str(DV))}
    assert all(name.startswith(base) for name in own)
    assert {name.removeprefix(base) for name in own} == {
        str(term).removeprefix("urn:library:") for term in graph.subjects() if not str(term).startswith(str(DV))
    }


@pytest.mark.parametrize(
    "base", ["", "library/", "http://x.org/a b/", "http://x.org/lib", "urn:<x>:", "1a:", "urn:\n:"]
)
def test_a_base_that_is_no_beginning_of_an_iri_is_refused(base, library):
    with pytest.raises(ValueError, match="base is"):
        linked_data(library, base=base)


@pytest.mark.parametrize("base", ["skos:", "agent:", "library:x/", "dv:"])
def test_a_base_that_begins_with_a_prefix_of_the_file_is_refused(base, library):
    """It would be read as what the prefix stands for: the library's things as terms of SKOS, or of themselves."""
    with pytest.raises(ValueError, match=f"base is '{base}', but {base.partition(':')[0]!r} is a prefix"):
        linked_data(library, base=base)


# -- words -----------------------------------------------------------------------------------------------------------


def test_nasty_words_come_through_both_formats(library):
    nasty = story(agents=12, spell=lambda word: NASTY[word] if word < len(NASTY) else f"w{word}")
    expected = {xml_text(word) for word in NASTY}
    for data, format_ in ((to_json_ld(nasty), "json-ld"), (to_turtle(nasty), "turtle")):
        graph = rdflib.Graph().parse(data=data, format=format_)
        assert set(graph) == set(to_skos(nasty))
        assert {str(word) for word in graph.objects(None, DV.word)} == expected
        for concept in nasty.concepts():
            said = {str(word) for word in graph.objects(CONCEPT[concept.id], SKOS.altLabel | SKOS.prefLabel)}
            assert said == {xml_text(nasty.spell(word)) for word in (concept.word, *concept.words)}
        # Words are never parts of names, so that no word can break one.
        assert {s for s in graph.subjects() if not str(s).isascii()} == set()


@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=12), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_any_words_give_sound_files(small, words):
    said = small.copy()
    said.spell = lambda word: words[word % len(words)]
    graph = to_skos(said)
    assert set(graph) == set(rdflib.Graph().parse(data=to_turtle(said), format="turtle"))
    assert {str(word) for word in graph.objects(None, SKOS.prefLabel)} <= {xml_text(word) for word in words}
    sound_skos(graph)


def test_words_that_look_alike_are_one_label_but_counted_apart(library):
    twins = library.copy()
    twins.spell = lambda word: "same" if word < len(NASTY) else f"w{word}"
    graph = to_skos(twins)
    concept = max(twins.concepts(), key=lambda one: len(one.words))
    assert len(concept.words) > 2
    assert list(graph.objects(CONCEPT[concept.id], SKOS.prefLabel | SKOS.altLabel)) == [rdflib.Literal("same")]
    rows = ask(graph, f"SELECT ?use ?n WHERE {{ ?use dv:concept concept:{concept.id}; dv:word 'same'; dv:count ?n }}")
    assert sorted(n for _, n in rows) == sorted(concept.words.values())


# -- questions ---------------------------------------------------------------------------------------------------------


def test_all_agents_who_hold_a_concept_can_be_asked_with_how_close_they_come(library, graph, lived, lived_graph):
    for whose, said in ((library, graph), (lived, lived_graph)):
        for concept in whose.concepts():
            found = ask(
                said,
                f"""SELECT ?number ?slot ?r WHERE {{
                    concept:{concept.id} prov:qualifiedDerivation [prov:entity ?dimension; dv:correlation ?r] .
                    concept:{concept.id} prov:wasDerivedFrom ?dimension .
                    ?dimension prov:wasAttributedTo ?agent; dv:slot ?slot . ?agent dv:number ?number }}""",
            )
            r = {(agent, slot): r for agent, slot, r in found}
            held = zip(concept.holder.tolist(), concept.slot.tolist(), concept.r.tolist(), strict=True)
            assert r == pytest.approx({(agent, slot): r for agent, slot, r in held}, abs=1e-6)
            assert {agent for agent, _ in r} == set(concept.agents())
            counts = ask(said, f"SELECT ?m ?a WHERE {{ concept:{concept.id} dv:members ?m; dv:agents ?a }}")
            assert counts == {(concept.members, len(set(concept.agents())))}
    seen = {data["objects"] for *_, data in library.graph().edges(data=True) if data["type"] == "merged_into"}
    assert ask(graph, "SELECT ?n WHERE { ?membership a prov:Derivation; dv:objects ?n }") == {(n,) for n in seen}
    assert min(r for (r,) in ask(lived_graph, "SELECT ?r WHERE { ?x dv:correlation ?r }")) < 0


def test_the_objects_at_the_bottom_of_a_concept_can_be_asked(library, graph):
    for concept in library.concepts():
        found = ask(
            graph,
            f"""SELECT DISTINCT ?number WHERE {{
                concept:{concept.id} prov:wasDerivedFrom/prov:wasDerivedFrom ?object .
                ?object a dv:Object; dv:number ?number }}""",
        )
        assert {number for (number,) in found} == set(library.explain(concept.id).objects) != set()


def test_what_a_concept_was_split_off_from_can_be_asked(library):
    told_apart = to_skos(library.at(2))
    (split,) = [event for event in library.history if event.kind == "split"]
    question = f"SELECT ?parent WHERE {{ concept:{split.concept} dv:splitFrom ?parent; prov:wasDerivedFrom ?parent }}"
    assert ask(told_apart, question) == {split.parents}
    generated = f"SELECT ?step WHERE {{ concept:{split.concept} prov:wasGeneratedBy [a prov:Activity; dv:step ?step] }}"
    assert ask(told_apart, generated) == {(10,)}
    assert (ROUND["2"], PROV.used, CONCEPT[split.parents[0]]) in told_apart
    notes = set(told_apart.objects(CONCEPT[split.concept], SKOS.historyNote))
    assert notes == {rdflib.Literal(f"step 10: {split.concept} splits off from {split.parents[0]}")}


def test_concepts_that_have_gone_stay_as_deprecated_with_what_replaces_them(library):
    earlier = library.at(3)
    graph = to_skos(earlier)
    (merge,) = [event for event in earlier.history if event.kind == "merge"]
    (merged,) = set(merge.parents) - {merge.concept}
    retired = {event.concept for event in earlier.history if event.kind == "retirement"}
    assert retired
    gone = ask(
        graph,
        """SELECT ?concept ?step WHERE {
            ?concept a skos:Concept; owl:deprecated true; prov:wasInvalidatedBy [a prov:Activity; dv:step ?step] }""",
    )
    assert gone == {(name, 15) for name in retired | {merged}}
    assert ask(graph, "SELECT ?old ?new WHERE { ?old dct:isReplacedBy ?new }") == {(merged, merge.concept)}
    assert ask(graph, "SELECT ?new ?old WHERE { ?new dct:replaces ?old }") == {(merge.concept, merged)}
    labels = ask(
        graph,
        "SELECT ?notation ?label WHERE { ?c owl:deprecated true; skos:notation ?notation; skos:prefLabel ?label }",
    )
    assert labels == {(name, library.spell(library.names[name])) for name in retired | {merged}}
    tops = ask(graph, "SELECT ?concept WHERE { ?scheme skos:hasTopConcept ?concept }")
    assert tops == {(name,) for name in earlier.ids}


def test_a_concept_that_is_back_is_as_if_it_had_never_gone_except_for_its_history(library, graph):
    back = {event.concept for event in library.history if event.kind == "return"}
    assert len(back) >= 2
    for predicate in (OWL.deprecated, DCTERMS.isReplacedBy, DCTERMS.replaces, PROV.wasInvalidatedBy):
        assert list(graph.triples((None, predicate, None))) == []
    for name in back:
        assert len(list(graph.objects(CONCEPT[name], PROV.wasGeneratedBy))) == 1
        assert f"step 20: {name} is back" in map(str, graph.objects(CONCEPT[name], SKOS.historyNote))


def test_the_whole_history_is_in_the_file(library, graph):
    found = []
    for event in graph.subjects(RDF.type, DV.Event):
        round_ = graph.value(event, DV.round)
        assert (round_, RDF.type, PROV.Activity) in graph
        parents = sorted(str(parent).rsplit("/", 1)[-1] for parent in graph.objects(event, DV.parent))
        concept = str(graph.value(event, DV.concept)).rsplit("/", 1)[-1]
        step, kind = graph.value(event, DV.step).toPython(), str(graph.value(event, DV.kind))
        found.append((graph.value(round_, DV.number).toPython(), step, kind, concept, tuple(parents)))
    told = [(e.round, e.step, e.kind, e.concept, tuple(sorted(e.parents))) for e in library.history]
    assert Counter(found) == Counter(told)
    assert {kind for _, _, kind, *_ in told} == {"birth", "split", "merge", "return", "retirement"}


def test_support_words_and_examples_of_concepts_are_those_of_the_library(lived, lived_graph):
    for concept in lived.concepts():
        this = CONCEPT[concept.id]
        support = lived_graph.value(this, DV.support)
        assert support.datatype == rdflib.XSD.double
        assert support.toPython() == pytest.approx(concept.support, rel=1e-6)
        since = lived_graph.value(this, DV.since)
        assert (since.datatype, since.toPython()) == (rdflib.XSD.integer, concept.since)
        assert str(lived_graph.value(this, SKOS.notation)) == concept.id
        assert str(lived_graph.value(this, SKOS.prefLabel)) == lived.spell(concept.word)
        for predicate, objects in ((SKOS.example, concept.strongest), (DV.weakest, concept.weakest)):
            numbers = {lived_graph.value(thing, DV.number).toPython() for thing in lived_graph.objects(this, predicate)}
            assert numbers == set(objects) != set()
        uses = ask(
            lived_graph, f"SELECT ?w ?n WHERE {{ ?use dv:concept concept:{concept.id}; dv:word ?w; dv:count ?n }}"
        )
        assert dict(uses) == {lived.spell(word): n for word, n in concept.words.items()}
        heaviest = int(np.abs(concept.loadings).argmax())
        assert lived.feature_name(heaviest) in str(lived_graph.value(this, SKOS.definition))


def test_relations_keep_how_alike_and_whether_opposed(lived, lived_graph):
    edges = {
        frozenset((source, target)): data["congruence"]
        for source, target, data in lived.graph().edges(data=True)
        if data["type"] == "related"
    }
    assert min(edges.values()) < 0 < max(edges.values())
    pairs = ask(lived_graph, "SELECT ?a ?b WHERE { ?a skos:related ?b }")
    assert pairs == {pair for edge in edges for pair in (tuple(edge), tuple(edge)[::-1])}
    rows = ask(
        lived_graph,
        "SELECT ?a ?b ?c WHERE { ?r a dv:Relation; dv:concept ?a, ?b; dv:congruence ?c FILTER(?a != ?b) }",
    )
    assert {frozenset((a, b)): c for a, b, c in rows} == edges


def test_what_an_agent_means_by_a_word_can_be_asked(lived, lived_graph):
    agent = int(lived.views.agent[0])
    own = lived.agent(agent)
    assert own
    rows = ask(
        lived_graph,
        f"""SELECT ?slot ?kind ?born ?word WHERE {{
            ?dimension prov:wasAttributedTo agent:{agent}; dv:slot ?slot; dv:kind ?kind; dv:born ?born
            OPTIONAL {{ ?dimension dv:word ?word }} }}""",
    )
    expected = {(one.slot, one.kind, one.born, word) for one in own for word in one.words or (None,)}
    assert rows == expected


# -- soundness -----------------------------------------------------------------------------------------------------


def sound_skos(graph: rdflib.Graph) -> None:
    """The integrity conditions of the SKOS reference (S9, S13, S14, S23, S27), and that nothing is without a label."""
    concepts, schemes = set(graph.subjects(RDF.type, SKOS.Concept)), set(graph.subjects(RDF.type, SKOS.ConceptScheme))
    assert len(schemes) == 1
    assert not concepts & schemes
    for concept in concepts:
        assert set(graph.objects(concept, SKOS.inScheme)) == schemes
        preferred, others = (list(graph.objects(concept, label)) for label in (SKOS.prefLabel, SKOS.altLabel))
        assert len(preferred) == 1
        assert not set(preferred) & set(others)
        assert len(list(graph.objects(concept, SKOS.notation))) == 1
    hierarchy = nx.DiGraph([(a, b) for a, b in graph.subject_objects(SKOS.broader | SKOS.broaderTransitive)])
    for a, b in graph.subject_objects(SKOS.related):
        assert a != b
        assert {a, b} <= concepts
        assert (b, SKOS.related, a) in graph
        assert not (a in hierarchy and b in nx.descendants(hierarchy, a))
    for scheme, concept in graph.subject_objects(SKOS.hasTopConcept):
        assert (concept, SKOS.inScheme, scheme) in graph


def sound_prov(graph: rdflib.Graph) -> None:
    """Types of the ends of PROV's relations; one maker and one origin for each thing; nothing comes from itself."""

    def are(nodes: set[rdflib.term.Node], kind: rdflib.URIRef) -> bool:
        return all((node, RDF.type, kind) in graph for node in nodes)

    for predicate, domain, range_ in (
        (PROV.wasDerivedFrom, PROV.Entity, PROV.Entity),
        (PROV.wasAttributedTo, PROV.Entity, PROV.Agent),
        (PROV.wasGeneratedBy, PROV.Entity, PROV.Activity),
        (PROV.wasInvalidatedBy, PROV.Entity, PROV.Activity),
        (PROV.wasInformedBy, PROV.Activity, PROV.Activity),
        (PROV.used, PROV.Activity, PROV.Entity),
        (PROV.qualifiedDerivation, PROV.Entity, PROV.Derivation),
        (PROV.entity, PROV.Derivation, PROV.Entity),
        (PROV.hadActivity, PROV.Derivation, PROV.Activity),
    ):
        assert are(set(graph.subjects(predicate)), domain), predicate
        assert are(set(graph.objects(None, predicate)), range_), predicate
    for thing in graph.subjects(RDF.type, SKOS.Concept):
        assert len(list(graph.objects(thing, PROV.wasGeneratedBy))) == 1
    for dimension in graph.subjects(RDF.type, DV.Dimension):
        assert len(list(graph.objects(dimension, PROV.wasAttributedTo))) == 1
    for derived, how in graph.subject_objects(PROV.qualifiedDerivation):
        assert (derived, PROV.wasDerivedFrom, graph.value(how, PROV.entity)) in graph
    for kind in (PROV.Activity, PROV.Agent):
        assert not set(graph.subjects(RDF.type, kind)) & set(graph.subjects(RDF.type, PROV.Entity))
    assert nx.is_directed_acyclic_graph(nx.DiGraph(list(graph.subject_objects(PROV.wasDerivedFrom))))
    # What is used was there before: generated by an earlier merge, which the later ones were informed by.
    for activity, thing in graph.subject_objects(PROV.used):
        before = set(graph.transitive_objects(activity, PROV.wasInformedBy)) - {activity}
        assert graph.value(thing, PROV.wasGeneratedBy) in before


@pytest.mark.parametrize("round_", [0, 1, 2, 3, 4])
def test_every_state_of_a_library_is_sound(round_, library):
    state = library.at(round_)
    graph = to_skos(state)
    sound_skos(graph)
    sound_prov(graph)
    ever = {name for earlier in library.rounds[:round_] for name in earlier.ids}
    assert ask(graph, "SELECT ?name WHERE { ?c a skos:Concept; skos:notation ?name }") == {(name,) for name in ever}


def test_the_library_of_a_society_is_sound_and_complete(lived, lived_graph):
    sound_skos(lived_graph)
    sound_prov(lived_graph)
    types = Counter(kind for _, kind in lived.graph().nodes(data="type"))
    for kind, class_ in (("agent", PROV.SoftwareAgent), ("dimension", DV.Dimension), ("object", DV.Object)):
        assert len(list(lived_graph.subjects(RDF.type, class_))) == types[kind] > 0
    dimensions = lived.to_pandas("dimensions")
    assert len(list(lived_graph.subjects(RDF.type, PROV.Derivation))) == dimensions["concept"].notna().sum()


def test_every_term_of_the_projects_own_is_explained_in_the_file(library, lived_graph):
    for graph in (lived_graph, to_skos(library.at(3))):
        used = {term for _, predicate, thing in graph for term in (predicate, thing) if str(term).startswith(str(DV))}
        assert DV.support in used
        for term in used:
            assert graph.value(term, RDFS.comment) is not None, term
