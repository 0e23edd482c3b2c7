import io
import itertools
import json
import math
import os
import re
import stat
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import digits, planted
from knowledge_graph.export import (
    GEXF,
    plain,
    to_gexf,
    to_graphml,
    to_json,
    to_node_link,
    write_gexf,
    write_graphml,
    write_json,
)
from knowledge_graph.files import atomic_write

HOSTILE = '"quoted" & <script>alert(1)</script>\n\ttab, ümlaut, 概念, \u2028, ]]>, 🙂'


def library_graph(seed: int = 3) -> nx.MultiDiGraph:
    world = planted(seed=seed, objects=300, features=24, factors=4, probe=60)
    society = Society(world, SocietyConfig(agents=20, sensors=12, merge_interval=10), seed=seed)
    for _ in range(20):
        society.step()
    return society.library.graph()


@pytest.fixture(scope="module")
def graph() -> nx.MultiDiGraph:
    return library_graph()


@pytest.fixture(scope="module")
def digits_graph() -> nx.MultiDiGraph:
    """The library of a society that has merged twice."""
    society = Society(digits(seed=0), SocietyConfig(agents=40, merge_interval=25), seed=0)
    for _ in range(50):
        society.step()
    return society.library.graph()


def parse_gexf(data: bytes) -> nx.Graph:
    return nx.read_gexf(io.BytesIO(data))


def flat(attributes: dict[str, object]) -> dict[str, object]:
    """What GraphML and GEXF can hold of a node's or an edge's attributes."""
    return {
        name: " ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in attributes.items()
        if value is not None
    }


def test_node_link_json_reads_back_as_the_same_graph(graph, tmp_path):
    write_json(to_node_link(graph), tmp_path / "library.json")
    back = nx.node_link_graph(json.loads((tmp_path / "library.json").read_text()), edges="edges")
    assert back.graph == graph.graph
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    assert nx.utils.edges_equal(back.edges(keys=True, data=True), graph.edges(keys=True, data=True), directed=True)
    assert {data["type"] for *_, data in back.edges(data=True)} >= {"merged_into", "held_by", "named"}


def test_graphml_reads_back_with_the_same_nodes_edges_and_types(graph, tmp_path):
    write_graphml(graph, tmp_path / "library.graphml")
    back = nx.read_graphml(tmp_path / "library.graphml", force_multigraph=True)
    assert dict(back.nodes(data=True)) == {node: flat(data) for node, data in graph.nodes(data=True)}

    def rows(g):
        return sorted((u, v, sorted(flat(data).items(), key=str)) for u, v, data in g.edges(data=True))

    assert rows(back) == rows(graph)
    assert back.graph["step"] == graph.graph["step"]
    concept = next(data for _, data in back.nodes(data=True) if data["type"] == "concept")
    assert type(concept["members"]) is int
    assert type(concept["support"]) is float


def test_every_edge_of_the_graphml_file_has_an_id_of_its_own(graph):
    edges = nx.parse_graphml(to_graphml(graph).decode(), force_multigraph=True).edges(keys=True)
    keys = [key for *_, key in edges]
    assert len(set(keys)) == len(keys) == graph.number_of_edges()


def gexf_rows(graph: nx.Graph) -> list[tuple[object, ...]]:
    """Edges without the numbers that the file gives them."""
    found = []
    for source, target, data in graph.edges(data=True):
        known = {name: value for name, value in flat(data).items() if name != "id"}
        found.append((source, target, sorted(known.items(), key=str)))
    return sorted(found, key=str)


