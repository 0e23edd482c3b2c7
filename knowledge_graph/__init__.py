"""The library: many views merged into one map, as a graph, with its names, members and history."""

from knowledge_graph.library import Concept, Library
from knowledge_graph.unify import Unified, Views, gcca

__all__ = ["Concept", "Library", "Unified", "Views", "gcca"]
