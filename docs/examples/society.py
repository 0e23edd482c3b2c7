"""A society in twenty lines: a hundred minds map handwritten digits, and come to understand each other.

python docs/examples/society.py
"""

from agents import Society, SocietyConfig
from agents.world import digits
from experiments.measuring import map_quality, standings

STEPS = 100

society = Society(digits(seed=0), SocietyConfig(agents=100, merge_interval=20), seed=0)
for _ in range(STEPS):
    society.step()

map_ = map_quality(society.library, society.world)
felt = standings(society)
print(f"{map_['n_concepts']} concepts, of views that have at most {society.config.dimensions} dimensions")
print(f"held-out variance explained, beside as many principal axes: {map_['efficiency']:.3f}")
print(f"talk understood: {society.population.success.mean():.3f}, guessing {1 / society.config.candidates:.3f}")
print(f"superiority felt: {felt['mean_felt']:.3f}, true {felt['mean_true']:.3f}")

fittest = society.agents.sort("fitness")[0]
for dimension in fittest.view:
    print(f"{dimension.kind}: {', '.join(dimension.words) or 'no word'}, superiority {dimension.superiority:.2f}")
