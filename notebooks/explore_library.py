# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exploring the library
#
# Two hundred agents have looked at handwritten digits. None of them has seen a whole image: each senses a quarter of
# the pixels, and holds at most eight dimensions, which it found by itself and calls by words of its own. The *library*
# has merged what they hold into one map. Here we ask that map:
#
# 1. Which dimensions does this society share?
# 2. Who holds them, what do they call them, where did each come from?
# 3. What does an agent mean by a word, and how would another say it?
# 4. How did the map come about?
# 5. How much of the world does it know?
# 6. What changed since yesterday's run?
# 7. How do I take it elsewhere?
#
# Run it from top to bottom. That takes less than a minute, and nothing is fetched from anywhere.
#
# The words you need:
#
# | word | meaning |
# |:---|:---|
# | **dimension** | something by which one agent orders objects, from low to high |
# | **concept** | a dimension that many agents share, each in a form of its own; it keeps its id (`c7`) and has a name |
# | **member** | an agent's dimension that is a form of a concept |
# | **support** | the share of agents who know a concept, times how well they know it: from 0 to 1 |
# | **r** | how alike two dimensions order objects, from -1 to 1; negative if high on one is low on the other |
# | **round** | one merge: every so many steps the library takes all views in, and says what they share |

# %%
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import plotly.express as px
from IPython.display import display_html

from agents import Society, SocietyConfig, World
from agents.world import digits
from experiments.run_society import RunConfig, make_world
from knowledge_graph import Library
from knowledge_graph.explorer import framed, show
from knowledge_graph.export import write_gexf, write_graphml
from knowledge_graph.measures import principal_axes
from knowledge_graph.pictures import pictures_of
from knowledge_graph.queries import told
from knowledge_graph.skos import write_skos

pd.options.display.float_format = "{:.2f}".format

# %% [markdown]
# ## A run to look at
#
# `python -m experiments.run_society --world digits --out runs/digits` leaves one. If it is there, we look at it; if
# not, a society lives here and now, which takes some seconds. You can also name the directory of a run of your own.

# %% tags=["parameters"]
RUN, YESTERDAY = "runs/digits", "runs/yesterday"
AGENTS, STEPS = 200, 300  # of a society that lives here


# %%
def opened(run: str, *, seed: int, world: World | None = None) -> tuple[World, Library]:
    """The world and the library of a run; where there is no such run, of a society that lives now."""
    directory = (Path("..") if Path.cwd().name == "notebooks" else Path()) / run
    if directory.is_dir():
        print(f"Reading {run}.")
        config = RunConfig(**json.loads((directory / "config.json").read_text(encoding="utf-8")))
        return make_world(config), Library.load(directory / "library.npz")
    print(f"There is no {run}, so {AGENTS} agents live {STEPS} steps here.")
    society = Society(world or digits(seed=seed), SocietyConfig(agents=AGENTS), seed=seed)
    for _ in range(STEPS):
        society.step()
    return society.world, society.library


world, library = opened(RUN, seed=0)
print(library)
if not len(library):
    raise SystemExit("This library has no concepts, so there is nothing to explore; name another run at the top.")
print(f"{world.n_objects:,} objects of {world.n_features} features, {len(world.held_out)} kept for measuring")

# %% [markdown]
# ## 1. Which dimensions does this society share?
#
# These are its concepts, the best supported first. Nobody said how many there would be: whatever views share beyond
# chance is one.

# %%
library.to_pandas("concepts").head(8)

# %% [markdown]
# *How to read it:* a row is a concept. It has so many members, held by so many agents, who have so many words for it;
# `since` is the step at which it came up.
#
# And this is the whole map. **Point** at a disc for its numbers, **scroll** to zoom, **drag** to move, pull the
# **slider** to see the better supported only, and **click** a disc for the objects at its two ends.

# %%
pixels = world.features * world.scale + world.mean
images = {} if world.image_shape is None else pictures_of(pixels, library.probe, world.image_shape)
show(library, pictures=images, title=f"What {len(library.to_pandas('agents'))} agents share")

# %% [markdown]
# *How to read it:* a disc is a concept, the larger the better supported, the darker the closer its members come to it.
# A line joins two that weigh much the same features: blue in the same direction, orange in opposite ones.