def test_gexf_reads_back_with_the_same_nodes_edges_and_types(graph, tmp_path):
    write_gexf(graph, tmp_path / "library.gexf")
    back = nx.read_gexf(tmp_path / "library.gexf")
    nodes = {node: {name: v for name, v in data.items() if name != "viz"} for node, data in back.nodes(data=True)}
    assert nodes == {node: {"label": node} | flat(data) for node, data in graph.nodes(data=True)}
    assert gexf_rows(back) == gexf_rows(graph)
    assert {type(v) for _, data in back.nodes(data=True) for name, v in data.items() if name == "members"} == {int}
    assert {type(v) for _, data in back.nodes(data=True) for name, v in data.items() if name == "support"} == {float}
    ends = {data["end"] for *_, data in back.edges(data=True) if data["type"] == "exemplified_by"}
    assert ends == {"strongest", "weakest"}  # GEXF itself has "end" and "type" for an edge's time and direction
    assert {type(data["name"]) for *_, data in back.edges(data=True) if data["type"] == "named"} == {bool}


def test_parallel_edges_survive_in_gexf_and_are_told_apart_by_their_kind():
    graph = nx.MultiDiGraph()
    graph.add_edge("c1", "c2", type="related", congruence=0.5)
    graph.add_edge("c1", "c2", type="derived_from", round=2)
    graph.add_edge("c2", "c1", type="related", congruence=0.25)
    graph.add_edge("c1", "c1", type="related")
    back = parse_gexf(to_gexf(graph))
    assert back.is_multigraph()
    assert back.is_directed()
    assert gexf_rows(back) == gexf_rows(graph)
    kinds = [edge.get("kind") for edge in ET.fromstring(to_gexf(graph)).iter(f"{{{GEXF}}}edge")]
    assert Counter(kinds) == {"related": 3, "derived_from": 1}


def test_an_undirected_graph_is_so_in_gexf_too_and_keeps_labels_and_weights():
    graph = nx.Graph(title="a pair")
    graph.add_edge("a", "b", weight=0.5, label="near")
    graph.add_edge("b", "c", weight=2)
    back = parse_gexf(to_gexf(graph))
    assert not back.is_directed()
    assert (back.edges["a", "b"]["weight"], back.edges["b", "c"]["weight"]) == (0.5, 2.0)
    assert back.edges["a", "b"]["label"] == "near"
    assert "label" not in back.edges["b", "c"]
    assert ET.fromstring(to_gexf(graph)).findtext(f"{{{GEXF}}}meta/{{{GEXF}}}description") == "title a pair"


def test_a_weight_that_is_no_number_is_an_attribute_like_any_other_in_gexf():
    graph = nx.DiGraph()
    graph.add_edge("a", "b", weight="heavy")
    graph.add_edge("b", "c", weight=2)
    edges = list(ET.fromstring(to_gexf(graph)).iter(f"{{{GEXF}}}edge"))
    assert ["weight" in edge.attrib for edge in edges] == [False, False]
    assert [data["weight"] for *_, data in parse_gexf(to_gexf(graph)).edges(data=True)] == ["heavy", "2"]


# What the grammar of GEXF 1.3 (gexf.rnc, viz.rnc) allows, as far as a static graph without hierarchy goes.
GRAMMAR = {
    "gexf": ({"version"}, {"meta", "graph"}),
    "meta": (set(), {"creator", "description"}),
    "creator": (set(), set()),
    "description": (set(), set()),
    "graph": ({"defaultedgetype", "mode"}, {"attributes", "nodes", "edges"}),
    "attributes": ({"class"}, {"attribute"}),
    "attribute": ({"id", "title", "type"}, set()),
    "nodes": (set(), {"node"}),
    "node": ({"id", "label"}, {"attvalues", "viz:color", "viz:size"}),
    "viz:color": ({"r", "g", "b", "a"}, set()),
    "viz:size": ({"value"}, set()),
    "edges": (set(), {"edge"}),
    "edge": ({"id", "source", "target", "kind"}, {"attvalues"}),
    "attvalues": (set(), {"attvalue"}),
    "attvalue": ({"for", "value"}, set()),
}


def local(element: ET.Element) -> str:
    return element.tag.replace(f"{{{GEXF}}}", "").replace(f"{{{GEXF}/viz}}", "viz:")


