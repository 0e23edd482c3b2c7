"""The library's graph as files that other tools read: node-link JSON, GraphML and GEXF.

The same graph gives the same bytes: nodes and edges are written in the order of their ids, attributes in the order of
their names, whatever order they were added in.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import networkx as nx
import numpy as np

from knowledge_graph.files import atomic_write

RESERVED = {"node": {"id"}, "edge": {"source", "target", "key"}, "graph": set[str]()}
"""Names that the node-link form itself needs, so that no attribute can have them."""

GEXF = "http://gexf.net/1.3"

GEXF_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}

LOOKS = {
    "concept": ((47, 134, 168), 40.0),
    "word": ((217, 128, 50), 10.0),
    "agent": ((35, 38, 47), 12.0),
    "dimension": ((134, 197, 182), 6.0),
    "object": ((185, 189, 199), 5.0),
}
"""Colour (red, green, blue) and size of the nodes of each type, as Gephi first draws them."""


def to_node_link(graph: nx.Graph) -> dict[str, Any]:
    """The graph in networkx's node-link form, ready for `to_json`; read it back with ``edges="edges"``.

    NumPy scalars and arrays become Python's numbers and lists; NaN and the infinities, which JSON does not have,
    become null.

    Raises
    ------
    ValueError
        If an attribute is called like a part of the form ("id", "source", "target", "key").
    TypeError
        If a value is none of text, number, bool, None, list or dict, or an attribute's name is not text.
    """
    links = []
    for source, target, key, data in _edges(graph):
        ends = {"source": plain(source), "target": plain(target)}
        links.append(ends | ({"key": plain(key)} if graph.is_multigraph() else {}) | _attributes(data, "edge"))
    return {
        "directed": graph.is_directed(),
        "multigraph": graph.is_multigraph(),
        "graph": _attributes(graph.graph, "graph"),
        "nodes": [{"id": plain(node)} | _attributes(data, "node") for node, data in _nodes(graph)],
        "edges": links,
    }


def to_json(obj: object) -> bytes:
    """``obj`` as JSON: NumPy scalars as numbers, NaN and the infinities as null.

    Everything outside ASCII is escaped, so that any text survives any reader.
    """
    return json.dumps(plain(obj), indent=1, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def to_graphml(graph: nx.Graph) -> bytes:
    """The graph as GraphML.

    GraphML has neither lists nor missing values: lists are joined with spaces; None, NaN and the infinities are left
    out. All values of one attribute have one type: int, float (where some are), bool, or else text. Characters that
    XML cannot hold are shown by their Unicode pictures (a bell as U+2407). Edges of a multigraph are numbered
    through, because GraphML wants each edge to have an id of its own.

    Raises
    ------
    ValueError
        If two nodes have the same id as text.
    TypeError
        If a value is none of text, number, bool, None or a list of those.
    """
    nodes, edges = _nodes(graph), _edges(graph)
    names = _names([node for node, _ in nodes])
    tidy = graph.__class__()
    tidy.graph.update(_uniform([graph.graph])[0])
    for (node, _), data in zip(nodes, _uniform([data for _, data in nodes]), strict=True):
        tidy.add_node(names[node])
        tidy.nodes[names[node]].update(data)
    for number, (edge, data) in enumerate(zip(edges, _uniform([data for *_, data in edges]), strict=True)):
        at: tuple[object, ...] = (names[edge[0]], names[edge[1]])
        at = (*at, number) if graph.is_multigraph() else at
        tidy.add_edge(*at)
        tidy.edges[at].update(data)
    stream = io.BytesIO()
    nx.write_graphml_xml(tidy, stream)
    return stream.getvalue() + b"\n"


def to_gexf(graph: nx.Graph) -> bytes:
    """The graph as GEXF 1.3, for Gephi and its kin.

    Values and ids are treated as in `to_graphml`. GEXF has places of its own for some attributes: a node's ``label``
    (its id where it has none), an edge's ``label``, and its ``weight`` if that is a number. An edge's ``type`` is also
    its kind, by which readers keep parallel edges apart. What the graph itself knows is its description. Nodes of a
    library have a colour by their type, and concepts a size by their support.

    networkx has a writer too, but takes attributes called ``type``, ``start`` and ``end``, which edges here have, for
    GEXF's own, which are about direction and time; and it writes today's date. Its reader takes 1.3 from networkx 3.6
    on.

    Raises
    ------
    ValueError
        If two nodes have the same id as text.
    TypeError
        If a value is none of text, number, bool, None or a list of those.
    """
    nodes, edges = _nodes(graph), _edges(graph)
    names = _names([node for node, _ in nodes])
    of_nodes, of_edges = _uniform([data for _, data in nodes]), _uniform([data for *_, data in edges])
    root = ET.Element("gexf", {"xmlns": GEXF, "xmlns:viz": f"{GEXF}/viz", "version": "1.3"})
    meta = ET.SubElement(root, "meta")
    ET.SubElement(meta, "creator").text = "dimensional-views"
    said = [f"{name} {value}" for name, value in _uniform([graph.graph])[0].items()]
    ET.SubElement(meta, "description").text = ", ".join(said)
    kind = "directed" if graph.is_directed() else "undirected"
    body = ET.SubElement(root, "graph", defaultedgetype=kind, mode="static")
    of_node, of_edge = _types(of_nodes), _types(of_edges)
    own = ["label", "weight"] if of_edge.get("weight") in (int, float) else ["label"]
    of_node.pop("label", None)
    of_edge = {title: type_ for title, type_ in of_edge.items() if title not in own}
    for what, columns, first in (("node", of_node, 0), ("edge", of_edge, len(of_node))):
        declared = ET.SubElement(body, "attributes", {"class": what})
        for number, (title, type_) in enumerate(columns.items(), first):
            ET.SubElement(declared, "attribute", id=str(number), title=title, type=GEXF_TYPES[type_])
    place = ET.SubElement(body, "nodes")
    for (node, _), data in zip(nodes, of_nodes, strict=True):
        element = ET.SubElement(place, "node", id=names[node], label=str(data.get("label", names[node])))
        _values(element, data, of_node, first=0)
        _look(element, data)
    place = ET.SubElement(body, "edges")
    for number, ((source, target, *_), data) in enumerate(zip(edges, of_edges, strict=True)):
        element = ET.SubElement(place, "edge", id=str(number), source=names[source], target=names[target])
        for attribute, title in [*zip(own, own, strict=True), ("kind", "type")]:
            if title in data:
                element.set(attribute, str(data[title]))
        _values(element, data, of_edge, first=len(of_node))
    ET.indent(root, " ")
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def write_json(obj: object, path: Path | str) -> None:
    """Write `to_json` of ``obj`` to a file, whole or not at all."""
    atomic_write(path, to_json(obj))


def write_graphml(graph: nx.Graph, path: Path | str) -> None:
    """Write `to_graphml` of the graph to a file, whole or not at all."""
    atomic_write(path, to_graphml(graph))


def write_gexf(graph: nx.Graph, path: Path | str) -> None:
    """Write `to_gexf` of the graph to a file, whole or not at all."""
    atomic_write(path, to_gexf(graph))


def plain(value: object) -> Any:
    """``value`` in the types that JSON has; numbers that are not finite become None.

    Raises
    ------
    TypeError
        If there is no such form for it, or a dict has a key that is not text.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"JSON names things by text, not by {key!r} ({type(key).__name__})")
        return {str(key): plain(item) for key, item in value.items()}
    raise TypeError(f"{value!r} ({type(value).__name__}) has no form in JSON")


