"""The library: many views merged into one map, as a graph, with its names, members and history."""

from knowledge_graph.concept import Concept
from knowledge_graph.history import Event, Round
from knowledge_graph.library import Library
from knowledge_graph.unify import unify
from knowledge_graph.views import Unified, Views

__all__ = ["Concept", "Event", "Library", "Round", "Unified", "Views", "unify"]
