"""Phases 1 to 6 of the plain reference society: what happens between two agents who meet."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from agents import meeting
from agents.communication import MEMORY_OF_SUCCESS
from agents.population import NOTHING
from agents.superiority import ACQUAINTANCES, LEVEL
from agents.world import World
from tests.agents.reference_mind import ReferenceAgent, Vector

if TYPE_CHECKING:
    from tests.agents.reference import ReferenceSociety


@dataclasses.dataclass(kw_only=True)
class Pair:
    """Two agents who meet over a scene; afterwards, what came of their talk."""

    speaker: ReferenceAgent
    hearer: ReferenceAgent
    scene: list[int]
    topic: int
    success: bool = False
    word: int = NOTHING
    known: bool = False
    speaker_slot: int = NOTHING
    hearer_slot: int = NOTHING


@dataclasses.dataclass(kw_only=True)
class Experience:
    """What one participant went through with a dimension: outcomes by source, and what it feels of them."""

    agent: ReferenceAgent
    partner: ReferenceAgent
    slot: int
    topic: int
    outcomes: dict[str, float]
    felt: dict[str, float] | None = None


def meet(society: ReferenceSociety) -> list[Pair]:
    """Phase 1: who meets whom over which objects, and which of them is meant."""
    world, config, rng, agents = society.world, society.config, society.rng, society.agents
    if society.edges is None:
        order, half = rng.permutation(len(agents)), len(agents) // 2
        couples = [(order[i], order[half + i]) for i in range(half)]
    else:
        couples = greedy_matching(society.edges, rng)
    if len(couples) >= meeting.MANY:
        couples.sort()
    scenes: list[list[int]] = [[] for _ in couples]
    # Floyd's algorithm: a random one of the first `last + 1` objects; the last of them, if that is there already.
    for last in range(len(world.train) - config.candidates, len(world.train)):
        for scene, pick in zip(scenes, rng.integers(last + 1, size=len(couples)), strict=True):
            scene.append(last if pick in scene else int(pick))
    topics = rng.integers(config.candidates, size=len(couples))
    return [
        Pair(
            speaker=agents[speaker],
            hearer=agents[hearer],
            scene=[int(world.train[i]) for i in scene],
            topic=int(topic),
        )
        for (speaker, hearer), scene, topic in zip(couples, scenes, topics, strict=True)
    ]


def greedy_matching(edges: list[tuple[int, int]], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Edges in random order and direction; each is taken if both ends are still free."""
    order = rng.permutation(len(edges))
    turned = rng.random(len(edges)) < 0.5
    busy: set[int] = set()
    taken = []
    for edge in order:
        a, b = edges[edge]
        if a not in busy and b not in busy:
            busy |= {a, b}
            taken.append((b, a) if turned[edge] else (a, b))
    return taken


def perceive(society: ReferenceSociety, pairs: list[Pair]) -> None:
    """Phase 2: both sides remember the scene; a full memory keeps everything it ever saw with equal chances."""
    capacity = society.config.memory
    looking = [(pair.speaker, pair.scene) for pair in pairs] + [(pair.hearer, pair.scene) for pair in pairs]
    luck = society.rng.random((len(looking), society.config.candidates))
    for (agent, scene), chances in zip(looking, luck, strict=True):
        for obj, chance in zip(scene, chances, strict=True):
            if agent.n_seen < capacity:
                agent.seen.append(obj)
            else:
                place = int(chance * (agent.n_seen + 1))
                if place < capacity:
                    agent.seen[place] = obj
            agent.n_seen += 1


def talk(society: ReferenceSociety, pairs: list[Pair]) -> list[Experience]:
    """Phase 3: a game per pair."""
    world, config, rng = society.world, society.config, society.rng
    choices = rng.random(len(pairs))
    pointed = world.probe[rng.integers(len(world.probe), size=(len(pairs), config.common_ground))]
    for pair, choice, objects in zip(pairs, choices, pointed, strict=True):
        if config.game == "language":
            language_game(society, pair, float(choice), objects.tolist())
        else:
            gesture_game(society, pair, objects.tolist())
    sides = [(pair, pair.speaker, pair.hearer, pair.speaker_slot) for pair in pairs]
    sides += [(pair, pair.hearer, pair.speaker, pair.hearer_slot) for pair in pairs]
    return [
        Experience(
            agent=agent,
            partner=partner,
            slot=slot,
            topic=pair.scene[pair.topic],
            outcomes={"talk": float(pair.success)},
        )
        for pair, agent, partner, slot in sides
        if slot != NOTHING
    ]