# %% [markdown]
# ## 2. Who holds them, what do they call them, where did each come from?
#
# We follow one of them all the way down: the one with most members.

# %%
concept = max(library.concepts(), key=lambda one: one.members)
print(library.explain(concept.id))

# %% [markdown]
# *How to read it:* from the top: who holds it and by what name, the features that rise (+) and fall (-) with it, the
# objects at its two ends, the objects its members were made of, the concepts most like it, and what happened to it.
#
# Objects are better looked at than counted:


# %%
def look(title: str, features: np.ndarray, captions: Iterable[object] = ()) -> None:
    """Objects [n, D] side by side as pictures; in a world without pictures, as a table of their features."""
    names = [str(caption) for caption in captions] or [""] * len(features)
    if world.image_shape is None:
        table = pd.DataFrame(features, names, world.feature_names).rename_axis(title)
        display_html(table.to_html(max_cols=8), raw=True)
        return
    shown = np.clip(features * world.scale + world.mean, pixels.min(), pixels.max())
    drawn = pictures_of(np.vstack([shown, pixels]), range(len(shown)), world.image_shape)
    cells = [
        f'<td style="text-align: center"><img src="{picture}" alt="{title} {name}" width="56" '
        f'style="image-rendering: pixelated"><br>{name}</td>'
        for picture, name in zip(drawn.values(), names, strict=True)
    ]
    heading = f'<th style="width: 17em; text-align: left">{title}</th>'
    display_html(f"<table><tr>{heading}{''.join(cells)}</tr></table>", raw=True)


look(f"highest on {concept.id}", world.features[[*concept.strongest]], concept.strongest)
look(f"lowest on {concept.id}", world.features[[*concept.weakest]], concept.weakest)

# %% [markdown]
# *How to read it:* what the upper ones have and the lower ones lack is what the concept is about. The numbers are the
# objects' own.
#
# Below the concept are its members: dimensions of single agents. The closest first:

# %%
dimensions = library.to_pandas("dimensions")
members = dimensions[dimensions["concept"] == concept.id].sort_values("r", key=abs, ascending=False)
members.assign(words=members["words"].str.join(" or ")).set_index("agent").drop(columns=["concept", "name"]).head(6)

# %% [markdown]
# *How to read it:* `slot` is the dimension's place in the agent's view. A `raw` one is likeness to one object, an
# `abstract` one what several have in common; `superiority` is how highly the agent thinks of itself along it; `born` is
# the step at which it arose, and `sources` are the objects it came from. Those of the first three members:

# %%
for member in members.head(3).itertuples():
    look(f"agent {member.agent}, dimension {member.slot}", world.features[[*member.sources]], member.sources)

# %% [markdown]
# That is the bottom: from a concept to agents, to their dimensions, to what they have seen. And across it? Here is how
# the closest holder of the concept and the one farthest off hang together:

# %%
agent, other = concept.agents()[0], concept.agents()[-1]
print(library.path(agent, other))

# %% [markdown]
# *How to read it:* follow the arrows, whichever way they point. `a:` is an agent, `d:` one of its dimensions, `c` a
# concept; elsewhere you will also meet `w:`, a word, and `o:`, an object.

# %% [markdown]
# ## 3. What does an agent mean by a word, and how would another say it?
#
# Here is all that the first of these two agents can think of:

# %%
own = dimensions[dimensions["agent"] == agent].set_index("slot").drop(columns=["agent", "born", "sources"])
own.assign(words=own["words"].str.join(" or ")).fillna({"concept": "none", "name": ""})

# %% [markdown]
# *How to read it:* `words` are its own, `name` is what the library calls the concept. A dimension of no concept is a
# mixture of several.
#
# Words wander. This one means more different things than any other:

# %%
spoken = library.to_pandas("words").sort_values(["concepts", "agents"]).index
word = spoken[-1] if len(spoken) else None
users = dimensions[[word in words for words in dimensions["words"]]].fillna({"concept": "none", "name": ""})
print(f"How many agents say {word!r}, and for what:" if word else "These agents have no words.")
users.groupby(["concept", "name"])["agent"].nunique().sort_values(ascending=False).to_frame("agents")

