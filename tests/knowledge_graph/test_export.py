import json
import math
import os
import stat

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.config import SocietyConfig
from agents.society import Society
from agents.world import planted
from knowledge_graph.export import plain, to_graphml, to_json, to_node_link, write_graphml, write_json
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


def flat(attributes: dict[str, object]) -> dict[str, object]:
    """What GraphML can hold of a node's or an edge's attributes."""
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


def test_the_same_society_twice_gives_the_same_bytes(graph):
    again = library_graph()
    assert to_json(to_node_link(again)) == to_json(to_node_link(graph))
    assert to_graphml(again) == to_graphml(graph)


def test_the_order_in_which_things_were_added_does_not_matter():
    one, other = nx.Graph(), nx.Graph()
    one.add_nodes_from([("c2", {"b": 1, "a": 2}), ("c10", {})])
    one.add_edge("c2", "c10", w=1)
    other.add_nodes_from([("c10", {}), ("c2", {"a": 2, "b": 1})])
    other.add_edge("c10", "c2", w=1)
    assert to_json(to_node_link(one)) == to_json(to_node_link(other))
    assert to_graphml(one) == to_graphml(other)
    assert [node["id"] for node in to_node_link(one)["nodes"]] == ["c2", "c10"]


def test_hostile_text_survives_both_formats(tmp_path):
    graph = nx.MultiDiGraph(title=HOSTILE)
    graph.add_node(HOSTILE, label=HOSTILE)
    graph.add_edge(HOSTILE, "b", label=HOSTILE)
    write_json(to_node_link(graph), tmp_path / "g.json")
    write_graphml(graph, tmp_path / "g.graphml")
    for back in (
        nx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges"),
        nx.read_graphml(tmp_path / "g.graphml", force_multigraph=True),
    ):
        assert back.nodes[HOSTILE]["label"] == HOSTILE
        assert [data["label"] for *_, data in back.edges(data=True)] == [HOSTILE]
        assert back.graph["title"] == HOSTILE


@given(st.text(st.characters(exclude_categories=()), max_size=20))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_text_survives_json_and_is_at_least_readable_in_graphml(text):
    graph = nx.MultiDiGraph()
    graph.add_node("a", label=text)
    assert json.loads(to_json(to_node_link(graph)))["nodes"][0]["label"] == text
    back = nx.parse_graphml(to_graphml(graph).decode()).nodes["a"]["label"]
    assert len(back) == len(text)
    assert all(b == t for b, t in zip(back, text, strict=True) if t.isprintable())


def test_control_characters_are_shown_by_their_pictures_in_graphml():
    graph = nx.DiGraph()
    graph.add_node("bell\x07", label="a\x00b\r\x7f\ud800")
    back = nx.parse_graphml(to_graphml(graph).decode())
    assert back.nodes["bell␇"]["label"] == "a␀b␍␡\N{REPLACEMENT CHARACTER}"


def test_numpy_values_and_numbers_that_are_not_finite_become_plain():
    graph = nx.DiGraph(n=np.int64(3))
    graph.add_node(np.int32(1), x=np.float32(0.5), y=math.nan, z=[np.inf, 1.0], flag=np.bool_(True), v=np.arange(2))
    form = json.loads(to_json(to_node_link(graph)))
    assert form["graph"] == {"n": 3}
    assert form["nodes"] == [{"id": 1, "flag": True, "v": [0, 1], "x": 0.5, "y": None, "z": [None, 1.0]}]


def test_graphml_gives_one_type_to_all_values_of_an_attribute():
    graph = nx.DiGraph()
    graph.add_node("a", mixed=1, number=1, whole=1, flag=True, odd=True, gone=None, many=["x", None, 2])
    graph.add_node("b", mixed="one", number=0.5, whole=2, flag=False, odd=3, gone=math.nan, many=[])
    back = nx.parse_graphml(to_graphml(graph).decode())
    assert back.nodes["a"] == {
        "mixed": "1", "number": 1.0, "whole": 1, "flag": True, "odd": "True", "many": "x 2",
    }  # fmt: skip
    assert back.nodes["b"] == {"mixed": "one", "number": 0.5, "whole": 2, "flag": False, "odd": "3", "many": ""}
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


def test_graphml_refuses_dicts_and_nodes_that_text_cannot_tell_apart():
    graph = nx.DiGraph()
    graph.add_node("a", inner={"x": 1})
    with pytest.raises(TypeError, match="dict"):
        to_graphml(graph)
    twins = nx.DiGraph()
    twins.add_nodes_from([1, "1"])
    with pytest.raises(ValueError, match="'1'"):
        to_graphml(twins)


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


def test_writing_over_a_directory_or_into_a_missing_one_fails_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        atomic_write(tmp_path / "folder", b"x")
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "missing" / "file", b"x")
    assert os.listdir(tmp_path) == ["folder"]