def test_gexf_of_a_real_library_keeps_to_the_grammar(digits_graph):
    root = ET.fromstring(to_gexf(digits_graph))
    assert local(root) == "gexf"
    for element in root.iter():
        attributes, children = GRAMMAR[local(element)]
        assert set(element.attrib) == attributes
        assert {local(child) for child in element} <= children
        if local(element) not in ("meta", "graph", "attributes", "nodes", "edges", "attvalues", "gexf"):
            assert len({local(child) for child in element}) == len(element)
    assert root.get("version") == "1.3"
    body = root[1]
    assert body.attrib == {"defaultedgetype": "directed", "mode": "static"}
    assert [local(part) for part in body] == ["attributes", "attributes", "nodes", "edges"]
    assert [part.get("class") for part in body[:2]] == ["node", "edge"]
    declared = [attribute for part in body[:2] for attribute in part]
    assert len({attribute.get("id") for attribute in declared}) == len(declared)
    assert {attribute.get("type") for attribute in declared} <= {"string", "long", "double", "boolean"}
    ids = {kind: [element.get("id") for element in part] for kind, part in zip(("node", "edge"), body[2:], strict=True)}
    assert len(set(ids["node"])) == len(ids["node"])
    assert len(set(ids["edge"])) == len(ids["edge"])
    for edge in body[3]:
        assert {edge.get("source"), edge.get("target")} <= set(ids["node"])
    for part, elements in zip(body[:2], body[2:], strict=True):
        known = {attribute.get("id") for attribute in part}
        for element in elements:
            uses = [value.get("for") for value in element.iter(f"{{{GEXF}}}attvalue")]
            assert set(uses) <= known
            assert len(set(uses)) == len(uses)


def test_gexf_and_graphml_of_a_real_library_read_back_complete(digits_graph, tmp_path):
    write_gexf(digits_graph, tmp_path / "g.gexf")
    write_graphml(digits_graph, tmp_path / "g.graphml")
    types = Counter(kind for _, kind in digits_graph.nodes(data="type"))
    relations = Counter(kind for *_, kind in digits_graph.edges(data="type"))
    assert set(types) == {"concept", "agent", "dimension", "word", "object"}
    assert types["agent"] == 40
    assert {"merged_into", "held_by", "named", "exemplified_by", "derived_from"} <= set(relations)
    for back in (
        nx.read_gexf(tmp_path / "g.gexf"),
        nx.read_graphml(tmp_path / "g.graphml", force_multigraph=True),
    ):
        assert set(back.nodes) == set(digits_graph.nodes)
        assert Counter(kind for _, kind in back.nodes(data="type")) == types
        assert Counter(kind for *_, kind in back.edges(data="type")) == relations
        ends = Counter((source, target) for source, target, _ in back.edges(data=True))
        assert ends == Counter((source, target) for source, target, _ in digits_graph.edges)


def test_in_gexf_a_type_has_its_colour_and_a_concept_its_size_by_support(digits_graph):
    back = parse_gexf(to_gexf(digits_graph))
    colours = {data["type"]: set() for _, data in back.nodes(data=True)}
    for _, data in back.nodes(data=True):
        colours[data["type"]].add(tuple(data["viz"]["color"].values()))
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == len(colours) == 5
    concepts = sorted((data["support"], data["viz"]["size"]) for _, data in back.nodes(data=True) if "support" in data)
    assert len(concepts) > 5
    assert all(small[1] <= large[1] for small, large in itertools.pairwise(concepts))
    assert concepts[0][1] < concepts[-1][1]


def test_the_same_society_twice_gives_the_same_bytes(graph):
    again = library_graph()
    assert to_json(to_node_link(again)) == to_json(to_node_link(graph))
    assert to_graphml(again) == to_graphml(graph)
    assert to_gexf(again) == to_gexf(graph)