# %% [markdown]
# So it depends on whom one asks. One agent of each kind:

# %%
for speaker in users.drop_duplicates("concept")["agent"]:
    print(*library.meaning(speaker, word), sep="\n")

# %% [markdown]
# *How to read it:* `r` says how close this comes to the concept; where it is negative, the agent's high is the
# concept's low.
#
# To translate, the library looks for the other's dimension that orders objects most alike, whatever it is called. Here
# everything that our agent has a word for is translated for everybody else:

# %%
everybody = library.to_pandas("agents").index.drop(agent)
said = [one.slot for one in library.agent(agent) if one.words]
tried = [library.translate(agent, slot, listener) for slot in said for listener in everybody]
outcomes = {
    "translate as they are": [one for one in tried if one.slot is not None and one.r > 0],
    "translate if turned round": [one for one in tried if one.slot is not None and one.r < 0],
    "do not translate": [one for one in tried if one.slot is None],
}
for outcome, found in outcomes.items():
    best = sorted(found, key=lambda one: (one.words != (), abs(one.r)), reverse=True)
    print(f"{len(found)} of {len(tried)} {outcome}", *best[:2], "", sep="\n   ")

# %% [markdown]
# *How to read it:* under each count two examples. What goes by one word here goes by another there, and `r` says how
# much gets through; "turned round" means that the one's high is the other's low. Where nothing comes near, the other
# agent cannot think of it at all.

# %% [markdown]
# ## 4. How did the map come about?
#
# A library forgets nothing: `library.at(3)` is the library as it was after its third round. What happened at each:

# %%
events = library.to_pandas("events")
numbers, kinds = range(1, len(library.rounds) + 1), ["birth", "split", "return", "merge", "retirement"]
counts = pd.crosstab(events["round"], events["kind"]).reindex(index=numbers, columns=kinds, fill_value=0)
counts.assign(concepts=[len(library.at(number)) for number in numbers])

# %% [markdown]
# *How to read it:* births, splits and returns add a concept, merges and retirements take one away; `concepts` is how
# many there are after the round.
#
# The same, one line for each concept there ever was:

# %%
rounds = {one.step: library.at(one.number).to_pandas("concepts")["support"] for one in library.rounds}
support = pd.DataFrame(rounds).sort_index(key=lambda ids: ids.str[1:].astype(int))
labels = {"x": "step", "color": "support"}
lives = px.imshow(support, aspect="auto", color_continuous_scale="Teal", labels=labels)
lives.update_layout(template="plotly_white", margin={"t": 20, "b": 50, "l": 60, "r": 20})
lives.update_traces(xgap=1, ygap=1).update_yaxes(title=None, dtick=1, tickfont_size=10, showgrid=False)
framed(lives, title="The lives of the concepts", height=100 + 14 * len(support))

# %% [markdown]
# *How to read it:* a line begins where its concept comes up and breaks off where it goes; the darker, the better
# supported.
#
# What does it mean that two merge? Here is the first time that two became one (or else, that one split in two):

# %%
turn = max(library.history, key=lambda event: len(event.parents))
print(f"At step {turn.step} {told(turn)}.")
before, after = library.at(turn.round - 1), library.at(turn.round)
for then, name in [*((before, parent) for parent in turn.parents), (after, turn.concept)]:
    objects = then.concept(name).strongest
    look(f"highest on {name} at step {then.step}", world.features[[*objects]], objects)
print(f"All that {turn.concept} has been part of:")
for event in library.history:
    if turn.concept in (event.concept, *event.parents):
        print(f"   step {event.step}: {told(event)}")

# %% [markdown]
# *How to read it:* first what there was, then what came of it; the more alike the objects, the less was lost.

# %% [markdown]
# ## 5. How much of the world does it know?
#
# The library can be asked about objects that no agent has ever met. `library.reconstruct` draws what all agents
# together make of them, `library.predict` what a single agent foretells of the whole from its few dimensions:

# %%
held_out = world.features[world.held_out]
some = held_out[:8]
sensor = library.views.sensor[library.views.agent == agent][0]
sensed = np.isin(np.arange(world.n_features), sensor)
look("original", some, world.held_out[:8])
look("known to all agents together", library.reconstruct(some))
look(f"sensed by agent {agent}", np.where(sensed, some, (pixels.min() - world.mean) / world.scale))
look(f"foretold by agent {agent}", library.predict(agent, library.levels(agent, some)))