def xml_text(text: str) -> str:
    """Text that XML can hold: other characters are shown by their Unicode pictures, or by U+FFFD."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]", _picture, text)


def _nodes(graph: nx.Graph) -> list[tuple[Any, dict[str, object]]]:
    return sorted(graph.nodes(data=True), key=lambda item: _order(item[0]))


def _edges(graph: nx.Graph) -> list[tuple[Any, Any, Any, dict[str, object]]]:
    """(source, target, key, attributes) in order; the key is None where no two edges can be parallel."""
    found = []
    for source, target, *key, data in graph.edges(data=True, **({"keys": True} if graph.is_multigraph() else {})):
        ends = (source, target) if graph.is_directed() else sorted((source, target), key=_order)
        found.append((*ends, key[0] if key else None, data))
    return sorted(found, key=lambda edge: tuple(_order(part) for part in edge[:3]))


def _order(name: object) -> tuple[object, ...]:
    """Sorts numbers in names as numbers: c2 before c10."""
    parts = re.split(r"([0-9]+)", str(name))
    return tuple((len(part), part) if part.isdigit() else (-1, part) for part in parts), type(name).__name__


def _names(nodes: Sequence[object]) -> dict[object, str]:
    """The ids of nodes as text for XML."""
    names: dict[object, str] = {}
    taken: set[str] = set()
    for node in nodes:
        names[node] = xml_text(str(plain(node)))
        if names[node] in taken:
            raise ValueError(f"the file tells nodes apart by their text, and two of them are {names[node]!r}")
        taken.add(names[node])
    return names


def _attributes(data: Mapping[str, object], what: str) -> dict[str, Any]:
    taken = RESERVED[what] & data.keys()
    if taken:
        raise ValueError(f"a {what} has an attribute called {min(taken)!r}, which the node-link form keeps for itself")
    named: dict[str, Any] = plain(data)
    return dict(sorted(named.items()))


def _uniform(rows: Sequence[Mapping[str, object]]) -> list[dict[str, str | int | float | bool]]:
    """The attributes of all nodes (or edges) as XML can hold them: one type for each name, nothing missing."""
    flat = [{xml_text(name): _flat(value) for name, value in sorted(plain(row).items())} for row in rows]
    types: dict[str, set[type]] = {}
    for row in flat:
        for name, value in row.items():
            if value is not None:
                types.setdefault(name, set()).add(type(value))
    # A bool among numbers is a number to Python alone; to whoever reads the file it is a word.
    common = {
        n: next(iter(seen)) if len(seen) == 1 else float if seen == {int, float} else str for n, seen in types.items()
    }
    return [{name: common[name](value) for name, value in row.items() if value is not None} for row in flat]


def _types(rows: Sequence[Mapping[str, object]]) -> dict[str, type]:
    """The type of each attribute, in the order of their names."""
    types = {name: type(value) for row in rows for name, value in row.items()}
    return {name: types[name] for name in sorted(types)}


def _values(element: ET.Element, data: Mapping[str, object], columns: Mapping[str, type], *, first: int) -> None:
    """Write the declared attributes that a node or an edge has."""
    held = ET.Element("attvalues")
    for number, name in enumerate(columns, first):
        if name in data:
            value = data[name]
            text = str(value).lower() if isinstance(value, bool) else str(value)
            ET.SubElement(held, "attvalue", {"for": str(number), "value": text})
    if len(held):
        element.append(held)


def _look(element: ET.Element, data: Mapping[str, object]) -> None:
    """Colour and size of a node whose type is one of a library's."""
    type_, support = data.get("type"), data.get("support")
    if not isinstance(type_, str) or type_ not in LOOKS:
        return
    (red, green, blue), size = LOOKS[type_]
    if type_ == "concept" and isinstance(support, int | float):
        size *= math.sqrt(min(max(support, 0.05), 1.0))  # its area tells the support, and it never disappears
    ET.SubElement(element, "viz:color", r=str(red), g=str(green), b=str(blue), a="1.0")
    ET.SubElement(element, "viz:size", value=str(round(size, 3)))


def _flat(value: Any) -> str | int | float | bool | None:
    """One of the types of GraphML and GEXF for a value that is `plain` already."""
    if isinstance(value, dict):
        raise TypeError("an attribute cannot be a dict in this file; give each of its entries a name of its own")
    if isinstance(value, list):
        return " ".join(str(item) for item in map(_flat, value) if item is not None)
    return xml_text(value) if isinstance(value, str) else value


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == 0x7F:
        return "\N{SYMBOL FOR DELETE}"
    return chr(0x2400 + code) if code < 0x20 else "\N{REPLACEMENT CHARACTER}"