def language_game(society: ReferenceSociety, pair: Pair, choice: float, pointed: list[int]) -> None:
    """A word and a gesture; a hearer who does not know the word is shown, and takes it over."""
    world, config, speaker, hearer = society.world, society.config, pair.speaker, pair.hearer
    if not speaker.held:
        return
    spoken = standardised(speaker.levels(world, pair.scene))
    lexicon = [word for slot in hearer.held for word in hearer.dimension(slot).words]
    shared = {slot: [w for w in speaker.dimension(slot).words if w in lexicon] for slot in speaker.held}
    if not config.audience:
        shared = {slot: [] for slot in speaker.held}
    preferred = [slot for slot in speaker.held if shared[slot]]
    pair.speaker_slot = stands_apart(spoken, pair.topic, preferred or speaker.held)
    meant = speaker.dimension(pair.speaker_slot)
    words = shared[pair.speaker_slot] or meant.words
    if words:
        pair.word = words[int(choice * len(words))]
    else:
        pair.word = society.counters.n_words
        society.counters.n_words += 1
        meant.add_word(pair.word, config.vocabulary)

    knowing = [slot for slot in hearer.held if pair.word in hearer.dimension(slot).words]
    if knowing:
        pair.known, pair.hearer_slot = True, knowing[0]
        heard = standardised(hearer.levels(world, pair.scene))
        gesture = spoken[pair.topic][pair.speaker_slot]
        pair.success = nearest([level[pair.hearer_slot] for level in heard], gesture) == pair.topic
    elif hearer.held:
        shown = pair.scene + pointed
        demonstrated = speaker.levels(world, shown)[:, pair.speaker_slot].tolist()
        own = hearer.levels(world, shown)
        agree = {slot: correlation(demonstrated, own[:, slot].tolist()) for slot in hearer.held}
        # A dimension without a name may turn round to agree better.
        fit = {slot: r if hearer.dimension(slot).words else abs(r) for slot, r in agree.items()}
        pair.hearer_slot = max(hearer.held, key=lambda slot: fit[slot])
        taken = hearer.dimension(pair.hearer_slot)
        if not taken.words and agree[pair.hearer_slot] < 0:
            taken.turn_round(hearer.esteem)
        taken.add_word(pair.word, config.vocabulary)
    if pair.success:
        for agent, slot in ((speaker, pair.speaker_slot), (hearer, pair.hearer_slot)):
            agent.dimension(slot).words = [pair.word]


def gesture_game(society: ReferenceSociety, pair: Pair, pointed: list[int]) -> None:
    """No words: the hearer takes the dimension that agrees with the speaker's about things pointed at."""
    world, speaker, hearer = society.world, pair.speaker, pair.hearer
    if not speaker.held:
        return
    spoken = standardised(speaker.levels(world, pair.scene))
    pair.speaker_slot = stands_apart(spoken, pair.topic, speaker.held)
    if not hearer.held:
        return
    shown = speaker.levels(world, pointed)[:, pair.speaker_slot].tolist()
    own = hearer.levels(world, pointed)
    agree = {slot: correlation(shown, own[:, slot].tolist()) for slot in hearer.held}
    pair.known, pair.hearer_slot = True, max(hearer.held, key=lambda slot: abs(agree[slot]))
    direction = -1.0 if agree[pair.hearer_slot] < 0 else 1.0
    heard = standardised(hearer.levels(world, pair.scene))
    gesture = spoken[pair.topic][pair.speaker_slot]
    pair.success = nearest([direction * level[pair.hearer_slot] for level in heard], gesture) == pair.topic


def standardised(levels: Vector) -> list[list[float]]:
    """Levels [C][S] relative to the scene, slot by slot: mean 0, variance 1; 0 where all are level."""
    columns = []
    for column in levels.T.tolist():
        mean = sum(column) / len(column)
        spread = np.sqrt(sum((level - mean) * (level - mean) for level in column) / len(column))
        columns.append([(level - mean) / spread if spread > 1e-6 else 0.0 for level in column])
    return [list(row) for row in zip(*columns, strict=True)]


def stands_apart(spoken: list[list[float]], topic: int, slots: list[int]) -> int:
    """The slot in which the topic is farthest from the object nearest to it (the first of equals)."""

    def margin(slot: int) -> float:
        rivals = [level[slot] for place, level in enumerate(spoken) if place != topic]
        return min((abs(rival - spoken[topic][slot]) for rival in rivals), default=np.inf)

    return max(slots, key=margin)


def nearest(levels: list[float], gesture: float) -> int:
    return min(range(len(levels)), key=lambda place: abs(levels[place] - gesture))


def correlation(a: list[float], b: list[float]) -> float:
    """Pearson's; 0 where one does not vary."""
    if not a:
        return 0.0
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    a, b = [x - mean_a for x in a], [y - mean_b for y in b]
    scale = np.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / scale if scale > 1e-9 else 0.0