# %% [markdown]
# *How to read it:* the third line is all that the agent can see. From where that stands on its own dimensions, and from
# what the library says goes with those, it draws the fourth.
#
# And as a number: the share of the variance of all held-out objects that is told right, from 0 (nothing) to 1. Beside
# it what as many principal components tell, if one mind sees every pixel of every training object: a strong rival.


# %%
def told_right(guess: np.ndarray) -> float:
    """Share of the held-out variance."""
    return 1 - np.square(held_out - guess).sum() / np.square(held_out).sum()


def by_components(rank: int) -> np.ndarray:
    """The held-out objects, as the first ``rank`` principal components of the training objects know them."""
    axes = principal_axes(world.features[world.train], rank)
    return held_out @ axes @ axes.T


alone = [told_right(library.predict(one, library.levels(one, held_out))) for one in everybody[:12]]
concepts, slots = len(library), library.views.n_slots
pd.Series(
    {
        f"all agents together ({concepts} concepts)": told_right(library.reconstruct(held_out)),
        f"one mind that sees all ({concepts} components)": told_right(by_components(concepts)),
        f"one mind that sees all ({slots} components)": told_right(by_components(slots)),
        f"one agent through the library ({slots} dimensions), the best of {len(alone)}": max(alone),
        f"one agent through the library ({slots} dimensions), mean of {len(alone)}": np.mean(alone),
    }
).to_frame("told right")

# %% [markdown]
# ## 6. What changed since yesterday's run?
#
# Yesterday's is in `runs/yesterday` if you have put one there; if not, another society lives now, in the same world. It
# has made up other words, and numbers its concepts in another order: `diff` goes by what they mean.

# %%
_, yesterday = opened(YESTERDAY, seed=1, world=world)
change = library.diff(yesterday)
print(change)

# %% [markdown]
# *How to read it:* how many of yesterday's concepts are still there (they are matched by `r`, from -1 to 1), and the
# three whose support has changed most. All of them are in a table:

# %%
yesterdays, todays = ["there", "word_there", "support_there"], ["here", "word_here", "support_here"]
change.to_pandas()[[*yesterdays, *todays, "r", "change"]].head(8)

# %% [markdown]
# *How to read it:* `there` is yesterday's concept, `here` the one of today that means the same, and `r` how much so.
# Further down are those that only one of the two has: `new` or `gone`. If most are kept, two societies that have never
# met have found the same dimensions of the world, under other names.
#
# One society can be asked the same of its own past: what changed since the first round?

# %%
print(library.diff(library.at(1)))

# %% [markdown]
# ## 7. How do I take it elsewhere?
#
# The map is a networkx graph, so that all of networkx can be used on it:

# %%
graph = library.graph()
print(graph)
print(pd.Series(nx.get_node_attributes(graph, "type")).value_counts().to_string())

# %% [markdown]
# *How to read it:* its nodes are concepts, agents, their dimensions, their words, and the objects these came from;
# its edges say what belongs to what.
#
# It goes to Gephi and its kin as GraphML or GEXF, to the web of data as SKOS with its provenance in PROV, and to a
# file of its own, from which it comes back as it was:

# %%
with tempfile.TemporaryDirectory() as directory:
    place = Path(directory)
    write_graphml(graph, place / "library.graphml")
    write_gexf(graph, place / "library.gexf")
    write_skos(library, place / "library.jsonld")
    library.save(place / "library.npz")
    print(Library.load(place / "library.npz"))
    for file in sorted(place.iterdir()):
        print(f"{file.name:15} {file.stat().st_size / 1e6:4.1f} MB")

# %% [markdown]
# ## Where to go from here
#
# - Ask for something that is not there, say `library.explain("c999")`: the answer suggests what is near.
# - `help(Library)` lists all that can be asked; `docs/how-it-works.md` tells how the answers are found.
# - Make a run of your own: `python -m experiments.run_society --help` says what can be varied. Then name its directory
#   at the top, as `RUN` or as `YESTERDAY`.