def test_the_order_in_which_things_were_added_does_not_matter():
    one, other = nx.Graph(), nx.Graph()
    one.add_nodes_from([("c2", {"b": 1, "a": 2}), ("c10", {})])
    one.add_edge("c2", "c10", w=1)
    other.add_nodes_from([("c10", {}), ("c2", {"a": 2, "b": 1})])
    other.add_edge("c10", "c2", w=1)
    assert to_json(to_node_link(one)) == to_json(to_node_link(other))
    assert to_graphml(one) == to_graphml(other)
    assert to_gexf(one) == to_gexf(other)
    assert [node["id"] for node in to_node_link(one)["nodes"]] == ["c2", "c10"]


def test_hostile_text_survives_every_format(tmp_path):
    graph = nx.MultiDiGraph(title=HOSTILE)
    graph.add_node(HOSTILE, label=HOSTILE, said=HOSTILE)
    graph.add_edge(HOSTILE, "b", label=HOSTILE)
    write_json(to_node_link(graph), tmp_path / "g.json")
    write_graphml(graph, tmp_path / "g.graphml")
    write_gexf(graph, tmp_path / "g.gexf")
    for back in (
        nx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges"),
        nx.read_graphml(tmp_path / "g.graphml", force_multigraph=True),
        nx.read_gexf(tmp_path / "g.gexf"),
    ):
        assert back.nodes[HOSTILE]["label"] == back.nodes[HOSTILE]["said"] == HOSTILE
        assert [data["label"] for *_, data in back.edges(data=True)] == [HOSTILE]
        assert back.graph.get("title", HOSTILE) == HOSTILE


@given(st.text(st.characters(exclude_categories=()), max_size=20))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_text_survives_json_and_is_at_least_readable_in_graphml_and_gexf(text):
    graph = nx.MultiDiGraph()
    graph.add_node("a", label=text, said=text)
    graph.add_edge("a", f"b{text}", type=text, label=text)
    assert json.loads(to_json(to_node_link(graph)))["nodes"][0]["label"] == text
    graphml = nx.parse_graphml(to_graphml(graph).decode())
    gexf = parse_gexf(to_gexf(graph))
    for back in (graphml, gexf):
        (edge,) = (data for *_, data in back.edges(data=True))
        for found in (back.nodes["a"]["label"], back.nodes["a"]["said"], edge["type"], edge["label"]):
            assert len(found) == len(text)
            assert all(b == t for b, t in zip(found, text, strict=True) if t.isprintable())
    assert dict(graphml.nodes["a"]) == dict(gexf.nodes["a"])
    assert set(graphml.nodes) == set(gexf.nodes)


@pytest.mark.parametrize("back", [lambda g: nx.parse_graphml(to_graphml(g).decode()), lambda g: parse_gexf(to_gexf(g))])
def test_control_characters_are_shown_by_their_pictures_in_xml(back):
    graph = nx.DiGraph()
    graph.add_node("bell\x07", label="a\x00b\r\x7f\ud800")
    assert back(graph).nodes["bell␇"]["label"] == "a␀b␍␡\N{REPLACEMENT CHARACTER}"


def test_numpy_values_and_numbers_that_are_not_finite_become_plain():
    graph = nx.DiGraph(n=np.int64(3))
    graph.add_node(np.int32(1), x=np.float32(0.5), y=math.nan, z=[np.inf, 1.0], flag=np.bool_(True), v=np.arange(2))
    form = json.loads(to_json(to_node_link(graph)))
    assert form["graph"] == {"n": 3}
    assert form["nodes"] == [{"id": 1, "flag": True, "v": [0, 1], "x": 0.5, "y": None, "z": [None, 1.0]}]