def compare(society: ReferenceSociety, experiences: list[Experience]) -> None:
    """Phase 4: whose body stands higher on the own dimension; how much of the topic the dimension explains."""
    world = society.world
    for e in experiences:
        own, other = e.agent.levels(world, [e.agent.body, e.partner.body])[:, e.slot]
        e.outcomes["comparison"] = above(own, other)
        if society.config.reward_prediction > 0:
            sensed = world.features[e.topic, e.agent.sensor].tolist()
            loading = e.agent.dimension(e.slot).loading.tolist()
            level = sum(x * weight for x, weight in zip(sensed, loading, strict=True))
            total = sum(x * x for x in sensed)
            e.outcomes["prediction"] = min(level * level / total, 1.0) if total > 0 else 0.0


def above(own: float, other: float) -> float:
    """1 higher, 0 lower, 1/2 level."""
    difference = float(own) - float(other)
    return 0.5 if abs(difference) <= LEVEL else float(difference > 0)


def attribute(society: ReferenceSociety, experiences: list[Experience]) -> None:
    """Phase 5: outcome = expectation + own part + others' part + luck; how much of it is felt as one's own."""
    config, weights = society.config, society.config.reward_weights
    everybody = sum(float(agent.success) for agent in society.agents) / len(society.agents)

    def felt(expectation: float, own: float, rest: float) -> float:
        own *= config.bias_gain if own > 0 else config.bias_loss
        return min(max(expectation + own + config.self_attribution * rest, 0.0), 1.0)

    for e in experiences:
        e.felt = dict(e.outcomes)
        outcome = own_effect = others_effect = 0.0
        comparing = weights["comparison"] > 0 and config.compare_interval > 0
        if weights["talk"] > 0:
            y, usual = e.outcomes["talk"], float(e.agent.success)
            own = float(e.agent.dimension(e.slot).understood) - usual
            others = float(e.partner.success) - everybody
            luck = y - usual - own - others
            e.felt["talk"] = felt(usual, own, others + luck)
            outcome += weights["talk"] * y
            own_effect += weights["talk"] * own
            others_effect += weights["talk"] * others
        if weights["comparison"] > 0 and "comparison" in e.outcomes:
            y = e.outcomes["comparison"]
            p, q = expected_standings(e, society.world)
            # The mean over both orders of learning of the own standing p and the other's, q.
            own = ((p - 0.5) + (y - (1 - q))) / 2
            others = ((0.5 - q) + (y - p)) / 2
            e.felt["comparison"] = felt(0.5, own, others)
            outcome += weights["comparison"] * y
            own_effect += weights["comparison"] * (p - 0.5)
            others_effect += weights["comparison"] * (0.5 - q)
        if "comparison" in e.outcomes or not comparing:
            society.ledger.append((outcome, own_effect, others_effect))


def expected_standings(e: Experience, world: World) -> tuple[float, float]:
    """How the own and the partner's body stand among acquaintances, as this agent sees it."""
    acquaintances = e.agent.seen[:ACQUAINTANCES]
    if not acquaintances:
        return 0.5, 0.5
    heights = e.agent.levels(world, [e.agent.body, e.partner.body, *acquaintances])[:, e.slot]
    standings = []
    for height in heights[:2]:
        wins = [above(height, other) for other in heights[2:]]
        standings.append(sum(wins) / len(wins))
    return standings[0], standings[1]


def feel(society: ReferenceSociety, experiences: list[Experience]) -> None:
    """Phase 6: superiority moves fast on what is above it and slowly on what is below, by the surprise or by a step."""
    config, weights = society.config, society.config.reward_weights
    for e in experiences:
        dimension = e.agent.dimension(e.slot)
        for source, reward in (e.outcomes if e.felt is None else e.felt).items():
            error = reward - float(dimension.score)
            rate = weights[source] * (config.rate_up if error > 0 else config.rate_down)
            if config.superiority == "quantile":
                step = 0.0 if abs(error) <= 1e-6 else rate if error > 0 else -rate
                dimension.score = np.float32(min(max(float(dimension.score) + step, 0.0), 1.0))
            else:
                dimension.score = np.float32(float(dimension.score) + rate * error)
        dimension.contests += any(weights[source] > 0 for source in e.outcomes)


def remember(pairs: list[Pair]) -> None:
    """How well they understood each other becomes part of what both sides expect."""
    for pair in pairs:
        for agent, slot in ((pair.speaker, pair.speaker_slot), (pair.hearer, pair.hearer_slot)):
            won = np.float32(pair.success)
            agent.success += MEMORY_OF_SUCCESS * (won - agent.success)
            if slot != NOTHING:
                used = agent.dimension(slot)
                used.understood += MEMORY_OF_SUCCESS * (won - used.understood)
