"""A library asked: what does a society share, what do its words mean, and what changed between two merges?

python docs/examples/library.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from agents import Society, SocietyConfig
from agents.world import planted
from knowledge_graph import Library
from knowledge_graph.export import write_graphml

STEPS = 80

world = planted(objects=1000, features=64, factors=12, seed=0)
society = Society(world, SocietyConfig(agents=100, merge_interval=20), seed=0)
for _ in range(STEPS):
    society.step()

with TemporaryDirectory() as place:
    society.library.save(Path(place, "library.npz"))
    library = Library.load(Path(place, "library.npz"))  # one file has everything; nothing in it can run
    write_graphml(library.graph(), Path(place, "library.graphml"))  # for Gephi, Cytoscape, yEd

print(library)
for concept in library.concepts()[:3]:
    print(concept)
print(library.explain(library.ids[0]))

one, other = (agent.unique_id for agent in society.agents[:2])
for meaning in library.agent(one):
    print(meaning)
print(library.translate(one, 0, other))
print(library.path(one, other))
print(library.diff(library.at(1)))
print(library.to_pandas("concepts").head())