@pytest.mark.parametrize(
    "read",
    [lambda g: nx.parse_graphml(to_graphml(g).decode()), lambda g: parse_gexf(to_gexf(g))],
    ids=["graphml", "gexf"],
)
def test_xml_gives_one_type_to_all_values_of_an_attribute(read):
    graph = nx.DiGraph()
    graph.add_node("a", mixed=1, number=1, whole=1, flag=True, odd=True, gone=None, many=["x", None, 2])
    graph.add_node("b", mixed="one", number=0.5, whole=2, flag=False, odd=3, gone=math.nan, many=[])
    graph.add_node("a", label="a", n=np.int64(3), x=np.float32(0.5), sure=np.bool_(False), v=np.arange(2))
    graph.add_node("b", label="b", x=math.inf)
    back = read(graph)
    assert back.nodes["a"] == {
        "label": "a", "mixed": "1", "number": 1.0, "whole": 1, "flag": True, "odd": "True", "many": "x 2",
        "n": 3, "x": 0.5, "sure": False, "v": "0 1",
    }  # fmt: skip
    assert back.nodes["b"] == {
        "label": "b", "mixed": "one", "number": 0.5, "whole": 2, "flag": False, "odd": "3", "many": "",
    }  # fmt: skip
    assert type(back.nodes["a"]["number"]) is float
    assert type(back.nodes["a"]["whole"]) is int


@pytest.mark.parametrize(
    ("attributes", "error", "message"),
    [
        ({"id": 5}, ValueError, "'id'"),
        ({"when": {1: 2}}, TypeError, "not by 1"),
        ({"what": object()}, TypeError, "has no form in JSON"),
        ({"what": {1, 2}}, TypeError, "has no form in JSON"),
    ],
)
def test_what_json_cannot_hold_is_refused(attributes, error, message):
    graph = nx.DiGraph()
    graph.add_node("a", **attributes)
    with pytest.raises(error, match=message):
        to_node_link(graph)


def test_an_edge_attribute_called_like_a_part_of_the_form_is_refused():
    graph = nx.DiGraph()
    graph.add_edge("a", "b", source="elsewhere")
    with pytest.raises(ValueError, match="'source'"):
        to_node_link(graph)


@pytest.mark.parametrize("write", [to_graphml, to_gexf])
def test_xml_refuses_dicts_and_nodes_that_text_cannot_tell_apart(write):
    graph = nx.DiGraph()
    graph.add_node("a", inner={"x": 1})
    with pytest.raises(TypeError, match="dict"):
        write(graph)
    twins = nx.DiGraph()
    twins.add_nodes_from([1, "1"])
    with pytest.raises(ValueError, match="'1'"):
        write(twins)


def test_an_empty_graph_is_still_a_graph_in_every_format():
    graph = nx.MultiDiGraph(step=-1, rounds=0)
    assert to_node_link(graph)["nodes"] == []
    assert len(nx.parse_graphml(to_graphml(graph).decode())) == 0
    assert len(parse_gexf(to_gexf(graph))) == 0


def test_plain_leaves_the_order_of_a_dict_alone():
    assert list(plain({"b": 1, "a": (1, 2)})) == ["b", "a"]
    assert plain({"b": 1, "a": (1, 2)})["a"] == [1, 2]


def test_a_file_is_replaced_whole_and_nothing_else_is_left_behind(tmp_path):
    target = tmp_path / "out.json"
    write_json({"a": 1}, target)
    write_json({"a": np.float64("nan")}, str(target))
    assert json.loads(target.read_text()) == {"a": None}
    assert os.listdir(tmp_path) == ["out.json"]
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    target = tmp_path / "out"
    target.write_bytes(b"old")

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out"]


def test_writing_over_a_directory_or_into_a_missing_one_fails_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write(tmp_path / "folder", b"x")
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "missing" / "file", b"x")
    monkeypatch.chdir(tmp_path)
    for nameless in ("", ".", "/"):
        with pytest.raises(IsADirectoryError, match=re.escape(repr(str(Path(nameless))))):
            atomic_write(nameless, b"x")
    assert os.listdir(tmp_path) == ["folder"]
